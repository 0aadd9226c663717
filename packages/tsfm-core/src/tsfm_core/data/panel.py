"""The panel: many series on one regular grid."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.freq import format_seconds

__all__ = ["Panel", "Segments", "segments"]

Stamps = npt.NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Panel:
    """Many series on a regular grid, one contiguous column a channel. NaN means: not observed.

    :param item_ids: ascending.
    :param offsets: ``[I + 1]``; item i holds the rows ``offsets[i]:offsets[i + 1]``.
    :param starts: ``[I]``, the stamp of each item's first row, naive local time, in seconds.
    :param step: seconds between rows.
    :param columns: ``[rows]`` float32 for each channel; the target first.
    :param unit: of the target.
    :param provenance: where the data came from and what was done to it: plain data, for run.json.
    """

    item_ids: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    starts: Stamps
    step: int
    columns: Mapping[str, npt.NDArray[np.float32]]
    unit: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

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

    @cached_property
    def row_items(self) -> npt.NDArray[np.int32]:
        """Return the item of each row, ``[rows]``."""
        return np.repeat(np.arange(len(self.item_ids), dtype=np.int32), np.diff(self.offsets))

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

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of every value, stamp and id."""
        digest = hashlib.sha256()
        for part in (*self.item_ids, *self.columns, self.unit, str(self.step)):
            digest.update(f"{part}\0".encode())
        for array in (self.offsets, self.starts.astype("datetime64[s]").astype(np.int64), *self.columns.values()):
            digest.update(np.ascontiguousarray(array).data)
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
