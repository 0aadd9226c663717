"""The rows of a source: read, named, and reduced to those that the configuration asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.config.schema import DataConfig
from tsfm_core.data.columns import item_codes, numbers, row_stamps
from tsfm_core.errors import DataError, did_you_mean, listing
from tsfm_core.records import Dataset, Source
from tsfm_core.task import Task

__all__ = ["Table", "column_names", "read_rows"]

Rows = npt.NDArray[np.int64]


@dataclass
class Table:
    """Rows of a source.

    :param ids: ascending.
    :param codes: ``[n]`` index into ``ids``.
    :param stamps: ``[n]`` microseconds since 1970.
    :param columns: ``[n]`` of each channel, the target's called ``target``.
    """

    ids: list[str]
    codes: Rows
    stamps: Rows
    columns: dict[str, npt.NDArray[np.float64]]

    def take(self, rows: npt.NDArray[Any]) -> Table:
        """Return the rows at ``rows``."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Table(self.ids, self.codes[rows], self.stamps[rows], columns)


def column_names(dataset: Dataset, data: DataConfig, task: Task) -> dict[str, str]:
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


def read_rows(dataset: Dataset, data: DataConfig, names: Mapping[str, str]) -> Table:
    """Return the rows that ``data.items``, ``data.exclude`` and ``data.start`` leave, in the order of the source.

    :param names: the source's column of each role and channel.
    :raises DataError: for rows that are no table of ids, stamps and numbers, or where none is left.
    """
    import pyarrow as pa

    path = Path(data.path) if data.path else None
    columns = list(dict.fromkeys(names.values()))
    batches = list(dataset.read(Source(path, columns)))
    where = data.path or dataset.name
    if not sum(batch.num_rows for batch in batches):
        raise DataError(f"{where} has a header and no rows", "check data.path")
    table = pa.Table.from_batches(batches)
    ids, codes = item_codes(table[names["item_id"]], names["item_id"], where)
    stamps = row_stamps(table[names["timestamp"]], names["timestamp"], data.timestamp_format, where)
    channels = {role: name for role, name in names.items() if role not in ("item_id", "timestamp")}
    values = {role: numbers(table[name], name, where) for role, name in channels.items()}
    every = Table(ids, codes, stamps, values)
    rows = every.take(_chosen(every, data))
    if not len(rows.stamps):
        raise DataError(f"{where}: no row is left", "check data.items, data.exclude and data.start")
    return rows


def _chosen(table: Table, data: DataConfig) -> npt.NDArray[np.bool_]:
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
        keep &= (table.codes != table.ids.index(item)) | (table.stamps >= moment)
    return keep
