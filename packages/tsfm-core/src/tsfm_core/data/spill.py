"""Rows on their way to the grid: spread over buckets, in memory while they are few and in files when they are many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.data.source import Table

__all__ = ["Spill", "block_of"]

_BUCKETS = 256
#: Rows of an item in one bucket span this many slots: an item of any length is laid out piece by piece.
_SLOTS = 1 << 17
_IN_MEMORY = 96 << 20


def block_of(stamps: npt.NDArray[np.int64], step_us: int, shift_us: int) -> npt.NDArray[np.int64]:
    """Return the block of slots in which each stamp lies: all rows of an item in a block share a bucket."""
    return np.asarray((stamps + shift_us) // (step_us * _SLOTS))


class Spill:
    """Rows by bucket. All rows of one slot of an item share a bucket, in the order in which they were added.

    :param folder: for the files.
    :param channels: values in a row.
    :param step_us: microseconds between slots.
    :param shift_us: added to a stamp to find its slot.
    """

    def __init__(self, folder: Path, channels: int, step_us: int, shift_us: int = 0) -> None:
        self._folder, self._step_us, self._shift_us = folder, step_us, shift_us
        self._type = np.dtype([("code", "<i4"), ("stamp", "<i8"), ("values", "<f8", (channels,))])
        self._held: list[list[npt.NDArray[Any]]] = [[] for _ in range(_BUCKETS)]
        self._bytes = 0
        self._on_disk = False

    def add(self, table: Table) -> None:
        """Add rows."""
        if not len(table.codes):
            return
        rows = np.empty(len(table.codes), self._type)
        rows["code"], rows["stamp"], rows["values"] = table.codes, table.stamps, table.values
        block = block_of(table.stamps, self._step_us, self._shift_us)
        bucket = ((table.codes * 31 + block) % _BUCKETS).astype(np.uint8)
        order = np.argsort(bucket, kind="stable")
        rows, bucket = rows[order], bucket[order]
        present, first = np.unique(bucket, return_index=True)
        for number, part in zip(present, np.split(rows, first[1:]), strict=True):
            self._held[number].append(part)
        self._bytes += rows.nbytes
        if self._bytes > _IN_MEMORY:
            self._flush()

    def buckets(self) -> Iterator[Table]:
        """Yield the rows of each bucket that has some."""
        for number in range(_BUCKETS):
            parts = list(self._held[number])
            path = self._path(number)
            if self._on_disk and path.exists():
                parts.insert(0, np.fromfile(path, self._type))
            if parts:
                rows = np.concatenate(parts)
                yield Table(rows["code"].astype(np.int64), rows["stamp"].copy(), rows["values"].copy())

    def _flush(self) -> None:
        self._on_disk = True
        for number, parts in enumerate(self._held):
            if parts:
                with self._path(number).open("ab") as file:
                    for part in parts:
                        part.tofile(file)
                parts.clear()
        self._bytes = 0

    def _path(self, number: int) -> Path:
        return self._folder / f"rows_{number:03d}.bin"
