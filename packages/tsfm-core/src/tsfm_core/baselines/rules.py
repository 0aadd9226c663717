"""Three rules: the last value, the value a season ago, the mean of the context."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tsfm_core.data.forecasts import Forecasts
from tsfm_core.data.windows import Windows, fill_context
from tsfm_core.task import Task

__all__ = ["RuleModel", "last_value", "mean_value", "seasonal_value"]

Floats = npt.NDArray[np.float64]
_BATCH = 1024

#: ``rule(context, filled, H) -> (point, errors)``: contexts ``[B, C]`` with NaN and filled, forecast ``[B, H]``, and
#: a function from a step 1..H to the errors ``[B, n]`` that the rule made that many steps ahead inside the context.
RuleModel = Callable[[Floats, Floats, int], tuple[Floats, Callable[[int], Floats]]]


def last_value(context: Floats, filled: Floats, horizon: int) -> tuple[Floats, Callable[[int], Floats]]:
    """Forecast the last value; its errors are the differences between readings that many steps apart."""
    point = np.repeat(filled[:, -1:], horizon, axis=1)
    return point, lambda step: context[:, step:] - context[:, :-step]


def mean_value(context: Floats, filled: Floats, horizon: int) -> tuple[Floats, Callable[[int], Floats]]:
    """Forecast the mean of the context's readings; its errors are their deviations from it, at every step."""
    mean = np.nanmean(context, axis=1, keepdims=True)
    return np.repeat(mean, horizon, axis=1), lambda step: context - mean


def seasonal_value(season: int) -> RuleModel:
    """Forecast the value ``season`` steps ago, again and again; its errors are the seasonal differences."""

    def rule(context: Floats, filled: Floats, horizon: int) -> tuple[Floats, Callable[[int], Floats]]:
        back = np.arange(horizon) % season - season
        return filled[:, back], lambda step: context[:, season:] - context[:, :-season]

    return rule


def forecast(rule: RuleModel, windows: Windows, task: Task) -> Forecasts:
    """Forecast every window by ``rule``."""
    horizon, levels = task.prediction_length, np.asarray(task.quantile_levels)
    mean = np.empty((len(windows), horizon), np.float32)
    quantiles = np.empty((len(windows), len(levels), horizon), np.float32) if len(levels) else None
    for start in range(0, len(windows), _BATCH):
        rows = slice(start, start + _BATCH)
        target = windows.inputs(rows).target
        context = target.astype(np.float64)
        point, errors = rule(context, fill_context(target)[0].astype(np.float64), horizon)
        mean[rows] = point
        if quantiles is not None:
            quantiles[rows] = point[:, None, :] + _error_quantiles(errors, levels, horizon)
    return Forecasts.of(windows, mean, quantiles)


def _error_quantiles(errors: Callable[[int], Floats], levels: Floats, horizon: int) -> Floats:
    """Return ``[B, Q, H]``; a step that a context is too short for takes the quantiles of the step before."""
    found: list[Floats] = []
    for step in range(1, horizon + 1):
        quantiles, known = _sorted_quantiles(np.sort(errors(step), axis=1), levels)
        before = found[-1] if found else np.zeros_like(quantiles)
        found.append(np.where(known, quantiles, before))
    return np.stack(found, axis=2)


def _sorted_quantiles(values: Floats, levels: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the quantiles ``[B, Q]`` of rows sorted with NaN last, interpolated, and which rows hold any value."""
    count = np.isfinite(values).sum(axis=1, keepdims=True)
    if not values.shape[1]:
        return np.zeros((len(values), len(levels))), count > 0
    at = levels * np.maximum(count - 1, 0)
    low = np.floor(at).astype(np.int64)
    below = np.take_along_axis(values, low, axis=1)
    above = np.take_along_axis(values, np.minimum(low + 1, np.maximum(count - 1, 0)), axis=1)
    return below + (at - low) * (above - below), count > 0
