"""What scoring keeps of one set of windows: sums by item, step, hour and range; columns of what cannot be summed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.data.store import StoredChunk
from tsfm_core.levels import HOURS, hours_of, range_names, ranges_of
from tsfm_core.records import Block, Metric
from tsfm_core.sample import Array, Parts, Sample, by_person, finished

__all__ = ["Tally"]


@dataclass
class _Kept:
    """The sums of one metric, or its columns."""

    by_item: dict[str, Parts] = field(default_factory=dict)
    by_step: Parts = field(default_factory=dict)
    by_hour: Parts = field(default_factory=dict)
    by_range: Parts = field(default_factory=dict)
    columns: list[tuple[Array, Parts]] = field(default_factory=list)

    def joined(self) -> tuple[Array, Parts]:
        """Return the columns in one piece, and the item of each row; the pieces are given up."""
        if len(self.columns) > 1:
            rows = np.concatenate([rows for rows, _ in self.columns])
            names = list(dict.fromkeys(name for _, parts in self.columns for name in parts))
            for own, parts in self.columns:
                # a fold without validation windows chose nothing
                parts.update({name: np.full(len(own), np.nan) for name in names if name not in parts})
            # one column at a time: what is joined and its pieces never stand beside all the others
            whole = {name: np.concatenate([parts.pop(name) for _, parts in self.columns]) for name in names}
            self.columns = [(rows, whole)]
        return self.columns[0]


class Tally:
    """One set of windows.

    :param item_steps: whether the sums of each item are kept step by step, for intervals around the error by step.
    """

    def __init__(self, item_steps: bool = False) -> None:
        self.windows = 0
        self.crossed = 0
        self.pairs = {"observed": 0, "missing": 0}
        self.items: dict[str, int] = {}
        self._item_steps = item_steps
        self._kept: dict[str, _Kept] = {}
        # apart, so that the digest does not depend on the chunks
        self._hashes = (hashlib.sha256(), hashlib.sha256(), hashlib.sha256())
        self._joined: list[str] = []

    @property
    def digest(self) -> str:
        """Return a hash of every window's item, cutoff and truth; of several runs one that knows no order of them."""
        own = hashlib.sha256(b"".join(one.digest() for one in self._hashes)).hexdigest()
        return own if not self._joined else hashlib.sha256("".join(sorted([own, *self._joined])).encode()).hexdigest()

    def count(self, chunk: StoredChunk) -> None:
        """Count the windows and pairs of a chunk."""
        self.windows += len(chunk.item_id)
        items, cutoffs, truths = self._hashes
        items.update("".join(f"{item}\0" for item in chunk.item_id).encode())
        cutoffs.update(chunk.cutoff.astype("datetime64[s]").astype(np.int64).tobytes())
        truths.update(np.where(np.isnan(chunk.truth), np.float32(np.nan), chunk.truth).astype(np.float32).tobytes())
        observed = int(np.isfinite(chunk.truth).sum())
        self.pairs["observed"] += observed
        self.pairs["missing"] += chunk.truth.size - observed
        starts = _stretches(chunk.item_id)
        for item, times in zip(chunk.item_id[starts], np.diff([*starts, len(chunk.item_id)]), strict=True):
            self.items[str(item)] = self.items.get(str(item), 0) + int(times)
        if chunk.quantiles is not None:
            self.crossed += int((np.diff(chunk.quantiles, axis=1) < 0).any(axis=(1, 2)).sum())

    def add(self, metrics: Iterable[tuple[Metric, Block]], chunk: StoredChunk, step: int, unit: str) -> None:
        """Add a chunk to the sums of some metrics, each with the block that it judges."""
        hours = hours_of(chunk, step).reshape(-1)
        known = (hours < len(HOURS)).any()
        names = range_names(unit)
        ranges = ranges_of(chunk.truth, unit).reshape(-1) if names else None
        ids = chunk.item_id
        starts = _stretches(ids)
        place = _places(self.items)
        rows = np.repeat(np.array([place[str(item)] for item in ids[starts]], np.int32), np.diff([*starts, len(ids)]))
        for metric, block in metrics:
            parts: Parts = {name: np.asarray(part) for name, part in metric.parts(block).items()}
            kept = self._kept.setdefault(metric.name, _Kept())
            if not metric.additive:
                kept.columns.append((rows, parts))
                continue
            stepped = metric.steps and all(part.ndim == 2 for part in parts.values())
            for name, part in parts.items():
                stretches = np.add.reduceat(part, starts, axis=0, dtype=np.float64)
                if stepped:
                    _accumulate(kept.by_step, name, stretches.sum(axis=0))
                    if known and metric.pairs:
                        _accumulate(kept.by_hour, name, _binned(hours, part, len(HOURS)))
                    if ranges is not None and metric.pairs:
                        _accumulate(kept.by_range, name, _binned(ranges, part, len(names)))
                if metric.steps and not self._item_steps:
                    stretches = stretches.reshape(len(starts), -1).sum(axis=1)
                for item, stretch in zip(ids[starts], stretches, strict=True):
                    _accumulate(kept.by_item.setdefault(str(item), {}), name, stretch)

    def columns(self, metric: Metric) -> Parts:
        """Return the joined columns of a metric that is not summed."""
        return self._kept[metric.name].joined()[1]

    def settle(self, metric: Metric, chosen: Mapping[str, float]) -> None:
        """Put numbers that were chosen on the validation windows beside the columns of a metric."""
        kept = self._kept.get(metric.name)
        if kept:
            for rows, parts in kept.columns:
                parts.update({name: np.full(len(rows), value) for name, value in chosen.items()})

    def join(self, other: Tally) -> None:
        """Add another run's windows of the same set."""
        self.windows += other.windows
        self._joined += [other.digest]
        self.crossed += other.crossed
        for name, count in other.pairs.items():
            self.pairs[name] += count
        for item, count in other.items.items():
            self.items[item] = self.items.get(item, 0) + count
        place = _places(self.items)
        places = np.array([place[item] for item in other.items], np.int32)
        for name, kept in other._kept.items():
            own = self._kept.setdefault(name, _Kept())
            own.columns += [(places[rows], parts) for rows, parts in kept.columns]
            for level in ("by_step", "by_hour", "by_range"):
                for part, total in getattr(kept, level).items():
                    _accumulate(getattr(own, level), part, total)
            for item, parts in kept.by_item.items():
                for part, total in parts.items():
                    _accumulate(own.by_item.setdefault(item, {}), part, total)

    def sample(self, metric: Metric, steps: bool = False) -> Sample:
        """Return what a metric knows of each item.

        :param steps: with its steps ``[I, H]``, where they were kept.
        """
        kept = self._kept[metric.name]
        if not metric.additive:
            places, columns = kept.joined()
            items = sorted(self.items)
            place = _places(items)
            rows = np.array([place[item] for item in self.items], np.int32)[places]
            if (rows[1:] < rows[:-1]).any():
                order = np.argsort(rows, kind="stable")
                columns, rows = {name: column[order] for name, column in columns.items()}, rows[order]
            sample = Sample(metric, tuple(items), columns, rows)
            return by_person(sample) if metric.per_item else sample
        items = sorted(kept.by_item)
        sums = {name: np.stack([kept.by_item[item][name] for item in items]) for name in kept.by_item[items[0]]}
        if metric.steps and not steps and self._item_steps:
            sums = {name: part.reshape(len(items), -1).sum(axis=1) for name, part in sums.items()}
        sample = Sample(metric, tuple(items), sums)
        return by_person(sample) if metric.per_item else sample

    def has(self, metric: Metric) -> bool:
        """Return whether anything was added for a metric."""
        return metric.name in self._kept

    def steps(self, metric: Metric) -> dict[str, list[float]]:
        """Return the numbers of each step, none of a metric without steps."""
        kept = self._kept[metric.name]
        if metric.per_item or not metric.steps:
            return {}
        if metric.additive:
            if not kept.by_step:
                return {}
            with np.errstate(divide="ignore", invalid="ignore"):
                return {name: np.asarray(row, float).tolist() for name, row in metric.finish(kept.by_step).items()}
        columns = self.columns(metric)
        if any(column.ndim < 2 for column in columns.values()):
            return {}
        length = next(iter(columns.values())).shape[1]
        rows = [finished(metric, {name: one[:, [at]] for name, one in columns.items()}) for at in range(length)]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def hours(self, metric: Metric) -> dict[str, dict[str, float]]:
        """Return the numbers of each hour of the day that has pairs, by name."""
        return self._level(metric, self._kept[metric.name].by_hour, HOURS)

    def ranges(self, metric: Metric, unit: str) -> dict[str, dict[str, float]]:
        """Return the numbers of each glycaemic range of the truth that has pairs, by name."""
        return self._level(metric, self._kept[metric.name].by_range, range_names(unit))

    def _level(self, metric: Metric, sums: Parts, names: Sequence[str]) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        if metric.per_item or not sums:
            return found
        for at, name in enumerate(names):
            # of a range that a score says nothing of, all parts are 0
            if any(part[at] for part in sums.values()):
                for number, value in finished(metric, {key: part[at] for key, part in sums.items()}).items():
                    found.setdefault(number, {})[name] = value
        return found


def _accumulate(sums: Parts, name: str, total: Any) -> None:
    sums[name] = sums[name] + total if name in sums else np.asarray(total)


def _binned(codes: npt.NDArray[np.intp], part: Array, count: int) -> Array:
    return np.bincount(codes, part.reshape(-1), count + 1)[:count]


def _places(items: Iterable[str]) -> dict[str, int]:
    return {item: at for at, item in enumerate(items)}


def _stretches(ids: Array) -> npt.NDArray[np.intp]:
    """Return where a stretch of one item begins."""
    return np.concatenate([[0], np.flatnonzero(ids[1:] != ids[:-1]) + 1]).astype(np.intp)
