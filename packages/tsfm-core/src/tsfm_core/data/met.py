"""What a pass over the rows meets, item by item: spans, cadence, and everything irregular."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from tsfm_core.data.grid import Counts, slots_of
from tsfm_core.data.source import Table
from tsfm_core.data.spill import block_of

__all__ = ["Met"]

Rows = npt.NDArray[np.int64]

_LOWEST, _HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_LONGEST_STEP_US = 31 * 86_400_000_000


class Met:
    """Counts and spans by item code; grows as items are met.

    :param channels: values in a row, the target first.
    :param valid_range: of the target; others are no readings.
    :param streams: whether a row holds one stream, so that the target's rows alone span an item.
    """

    def __init__(
        self, channels: int, step_us: int, valid_range: tuple[float, float] | None, streams: bool, off_grid: str
    ) -> None:
        self._step_us, self._valid, self._streams, self._off_grid = step_us, valid_range, streams, off_grid
        self._first = np.empty((0, channels + 1), np.int64)  # any row, then an entry of each channel
        self._last = np.empty((0, channels + 1), np.int64)
        self._latest = np.empty(0, np.int64)
        self._steps: Counter[tuple[int, int]] = Counter()
        self._edges: list[tuple[Rows, Rows, Rows]] = []
        self.counts = Counts()

    def see(self, table: Table) -> None:
        """Look at rows in the order of the source."""
        if not len(table.codes):
            return
        codes, stamps = table.codes, table.stamps
        self._grow(int(codes.max()) + 1)
        entered = np.isfinite(self.possible(table, count=True).values)
        own = entered[:, 0] if self._streams else np.ones(len(codes), bool)
        self.counts.add("rows", codes[np.isfinite(table.values[:, 0])] if self._streams else codes)
        self.counts.add("off_grid", codes[own & (stamps % self._step_us != 0)])
        slots = slots_of(stamps, self._step_us, self._off_grid)
        for at in range(entered.shape[1] + 1):
            rows = entered[:, at - 1] if at else slice(None)
            np.minimum.at(self._first[:, at], codes[rows], slots[rows])
            np.maximum.at(self._last[:, at], codes[rows], slots[rows])
        self._see_order(codes[own], stamps[own])

    def _see_order(self, codes: Rows, stamps: Rows) -> None:
        """Count rows that lie before the row above them of the same item."""
        order = np.argsort(codes, kind="stable")
        codes, stamps = codes[order], stamps[order]
        opens = np.ones(len(codes), bool)
        opens[1:] = np.diff(codes) != 0
        before = np.empty_like(stamps)
        before[1:] = stamps[:-1]
        before[opens] = self._latest[codes[opens]]
        self.counts.add("unsorted", codes[stamps < before])
        closes = np.append(opens[1:], True) if len(opens) else opens
        self._latest[codes[closes]] = stamps[closes]

    def see_steps(self, table: Table) -> None:
        """Look at the readings of a bucket: the time between neighbours, and where each block begins and ends."""
        rows = np.flatnonzero(np.isfinite(table.values[:, 0]))
        order = rows[np.lexsort((table.stamps[rows], table.codes[rows]))]
        codes, stamps = table.codes[order], table.stamps[order]
        block = block_of(stamps, self._step_us, self._step_us // 2 if self._off_grid == "round" else 0)
        same = (np.diff(codes) == 0) & (np.diff(block) == 0)
        self._count_steps(codes[1:][same], np.diff(stamps)[same])
        opens, closes = np.append(True, ~same)[: len(codes)], np.append(~same, True)[: len(codes)]
        self._edges.append((codes[opens], stamps[opens], stamps[closes]))

    def _count_steps(self, codes: Rows, apart: Rows) -> None:
        """Count times between readings, in whole minutes on coarse grids."""
        unit = 60_000_000 if self._step_us >= 120_000_000 else 1_000_000
        apart = (apart + unit // 2) // unit * unit
        good = (apart > 0) & (apart <= _LONGEST_STEP_US)
        keys = codes[good] * (_LONGEST_STEP_US + 1) + apart[good]
        for key, times in zip(*np.unique(keys, return_counts=True), strict=True):
            code, length = divmod(int(key), _LONGEST_STEP_US + 1)
            self._steps[code, length] += int(times)

    def _join_blocks(self) -> None:
        """Count the time from the last reading of each block to the first of the item's next one."""
        if self._edges:
            codes, first, last = (np.concatenate([one[at] for one in self._edges]) for at in range(3))
            order = np.lexsort((first, codes))
            codes, first, last = codes[order], first[order], last[order]
            same = np.diff(codes) == 0
            self._count_steps(codes[1:][same], (first[1:] - last[:-1])[same])
            self._edges.clear()

    def possible(self, table: Table, count: bool = False) -> Table:
        """Return rows whose target is NaN where it lies outside the valid range."""
        if self._valid is None:
            return table
        target = table.values[:, 0]
        wrong = (target < self._valid[0]) | (target > self._valid[1])
        if not wrong.any():
            return table
        if count:
            self.counts.add("impossible", table.codes[wrong])
        values = table.values.copy()
        values[wrong, 0] = np.nan
        return Table(table.codes, table.stamps, values)

    def present(self) -> list[int]:
        """Return the codes of the items that span some time."""
        return [int(code) for code in np.flatnonzero(self._first[:, int(self._streams)] != _HIGHEST)]

    def spans(self, codes: Rows) -> tuple[Rows, Rows]:
        """Return the first and the last slot of items: of any row, or of the target's where rows are streams."""
        at = int(self._streams)
        return self._first[codes, at], self._last[codes, at]

    def entries(self, channel: int, codes: Rows) -> tuple[Rows, Rows]:
        """Return the first and the last slot in which each item has an entry of a channel."""
        return self._first[codes, channel + 1], self._last[codes, channel + 1]

    def cadences(self) -> dict[int, int]:
        """Return by code the most frequent seconds between readings, the shorter where two are as frequent."""
        self._join_blocks()
        best: dict[int, tuple[int, int]] = {}
        for (code, length), times in self._steps.items():
            best[code] = max(best.get(code, (0, 0)), (times, -length))
        return {code: -length // 1_000_000 for code, (_, length) in best.items()}

    def _grow(self, size: int) -> None:
        more = size - len(self._latest)
        if more > 0:
            width = self._first.shape[1]
            self._first = np.concatenate([self._first, np.full((more, width), _HIGHEST)])
            self._last = np.concatenate([self._last, np.full((more, width), _LOWEST)])
            self._latest = np.concatenate([self._latest, np.full(more, _LOWEST)])
