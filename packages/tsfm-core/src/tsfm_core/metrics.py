"""Scoring stored forecasts: by set, step, item, hour, range and group, in batches, from sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tsfm_core.data.store import StoredChunk
from tsfm_core.errors import DataError
from tsfm_core.groups import Groups
from tsfm_core.judging import block_of, in_unit, judged_point, why_not
from tsfm_core.records import VALIDATION, Block, IntervalMethod, Metric
from tsfm_core.sample import Sample
from tsfm_core.tally import Tally
from tsfm_core.task import Task
from tsfm_core.units import conversion_factor

__all__ = ["VALIDATION", "Scores", "Scoring", "add_intervals", "score"]


@dataclass
class Scores:
    """The scores of one model.

    :param sets: by set ``windows``; ``digest``, a hash of their items, cutoffs and truths; ``pairs``, of truths
        observed and missing; ``counts``, what each metric rests on;
        ``overall {number: x}`` over all windows and ``macro``, the mean over the items; ``by_step {number: [H]}``,
        ``by_hour`` of the day and ``by_range`` of the truth ``{number: {name: x}}``; ``by_source`` and ``by_group``.
    :param items: a row for each set and item: ``{"set": ..., "item_id": ..., "windows": n, number: x}``.
    :param points: which point each metric judged: ``mean`` or a level such as ``0.5``.
    :param missing: metrics that these forecasts cannot give, with the reason.
    :param chosen: by metric the numbers that each run chose on its validation windows, in the unit of the data.
    :param samples: by set and metric what statistics need.
    :param intervals: by set the lower and the upper bound of each number of ``overall``, where they were asked for.
    :param notes: by set why there is no interval.
    """

    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    points: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    samples: dict[str, dict[str, Sample]] = field(default_factory=dict)
    intervals: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def items_of(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of one set."""
        return [row for row in self.items if row["set"] == name]


def score(
    chunks: Iterable[StoredChunk],
    task: Task,
    metrics: Sequence[Metric],
    unit: str | None = None,
    by_source: bool = False,
    groups: Groups | None = None,
) -> Scores:
    """Score forecasts chunk by chunk.

    :param unit: to score in; the task's by default.
    :param by_source: whether the items are called ``<source>:<item>``, and each source has its own scores too.
    :param groups: each has its own scores too.
    """
    scoring = Scoring(task, metrics, unit)
    scoring.add_run(chunks)
    return scoring.scores(by_source, groups)


class Scoring:
    """The scoring of one model, whose forecasts may lie in several runs: the folds of a cross-validation.

    :param item_steps: whether the samples keep the steps of each item.
    """

    def __init__(
        self, task: Task, metrics: Sequence[Metric], unit: str | None = None, item_steps: bool = False
    ) -> None:
        self.task = task
        self.unit = unit or task.unit
        self.sets: dict[str, Tally] = {}
        self._factor = conversion_factor(task.unit, self.unit)
        self.metrics = tuple(in_unit(metric, self._factor) for metric in metrics)
        self._item_steps = item_steps
        self._scores = Scores()

    def add_run(self, chunks: Iterable[StoredChunk]) -> None:
        """Add the windows of a run; what is chosen is chosen on its own validation windows."""
        sets: dict[str, Tally] = {}
        for chunk in chunks:
            tally = sets.setdefault(chunk.set, Tally(self._item_steps))
            tally.count(chunk)
            tally.add(self._judged(chunk), chunk, self.task.step_seconds, self.task.unit)
        for metric in self.metrics:
            if metric.choose and VALIDATION in sets and sets[VALIDATION].has(metric):
                chosen = metric.choose(sets[VALIDATION].columns(metric))
                for tally in sets.values():
                    tally.settle(metric, chosen)
                numbers = {name: float(value) for name, value in chosen.items()}
                self._scores.chosen.setdefault(metric.name, []).append(numbers)
        for name, tally in sets.items():
            if name in self.sets:
                self.sets[name].join(tally)
            else:
                self.sets[name] = tally

    def _judged(self, chunk: StoredChunk) -> Iterable[tuple[Metric, Block]]:
        scaled = block_of(chunk, self.task, self.unit, self._factor)
        # grids and thresholds judge data in its own unit: 10.0 mmol/L is in range, 180.18 mg/dL is not
        own = scaled if self.unit == self.task.unit else block_of(chunk, self.task, self.task.unit, 1.0)
        for metric in self.metrics:
            block = own if "glucose" in metric.needs else scaled
            reason = why_not(metric, block)
            if reason:
                self._scores.missing[metric.name] = reason
            else:
                self._scores.points.setdefault(metric.name, judged_point(metric, block))
                yield metric, block

    def scores(self, by_source: bool = False, groups: Groups | None = None) -> Scores:
        """Return the scores of all windows that were added; see :func:`score`."""
        found = self._scores
        found.items = []
        usable = [metric for metric in self.metrics if metric.name not in found.missing]
        for name, tally in self.sets.items():
            metrics = [metric for metric in usable if tally.has(metric)]
            samples = found.samples[name] = {metric.name: tally.sample(metric) for metric in metrics}
            one: dict[str, Any] = {"windows": tally.windows, "digest": tally.digest, "pairs": tally.pairs}
            one["counts"] = _counts(samples)
            one["overall"] = _merged(sample.overall() for sample in samples.values())
            items = sorted(tally.items)  # so are those of every sample
            rows = [_merged(sample.of(np.array([at])) for sample in samples.values()) for at in range(len(items))]
            found.items += [
                {"set": name, "item_id": item, "windows": tally.items[item]} | row
                for item, row in zip(items, rows, strict=True)
            ]
            one["macro"] = _means(rows, one["overall"])
            one["by_step"] = _merged(tally.steps(metric) for metric in metrics)
            one["by_hour"] = _merged(tally.hours(metric) for metric in metrics)
            one["by_range"] = _merged(tally.ranges(metric, self.task.unit) for metric in metrics)
            if by_source:
                one["by_source"] = _grouped(samples, tally.items, {item: _source_of(item) for item in tally.items})
            if groups:
                one["by_group"] = {key: _grouped(samples, tally.items, of) for key, of in groups.items()}
            if tally.crossed:
                one["windows_with_crossed_quantiles"] = tally.crossed
            found.sets[name] = one
        return found


def add_intervals(scores: Scores, method: IntervalMethod, seed: int = 0) -> None:
    """Put an interval around each number of each set, or a note why there is none."""
    for name, samples in scores.samples.items():
        found = scores.intervals[name] = {}
        reasons: dict[str, list[str]] = {}
        for metric, sample in samples.items():
            try:
                found |= method.compute(sample, seed)
            except DataError as error:
                reasons.setdefault(str(error), []).append(metric)
        said = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items() if len(names) < len(samples)]
        if reasons:
            scores.notes[name] = "; ".join(said) or next(iter(reasons))


def _counts(samples: Mapping[str, Sample]) -> dict[str, int]:
    with_count = {name: sample.sums["count"] for name, sample in samples.items() if "count" in sample.sums}
    return {name: round(float(np.sum(count))) for name, count in with_count.items()}


def _means(rows: Sequence[Mapping[str, float]], names: Iterable[str]) -> dict[str, float]:
    """Return the mean over the items that have a number; NaN where none has."""
    means = {}
    for name in names:
        values = np.array([row[name] for row in rows])
        values = values[np.isfinite(values)]
        means[name] = float(values.mean()) if values.size else float("nan")
    return means


def _grouped(samples: Mapping[str, Sample], windows: Mapping[str, int], of: Mapping[str, str]) -> dict[str, Any]:
    """Return the windows, items and numbers of each group of items, by its name; an item without one is left out."""
    found: dict[str, Any] = {}
    for group in sorted({of[item] for item in windows if item in of}):
        items = [item for item in windows if of.get(item) == group]
        numbers = _merged(
            sample.of(np.flatnonzero([of.get(item) == group for item in sample.items])) for sample in samples.values()
        )
        found[group] = {"windows": sum(windows[item] for item in items), "items": len(items), "overall": numbers}
    return found


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


def _source_of(item: str) -> str:
    return item.partition(":")[0]
