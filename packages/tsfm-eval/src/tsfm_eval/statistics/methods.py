"""From resamples to the two bounds of an interval."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tsfm_eval.statistics.resampling import Resampled, jackknife_error
from tsfm_eval.statistics.sums import Floats

__all__ = ["bca", "expanded", "studentised", "tails"]


def expanded(tail: float, patients: int) -> float:
    """Return the tail of the normal distribution that lies where t with ``patients - 1`` degrees has ``tail``."""
    return float(stats.norm.cdf(stats.t.ppf(tail, patients - 1)))


def tails(values: Floats, low: float, high: float) -> tuple[float, float]:
    """Return two quantiles as values that occur (rank ``(B + 1) low`` down, ``(B + 1) high`` up): some are infinite."""
    ordered = np.sort(values)
    ranks = np.floor((len(ordered) + 1) * low), np.ceil((len(ordered) + 1) * high)
    first, last = (int(np.clip(rank - 1, 0, len(ordered) - 1)) for rank in ranks)
    return float(ordered[first]), float(ordered[last])


def studentised(drawn: Resampled, tail: float) -> tuple[float, float]:
    """Return the bounds of bootstrap-t, ``tail`` of the resamples beyond either; infinite where these have no spread.

    :param drawn: with ``errors``.
    """
    defined = np.isfinite(drawn.values)
    away, errors = drawn.values[defined] - drawn.estimate, drawn.errors[defined]
    with np.errstate(divide="ignore", invalid="ignore"):
        # a resample without spread lies infinitely far out, unless it gives the estimate itself
        t = np.where(away == 0, 0.0, away / np.where(errors > 0, errors, 0.0))
    least, most = tails(t, tail, 1.0 - tail)
    error = float(jackknife_error(drawn.without, np.ones(len(drawn.without))))
    return drawn.estimate - most * error, drawn.estimate - least * error


def bca(drawn: Resampled, tail: float) -> tuple[float, float]:
    """Return the percentile bounds at levels corrected for bias and acceleration (Efron 1987)."""
    values = drawn.values[np.isfinite(drawn.values)]
    below = ((values < drawn.estimate).mean() + (values <= drawn.estimate).mean()) / 2.0
    bias = stats.norm.ppf(below)
    without = drawn.without[np.isfinite(drawn.without)]
    gap = without.mean() - without
    spread = np.square(gap).sum()
    acceleration = (gap**3).sum() / (6.0 * spread**1.5) if spread > 0 else 0.0
    z = bias + stats.norm.ppf([tail, 1.0 - tail])
    low, high = stats.norm.cdf(bias + z / (1.0 - acceleration * z))
    return tails(values, low, high) if np.isfinite(low + high) else (np.nan, np.nan)
