"""From resamples, or from patients left out, to the two bounds of an interval."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tsfm_eval.statistics.resampling import LeftOut, Resampled, jackknife_error
from tsfm_eval.statistics.sums import Floats

__all__ = ["bca", "expanded", "jackknife", "studentised", "tails"]


#: What sums of the same values in another order may differ by, as a share.
ROUNDING = 1e-12


def expanded(tail: float, patients: int) -> float:
    """Return the tail of the normal distribution that lies where t with ``patients - 1`` degrees has ``tail``."""
    return float(stats.norm.cdf(stats.t.ppf(tail, patients - 1)))


def jackknife(left: LeftOut, tail: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return ``x -+ t s``: s the jackknife standard error over the n patients that contribute, t of n - 2 degrees.

    One degree less than a mean would have: patients with unlike numbers of windows tell less than n equal ones. Where
    the number has bounds it is taken on a scale that has none, ``log(x - low)`` or ``log((x - low) / (high - x))``, on
    which its error is s / g, g = ``x - low`` or ``(x - low) (high - x) / (high - low)``. An s larger than g says
    nothing there: then s = g on the scale, joined with the plain interval, cut to the bounds. NaN where leaving a
    patient out leaves no number, or whom one leaves out does not matter.

    :param left: with at least 3 patients that contribute.
    """
    without = left.without[left.contributes]
    if not np.isfinite(without).all() or np.ptp(without) <= ROUNDING * np.abs(without).max():
        return np.nan, np.nan
    n, x, (low, high) = len(without), left.estimate, bounds
    error, t = float(jackknife_error(without, np.ones(n))), -float(stats.t.ppf(tail, n - 2))
    plain = max(x - t * error, low), min(x + t * error, high)
    g = (x - low) * (high - x) / (high - low) if np.isfinite(high) else x - low
    if not 0 < g < np.inf:
        return plain
    scaled = _scaled(x, t * min(error / g, 1.0), low, high)
    return scaled if error <= g else (min(scaled[0], plain[0]), max(scaled[1], plain[1]))


def _scaled(x: float, reach: float, low: float, high: float) -> tuple[float, float]:
    """Return the interval of ``reach`` to either side on the log scale, on the logit scale with an upper bound."""
    factors = np.exp(-reach), np.exp(reach)
    if not np.isfinite(high):
        below, above = (float(low + (x - low) * factor) for factor in factors)
    else:
        odds = (x - low) / (high - x)
        below, above = (float(low + (high - low) * odds * factor / (1.0 + odds * factor)) for factor in factors)
    return below, above


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
