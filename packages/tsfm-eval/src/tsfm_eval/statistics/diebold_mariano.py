"""Two forecasts of one series: the test of Diebold and Mariano."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from tsfm_core import DataError
from tsfm_eval.pairs import check_shapes
from tsfm_eval.statistics.sums import Floats, as_floats

__all__ = ["DieboldMariano", "diebold_mariano"]

#: A variance below this part of the terms that it is made of is rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class DieboldMariano:
    """What the test found.

    :param statistic: negative where a has the smaller loss, with the factor of Harvey, Leybourne and Newbold.
    :param p: two-sided, Student's t with n - 1 degrees.
    :param losses: n, how many times of the series.
    :param bartlett: whether the plain variance was not positive and Bartlett's weights were used instead.
    """

    statistic: float
    p: float
    losses: int
    bartlett: bool


def diebold_mariano(loss_a: npt.ArrayLike, loss_b: npt.ArrayLike, steps: int = 1) -> DieboldMariano:
    """Ask whether two models differ in their mean loss on **one** series (Diebold and Mariano 1995).

    With ``d = loss_a - loss_b`` and ``c_k`` its autocovariance at lag k (divided by n):
    ``V = (c_0 + 2 (c_1 + ... + c_(h-1))) / n`` and ``DM = mean(d) / sqrt(V) sqrt((n + 1 - 2h + h(h-1)/n) / n)``, the
    last factor of Harvey, Leybourne and Newbold (1997). Where V is not positive, each ``c_k`` is weighted by
    ``1 - k/h``. This is not the test over patients: it says nothing about other people. For these, see
    ``paired_bootstrap`` and ``wilcoxon_holm``.

    :param loss_a: ``[n]``, the loss of one model at successive cutoffs, such as its squared error.
    :param loss_b: ``[n]``, that of the other at the same cutoffs.
    :param steps: h, how many of the cutoffs' spacing ahead the forecasts reach.
    :raises DataError: for shapes that differ, values that are not finite, ``steps`` not from 1 to n - 1, or losses
        that differ by the same amount throughout.
    """
    a, b = as_floats(loss_a, "loss_a"), as_floats(loss_b, "loss_b")
    check_shapes(loss_a=a, loss_b=b)
    if a.ndim != 1 or not (np.isfinite(a) & np.isfinite(b)).all():
        raise DataError("the losses are not one axis of finite values", "give one series without gaps")
    n = len(a)
    if not isinstance(steps, (int, np.integer)) or not 1 <= steps < n:
        raise DataError(f"steps {steps!r} does not fit {n} losses", "it lies between 1 and the number of losses less 1")
    d = a - b
    if np.ptp(d) <= ROUNDING * max(np.abs(a).max(), np.abs(b).max()):
        raise DataError(
            f"the losses differ by {d[0]:g} at every time",
            "without variance there is nothing to test: compare the means",
        )
    covariances = _autocovariances(d, steps)
    variance = _variance(covariances, np.ones(steps), n)
    bartlett = variance <= ROUNDING * covariances[0] / n
    if bartlett:
        variance = _variance(covariances, 1.0 - np.arange(steps) / steps, n)
    harvey = (n + 1 - 2 * steps + steps * (steps - 1) / n) / n
    statistic = float(d.mean() / np.sqrt(variance) * np.sqrt(harvey))
    return DieboldMariano(statistic, float(2 * stats.t.sf(abs(statistic), n - 1)), n, bool(bartlett))


def _autocovariances(d: Floats, steps: int) -> Floats:
    """Return ``c_0 .. c_(h-1)``."""
    centred = d - d.mean()
    return np.array([centred[lag:] @ centred[: len(d) - lag] for lag in range(steps)]) / len(d)


def _variance(covariances: Floats, weights: Floats, n: int) -> float:
    weighted = weights * covariances
    return float((2 * weighted.sum() - weighted[0]) / n)
