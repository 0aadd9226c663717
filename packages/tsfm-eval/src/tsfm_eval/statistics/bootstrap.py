"""Confidence intervals of scores, by resampling patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_eval.statistics.methods import bca, expanded, jackknife, studentised, tails
from tsfm_eval.statistics.resampling import Finish, LeftOut, Resampled, leave_one_out, resample
from tsfm_eval.statistics.sums import FEWEST, PatientSums, as_floats, as_names, check_patients, patient_sums

__all__ = ["RELIABLE", "Interval", "Method", "bootstrap", "bootstrap_mean", "patient_bootstrap"]

Method = Literal["auto", "studentised", "bca", "percentile", "jackknife"]
_METHODS = ("auto", "studentised", "bca", "percentile", "jackknife")

#: An interval that rests on fewer patients is marked unreliable; ``auto`` takes the jackknife.
RELIABLE = 10

#: The share of resamples without a value beyond which an interval is marked unreliable.
UNDEFINED = 0.01

#: Fewer resamples do not reach the tails that an interval is cut at.
FEWEST_RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """A number with its confidence interval.

    :param estimate: of all patients.
    :param low: lower bound; NaN where the patients set none: fewer than 5 of them contribute, nothing moves the number,
        or those that do move it are missing from too many resamples.
    :param high: upper bound, likewise.
    :param level: the confidence level, such as 0.95.
    :param patients: those that have anything scored.
    :param contributing: those of them that have anything the number is made of: for recall, those who had events.
    :param undefined: resamples in which the number has no value (for recall: without an event); they are left out.
        The jackknife draws none.
    :param reliable: whether at least 10 patients contribute, both bounds are there, and at most 1 % of the resamples
        are undefined.
    :param method: which of the methods gave it, ``auto`` never.
    """

    estimate: float
    low: float
    high: float
    level: float
    patients: int
    contributing: int
    undefined: int
    reliable: bool
    method: str

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside: for a difference, that one model is better beyond what chance would explain."""
        return self.low > 0 or self.high < 0


def patient_bootstrap(
    item_id: npt.ArrayLike,
    parts: Mapping[str, npt.ArrayLike],
    finish: Finish,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    method: Method = "auto",
    seed: int = 0,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Interval]:
    """Return an interval for every number of ``finish``, from rows that belong to windows.

    The rows are summed by patient first; everything else is said at :func:`bootstrap`.

    :param item_id: ``[n]``, whose window each row is.
    :param parts: ``{part: [n] or [n, ...]}``, as ``Metric.parts`` gives them, summed over the steps.
    """
    sums = patient_sums(item_id, parts)
    return bootstrap(sums, finish, resamples=resamples, level=level, method=method, seed=seed, bounds=bounds)


def bootstrap_mean(
    item_id: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    method: Method = "auto",
    seed: int = 0,
) -> Interval:
    """Return the interval of the mean of one value for each patient, such as their own RMSE.

    :param item_id: ``[I]``, each patient once.
    :param values: ``[I]``; patients whose value is NaN are left out.
    :raises DataError: as :func:`bootstrap`, or for an infinite value.
    """
    numbers, ids = as_floats(values, "values"), as_names(item_id, "item_id")
    given = ~np.isnan(numbers)
    if numbers.shape != ids.shape:
        raise DataError(f"values has shape {list(numbers.shape)}, item_id {list(ids.shape)}", "give one for each")
    sums = PatientSums(ids[given], {"total": numbers[given], "count": np.ones(int(given.sum()))})
    options: dict[str, Any] = {"resamples": resamples, "level": level, "method": method, "seed": seed}
    return bootstrap(sums, lambda part: {"mean": part["total"] / part["count"]}, **options)["mean"]


def bootstrap(
    sums: PatientSums,
    finish: Finish,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    method: Method = "auto",
    seed: int = 0,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Interval]:
    """Return an interval for every number of ``finish``: patients are drawn with replacement, the score recomputed.

    ``auto`` (default) is ``studentised`` for a number that at least 10 patients contribute to, ``jackknife`` below.

    ``studentised``: ``[x - t_high s, x - t_low s]``, where s is the jackknife standard error over patients
    and t the quantiles of ``(x* - x) / s*`` over the resamples, each with the jackknife error of its own (bootstrap-t;
    Efron and Tibshirani 1993, chapter 12). They are taken at ``Phi(-+T)``, T the quantile of Student's t with I - 1
    degrees: further out than the plain ones, as few patients show too little of the tails (Hesterberg 2015 expands the
    percentile interval so). ``percentile``: the quantiles of x* at ``(1 -+ level) / 2``. ``bca``: these, corrected
    for bias and acceleration (Efron 1987).

    ``jackknife`` draws nothing: ``x -+ t s``, with s over the n patients that contribute and t of Student with n - 2
    degrees; taken on the log scale where ``bounds`` name a lower bound, on the logit scale where they name both
    (Efron and Tibshirani 1993, chapter 11, for s). Not for numbers that change in steps, such as a lag.
    docs/statistics.md says how often each covers.

    :param sums: of at least 5 patients; their order does not matter.
    :param finish: of a metric; elementwise on sums of one axis. Where a part has a further axis it is called once for
        each resample, and with ``studentised`` for each patient in each resample as well.
    :param resamples: at least 1000.
    :param level: between 0 and 1.
    :param bounds: what a number can be at all, such as ``{"recall": (0, 1)}``: its interval is cut to that.
    :raises DataError: for fewer than 5 patients, or an argument out of its range.
    """
    check_patients(len(sums))
    _check(resamples, level, method, seed)
    left: Mapping[str, LeftOut] = leave_one_out(sums.parts, finish)
    limits = bounds or {}
    unknown = limits.keys() - left.keys()
    if unknown:
        raise DataError(f"there is no number {min(unknown)!r} to bound", f"the numbers are {', '.join(left)}")
    chosen = {name: _chosen(method, one) for name, one in left.items()}
    if set(chosen.values()) != {"jackknife"}:
        left = resample(sums.parts, finish, left, resamples, seed, "studentised" in chosen.values())
    return {
        name: _interval(one, level, chosen[name], limits.get(name, (-np.inf, np.inf))) for name, one in left.items()
    }


def _check(resamples: int, level: float, method: str, seed: int) -> None:
    if method not in _METHODS:
        raise DataError(f"method {method!r} is not known", f"known: {', '.join(_METHODS)}")
    if not isinstance(level, (int, float)) or not 0 < level < 1:
        raise DataError(f"level {level!r} is not between 0 and 1", "0.95 gives a 95 % interval")
    if not isinstance(resamples, (int, np.integer)) or resamples < FEWEST_RESAMPLES:
        raise DataError(f"{resamples!r} resamples are too few", f"give at least {FEWEST_RESAMPLES}")
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise DataError(f"seed {seed!r} is not a whole number of 0 or more", "any such number will do, such as 0")


def _chosen(method: Method, left: LeftOut) -> Method:
    if method != "auto":
        return method
    return "studentised" if left.contributes.sum() >= RELIABLE else "jackknife"


def _interval(left: LeftOut, level: float, method: Method, bounds: tuple[float, float]) -> Interval:
    contributing = int(left.contributes.sum()) if np.isfinite(left.estimate) else 0
    values = left.values if isinstance(left, Resampled) and method != "jackknife" else np.empty(0)
    undefined = int((~np.isfinite(values)).sum())
    low = high = np.nan
    if contributing >= FEWEST:
        pair = np.clip(_pair(left, (1.0 - level) / 2.0, method, bounds), *bounds)
        low, high = (float(one) if np.isfinite(one) else np.nan for one in pair)
    reliable = contributing >= RELIABLE and undefined <= UNDEFINED * len(values) and np.isfinite([low, high]).all()
    patients = len(left.without)
    return Interval(left.estimate, low, high, level, patients, contributing, undefined, bool(reliable), method)


def _pair(left: LeftOut, tail: float, method: Method, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the two bounds, NaN where nothing moves the number."""
    if not isinstance(left, Resampled) or method == "jackknife":
        return jackknife(left, tail, bounds)
    values = left.values[np.isfinite(left.values)]
    if method == "percentile":
        return tails(values, tail, 1.0 - tail) if (values != left.estimate).any() else (np.nan, np.nan)
    if not values.size or (left.without == left.estimate).all():
        return np.nan, np.nan
    return bca(left, tail) if method == "bca" else studentised(left, expanded(tail, len(left.without)))
