"""From a table of rows to a panel. A stamp is never invented, reordered silently or dropped.

Everything irregular is counted, and refused where the config does not say what to do with it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsfm_core.config.schema import DataConfig
from tsfm_core.data.panel import Panel
from tsfm_core.data.quality import Quality, report_quality
from tsfm_core.data.source import Table, column_names, read_rows
from tsfm_core.errors import DataError
from tsfm_core.records import Dataset
from tsfm_core.task import Task
from tsfm_core.units import conversion_factor

__all__ = ["build_panel"]

Rows = npt.NDArray[np.int64]
# a stray stamp, not a record, spans the time: more slots a row than this, or a longer silence between two rows
_SPARSEST, _SILENCE = 2000, 10 * 366 * 86400


def build_panel(dataset: Dataset, data: DataConfig, task: Task) -> tuple[Panel, Quality]:
    """Read a source and lay it on the grid of ``task.freq``.

    :return: the panel, and the report; where the report holds problems the panel is made as if they were allowed.
    :raises DataError: where the rows are no table of numbers at all.
    """
    names = column_names(dataset, data, task)
    table = read_rows(dataset, data, names)
    counts = _counts(table, task.step_seconds * 1_000_000)
    slots = table.stamps // (task.step_seconds * 1_000_000)
    order = np.lexsort((slots, table.codes))
    table, slots = table.take(order), slots[order]
    new = np.diff(slots, prepend=slots[:1] - 1) != 0
    new |= np.diff(table.codes, prepend=-1) != 0
    counts["duplicates"] = np.bincount(table.codes[~new], minlength=len(table.ids))
    table = _combine(table, new, data, task)
    present = np.unique(table.codes)
    provenance = {"source": dataset.name, "path": data.path, "synthetic": dataset.synthetic, "licence": dataset.licence}
    panel = _lay_out(table, slots[new], _unit(dataset, data, task), task, provenance)
    if not np.isfinite(panel.columns[task.target]).any():
        where = f"{data.path or dataset.name}: column {names['target']!r}"
        raise DataError(f"{where} holds no reading of the rows asked for", "check data.columns.target and data.items")
    return panel, report_quality(panel, {name: count[present] for name, count in counts.items()}, data, task)


def _unit(dataset: Dataset, data: DataConfig, task: Task) -> float:
    """Return the factor from the file's unit to the task's."""
    if dataset.unit and data.unit and dataset.unit != data.unit:
        raise DataError(f"{dataset.name} is in {dataset.unit}; data.unit says {data.unit}", "leave data.unit out")
    return conversion_factor(dataset.unit or data.unit or task.unit, task.unit)


def _counts(table: Table, step_us: int) -> dict[str, Rows]:
    """Count by item, in the order of the file: rows, rows that go back in time, stamps off the grid."""
    size = len(table.ids)
    order = np.argsort(table.codes, kind="stable")
    codes = table.codes[order]
    back = (np.diff(table.stamps[order]) < 0) & (np.diff(codes) == 0)
    return {
        "rows": np.bincount(codes, minlength=size),
        "unsorted": np.bincount(codes[1:][back], minlength=size),
        "off_grid": np.bincount(table.codes[table.stamps % step_us != 0], minlength=size),
    }


def _combine(table: Table, new: npt.NDArray[np.bool_], data: DataConfig, task: Task) -> Table:
    """Return one row for each slot.

    :param new: ``[n]``, whether a row opens a slot.
    """
    combined = table.take(new)
    if new.all():
        return combined
    group = np.cumsum(new) - 1
    for name, column in table.columns.items():
        rule = _combine_rule(name, data, task)
        grouped = pd.Series(column).groupby(group)
        # a sum of nothing observed is not observed
        values = grouped.sum(min_count=1) if rule == "sum" else grouped.agg(rule)
        combined.columns[name] = np.asarray(values, np.float64)
    return combined


def _combine_rule(name: str, data: DataConfig, task: Task) -> str:
    if isinstance(data.duplicates, str):
        return "median" if data.duplicates == "refuse" else data.duplicates
    channel = task.target if name == "target" else name
    if channel not in data.duplicates:
        raise DataError(f"data.duplicates says nothing of {channel}", f"add {channel}: median, mean or sum")
    return data.duplicates[channel]


def _lay_out(table: Table, slots: Rows, factor: float, task: Task, provenance: Mapping[str, object]) -> Panel:
    step = task.step_seconds
    present, codes = np.unique(table.codes, return_inverse=True)
    first = np.flatnonzero(np.diff(codes, prepend=-1))
    last = np.append(first[1:], len(codes)) - 1
    lengths = slots[last] - slots[first] + 1
    rows = last - first + 1
    apart = np.diff(slots, prepend=0)
    apart[first] = 0
    silence = np.maximum.reduceat(apart, first)
    sparse = (lengths > _SPARSEST * rows) & (lengths > 1_000_000)
    stray = np.flatnonzero(sparse | (silence > max(_SILENCE // step, 1000)))
    if len(stray):
        at = int(stray[0])
        item, begin, end = table.ids[present[at]], slots[first[at]] * step, slots[last[at]] * step
        span = f"{np.datetime64(int(begin), 's')} to {np.datetime64(int(end), 's')}"
        raise DataError(
            f"item {item!r} has {rows[at]} rows from {span}", "a stray stamp? correct it, or use data.start"
        )
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at_rows = offsets[codes] + slots - slots[first][codes]
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
    starts = (slots[first] * step).astype("datetime64[s]")
    return Panel(tuple(table.ids[code] for code in present), offsets, starts, step, columns, task.unit, provenance)
