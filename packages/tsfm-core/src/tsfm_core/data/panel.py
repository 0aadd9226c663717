"""The panel: many series on one regular grid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.errors import DataError
from tsfm_core.freq import format_seconds

__all__ = ["Panel", "Segments", "Stamps", "minutes_of", "segments"]

Stamps = npt.NDArray[np.datetime64]

_AT_ONCE = 1 << 22


def minutes_of(stamps: Stamps, zones: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """Return the minute of the day of stamps ``[n]``, of UTC stamps in their ``zones`` ``[n]`` where there are any.

    :raises DataError: where a zone is not known.
    """
    if (zones == "").any():
        raise DataError("local times are asked for, and the time zone is not known", "set data.timezone")
    local = stamps.astype("datetime64[s]")
    for zone in np.unique(zones):
        import pandas as pd

        rows = zones == zone
        shifted = pd.DatetimeIndex(local[rows]).tz_localize("UTC").tz_convert(zone).tz_localize(None)
        local[rows] = shifted.to_numpy().astype("datetime64[s]")
    return np.asarray(local.astype(np.int64) // 60 % 1440)


@dataclass(frozen=True, eq=False)
class Panel:
    """Many series on a regular grid, one contiguous column a channel. NaN means: not observed.

    :param item_ids: ascending.
    :param offsets: ``[I + 1]``; item i holds the rows ``offsets[i]:offsets[i + 1]``.
    :param starts: ``[I]``, the stamp of each item's first row, naive local time, in seconds.
    :param step: seconds between rows.
    :param columns: ``[rows]`` float32 for each channel, the target first; of a category the codes of its labels.
    :param unit: of the target.
    :param provenance: where the data came from and what was done to it: plain data, for run.json.
    :param zones: ``[I]`` IANA name of each item's time zone where the stamps are UTC ("": not known); empty where they
        are local.
    :param clock: what a naive stamp means, as :class:`~tsfm_core.Dataset` says.
    :param stored_fingerprint: of a panel that was built before; others compute it.
    :param folder: where the columns are mapped from, if they are.
    :param categories: of each categorical channel its labels, ascending: code i means ``categories[channel][i]``.
    """

    item_ids: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    starts: Stamps
    step: int
    columns: Mapping[str, npt.NDArray[np.float32]]
    unit: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    zones: tuple[str, ...] = ()
    clock: str = "local"
    stored_fingerprint: str | None = None
    folder: Path | None = None
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        # another process maps the same files: nothing is copied
        from tsfm_core.data.saved import open_saved

        if self.folder is not None:
            return open_saved, (self.folder, tuple(self.columns))
        return Panel, tuple(getattr(self, one.name) for one in fields(self))

    def __len__(self) -> int:
        return int(self.offsets[-1])

    @property
    def target(self) -> str:
        """Return the name of the target channel."""
        return next(iter(self.columns))

    @property
    def freq(self) -> str:
        """Return the step as an alias, such as ``5min``."""
        return format_seconds(self.step)

    @property
    def row_items(self) -> npt.NDArray[np.int32]:
        """Return the item of each row, ``[rows]``."""
        return np.repeat(np.arange(len(self.item_ids), dtype=np.int32), np.diff(self.offsets))

    def view(self, channel: str, length: int) -> npt.NDArray[np.float32]:
        """Return every stretch of ``length`` rows of a channel, ``[rows - length + 1, length]``, copying nothing."""
        if (channel, length) not in self._views:
            self._views[channel, length] = np.lib.stride_tricks.sliding_window_view(self.columns[channel], length)
        return self._views[channel, length]

    @cached_property
    def _views(self) -> dict[tuple[str, int], npt.NDArray[np.float32]]:
        return {}

    def part(self, first: int, stop: int) -> Panel:
        """Return the items ``first:stop`` as a panel of their own, without copying a column."""
        begin, end = int(self.offsets[first]), int(self.offsets[stop])
        return replace(
            self,
            item_ids=self.item_ids[first:stop],
            offsets=self.offsets[first : stop + 1] - begin,
            starts=self.starts[first:stop],
            columns={name: column[begin:end] for name, column in self.columns.items()},
            zones=self.zones[first:stop],
            stored_fingerprint=None,
            folder=None,
        )

    def parts(self, rows: int = 2_000_000) -> Iterator[tuple[int, Panel]]:
        """Yield ``(first item, part)`` over all items in order, a part being about ``rows`` long, or one item."""
        first = 0
        while first < len(self.item_ids):
            stop = int(np.searchsorted(self.offsets, self.offsets[first] + rows, side="right")) - 1
            stop = min(max(stop, first + 1), len(self.item_ids))
            yield first, self.part(first, stop)
            first = stop

    def items_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the item of each of ``rows``."""
        return np.searchsorted(self.offsets, rows, side="right") - 1

    def stamps(self, rows: npt.NDArray[np.int64]) -> Stamps:
        """Return the timestamp of each of ``rows``."""
        item = self.items_of(rows)
        after = ((rows - self.offsets[item]) * self.step).astype("timedelta64[s]")
        return np.asarray(self.starts[item] + after)

    def slots(self) -> npt.NDArray[np.int64]:
        """Return the number of each row's slot since 1970-01-01 00:00, ``[rows]``: the clock without its dates."""
        first = self.starts.astype("datetime64[s]").astype(np.int64) // self.step
        return np.repeat(first - self.offsets[:-1], np.diff(self.offsets)) + np.arange(len(self))

    def minutes(self) -> npt.NDArray[np.int64]:
        """Return the local minute of the day of each row, ``[rows]``: by the item's zone where stamps are UTC."""
        zones = np.repeat(np.asarray(self.zones), np.diff(self.offsets)) if self.zones else np.empty(0, str)
        return minutes_of(self.stamps(np.arange(len(self))), zones)

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of every value, stamp, id and label."""
        if self.stored_fingerprint:
            return self.stored_fingerprint
        digest = hashlib.sha256()
        for part in (*self.item_ids, *self.columns, self.unit, str(self.step), *self.zones):
            digest.update(f"{part}\0".encode())
        starts = self.starts.astype("datetime64[s]").astype(np.int64)
        arrays: list[npt.NDArray[Any]] = [self.offsets, starts, *self.columns.values()]
        for array in arrays:
            for at in range(0, len(array), _AT_ONCE):
                digest.update(np.ascontiguousarray(array[at : at + _AT_ONCE]).data)
        if self.categories:
            digest.update(json.dumps(dict(self.categories), sort_keys=True).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Segments:
    """Stretches of the target without a gap longer than ``max_gap``, each from an observed row to an observed row.

    :param first: ``[S]`` first row of each.
    :param last: ``[S]`` last row of each, inclusive.
    """

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]

    def bounds(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the first and last row of the segment around each of ``rows``; (0, -1) outside every segment."""
        if not len(self.first):
            return np.zeros_like(rows), np.full_like(rows, -1)
        at = np.searchsorted(self.first, rows, side="right") - 1
        inside = (at >= 0) & (rows <= self.last[at])
        return np.where(inside, self.first[at], 0), np.where(inside, self.last[at], -1)


def segments(panel: Panel, max_gap: int) -> Segments:
    """Return the segments of the panel's target.

    :param max_gap: longest time between neighbouring readings that a window may span, in seconds.
    """
    observed = np.flatnonzero(np.isfinite(panel.columns[panel.target]))
    if not len(observed):
        return Segments(observed, observed)
    items = panel.items_of(observed)
    breaks = (np.diff(observed) * panel.step > max_gap) | (np.diff(items) != 0)
    first = np.concatenate([observed[:1], observed[1:][breaks]])
    last = np.concatenate([observed[:-1][breaks], observed[-1:]])
    return Segments(first, last)
