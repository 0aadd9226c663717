"""The rows of a source: read batch by batch, named, and reduced to those that the configuration asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from tsfm_core.config.schema import DataConfig
from tsfm_core.data.columns import item_codes, numbers, row_stamps
from tsfm_core.data.labels import Labels
from tsfm_core.errors import DataError, PluginError, did_you_mean, listing
from tsfm_core.records import Dataset, Source
from tsfm_core.task import Task
from tsfm_core.zones import check_zone

__all__ = ["Reading", "Table", "column_names", "kinds_of", "with_rules"]

Rows = npt.NDArray[np.int64]

#: What happens where neither the config nor the data set says anything.
_DEFAULTS = {
    "unsorted": "refuse",
    "off_grid": "refuse",
    "duplicates": "refuse",
    "mixed_freq": "refuse",
    "shared_rows": "refuse",
    "suspect_unit": "refuse",
}


@dataclass
class Table:
    """Rows of a source.

    :param codes: ``[n]`` index into :attr:`Reading.ids`.
    :param stamps: ``[n]`` microseconds since 1970.
    :param values: ``[n, C]`` of each channel, the target first; of a category the number of its label.
    """

    codes: Rows
    stamps: Rows
    values: npt.NDArray[np.float64]

    def take(self, rows: npt.NDArray[Any] | slice) -> Table:
        """Return the rows at ``rows``."""
        return Table(self.codes[rows], self.stamps[rows], self.values[rows])


def with_rules(dataset: Dataset, data: DataConfig) -> DataConfig:
    """Return ``data`` with every rule said: by the config, else by the data set, else refused."""
    rules = {**_DEFAULTS, "valid_range": None} | _checked_rules(dataset)
    unsaid = {name: rule for name, rule in rules.items() if getattr(data, name) is None}
    return data.model_copy(update=unsaid | {"kinds": kinds_of(dataset, data)})


def kinds_of(dataset: Dataset, data: DataConfig) -> Mapping[str, str]:
    """Return what each channel holds, by the config, else by the data set; one that neither names is a reading."""
    return {name: channel.kind for name, channel in dataset.channels.items()} | data.kinds


def _checked_rules(dataset: Dataset) -> dict[str, Any]:
    """Return a data set's rules as ``data`` holds them.

    :raises PluginError: for one that is no rule, or says what it cannot.
    """
    known = {*_DEFAULTS, "timestamp_format", "valid_range"}
    wrong = [name for name in dataset.rules if name not in known]
    if wrong:
        hint = did_you_mean(wrong[0], known) or f"there are {listing(sorted(known))}"
        raise PluginError(f"the data set {dataset.name} has a rule {wrong[0]!r}; {hint}", "tell its author")
    try:
        checked = DataConfig.model_validate({"source": dataset.name, **dataset.rules})
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        said = f"the data set {dataset.name} has the rule {name}: {dataset.rules.get(name)!r}"
        raise PluginError(f"{said}, which cannot be", "tell its author") from error
    return {name: getattr(checked, name) for name in dataset.rules}


def column_names(dataset: Dataset, data: DataConfig, task: Task, channels: tuple[str, ...]) -> dict[str, str]:
    """Return the source's column of item_id, timestamp, target and each of ``channels``, and of timezone if it has one.

    :raises DataError: for a role that the task does not have, a channel that the data set does not offer, or a target
        that is a category.
    """
    given = {**dataset.columns, **data.columns}
    roles = ("item_id", "timestamp", "target", *channels)
    unknown = [role for role in data.columns if role not in (*roles, "timezone")]
    if unknown:
        hint = did_you_mean(unknown[0], roles) or f"known here: {', '.join(roles)}"
        raise DataError(f"data.columns.{unknown[0]} is no role or covariate of this task", hint)
    if "timezone" in channels:
        raise DataError("no covariate may be called timezone: it is a role of data.columns", "map it by another name")
    if data.kinds.get(task.target) == "category":
        said = f"the target {task.target!r} is a category, and numbers are forecast"
        raise DataError(said, "forecast another channel, and list this one in task.past_covariates")
    covariates = (*channels, *task.channels[1:], *dataset.channels)
    untold = [name for name in data.kinds if name not in covariates]
    if untold:
        hint = did_you_mean(untold[0], covariates) or f"known here: {listing(dict.fromkeys(covariates))}"
        raise DataError(f"data.kinds.{untold[0]} is no covariate of this task", hint)
    if dataset.target and dataset.target != task.target:
        raise DataError(f"{dataset.name} holds {dataset.target!r}; task.target is {task.target!r}")
    absent = [name for name in channels if dataset.channels and name not in dataset.channels]
    if absent:
        hint = did_you_mean(absent[0], dataset.channels) or f"it offers {listing(dataset.channels)}"
        raise DataError(f"{dataset.name} has no channel {absent[0]!r}", hint)
    names = {role: given.get(role, task.target if role == "target" else role) for role in roles}
    return names | ({"timezone": given["timezone"]} if "timezone" in given else {})


class Reading:
    """One pass over a source: :meth:`tables`, then what was met on the way.

    :ivar ids: every item met, also those that the config leaves out, in the order of their first row.
    :ivar zones: the time zone of each item, by code, where stamps are instants.
    :ivar labels: those of categorical channels, in the order in which they were met.
    :ivar notes: what the reader counted: ``(item_id, what)`` and rows.
    """

    def __init__(self, dataset: Dataset, data: DataConfig, names: Mapping[str, str], options: Any) -> None:
        self._dataset, self._data, self._names, self._options = dataset, data, names, options
        self._where = data.path or dataset.name
        self._codes: dict[str, int] = {}
        self._wanted: list[bool] = []
        self._starts: list[int] = []
        self.zones: dict[int, str] = {}
        self.labels = Labels(name for name in names if data.kinds.get(name) == "category")
        self.notes: Counter[tuple[str, str]] = Counter()
        self._instants = bool(data.timezone or "timezone" in names or dataset.clock == "utc")

    @property
    def ids(self) -> list[str]:
        """Return the ids by code."""
        return list(self._codes)

    @property
    def instants(self) -> bool:
        """Return whether the grid is UTC."""
        return self._instants

    def tables(self) -> Iterator[Table]:
        """Yield the rows that ``data.items``, ``data.exclude`` and ``data.start`` leave, in the order of the source.

        :raises DataError: for rows that are no table of ids, stamps and numbers, or where none is left.
        """
        path = Path(self._data.path) if self._data.path else None
        before = kept = 0
        columns = list(dict.fromkeys(self._names.values()))
        for batch in self._dataset.read(Source(path, columns, self._options, self._count)):
            if batch.num_rows:
                table = self._table(batch, before)
                before += batch.num_rows
                kept += len(table.codes)
                yield table
        if not before:
            raise DataError(f"{self._where} has a header and no rows", "check data.path")
        self._require_known_items()
        if not kept:
            raise DataError(f"{self._where}: no row is left", "check data.items, data.exclude and data.start")

    def _count(self, item_id: str, what: str, rows: int) -> None:
        if rows:
            self.notes[item_id, what] += int(rows)

    def _table(self, batch: pa.RecordBatch, before: int) -> Table:
        names, where = self._names, self._where

        def column(role: str) -> pa.ChunkedArray:
            return pa.chunked_array([batch.column(batch.schema.get_field_index(names[role]))])

        held = set(batch.schema.names)
        ids, codes = item_codes(column("item_id"), names["item_id"], where, before)
        codes = np.array([self._code(item) for item in ids], np.int64)[codes]
        naive = self._dataset.clock == "utc" and not getattr(column("timestamp").type, "tz", None)
        instants = self._instants and not naive
        form = self._data.timestamp_format
        stamps = row_stamps(column("timestamp"), names["timestamp"], form, where, before, instants)
        if self._instants:
            self._learn_zones(codes, column("timezone") if names.get("timezone") in held else None)
        keep = np.array(self._wanted)[codes] & (stamps >= np.array(self._starts)[codes])
        channels = [role for role in names if role not in ("item_id", "timestamp", "timezone")]
        values = np.full((len(codes), len(channels)), np.nan)
        for at, role in enumerate(channels):
            if names[role] in held and role in self.labels:
                values[:, at] = self.labels.numbers(role, column(role), keep, names[role], where, before)
            elif names[role] in held:
                values[:, at] = numbers(column(role), names[role], where, before)
        return Table(codes, stamps, values) if keep.all() else Table(codes, stamps, values).take(keep)

    def _code(self, item: str) -> int:
        """Return the code of an item; a new one learns whether and from when on it is wanted."""
        if item not in self._codes:
            data = self._data
            self._codes[item] = len(self._codes)
            self._wanted.append((data.items is None or item in data.items) and item not in data.exclude)
            start = data.start.get(item)
            self._starts.append(
                np.iinfo(np.int64).min if start is None else int(np.datetime64(start, "us").astype(int))
            )
        return self._codes[item]

    def _learn_zones(self, codes: Rows, zones: pa.ChunkedArray | None) -> None:
        if zones is None:
            return
        text = zones.type.value_type if pa.types.is_dictionary(zones.type) else zones.type
        if not (pa.types.is_string(text) or pa.types.is_large_string(text) or pa.types.is_null(text)):
            said = f"{self._names['timezone']!r} holds {text}, not time zones"
            raise DataError(f"{self._where}: {said}", "map the right column with data.columns")
        pairs = pa.table({"code": codes, "zone": pc.cast(zones, pa.string())}).group_by(["code", "zone"]).aggregate([])
        ids = self.ids
        for code, zone in zip(pairs["code"].to_pylist(), pairs["zone"].to_pylist(), strict=True):
            if not zone or not self._wanted[code]:
                continue
            if code not in self.zones:
                try:
                    self.zones[code] = check_zone(zone)
                except DataError as error:
                    raise DataError(f"{self._where}: item {ids[code]!r}: {error.message}", error.hint) from error
            if self.zones[code] != zone:
                said = f"item {ids[code]!r} has the time zones {self.zones[code]} and {zone}"
                raise DataError(f"{self._where}: {said}", "local midnights need one: leave it out with data.exclude")

    def _require_known_items(self) -> None:
        data = self._data
        for key, items in (("items", data.items or ()), ("exclude", data.exclude), ("start", tuple(data.start))):
            missing = [item for item in items if item not in self._codes]
            if missing:
                known = sorted(self._codes)
                hint = did_you_mean(missing[0], known) or f"the data holds {listing(known)}"
                raise DataError(f"data.{key} names {listing(missing)}, which the data does not hold", hint)
