"""How often the intervals of tsfm_eval cover the truth, in simulated studies whose truth is known. Aim: 93 to 97 %.

Each study draws its patients anew. For each method: the share of the intervals that hold the truth, the shares that lie
wholly above and below it, and the median width. Two methods that tsfm does not offer stand beside: bootstrap-t at the
plain levels, and the percentile interval at Hesterberg's expanded ones. ``--few`` sets methods for few patients side by
side, their intervals cut to what a number can be. No clock is read: the figures come back to the digit on any machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from _pairs import machine
from scipy import stats

from tsfm_eval.pairs import ratio
from tsfm_eval.statistics.methods import bca, expanded, jackknife, studentised, tails
from tsfm_eval.statistics.resampling import Resampled, jackknife_error, leave_one_out, resample
from tsfm_eval.statistics.sums import FEWEST

__all__ = ["DESIGNS", "FEW", "METHODS", "UNEQUAL", "coverage"]

Floats = npt.NDArray[np.float64]
Bounds = tuple[float, float]
Study = tuple[dict[str, Floats], Callable[[Mapping[str, Any]], dict[str, Any]], float]


def _mean(sums: Mapping[str, Any]) -> dict[str, Any]:
    return {"x": ratio(sums["total"], sums["count"])}


def _rmse(sums: Mapping[str, Any]) -> dict[str, Any]:
    return {"x": np.sqrt(ratio(sums["total"], sums["count"]))}


def _difference(sums: Mapping[str, Any]) -> dict[str, Any]:
    return {"x": np.sqrt(ratio(sums["total"], sums["count"])) - np.sqrt(ratio(sums["other"], sums["count"]))}


def _normal(rng: np.random.Generator, size: tuple[int, int]) -> Study:
    return {"total": rng.normal(10, 3, size), "count": np.ones(size)}, _mean, 10.0


def _squares(rng: np.random.Generator, size: tuple[int, int], spread: float, uneven: float) -> tuple[Floats, ...]:
    """Return windows, mean squared error and relative noise of each patient; six overlapping windows tell one thing."""
    windows = np.round(150 * np.exp(rng.normal(0, uneven, size))) + 10
    scale = 20 * np.exp(rng.normal(0, spread, size))
    return windows, np.square(scale), rng.chisquare(windows / 6) / (windows / 6)


def _skewed(spread: float, uneven: float) -> Callable[[np.random.Generator, tuple[int, int]], Study]:
    def design(rng: np.random.Generator, size: tuple[int, int]) -> Study:
        windows, squares, noise = _squares(rng, size, spread, uneven)
        return {"total": windows * squares * noise, "count": windows}, _rmse, 20 * float(np.exp(spread**2))

    return design


def _paired(rng: np.random.Generator, size: tuple[int, int]) -> Study:
    windows, squares, noise = _squares(rng, size, 0.3, 0.5)
    own = rng.chisquare(windows / 6) / (windows / 6)
    other = squares * np.exp(2 * rng.normal(-0.05, 0.15, size)) * (0.7 * noise + 0.3 * own)
    truth = 20 * float(np.exp(0.3**2) * (1 - np.exp(-0.05 + 0.15**2)))
    return {"total": windows * squares * noise, "other": windows * other, "count": windows}, _difference, truth


def _share(mean: float, shape: float) -> Callable[[np.random.Generator, tuple[int, int]], Study]:
    def design(rng: np.random.Generator, size: tuple[int, int]) -> Study:
        pairs = rng.integers(17, 151, size)
        hits = rng.binomial(pairs, rng.beta(shape, shape * (1 - mean) / mean, size))
        return {"total": 6.0 * hits, "count": 6.0 * pairs}, _mean, mean

    return design


def _recall(rng: np.random.Generator, size: tuple[int, int]) -> Study:
    events = rng.poisson(rng.gamma(1.0, 3.0, size))
    found = rng.binomial(events, rng.beta(3.5, 1.5, size))
    return {"total": found.astype(float), "count": events.astype(float)}, _mean, 0.7


def _two_kinds(rng: np.random.Generator, size: tuple[int, int]) -> Study:
    windows, _, noise = _squares(rng, size, 0.0, 0.5)
    squares = np.where(rng.random(size) < 0.2, 30.0, 16.0) ** 2
    return {"total": windows * squares * noise, "count": windows}, _rmse, float(np.sqrt(0.2 * 900 + 0.8 * 256))


def _alarms(rng: np.random.Generator, size: tuple[int, int]) -> Study:
    days = rng.integers(5, 15, size).astype(float)
    return {"total": rng.poisson(days * rng.gamma(1.0, 0.5, size)).astype(float), "count": days}, _mean, 0.5


def _relative(rng: np.random.Generator, size: tuple[int, int]) -> Study:
    windows = rng.integers(100, 2000, size).astype(float)
    error = np.where(rng.random(size) < 0.3, rng.gamma(4.0, 5.0, size), rng.normal(12, 2, size))
    return {"total": windows * error, "count": windows}, _mean, 0.3 * 20 + 0.7 * 12


def _unequal(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Return windows of each patient, from 100 to 2,000."""
    return rng.permuted(np.broadcast_to(np.round(100 * 20 ** np.linspace(0, 1, size[1])), size), axis=1)


def _rmse_unequal(rng: np.random.Generator, size: tuple[int, int]) -> Study:
    windows = _unequal(rng, size)
    squares = np.square(20 * np.exp(rng.normal(0, 0.3, size)))
    return {"total": windows * squares * _noise(rng, windows), "count": windows}, _rmse, 20 * float(np.exp(0.3**2))


def _paired_unequal(rng: np.random.Generator, size: tuple[int, int]) -> Study:
    windows = _unequal(rng, size)
    squares = np.square(20 * np.exp(rng.normal(0, 0.3, size)))
    noise, own = _noise(rng, windows), _noise(rng, windows)
    other = squares * np.exp(2 * rng.normal(-0.05, 0.15, size)) * (0.7 * noise + 0.3 * own)
    truth = 20 * float(np.exp(0.3**2) * (1 - np.exp(-0.05 + 0.15**2)))
    return {"total": windows * squares * noise, "other": windows * other, "count": windows}, _difference, truth


def _noise(rng: np.random.Generator, windows: Floats) -> Floats:
    return np.asarray(rng.chisquare(windows / 6) / (windows / 6))


def _share_unequal(rng: np.random.Generator, size: tuple[int, int]) -> Study:
    pairs = (_unequal(rng, size) // 6).astype(int)
    hits = rng.binomial(pairs, rng.beta(8.0, 8.0 * 0.15 / 0.85, size))
    return {"total": 6.0 * hits, "count": 6.0 * pairs}, _mean, 0.85


#: Each draws ``[studies, patients]`` and says what is true.
DESIGNS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Study]] = {
    "mean, normal": _normal,
    "rmse, skewed": _skewed(0.3, 0.5),
    "rmse, very skewed": _skewed(0.4, 0.7),
    "rmse difference": _paired,
    "share of 2 %": _share(0.02, 1.0),
    "share of 0.5 %": _share(0.005, 0.3),
    "recall, 3 events each": _recall,
    # these were added when the method had been chosen
    "rmse, two kinds": _two_kinds,
    "false alarms a day": _alarms,
    "mard, mixed": _relative,
}

#: The patient with the most windows has 20 times as many as the one with the fewest.
UNEQUAL: dict[str, Callable[[np.random.Generator, tuple[int, int]], Study]] = {
    "rmse, unequal windows": _rmse_unequal,
    "difference, unequal windows": _paired_unequal,
    "share of 85 %, unequal windows": _share_unequal,
}

#: What the numbers can be: a mean of values and a difference anything, most of the others nothing below 0.
_BOUNDS: dict[str, Bounds] = dict.fromkeys(DESIGNS | UNEQUAL, (0.0, np.inf))
_BOUNDS |= dict.fromkeys(("mean, normal", "rmse difference", "difference, unequal windows"), (-np.inf, np.inf))
_BOUNDS |= dict.fromkeys(
    ("share of 2 %", "share of 0.5 %", "recall, 3 events each", "share of 85 %, unequal windows"), (0.0, 1.0)
)


def _at(drawn: Resampled, tail: float) -> tuple[float, float]:
    return tails(drawn.values[np.isfinite(drawn.values)], tail, 1 - tail)


def _wide(drawn: Resampled, patients: int) -> float:
    return float(stats.norm.cdf(np.sqrt(patients / (patients - 1)) * stats.t.ppf(0.025, patients - 1)))


def _plain(drawn: Resampled, patients: int) -> tuple[float, float]:
    reach = stats.t.ppf(0.975, patients - 1) * float(jackknife_error(drawn.without, np.ones(patients)))
    return drawn.estimate - reach, drawn.estimate + reach


def _capped(drawn: Resampled, patients: int) -> tuple[float, float]:
    low, high = studentised(drawn, expanded(0.025, patients))
    middle, reach = drawn.estimate, 1.5 * (_plain(drawn, patients)[1] - drawn.estimate)
    return max(low, middle - reach), min(high, middle + reach)


#: ``(resamples, patients)`` to the two bounds at 95 %.
METHODS: dict[str, Callable[[Resampled, int], tuple[float, float]]] = {
    "studentised": lambda drawn, patients: studentised(drawn, expanded(0.025, patients)),
    "bca": lambda drawn, patients: bca(drawn, 0.025),
    "percentile": lambda drawn, patients: _at(drawn, 0.025),
    "(plain bootstrap-t)": lambda drawn, patients: studentised(drawn, 0.025),
    "(expanded percentile)": lambda drawn, patients: _at(drawn, _wide(drawn, patients)),
}

#: The same with the bounds of the number, for few patients.
FEW: dict[str, Callable[[Resampled, int, Bounds], tuple[float, float]]] = {
    "percentile": lambda drawn, patients, bounds: _at(drawn, 0.025),
    "bca": lambda drawn, patients, bounds: bca(drawn, 0.025),
    "studentised": lambda drawn, patients, bounds: studentised(drawn, expanded(0.025, patients)),
    "(studentised, capped)": lambda drawn, patients, bounds: _capped(drawn, patients),
    "(plain jackknife)": lambda drawn, patients, bounds: _plain(drawn, patients),
    "jackknife": lambda drawn, patients, bounds: jackknife(drawn, 0.025, bounds),
}


def coverage(
    design: str, patients: int, studies: int, resamples: int, few: bool = False
) -> dict[str, dict[str, float]]:
    """Return for each method the shares covered, above, below and without a bound, and the median width of the rest.

    :param few: the methods for few patients, cut to the bounds of the number; studies that they all refuse left out.
    """
    sums, finish, truth = (DESIGNS | UNEQUAL)[design](np.random.default_rng(1), (studies, patients))
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in (FEW if few else METHODS)}
    for study in range(studies):
        parts = {name: part[study] for name, part in sums.items()}
        left = leave_one_out(parts, finish)
        (drawn,) = resample(parts, finish, left, resamples, study, True).values()
        if not few:
            for name, method in METHODS.items():
                pairs[name].append(method(drawn, patients))
        elif drawn.contributes.sum() >= FEWEST and (drawn.without != drawn.estimate).any():
            for name, bounded in FEW.items():
                low, high = np.clip(bounded(drawn, patients, _BOUNDS[design]), *_BOUNDS[design])
                pairs[name].append((low, high))
    found = {}
    for name in pairs:
        low, high = np.array(pairs[name]).T
        low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
        bounded = np.isfinite(low) & np.isfinite(high)
        found[name] = {
            "covered": float(((low <= truth) & (truth <= high)).mean()),
            "above": float((low > truth).mean()),
            "below": float((high < truth).mean()),
            "unbounded": float(1 - bounded.mean()),
            "width": float(np.median((high - low)[bounded])),
        }
    return found


def main() -> None:
    """Print a table for each number of patients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, nargs="+", default=[30])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--few", action="store_true", help="the methods for few patients, unequal windows too")
    given = parser.parse_args()
    print(machine())
    for patients in given.patients:
        print(f"\n{patients} patients, {given.studies} studies, {given.resamples} resamples")
        print(f"{'design':30} {'method':22} covered above below unbounded (%)  width")
        for design in DESIGNS | UNEQUAL if given.few else DESIGNS:
            for name, one in coverage(design, patients, given.studies, given.resamples, given.few).items():
                shares = "".join(f"{100 * one[key]:7.1f}" for key in ("covered", "above", "below", "unbounded"))
                print(f"{design:30} {name:22} {shares}  {one['width']:.4g}", flush=True)


if __name__ == "__main__":
    main()
