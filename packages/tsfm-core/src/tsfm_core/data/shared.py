"""Rows that two items share: one person's readings in another's file is a leak that no split by item prevents.

Two items share a day where at least 36 of its stamps have the same value in both, in at least 12 different values, and
these are at least half of the stamps that both have on that day. Chance does not do that: sensors are not in phase,
and values repeat. Every row that two such items have in common then counts as shared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsfm_core.data.source import Table

__all__ = ["SharedRows", "Sketch", "find_shared"]

Rows = npt.NDArray[np.int64]

_DAY_US = 86_400_000_000
_AT_LEAST, _VALUES = 36, 12
_KEPT = 1_000_000


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

    def suspects(self) -> list[tuple[int, int]]:
        """Return the pairs of items, each with the smaller code first, that share a day."""
        codes, stamps, values = self._joined()
        order = np.lexsort((codes, values, stamps))
        codes, stamps, values = codes[order], stamps[order], values[order]
        same = (np.diff(stamps) == 0) & (np.diff(values) == 0) & (np.diff(codes) != 0)
        first, second = codes[:-1][same], codes[1:][same]
        matched, at_days = values[:-1][same], stamps[:-1][same] // _DAY_US
        pairs, pair = np.unique(first * (codes.max(initial=0) + 1) + second, return_inverse=True)
        _, group, counts = np.unique(at_days * len(pairs) + pair, return_inverse=True, return_counts=True)
        found: list[tuple[int, int]] = []
        for at in np.flatnonzero(counts >= _AT_LEAST):
            rows = group == at
            one, two, day = int(first[rows][0]), int(second[rows][0]), int(at_days[rows][0])
            if (one, two) in found or len(np.unique(matched[rows])) < _VALUES:
                continue
            today = stamps // _DAY_US == day
            both = np.intersect1d(stamps[today & (codes == one)], stamps[today & (codes == two)])
            if 2 * counts[at] >= len(both):
                found.append((one, two))
        return found

    def _sampled(self, stamps: Rows) -> npt.NDArray[np.bool_]:
        # days by the low bits of a multiplicative hash, so that weekdays are not favoured
        mixed = (stamps // _DAY_US).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        sampled: npt.NDArray[np.bool_] = (mixed >> np.uint64(40)) % np.uint64(1 << self._shift) == 0
        return sampled

    def _joined(self) -> tuple[Rows, Rows, npt.NDArray[np.float64]]:
        codes, stamps, values = (np.concatenate([part[at] for part in self._parts]) for at in range(3))
        return codes, stamps, values


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
