"""Which models differ over patients: Wilcoxon's signed-rank test for each pair, corrected by Holm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from tsfm_core import DataError
from tsfm_eval.statistics.sums import Floats, as_floats
from tsfm_eval.statistics.tables import complete_table

__all__ = ["PairTest", "holm", "wilcoxon_holm"]

#: Up to so many differences, the distribution of the statistic is counted out.
EXACT = 50


@dataclass(frozen=True)
class PairTest:
    """Model a against model b.

    :param patients: in the table.
    :param zeros: patients whose difference is 0; they are dropped.
    :param statistic: the smaller of W+ and W-, the sums of the ranks of positive and negative differences a - b.
    :param p: two-sided; 1 where no patient differs.
    :param p_holm: corrected for all pairs of the table.
    :param effect: rank-biserial, ``(W+ - W-) / (W+ + W-)``: 1 where a's score is the larger one throughout, -1 where
        b's is; NaN where no patient differs.
    :param distribution: ``exact``, ties or not; for more than 50 differences ``normal``, corrected for ties and
        continuity.
    """

    a: str
    b: str
    patients: int
    zeros: int
    statistic: float
    p: float
    p_holm: float
    effect: float
    distribution: Literal["exact", "normal"]


def wilcoxon_holm(table: Mapping[str, npt.ArrayLike]) -> tuple[PairTest, ...]:
    """Test every pair of models over patients (Wilcoxon 1945, Holm 1979).

    :param table: ``{model: [patients]}``, each patient's own score, in one order.
    :return: a row for each pair, in the order of the table.
    :raises DataError: for a missing score, fewer than two models or patients, or rows that do not fit.
    """
    models, scores = complete_table(table, fewest=2)
    pairs = list(combinations(range(len(models)), 2))
    tests = [_signed_ranks(scores[a] - scores[b]) for a, b in pairs]
    corrected = holm([p for _, p, _, _ in tests])
    return tuple(
        PairTest(
            a=models[a],
            b=models[b],
            patients=scores.shape[1],
            zeros=int((scores[a] == scores[b]).sum()),
            statistic=statistic,
            p=p,
            p_holm=float(adjusted),
            effect=effect,
            distribution=distribution,
        )
        for (a, b), (statistic, p, effect, distribution), adjusted in zip(pairs, tests, corrected, strict=True)
    )


def holm(p: npt.ArrayLike) -> Floats:
    """Return p-values corrected by Holm: sorted, times m, m - 1, ..., 1, the running maximum, at most 1.

    :param p: ``[m]``, between 0 and 1.
    :raises DataError: for a value outside, or another number of axes.
    """
    values = as_floats(p, "p")
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise DataError("p is not one axis of values between 0 and 1", "give the p-values of one family of tests")
    order = np.argsort(values, kind="stable")
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return np.minimum(corrected, 1.0)


def _signed_ranks(difference: Floats) -> tuple[float, float, float, Literal["exact", "normal"]]:
    given = difference[difference != 0]
    if not given.size:
        return 0.0, 1.0, float("nan"), "exact"
    ranks = stats.rankdata(np.abs(given))
    more, less = float(ranks[given > 0].sum()), float(ranks[given < 0].sum())
    if given.size > EXACT:
        p = float(stats.wilcoxon(given, method="approx", correction=True).pvalue)
    elif len(np.unique(ranks)) == given.size:
        p = float(stats.wilcoxon(given, method="exact").pvalue)
    else:
        p = _exact_with_ties(ranks, min(more, less))
    return min(more, less), p, (more - less) / (more + less), "exact" if given.size <= EXACT else "normal"


def _exact_with_ties(ranks: Floats, statistic: float) -> float:
    """Return the two-sided p-value over all signs of these ranks, which scipy counts for ranks without ties only."""
    doubled = np.rint(2 * ranks).astype(np.int64)  # mean ranks are halves
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] += ways[:-rank].copy()
    return float(min(1.0, 2 * ways[: round(2 * statistic) + 1].sum() / 2.0 ** len(ranks)))
