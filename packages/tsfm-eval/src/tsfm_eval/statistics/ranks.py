"""Several models over patients: Friedman's test on their ranks, and Nemenyi's critical difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from tsfm_core import DataError
from tsfm_eval.statistics.tables import complete_table

__all__ = ["Ranking", "friedman_nemenyi"]


@dataclass(frozen=True)
class Ranking:
    """Models by their mean rank over patients, best first.

    :param models: in that order.
    :param mean_ranks: of each; 1 is best.
    :param patients: how many.
    :param chi2: Friedman's statistic.
    :param p: of it, chi-squared with k - 1 degrees.
    :param f: that of Iman and Davenport, less conservative.
    :param f_p: of it, F with k - 1 and (k - 1)(n - 1) degrees.
    :param critical_difference: Nemenyi's at 5 %: models whose mean ranks are at least so far apart differ.
    :param groups: the largest sets of two or more neighbours in which no pair differs, each in the order of ``models``.
    """

    models: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    patients: int
    chi2: float
    p: float
    f: float
    f_p: float
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]


def friedman_nemenyi(table: Mapping[str, npt.ArrayLike], direction: Literal["lower", "higher"] = "lower") -> Ranking:
    """Rank k models within each of n patients and ask whether their mean ranks R_j differ (Demsar 2006).

    ``chi2 = 12 n / (k (k + 1)) (sum R_j^2 - k (k + 1)^2 / 4)``, without a correction for ties, which share their mean
    rank; ``f = (n - 1) chi2 / (n (k - 1) - chi2)``; ``critical_difference = q sqrt(k (k + 1) / (6 n))``, q the 95 %
    quantile of the studentized range of k, with infinite degrees, over sqrt(2).

    :param table: ``{model: [patients]}``, each patient's own score, in one order.
    :param direction: whether ``lower`` or ``higher`` scores are better.
    :raises DataError: for a missing score, fewer than two models or patients, rows that do not fit, or another word
        for the direction.
    """
    if direction not in ("lower", "higher"):
        raise DataError(f"direction {direction!r} is not known", "known: lower, higher")
    models, scores = complete_table(table, fewest=2)
    k, n = scores.shape
    mean_ranks = stats.rankdata(scores if direction == "lower" else -scores, axis=0).mean(axis=1)
    # the same as the sum of squares less its expectation, without the difference of two large numbers
    chi2 = float(12 * n / (k * (k + 1)) * np.square(mean_ranks - (k + 1) / 2).sum())
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 1e-9 else float("inf")  # every patient ranks them alike
    critical = float(stats.studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n)))
    order = np.argsort(mean_ranks, kind="stable")
    ranked = mean_ranks[order]
    names = tuple(models[at] for at in order)
    return Ranking(
        models=names,
        mean_ranks=tuple(ranked.tolist()),
        patients=n,
        chi2=chi2,
        p=float(stats.chi2.sf(chi2, k - 1)),
        f=f,
        f_p=float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))),
        critical_difference=critical,
        groups=tuple(names[first:last] for first, last in _groups(ranked, critical)),
    )


def _groups(ranked: npt.NDArray[np.float64], critical: float) -> list[tuple[int, int]]:
    """Return the spans of sorted ranks nearer than ``critical``, without those inside another."""
    found: list[tuple[int, int]] = []
    for first, rank in enumerate(ranked):
        last = int(np.searchsorted(ranked, rank + critical, side="left"))
        if last - first > 1 and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
