"""What a metric is given of stored forecasts, and why some cannot be judged by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.data.store import StoredChunk
from tsfm_core.records import Block, Metric
from tsfm_core.task import Task
from tsfm_core.units import KNOWN_UNITS

__all__ = ["block_of", "in_unit", "judged_point", "why_not"]


def block_of(chunk: StoredChunk, task: Task, unit: str, factor: float) -> Block:
    """Return some windows as a metric sees them.

    :param factor: what turns the task's unit into ``unit``.
    """

    def scaled(array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return array.astype(np.float64) * factor

    quantiles = None if chunk.quantiles is None else np.sort(scaled(chunk.quantiles), axis=1)
    points = {} if chunk.mean is None else {"mean": scaled(chunk.mean)}
    if quantiles is not None and 0.5 in task.quantile_levels:
        points["median"] = quantiles[:, task.quantile_levels.index(0.5)]
    return Block(
        truth=scaled(chunk.truth),
        points=points,
        unit=unit,
        quantiles=quantiles,
        levels=task.quantile_levels if quantiles is not None else (),
        scale={lag: scaled(scale) for lag, scale in chunk.scale.items()},
        scale_squared={lag: scaled(scale) * factor for lag, scale in chunk.scale_squared.items()},
        context=scaled(chunk.context),
        item_id=chunk.item_id,
        cutoff=chunk.cutoff,
        step=task.step_seconds,
        crossed=None
        if chunk.quantiles is None
        else (np.diff(chunk.quantiles, axis=1) < 0).sum(axis=1, dtype=np.float64),
    )


def in_unit(metric: Metric, factor: float) -> Metric:
    """Return a metric that judges data in their own unit with its numbers in the unit that is asked for."""
    if factor == 1.0 or "glucose" not in metric.needs:
        return metric

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        factors = {"target": factor, "target^2": factor**2}
        numbers = metric.finish(sums)
        return {name: value * factors.get(metric.units.get(name, metric.unit), 1.0) for name, value in numbers.items()}

    return replace(metric, finish=finish)


def why_not(metric: Metric, block: Block) -> str | None:
    """Return why a metric cannot judge such forecasts, or None."""
    if ("quantiles" in metric.needs or metric.point == "quantiles") and block.quantiles is None:
        return "the forecasts have no quantiles"
    if metric.point != "quantiles" and not block.points:
        return "the forecasts have neither a mean nor the 0.5 quantile"
    if "glucose" in metric.needs and block.unit not in KNOWN_UNITS:
        return f"it is defined for glucose, not for {block.unit}"
    return metric.why_not(block) if metric.why_not else None


def judged_point(metric: Metric, block: Block) -> str:
    """Return which point of the forecasts a metric judges: ``mean``, ``0.5`` or ``quantiles``."""
    if metric.point == "quantiles":
        return "quantiles"
    given = metric.point if metric.point in block.points else next(iter(block.points))
    return "0.5" if given == "median" else given
