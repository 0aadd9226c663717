"""Rows that two items share: one person's readings in another's file is a leak that no split by item prevents.

Two items share a day where at least 36 of its stamps have the same value in both, in at least 12 different values, and
these are at least half of the stamps that both have on that day. Chance does not do that: sensors are not in phase,
and values repeat. Every row that two such items have in common then counts as shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.data.source import Table

__all__ = ["SharedRows", "Sketch", "find_shared"]

Rows = npt.NDArray[np.int64]

_DAY_US = 86_400_000_000
_AT_LEAST, _VALUES = 36, 12
_KEPT = 1_000_000
#: Items that have one reading in common, up to which every two of them are compared.
_COPIES = 5


@dataclass(frozen=True)
class SharedRows:
    """The rows that two items share.

    :param owner: code of the item of which they are the larger part.
    :param other: code of the one that has them too.
    :param stamps: ``[n]``, ascending; ``values`` likewise.
    """

    owner: int
    other: int
    stamps: Rows
    values: npt.NDArray[np.float64]

    def marks(self, table: Table) -> npt.NDArray[np.bool_]:
        """Return which of the other item's rows in ``table`` are the shared ones, ``[n]``."""
        marked = table.codes == self.other
        own = np.flatnonzero(marked)
        marked[own] = _among(table.stamps[own], table.values[own, 0], self.stamps, self.values)
        return np.asarray(marked)


class Sketch:
    """Readings of whole days, in bounded memory: all days of a small source, a sample of the days of a large one."""

    def __init__(self) -> None:
        self._parts: list[tuple[Rows, Rows, npt.NDArray[np.float64]]] = []
        self._count, self._shift = 0, 0

    def add(self, table: Table) -> None:
        """Add the readings of some rows."""
        keep = np.isfinite(table.values[:, 0])
        if self._shift:
            keep &= self._sampled(table.stamps)
        self._parts.append((table.codes[keep], table.stamps[keep], table.values[keep, 0]))
        self._count += int(keep.sum())
        while self._count > _KEPT:
            self._shift += 1
            codes, stamps, values = self._joined()
            keep = self._sampled(stamps)
            self._parts = [(codes[keep], stamps[keep], values[keep])]
            self._count = int(keep.sum())

    @property
    def blind(self) -> bool:
        """Return whether there were too many readings on every day to keep one."""
        return self._shift > 0 and not self._count

    def suspects(self, ids: Sequence[str]) -> list[tuple[int, int]]:
        """Return the pairs of items that share a day, by code, each with the first by ``ids`` first."""
        codes, stamps, values = self._joined()
        by_id = np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
        codes = np.argsort(by_id)[codes]  # in any order that the rows came in the same pairs, in the same order
        order = np.lexsort((codes, values, stamps))
        order = order[_changes(codes[order]) | _changes(stamps[order]) | _changes(values[order])]
        codes, stamps, values = codes[order], stamps[order], values[order]
        same = [(0, np.empty(0, np.int64))]
        for lag in range(1, min(_COPIES, len(codes))):
            same.append((lag, np.flatnonzero((stamps[lag:] == stamps[:-lag]) & (values[lag:] == values[:-lag]))))
        rows = np.concatenate([at for _, at in same])
        first, second = codes[rows], codes[np.concatenate([at + lag for lag, at in same])]
        matched, at_days = values[rows], stamps[rows] // _DAY_US
        pairs, pair = np.unique(first * (codes.max(initial=0) + 1) + second, return_inverse=True)
        _, group, counts = np.unique(at_days * len(pairs) + pair, return_inverse=True, return_counts=True)
        by_group, ends = np.argsort(group, kind="stable"), np.cumsum(counts)
        found: set[tuple[int, int]] = set()
        for at in np.flatnonzero(counts >= _AT_LEAST):
            rows = by_group[ends[at] - counts[at] : ends[at]]
            one, two, day = int(first[rows[0]]), int(second[rows[0]]), int(at_days[rows[0]])
            if (one, two) in found or len(np.unique(matched[rows])) < _VALUES:
                continue
            today = stamps // _DAY_US == day
            both = np.intersect1d(stamps[today & (codes == one)], stamps[today & (codes == two)])
            if 2 * counts[at] >= len(both):
                found.add((one, two))
        return [(int(by_id[one]), int(by_id[two])) for one, two in sorted(found)]

    def _sampled(self, stamps: Rows) -> npt.NDArray[np.bool_]:
        # days by the low bits of a multiplicative hash, so that weekdays are not favoured, nor 1970-01-01
        mixed = (stamps // _DAY_US + 1_000_003).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        sampled: npt.NDArray[np.bool_] = (mixed >> np.uint64(40)) % np.uint64(1 << self._shift) == 0
        return sampled

    def _joined(self) -> tuple[Rows, Rows, npt.NDArray[np.float64]]:
        codes, stamps, values = (np.concatenate([part[at] for part in self._parts]) for at in range(3))
        return codes, stamps, values


def _changes(column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which values differ from the one before, ``[n]``; the first does."""
    return np.concatenate([[True], column[1:] != column[:-1]])[: len(column)]


def find_shared(suspects: Iterable[tuple[int, int]], tables: Iterable[Table]) -> list[SharedRows]:
    """Return all that the suspected pairs share, by one pass over the rows."""
    pairs = list(suspects)
    wanted = np.unique(np.array(pairs, np.int64).reshape(-1))
    kept: dict[int, list[tuple[Rows, npt.NDArray[np.float64]]]] = {int(code): [] for code in wanted}
    for table in tables:
        for code in np.intersect1d(table.codes, wanted):
            own = (table.codes == code) & np.isfinite(table.values[:, 0])
            kept[int(code)].append((table.stamps[own], table.values[own, 0]))
    rows = {
        code: (np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts]))
        for code, parts in kept.items()
    }
    found = []
    for one, two in pairs:
        shares = {
            code: _among(*rows[code], *rows[other]).mean()
            for code, other in ((one, two), (two, one))
            if len(rows[code][0])
        }
        owner, other = (one, two) if shares[one] >= shares[two] else (two, one)
        common = _among(*rows[other], *rows[owner])
        found.append(SharedRows(owner, other, rows[other][0][common], rows[other][1][common]))
    return found


def _among(
    stamps: Rows, values: npt.NDArray[np.float64], of_stamps: Rows, of_values: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Return which pairs of stamp and value are also among others, ``[n]``."""
    kind = np.dtype([("stamp", "<i8"), ("value", "<f8")])
    pairs, others = np.empty(len(stamps), kind), np.empty(len(of_stamps), kind)
    pairs["stamp"], pairs["value"], others["stamp"], others["value"] = stamps, values, of_stamps, of_values
    return np.isin(pairs, others)
