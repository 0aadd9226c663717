"""From a table of rows to a panel. A stamp is never invented, reordered silently or dropped.

Everything irregular is counted, and refused where the config does not say what to do with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsfm_core.config.schema import DataConfig
from tsfm_core.data.columns import item_codes, numbers, row_stamps
from tsfm_core.data.panel import Panel
from tsfm_core.errors import DataError, did_you_mean, listing
from tsfm_core.freq import format_seconds, seconds
from tsfm_core.records import Dataset
from tsfm_core.task import Task
from tsfm_core.units import conversion_factor

__all__ = ["ItemReport", "Quality", "build_panel", "max_gap_seconds"]

Rows = npt.NDArray[np.int64]
# a stray stamp, not a record, spans the time: more slots a row than this, or a longer silence between two rows
_SPARSEST, _SILENCE = 2000, 10 * 366 * 86400


@dataclass(frozen=True)
class ItemReport:
    """What the rows of one item were like.

    :param coverage: observed share of the slots between the first and the last row.
    :param cadence: most frequent time between readings; None with fewer than two.
    :param gaps: stretches without a reading that are longer than ``max_gap``.
    """

    item_id: str
    rows: int
    first: str
    last: str
    readings: int
    coverage: float
    cadence: str | None
    gaps: int
    longest_gap: str
    unsorted: int
    off_grid: int
    duplicates: int


@dataclass
class Quality:
    """The report on a source: every item, and every problem with the way out of it."""

    items: list[ItemReport] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        problems = [{"problem": problem, "hint": hint} for problem, hint in self.problems]
        return {"items": [asdict(item) for item in self.items], "problems": problems}


@dataclass
class _Table:
    """The rows in order of item and time.

    :param codes: ``[n]`` index into ``ids``.
    :param slots: ``[n]`` number of the slot since 1970.
    """

    ids: list[str]
    codes: Rows
    slots: Rows
    columns: dict[str, npt.NDArray[np.float64]]

    def take(self, rows: npt.NDArray[Any]) -> _Table:
        columns = {name: column[rows] for name, column in self.columns.items()}
        return _Table(self.ids, self.codes[rows], self.slots[rows], columns)


def build_panel(dataset: Dataset, data: DataConfig, task: Task) -> tuple[Panel, Quality]:
    """Read a source and lay it on the grid of ``task.freq``.

    :return: the panel, and the report; where the report holds problems the panel is made as if they were allowed.
    :raises DataError: where the rows are no table of numbers at all.
    """
    names = _column_names(dataset, data, task)
    table, stamps = _read(dataset, data, names)
    step = task.step_seconds
    quality = Quality()
    chosen = _chosen_rows(table, stamps, data)
    table, stamps = table.take(chosen), stamps[chosen]
    if not len(stamps):
        where = data.path or dataset.name
        raise DataError(f"{where}: no row is left", "check data.items, data.exclude and data.start")
    counts = _counts(table, stamps, step * 1_000_000)
    table.slots = stamps // (step * 1_000_000)
    table = table.take(np.lexsort((table.slots, table.codes)))
    table, counts["duplicates"] = _combine(table, data, task)
    panel = _lay_out(table, step, _unit(dataset, data, task), task)
    if not np.isfinite(panel.columns[task.target]).any():
        where = f"{data.path or dataset.name}: column {names['target']!r}"
        raise DataError(f"{where} holds no reading of the rows asked for", "check data.columns.target and data.items")
    _report(panel, table, counts, data, task, quality)
    provenance = {"source": dataset.name, "path": data.path, "synthetic": dataset.synthetic, "licence": dataset.licence}
    object.__setattr__(panel, "provenance", provenance)
    return panel, quality


def max_gap_seconds(data: DataConfig, task: Task) -> int:
    """Return ``data.max_gap`` in seconds.

    :raises DataError: for a gap shorter than one step: no window would be left.
    """
    step = task.step_seconds
    if data.max_gap is None:
        return max(45 * 60, step)
    if seconds(data.max_gap) < step:
        raise DataError(
            f"data.max_gap {data.max_gap} is shorter than one step of {task.freq}", "give at least one step"
        )
    return seconds(data.max_gap)


def _column_names(dataset: Dataset, data: DataConfig, task: Task) -> dict[str, str]:
    """Return the file's column for item_id, timestamp and each channel."""
    given = {**dataset.columns, **data.columns}
    roles = ("item_id", "timestamp", "target", *task.past_covariates, *task.known_covariates)
    unknown = [role for role in data.columns if role not in roles]
    if unknown:
        hint = did_you_mean(unknown[0], roles) or f"known here: {', '.join(roles)}"
        raise DataError(f"data.columns.{unknown[0]} is no role or covariate of this task", hint)
    if dataset.target and dataset.target != task.target:
        raise DataError(f"{dataset.name} holds {dataset.target!r}; task.target is {task.target!r}")
    return {role: given.get(role, task.target if role == "target" else role) for role in roles}


def _unit(dataset: Dataset, data: DataConfig, task: Task) -> float:
    """Return the factor from the file's unit to the task's."""
    if dataset.unit and data.unit and dataset.unit != data.unit:
        raise DataError(f"{dataset.name} is in {dataset.unit}; data.unit says {data.unit}", "leave data.unit out")
    return conversion_factor(dataset.unit or data.unit or task.unit, task.unit)


def _read(dataset: Dataset, data: DataConfig, names: Mapping[str, str]) -> tuple[_Table, Rows]:
    import pyarrow as pa

    path = Path(data.path) if data.path else None
    columns = list(dict.fromkeys(names.values()))
    batches = list(dataset.read(path, columns))
    where = data.path or dataset.name
    if not sum(batch.num_rows for batch in batches):
        raise DataError(f"{where} has a header and no rows", "check data.path")
    table = pa.Table.from_batches(batches)
    ids, codes = item_codes(table[names["item_id"]], names["item_id"], where)
    stamps = row_stamps(table[names["timestamp"]], names["timestamp"], data.timestamp_format, where)
    channels = {role: name for role, name in names.items() if role not in ("item_id", "timestamp")}
    values = {role: numbers(table[name], name, where) for role, name in channels.items()}
    return _Table(ids, codes, stamps, values), stamps


def _chosen_rows(table: _Table, stamps: Rows, data: DataConfig) -> npt.NDArray[np.bool_]:
    for key, items in (("items", data.items or ()), ("exclude", data.exclude), ("start", tuple(data.start))):
        missing = [item for item in items if item not in table.ids]
        if missing:
            hint = did_you_mean(missing[0], table.ids) or f"the data holds {listing(table.ids)}"
            raise DataError(f"data.{key} names {listing(missing)}, which the data does not hold", hint)
    ids = np.asarray(table.ids, dtype=object)
    wanted = np.isin(ids, data.items) if data.items is not None else np.ones(len(ids), bool)
    keep = (wanted & ~np.isin(ids, data.exclude))[table.codes]
    for item, start in data.start.items():
        moment = np.datetime64(start, "us").astype(np.int64)
        keep &= (table.codes != table.ids.index(item)) | (stamps >= moment)
    return keep


def _counts(table: _Table, stamps: Rows, step_us: int) -> dict[str, Rows]:
    """Count by item, in the order of the file: rows, rows that go back in time, stamps off the grid."""
    size = len(table.ids)
    order = np.argsort(table.codes, kind="stable")
    codes = table.codes[order]
    back = (np.diff(stamps[order]) < 0) & (np.diff(codes) == 0)
    return {
        "rows": np.bincount(codes, minlength=size),
        "unsorted": np.bincount(codes[1:][back], minlength=size),
        "off_grid": np.bincount(table.codes[stamps % step_us != 0], minlength=size),
    }


def _combine(table: _Table, data: DataConfig, task: Task) -> tuple[_Table, Rows]:
    """Make one row of each slot; return the number of rows too many by item."""
    new = np.ones(len(table.slots), bool)
    new[1:] = (np.diff(table.slots) != 0) | (np.diff(table.codes) != 0)
    extra = np.bincount(table.codes[~new], minlength=len(table.ids))
    if new.all():
        return table, extra
    group = np.cumsum(new) - 1
    combined = table.take(new)
    for name, column in table.columns.items():
        rule = _combine_rule(name, data, task)
        grouped = pd.Series(column).groupby(group)
        # a sum of nothing observed is not observed
        values = grouped.sum(min_count=1) if rule == "sum" else grouped.agg(rule)
        combined.columns[name] = np.asarray(values, np.float64)
    return combined, extra


def _combine_rule(name: str, data: DataConfig, task: Task) -> str:
    if isinstance(data.duplicates, str):
        return "median" if data.duplicates == "refuse" else data.duplicates
    channel = task.target if name == "target" else name
    if channel not in data.duplicates:
        raise DataError(f"data.duplicates says nothing of {channel}", f"add {channel}: median, mean or sum")
    return data.duplicates[channel]


def _lay_out(table: _Table, step: int, factor: float, task: Task) -> Panel:
    present, codes = np.unique(table.codes, return_inverse=True)
    first = np.flatnonzero(np.diff(codes, prepend=-1))
    last = np.append(first[1:], len(codes)) - 1
    lengths = table.slots[last] - table.slots[first] + 1
    rows = last - first + 1
    apart = np.diff(table.slots, prepend=0)
    apart[first] = 0
    silence = np.maximum.reduceat(apart, first)
    sparse = (lengths > _SPARSEST * rows) & (lengths > 1_000_000)
    stray = np.flatnonzero(sparse | (silence > max(_SILENCE // step, 1000)))
    if len(stray):
        at = int(stray[0])
        item, begin, end = table.ids[present[at]], table.slots[first[at]] * step, table.slots[last[at]] * step
        span = f"{np.datetime64(int(begin), 's')} to {np.datetime64(int(end), 's')}"
        raise DataError(
            f"item {item!r} has {rows[at]} rows from {span}", "a stray stamp? correct it, or use data.start"
        )
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at_rows = offsets[codes] + table.slots - table.slots[first][codes]
    columns = {}
    for role, column in table.columns.items():
        laid = np.full(offsets[-1], np.nan, np.float32)
        scaled = column * factor if role == "target" else column
        beyond = np.flatnonzero(np.abs(scaled) > np.finfo(np.float32).max)
        if len(beyond):
            item = table.ids[table.codes[beyond[0]]]
            raise DataError(
                f"{role} of item {item!r} reaches {scaled[beyond[0]]}", "float32 cannot hold it: correct it"
            )
        laid[at_rows] = np.where(np.isnan(scaled), np.nan, scaled)  # one NaN of the many, for the fingerprint
        columns[task.target if role == "target" else role] = laid
    starts = (table.slots[first] * step).astype("datetime64[s]")
    return Panel(tuple(table.ids[code] for code in present), offsets, starts, step, columns, task.unit)


def _report(
    panel: Panel, table: _Table, counts: Mapping[str, Rows], data: DataConfig, task: Task, quality: Quality
) -> None:
    max_gap = max_gap_seconds(data, task)
    mixed = []
    for at, item in enumerate(panel.item_ids):
        code = table.ids.index(item)
        begin, end = panel.offsets[at], panel.offsets[at + 1]
        observed = np.flatnonzero(np.isfinite(panel.columns[panel.target][begin:end]))
        between = np.diff(observed) * panel.step
        cadence = None
        if len(between):
            lengths, times = np.unique(between, return_counts=True)
            cadence = format_seconds(int(lengths[times.argmax()]))
            if lengths[times.argmax()] != panel.step:
                mixed.append(f"{item} ({cadence})")
        ends = panel.stamps(np.array([begin, end - 1]))
        quality.items.append(
            ItemReport(
                item_id=item,
                rows=int(counts["rows"][code]),
                first=str(ends[0]),
                last=str(ends[1]),
                readings=len(observed),
                coverage=round(len(observed) / int(end - begin), 4),
                cadence=cadence,
                gaps=int((between > max_gap).sum()),
                longest_gap=format_seconds(int(between.max())) if len(between) else "0s",
                unsorted=int(counts["unsorted"][code]),
                off_grid=int(counts["off_grid"][code]),
                duplicates=int(counts["duplicates"][code]),
            )
        )
    _refuse(quality, "unsorted", data.unsorted, "go back in time", "set data.unsorted: sort")
    _refuse(quality, "off_grid", data.off_grid, f"have stamps off the {task.freq} grid", "set data.off_grid: floor")
    _refuse(
        quality,
        "duplicates",
        data.duplicates,
        "share their slot with another",
        "set data.duplicates: median, mean or sum",
    )
    if mixed and data.mixed_freq == "refuse":
        said = f"task.freq is {task.freq}, but the readings come at another step in {listing(mixed)}"
        quality.problems.append((said, "leave them out with data.exclude, or set data.mixed_freq: keep"))


def _refuse(quality: Quality, count: str, rule: object, what: str, hint: str) -> None:
    affected = [item for item in quality.items if getattr(item, count)]
    if affected and rule == "refuse":
        total = sum(getattr(item, count) for item in affected)
        named = listing(f"{item.item_id} ({getattr(item, count)})" for item in affected)
        quality.problems.append((f"{total} rows {what}: {named}", hint))
