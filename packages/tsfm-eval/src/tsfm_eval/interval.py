"""Central intervals: how often they hold the truth, how wide they are, and scores that weigh the one with the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError, Metric
from tsfm_eval.pairs import Floats, check_shapes, floats, quantile_arrays, quantile_pairs, ratio
from tsfm_eval.quantile import mean_pinball, pinball_parts, quantile_truths

__all__ = ["METRICS", "bounds", "central_interval", "coverage", "interval_loss", "interval_score", "sharpness", "wis"]

#: The shares in percent that intervals promise.
PERCENTS = (50, 80, 90, 95)

#: Levels nearer than this are one level: 0.1 + 0.2 is 0.30000000000000004.
SAME = 1e-9


def central_interval(quantiles: npt.ArrayLike, levels: npt.ArrayLike, percent: float) -> tuple[Floats, Floats]:
    """Return the lower and the upper bound of the central interval that promises to hold ``percent`` of the truths.

    The bounds are the quantiles at (1 - percent / 100) / 2 and (1 + percent / 100) / 2, linear between two levels.

    :param quantiles: ``[..., Q]``, sorted before use.
    :param levels: ``[Q]``, distinct and between 0 and 1.
    :param percent: above 0 and below 100.
    :return: two arrays ``[...]``; NaN where a bound lies outside the levels, or a quantile is not finite.
    :raises DataError: for shapes that do not fit, such levels, or another percent.
    """
    by_level, given = quantile_arrays(quantiles, levels)
    share = floats("percent", percent)
    if share.ndim or not 0 < share < 100:
        raise DataError(f"{percent} is no percentage of an interval", "give one number between 0 and 100, such as 80")
    finite = np.isfinite(by_level).all(axis=0)
    lower, upper = (
        np.where(finite, bound, np.nan)[()] for bound in bounds(by_level, given, float(share)) or (np.nan, np.nan)
    )
    return lower, upper


def coverage(y: npt.ArrayLike, lower: npt.ArrayLike, upper: npt.ArrayLike) -> float:
    """Return the share, 0 to 1, of truths with lower <= y <= upper; NaN where no pair is finite.

    Unit: 1. Neither lower nor higher is better: best is what the interval promises. Give two quantiles as bounds.
    Source: Gneiting et al. (2007).

    :param y: any shape.
    :param lower: the same shape; where it is above ``upper`` the two change places.
    :param upper: the same shape.
    :raises DataError: for shapes that differ.
    """
    truth, low, high, finite = _ordered(y, lower, upper)
    return float(ratio(((low <= truth) & (truth <= high) & finite).sum(), finite.sum()))


def sharpness(lower: npt.ArrayLike, upper: npt.ArrayLike) -> float:
    """Return the mean width of intervals, mean(u - l), any shape; it says little without the coverage.

    Unit: that of the bounds. Neither lower nor higher is better, unless the coverage is the same. Give two quantiles as
    bounds. Source: Gneiting et al. (2007).

    :raises DataError: for shapes that differ.
    """
    _, low, high, finite = _ordered(np.zeros(np.shape(floats("lower", lower))), lower, upper)
    return float(ratio((high[finite] - low[finite]).sum(), finite.sum()))


def interval_score(y: npt.ArrayLike, lower: npt.ArrayLike, upper: npt.ArrayLike, alpha: float) -> Floats:
    """Return (u - l) + (2 / alpha) max(l - y, 0) + (2 / alpha) max(y - u, 0) of central 1 - alpha intervals [l, u].

    Also known as the Winkler score.

    Unit: that of the values. Lower is better. Give two quantiles as bounds. Source: Gneiting and Raftery (2007).

    :param y: any shape.
    :param lower: the same shape; where it is above ``upper`` the two change places.
    :param upper: the same shape.
    :param alpha: the share that the interval leaves outside, 0.2 for an interval of 80 %.
    :return: that shape, in the unit of ``y``; NaN where one of the three is not finite.
    :raises DataError: for shapes that differ or an ``alpha`` that is not between 0 and 1.
    """
    truth, low, high, finite = _ordered(y, lower, upper)
    outside = floats("alpha", alpha)
    if outside.ndim or not 0 < outside < 1:
        raise DataError(f"alpha is {alpha}", "it lies between 0 and 1, such as 0.2 for an interval of 80 %")
    scores: Floats = np.where(finite, interval_loss(truth, low, high, float(outside)), np.nan)[()]
    return scores


def wis(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> Floats:
    """Return the weighted interval score: (0.5 abs(y - m) + sum of (a_k / 2) IS_k) / (K + 0.5), m the median.

    IS_k is the :func:`interval_score` of the central 1 - a_k interval, one for each of the K pairs of levels around
    0.5. It equals 2 mean(pinball loss) over the 2 K + 1 levels.

    Unit: that of the values. Lower is better. Give quantiles. Source: Bracher et al. (2021).

    :param y: truths ``[...]``.
    :param quantiles: ``[..., Q]``, sorted before they are scored.
    :param levels: ``[Q]``, 0.5 and pairs that are symmetrical about it.
    :return: ``[...]`` in the unit of ``y``; NaN where the truth or one of the quantiles is not finite.
    :raises DataError: for shapes that do not fit, or other levels.
    """
    truth, by_level, given, both = quantile_truths(y, quantiles, levels)
    if _unpaired(given):
        listed = ", ".join(f"{level:g}" for level in given)
        raise DataError(f"wis needs {PAIRED}; given: {listed}", "leave out the levels that have no partner")
    scores: Floats = np.where(both, 2.0 * mean_pinball(truth, by_level, given), np.nan)[()]
    return scores


def interval_loss(truth: Floats, lower: Floats, upper: Floats, alpha: float) -> Floats:
    """Return the interval score of bounds that do not cross; arrays of one shape."""
    with np.errstate(invalid="ignore"):  # inf - inf
        missed = np.maximum(lower - truth, 0.0) + np.maximum(truth - upper, 0.0)
        loss: Floats = upper - lower + 2.0 / alpha * missed
    return loss


def bounds(by_level: Floats, levels: Sequence[float], percent: float) -> tuple[Floats, Floats] | None:
    """Return the bounds ``[...]`` of a central interval by sorted quantiles ``[Q, ...]``; None outside their levels."""
    lower = _bound(by_level, levels, (1.0 - percent / 100.0) / 2.0)
    upper = _bound(by_level, levels, (1.0 + percent / 100.0) / 2.0)
    return None if lower is None or upper is None else (lower, upper)


def _bound(by_level: Floats, levels: Sequence[float], wanted: float) -> Floats | None:
    """Return the quantile at ``wanted``, linear between two levels; None outside them."""
    at = int(np.searchsorted(levels, wanted - SAME))
    if at < len(levels) and levels[at] <= wanted + SAME:
        given: Floats = by_level[at]  # as it is: a truth on the bound lies inside
        return given
    if at in (0, len(levels)):
        return None
    share = (wanted - levels[at - 1]) / (levels[at] - levels[at - 1])
    below, above = by_level[at - 1], by_level[at]
    with np.errstate(invalid="ignore"):  # inf - inf
        # between two equal quantiles that value, to the last digit: a truth that they tie with lies inside
        between: Floats = np.clip((1.0 - share) * below + share * above, below, above)
    return between


def _ordered(
    y: npt.ArrayLike, lower: npt.ArrayLike, upper: npt.ArrayLike
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.bool_]]:
    truth, low, high = floats("y", y), floats("lower", lower), floats("upper", upper)
    check_shapes(lower=low, upper=high)
    check_shapes(y=truth, lower=low)
    finite = np.isfinite(truth) & np.isfinite(low) & np.isfinite(high)
    return truth, np.minimum(low, high), np.maximum(low, high), finite


PAIRED = "the level 0.5 and pairs of levels that are symmetrical about it"


def _unpaired(levels: Sequence[float]) -> bool:
    return len(levels) % 2 == 0 or not np.allclose(np.add(levels, levels[::-1]), 1.0, rtol=0.0, atol=SAME)


def _coverage_parts(block: Block) -> Mapping[str, Floats]:
    quantiles, both = quantile_pairs(block)
    parts = {"count": both.astype(np.float64)}
    for percent in PERCENTS:
        if found := bounds(np.moveaxis(quantiles, 1, 0), block.levels, percent):
            lower, upper = found
            inside = both & (lower <= block.truth) & (block.truth <= upper)
            parts[f"inside_{percent}"] = inside.astype(np.float64)
            parts[f"width_{percent}"] = np.where(both, upper, 0.0) - np.where(both, lower, 0.0)
    return parts


def _finish_coverage(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    scores = {}
    for percent in PERCENTS:
        if f"inside_{percent}" in sums:
            scores[f"coverage_{percent}"] = ratio(sums[f"inside_{percent}"], sums["count"])
            scores[f"sharpness_{percent}"] = ratio(sums[f"width_{percent}"], sums["count"])
    return scores


def _score_parts(block: Block) -> Mapping[str, Floats]:
    quantiles, both = quantile_pairs(block)
    parts = {"count": both.astype(np.float64)}
    for percent in PERCENTS:
        if found := bounds(np.moveaxis(quantiles, 1, 0), block.levels, percent):
            parts[f"loss_{percent}"] = np.where(both, interval_loss(block.truth, *found, 1.0 - percent / 100.0), 0.0)
    return parts


def _finish_score(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        f"interval_score_{percent}": ratio(sums[f"loss_{percent}"], sums["count"])
        for percent in PERCENTS
        if f"loss_{percent}" in sums
    }


def _no_interval(block: Block) -> str | None:
    within = min(block.levels) <= 0.25 + SAME and max(block.levels) >= 0.75 - SAME
    return None if within else "its levels do not reach the bounds of the 50 % interval, 0.25 and 0.75"


METRICS = (
    Metric(
        name="coverage",
        definition=(
            "for L in 50, 80, 90, 95: coverage_L = share, 0 to 1, of the finite pairs with "
            "f((1 - L/100)/2) <= y <= f((1 + L/100)/2); sharpness_L = mean(f((1 + L/100)/2) - f((1 - L/100)/2)) over "
            "the same pairs, in the unit of the target; f(q) the forecasts of a step sorted, linear between levels; "
            "an L with a bound outside the levels is left out"
        ),
        unit="1",
        direction="none",
        point="quantiles",
        parts=_coverage_parts,
        finish=_finish_coverage,
        needs=("quantiles",),
        family="calibration",
        source="Gneiting et al. (2007), Journal of the Royal Statistical Society B 69",
        why_not=_no_interval,
        limits={"": (0.0, float("inf"))} | {f"coverage_{percent}": (0.0, 1.0) for percent in PERCENTS},
        units={f"sharpness_{percent}": "target" for percent in PERCENTS},
    ),
    Metric(
        name="interval_score",
        definition=(
            "for L in 50, 80, 90, 95: interval_score_L = mean(u - l + (2/a) max(l - y, 0) + (2/a) max(y - u, 0)) over "
            "all finite pairs, a = 1 - L/100, l = f(a/2), u = f(1 - a/2), f(q) the forecasts of a step sorted, linear "
            "between levels; an L with a bound outside the levels is left out"
        ),
        unit="target",
        direction="lower",
        point="quantiles",
        parts=_score_parts,
        finish=_finish_score,
        needs=("quantiles",),
        family="probabilistic",
        limits={"": (0.0, float("inf"))},
        source="Gneiting and Raftery (2007), JASA 102",
        why_not=_no_interval,
    ),
    Metric(
        name="wis",
        definition=(
            "mean((0.5 abs(y - m) + sum over k of (a_k / 2) IS_k) / (K + 0.5)) over all finite pairs, m = f(0.5), IS_k "
            "the interval score of the central 1 - a_k interval, one for each of the K pairs of levels a_k / 2 and "
            f"1 - a_k / 2; f the forecasts of a step sorted; it needs {PAIRED}"
        ),
        unit="target",
        direction="lower",
        point="quantiles",
        parts=pinball_parts,
        finish=lambda sums: {"wis": 2.0 * ratio(sums["loss"], sums["count"])},
        needs=("quantiles",),
        family="probabilistic",
        limits={"": (0.0, float("inf"))},
        source="Bracher et al. (2021), PLOS Computational Biology 17",
        why_not=lambda block: f"it needs {PAIRED}" if _unpaired(block.levels) else None,
    ),
)
