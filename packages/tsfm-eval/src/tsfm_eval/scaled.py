"""Errors as multiples of the seasonal change within the context: mase, rmsse, sql, msis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError, Metric
from tsfm_eval.interval import SAME, bounds, interval_loss, interval_score
from tsfm_eval.pairs import Floats, check_shapes, complete, floats, quantile_pairs, ratio
from tsfm_eval.quantile import mean_pinball, pinball_parts, quantile_truths

__all__ = ["METRICS", "mase", "msis", "rmsse", "seasonal_scales", "sql"]


def seasonal_scales(context: npt.ArrayLike, m: int) -> tuple[Floats, Floats]:
    """Return S = mean(abs(x_t - x_(t-m))) and S2 = mean((x_t - x_(t-m))^2) of each context, over its finite pairs.

    :param context: ``[..., T]``, NaN where nothing was observed.
    :param m: the steps of a season; 1: from one step to the next.
    :return: two arrays ``[...]`` in the unit of ``context`` and its square; NaN where there is no pair, as where T is m
        or less: it never falls back to another m.
    :raises DataError: for an m that is no whole number above 0, or a single number as context.
    """
    x = floats("context", context)
    if x.ndim == 0:
        raise DataError("context is a single number", "give an axis of steps")
    if isinstance(m, bool) or not isinstance(m, (int, np.integer)) or m < 1:
        raise DataError(f"m is {m}", "give the steps of a season, a whole number above 0")
    x = np.where(np.isfinite(x), x, np.nan)
    change = x[..., m:] - x[..., :-m]
    count = np.isfinite(change).sum(axis=-1)
    return ratio(np.nansum(np.abs(change), axis=-1), count), ratio(np.nansum(np.square(change), axis=-1), count)


def mase(truth: npt.ArrayLike, forecast: npt.ArrayLike, scale: npt.ArrayLike) -> float:
    """Return mean(abs(y - f) / S) over the finite pairs of windows with S > 0; NaN where there is none.

    The mean is pooled over windows and steps; windows without a scale are left out.

    Unit: 1. Lower is better. Give the median. Source: Hyndman and Koehler (2006); GluonTS, fev.

    :param truth: ``[..., H]``.
    :param forecast: the same shape.
    :param scale: S of each window's context, ``[...]``, of :func:`seasonal_scales`.
    :raises DataError: for shapes that do not fit, or a scale below 0.
    """
    y, f = _pair(truth, forecast)
    y, f, count = complete(y, f)
    return _pooled(np.abs(y - f), count, scale)


def rmsse(truth: npt.ArrayLike, forecast: npt.ArrayLike, scale_squared: npt.ArrayLike) -> float:
    """Return sqrt(mean((y - f)^2 / S2)) over the finite pairs of windows with S2 > 0; NaN where there is none.

    Arguments and errors as for :func:`mase`. It is the root of the pooled mean, not a mean of roots.

    Unit: 1. Lower is better. Give the mean. Source: fev.

    :param scale_squared: S2 of each window's context, ``[...]``, of :func:`seasonal_scales`.
    """
    y, f = _pair(truth, forecast)
    y, f, count = complete(y, f)
    return float(np.sqrt(_pooled(np.square(y - f), count, scale_squared)))


def sql(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike, scale: npt.ArrayLike) -> float:
    """Return the scaled quantile loss: mean(2 pinball / S) over levels and the finite pairs of windows with S > 0.

    Unit: 1. Lower is better. Give quantiles. Source: fev: scaled quantile loss.

    :param y: truths ``[..., H]``.
    :param quantiles: ``[..., H, Q]``, sorted before they are scored.
    :param levels: ``[Q]``, distinct and between 0 and 1.
    :param scale: S of each window's context, ``[...]``, of :func:`seasonal_scales`.
    :raises DataError: for shapes that do not fit, such levels, or a scale below 0.
    """
    truth, by_level, given, both = quantile_truths(y, quantiles, levels)
    loss = np.where(both, 2.0 * mean_pinball(truth, by_level, given), 0.0)
    return _pooled(loss, both.astype(np.float64), scale)


def msis(
    y: npt.ArrayLike, lower: npt.ArrayLike, upper: npt.ArrayLike, scale: npt.ArrayLike, alpha: float = 0.05
) -> float:
    """Return the mean of interval_score / S over the finite pairs of windows with S > 0, by default of 95 % intervals.

    Unit: 1. Lower is better. Give two quantiles as bounds. Source: Makridakis et al. (2020).

    :param y: truths ``[..., H]``.
    :param lower: the same shape; where it is above ``upper`` the two change places.
    :param upper: the same shape.
    :param scale: S of each window's context, ``[...]``, of :func:`seasonal_scales`.
    :param alpha: the share that the interval leaves outside.
    :raises DataError: for shapes that do not fit, an alpha that is not between 0 and 1, or a scale below 0.
    """
    loss = np.asarray(interval_score(y, lower, upper, alpha))
    finite = np.isfinite(loss)
    return _pooled(np.where(finite, loss, 0.0), finite.astype(np.float64), scale)


def _pair(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> tuple[Floats, Floats]:
    y, f = floats("truth", truth), floats("forecast", forecast)
    check_shapes(truth=y, forecast=f)
    return y, f


def _pooled(loss: Floats, count: Floats, scale: npt.ArrayLike) -> float:
    size = floats("scale", scale)
    if loss.ndim == 0 or size.shape != loss.shape[:-1]:
        shapes = f"truth {list(loss.shape)}, scale {list(size.shape)}"
        raise DataError(f"shapes do not fit: {shapes}", "a truth has a last axis of steps, and a window one scale")
    if (size < 0).any():
        raise DataError(f"scale is {size[size < 0][0]:g}", "a mean of sizes is 0 or more")
    scaled, counted = _over(loss, count, size)
    return float(ratio(scaled.sum(), counted.sum()))


def _over(loss: Floats, count: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Return loss / scale and count, 0 in windows whose scale is 0 or missing."""
    usable = ((scale > 0) & np.isfinite(scale))[..., None]
    return np.where(usable, loss / np.where(usable, scale[..., None], 1.0), 0.0), np.where(usable, count, 0.0)


Loss = Callable[[Block], tuple[Floats, Floats]]


def _absolute(block: Block) -> tuple[Floats, Floats]:
    y, f, count = complete(block.truth, block.point("median"))
    return np.abs(y - f), count


def _squared(block: Block) -> tuple[Floats, Floats]:
    y, f, count = complete(block.truth, block.point("mean"))
    return np.square(y - f), count


def _quantile(block: Block) -> tuple[Floats, Floats]:
    parts = pinball_parts(block)
    return 2.0 * parts["loss"], parts["count"]


def _interval(block: Block) -> tuple[Floats, Floats]:
    quantiles, both = quantile_pairs(block)
    found = bounds(np.moveaxis(quantiles, 1, 0), block.levels, 95)
    assert found, "why_not refuses levels that do not reach the bounds"
    return np.where(both, interval_loss(block.truth, *found, 0.05), 0.0), both.astype(np.float64)


def _no_bounds(block: Block) -> str | None:
    if min(block.levels) <= 0.025 + SAME and max(block.levels) >= 0.975 - SAME:
        return None
    return "the levels do not reach 0.025 and 0.975"


def _metric(
    name: str,
    formula: str,
    judged: Literal["mean", "median", "quantiles"],
    loss_of: Loss,
    squared: bool = False,
    source: str = "",
    why_not: Callable[[Block], str | None] | None = None,
) -> Metric:
    def parts(block: Block) -> Mapping[str, Floats]:
        loss, count = loss_of(block)
        found = {"count": count}
        for m, scale in (block.scale_squared if squared else block.scale).items():
            scaled, counted = _over(loss, count, scale)
            found |= {f"loss_m{m}": scaled, f"count_m{m}": counted, f"left_out_m{m}": count - counted}
        return found

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        scores = {}
        for m in [part.removeprefix("loss_") for part in sums if part.startswith("loss_")]:
            mean = ratio(sums[f"loss_{m}"], sums[f"count_{m}"])
            scores[f"{name}_{m}"] = np.sqrt(mean) if squared else mean
            scores[f"{name}_{m}_left_out"] = ratio(sums[f"left_out_{m}"], sums["count"])
        return scores

    size, power = ("S2", "(x_t - x_(t-m))^2") if squared else ("S", "abs(x_t - x_(t-m))")
    return Metric(
        name=name,
        definition=(
            f"{name}_m<m> = {formula} over all finite pairs of windows with {size} > 0, where "
            f"{size} = mean({power}) over the window's context; "
            f"{name}_m<m>_left_out = share of finite pairs in windows whose {size} is 0 or missing"
        ),
        unit="1",
        direction="lower",
        point=judged,
        parts=parts,
        finish=finish,
        needs=("scale",) if judged != "quantiles" else ("quantiles", "scale"),
        family="scaled",
        limits={"": (0.0, float("inf"))},
        source=source,
        why_not=why_not,
    )


SORTED = "f the forecasts of a step sorted,"

METRICS = (
    _metric("mase", "mean(abs(y - f) / S)", "median", _absolute, source="Hyndman and Koehler (2006); GluonTS, fev"),
    _metric("rmsse", "sqrt(mean((y - f)^2 / S2))", "mean", _squared, squared=True, source="fev"),
    _metric(
        "sql",
        f"mean(2 (q max(y - f, 0) + (1 - q) max(f - y, 0)) / S), over all levels q, {SORTED}",
        "quantiles",
        _quantile,
        source="fev: scaled quantile loss",
    ),
    _metric(
        "msis",
        "mean((u - l + 40 max(l - y, 0) + 40 max(y - u, 0)) / S), l = f(0.025), u = f(0.975), "
        f"the central 95 % interval, {SORTED} linear between levels,",
        "quantiles",
        _interval,
        source="Makridakis et al. (2020), the M4 competition",
        why_not=_no_bounds,
    ),
)
