"""Scoring stored forecasts: by set, by step and by item, in batches, from sums."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.data.store import StoredChunk
from tsfm_core.records import Block, Metric
from tsfm_core.task import Task
from tsfm_core.units import KNOWN_UNITS, conversion_factor

__all__ = ["Scores", "score"]

Parts = dict[str, npt.NDArray[Any]]


@dataclass
class Scores:
    """The scores of one model.

    :param sets: ``{set: {"windows": n, "overall": {name: x}, "by_step": {name: [H]}}}``.
    :param items: a row for each set and item: ``{"set": ..., "item_id": ..., "windows": n, name: x}``.
    :param points: which point each metric judged: ``mean`` or a level such as ``0.5``.
    :param missing: metrics that these forecasts cannot give, with the reason.
    """

    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    points: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def score(
    chunks: Iterable[StoredChunk],
    task: Task,
    metrics: Sequence[Metric],
    unit: str | None = None,
    by_source: bool = False,
) -> Scores:
    """Score forecasts chunk by chunk.

    :param unit: to score in; the task's by default.
    :param by_source: whether the items are called ``<source>:<item>``, and each source has its own scores too.
    """
    unit = unit or task.unit
    factor = conversion_factor(task.unit, unit)
    scores = Scores()
    kept: dict[str, _Set] = {}
    for chunk in chunks:
        given = kept.setdefault(chunk.set, _Set())
        scaled = _block(chunk, task, unit, factor)
        # grids and thresholds judge data in its own unit: 10.0 mmol/L is in range, 180.18 mg/dL is not
        own = scaled if unit == task.unit else _block(chunk, task, task.unit, 1.0)
        given.count(chunk)
        for metric in metrics:
            block = own if "glucose" in metric.needs else scaled
            reason = _why_not(metric, block)
            if reason:
                scores.missing[metric.name] = reason
            else:
                scores.points.setdefault(metric.name, _judged(metric, block))
                given.add(metric, block, chunk.item_id)
    for name, given in kept.items():
        given.finish(name, metrics, scores, by_source)
    return scores


class _Set:
    """What is kept of one set: sums of additive metrics, whole columns of the others."""

    def __init__(self) -> None:
        self.windows = 0
        self.crossed = 0
        self.items: dict[str, int] = {}
        self.steps: dict[str, Parts] = {}
        self.by_item: dict[str, list[tuple[npt.NDArray[np.object_], Parts]]] = {}

    def count(self, chunk: StoredChunk) -> None:
        self.windows += len(chunk.item_id)
        for item, times in zip(*np.unique(chunk.item_id.astype(str), return_counts=True), strict=True):
            self.items[str(item)] = self.items.get(str(item), 0) + int(times)
        if chunk.quantiles is not None:
            self.crossed += int((np.diff(chunk.quantiles, axis=1) < 0).any(axis=(1, 2)).sum())

    def add(self, metric: Metric, block: Block, item_id: npt.NDArray[np.object_]) -> None:
        parts: Parts = dict(metric.parts(block))
        rows = self.by_item.setdefault(metric.name, [])
        if not metric.additive:
            rows.append((item_id, parts))
            return
        sums = self.steps.setdefault(metric.name, {})
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + part.sum(axis=0, dtype=np.float64)
        ids, codes = np.unique(item_id.astype(str), return_inverse=True)
        flat = {name: part.reshape(len(part), -1).sum(axis=1, dtype=np.float64) for name, part in parts.items()}
        rows.append((ids.astype(object), {name: np.bincount(codes, part, len(ids)) for name, part in flat.items()}))

    def finish(self, set_name: str, metrics: Sequence[Metric], scores: Scores, by_source: bool) -> None:
        overall: dict[str, float] = {}
        by_step: dict[str, list[float]] = {}
        by_item: dict[str, dict[str, Any]] = {item: {} for item in sorted(self.items)}
        for metric in metrics:
            if metric.name not in self.by_item:
                continue
            overall |= self._overall(metric)
            by_step |= self._by_step(metric)
            for item, numbers in self._grouped(metric, str).items():
                by_item[item] |= numbers
        scores.sets[set_name] = {"windows": self.windows, "overall": overall, "by_step": by_step}
        if by_source:
            scores.sets[set_name]["by_source"] = self._sources(metrics)
        if self.crossed:
            scores.sets[set_name]["windows_with_crossed_quantiles"] = self.crossed
        for item, numbers in by_item.items():
            scores.items.append({"set": set_name, "item_id": item, "windows": self.items[item]} | numbers)

    def _overall(self, metric: Metric) -> dict[str, float]:
        if metric.additive:
            return _floats(metric.finish({name: part.sum() for name, part in self.steps[metric.name].items()}))
        return _floats(metric.finish(self._columns(metric)[1]))

    def _by_step(self, metric: Metric) -> dict[str, list[float]]:
        if metric.additive:
            sums = self.steps[metric.name]
            if any(np.ndim(part) == 0 for part in sums.values()):
                return {}
            return {name: np.asarray(row, float).tolist() for name, row in metric.finish(sums).items()}
        columns = self._columns(metric)[1]
        if any(column.ndim < 2 for column in columns.values()):
            return {}
        steps = next(iter(columns.values())).shape[1]
        rows = [_floats(metric.finish({name: one[:, [at]] for name, one in columns.items()})) for at in range(steps)]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _sources(self, metrics: Sequence[Metric]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for item, windows in self.items.items():
            one = found.setdefault(_source_of(item), {"windows": 0, "overall": {}})
            one["windows"] += windows
        for metric in metrics:
            if metric.name in self.by_item:
                for source, numbers in self._grouped(metric, _source_of).items():
                    found[source]["overall"] |= numbers
        return found

    def _grouped(self, metric: Metric, group_of: Callable[[str], str]) -> dict[str, dict[str, float]]:
        """Return the scores of each group of items."""
        ids, columns = self._columns(metric)
        groups = np.array([group_of(str(item)) for item in ids], dtype=object)
        found = {}
        for group in dict.fromkeys(groups):
            own = {name: column[groups == group] for name, column in columns.items()}
            found[str(group)] = _floats(
                metric.finish({name: column.sum() for name, column in own.items()} if metric.additive else own)
            )
        return found

    def _columns(self, metric: Metric) -> tuple[npt.NDArray[np.object_], Parts]:
        rows = self.by_item[metric.name]
        ids = np.concatenate([ids for ids, _ in rows])
        return ids, {name: np.concatenate([parts[name] for _, parts in rows]) for name in rows[0][1]}


def _source_of(item: str) -> str:
    return item.partition(":")[0]


def _block(chunk: StoredChunk, task: Task, unit: str, factor: float) -> Block:
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
    )


def _why_not(metric: Metric, block: Block) -> str | None:
    if ("quantiles" in metric.needs or metric.point == "quantiles") and block.quantiles is None:
        return "the forecasts have no quantiles"
    if metric.point != "quantiles" and not block.points:
        return "the forecasts have neither a mean nor the 0.5 quantile"
    if "glucose" in metric.needs and block.unit not in KNOWN_UNITS:
        return f"it is defined for glucose, not for {block.unit}"
    return None


def _judged(metric: Metric, block: Block) -> str:
    if metric.point == "quantiles":
        return "quantiles"
    given = metric.point if metric.point in block.points else next(iter(block.points))
    return "0.5" if given == "median" else given


def _floats(numbers: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(number) for name, number in numbers.items()}
