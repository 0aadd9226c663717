"""How often intervals of an AUROC cover the truth: the jackknife against percentiles of 400 resamples.

Each person has a rate of events, a level and a distance between windows with an event and without; half of the studies
give all 150 windows, the others 20 to 400. The truth is the area of 6,000 people. No clock is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from _pairs import machine

from tsfm_eval.detection import auroc
from tsfm_eval.statistics.methods import jackknife, tails
from tsfm_eval.statistics.resampling import leave_one_out, resample

__all__ = ["people"]


def people(rng: np.random.Generator, count: int, unequal: bool) -> list[tuple[Any, Any]]:
    """Return the labels and the scores of each person's windows."""
    windows = np.round(20 * 20 ** np.linspace(0, 1, count)).astype(int) if unequal else np.full(count, 150)
    found = []
    for own in rng.permutation(windows):
        labels = (rng.random(own) < rng.beta(2, 10)).astype(float)
        found.append((labels, rng.normal(rng.normal(0, 0.5), 1, own) + labels * rng.normal(1.2, 0.4)))
    return found


def _area(chosen: list[tuple[Any, Any]]) -> float:
    if not chosen:
        return float("nan")
    return auroc(*(np.concatenate(column) for column in zip(*chosen, strict=True)))


def main() -> None:
    """Print the share covered and the median width for each number of people."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[6, 8, 30])
    parser.add_argument("--studies", type=int, default=300)
    given = parser.parse_args()
    print(machine())
    truth = _area(people(np.random.default_rng(5), 6000, False))
    for count in given.people:
        for unequal in (False, True):
            rng = np.random.default_rng(1)
            pairs: dict[str, list[tuple[float, float]]] = {"jackknife": [], "percentile": []}
            for study in range(given.studies):
                drawn = people(rng, count, unequal)

                def finish(sums: Mapping[str, Any], drawn: list[tuple[Any, Any]] = drawn) -> dict[str, float]:
                    return {
                        "x": _area([drawn[at] for at in np.repeat(np.arange(len(drawn)), sums["item"].astype(int))])
                    }

                each = {"item": np.eye(count)}
                left = leave_one_out(each, finish)
                values = resample(each, finish, left, 400, study, False)["x"].values
                pairs["jackknife"].append(jackknife(left["x"], 0.025, (0.0, 1.0)))
                pairs["percentile"].append(tails(values[np.isfinite(values)], 0.025, 0.975))
            for method, bounds in pairs.items():
                low, high = np.array(bounds).T
                covered, width = ((low <= truth) & (truth <= high)).mean(), np.median(high - low)
                told = "20 to 400 windows" if unequal else "150 windows each"
                print(f"{count:3} people, {told:17} {method:10} {100 * covered:5.1f} % width {width:.3f}", flush=True)


if __name__ == "__main__":
    main()
