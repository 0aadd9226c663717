"""Where cutoffs stand, as runs of equal steps: memory grows with the gaps of the data, not with its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Cutoffs"]

Rows = npt.NDArray[np.int64]

#: Places up to which the last answer is kept: a batch.
_BATCH = 65_536


@dataclass(frozen=True, eq=False)
class Cutoffs:
    """N cutoffs in R runs.

    :param first: ``[R]`` row of the panel that holds each run's first cutoff.
    :param step: ``[R]`` rows between the cutoffs of a run.
    :param count: ``[R]`` cutoffs in a run.
    :param seen: ``[R]`` first row that the contexts of a run may show.
    """

    first: Rows
    step: Rows
    count: Rows
    seen: Rows

    @classmethod
    def of(cls, rows: Rows, seen: Rows) -> Cutoffs:
        """Return the cutoffs at ``rows [N]``, whose contexts begin at ``seen [N]`` at the earliest."""
        if not len(rows):
            return cls(*(np.empty(0, np.int64) for _ in range(4)))
        apart = np.diff(rows)
        ahead = apart[apart > 0]
        step = int(np.bincount(np.minimum(ahead, 1 << 16)).argmax()) if len(ahead) else 1
        opens = np.flatnonzero(np.concatenate([[True], (apart != step) | (np.diff(seen) != 0)]))
        count = np.diff(opens, append=len(rows))
        return cls(rows[opens], np.full(len(opens), step), count, seen[opens])

    @classmethod
    def joined(cls, parts: Sequence[Cutoffs]) -> Cutoffs:
        """Return the cutoffs of all ``parts``, in their order."""
        empty = cls.of(np.empty(0, np.int64), np.empty(0, np.int64))
        every = [empty, *parts]
        columns = ([getattr(one, name) for one in every] for name in ("first", "step", "count", "seen"))
        return cls(*(np.concatenate(column) for column in columns))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @cached_property
    def _ends(self) -> Rows:
        return np.cumsum(self.count)

    @cached_property
    def _bases(self) -> Rows:
        # the row of place p in run r is bases[r] + p * step[r]
        return self.first - (self._ends - self.count) * self.step

    def at(self, places: slice | npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
        """Return the rows and the first rows seen of the cutoffs at ``places``, ``[n]`` each."""
        if isinstance(places, slice):
            places = np.arange(*places.indices(len(self)), dtype=np.int64)
        places = np.asarray(places)
        # a mask is no list of places: [False, True] equals [0, 1]
        places = np.flatnonzero(places) if places.dtype == np.bool_ else places.astype(np.int64, copy=False)
        asked, found = self._latest.get("at", (None, None))
        if asked is not None and found is not None and np.array_equal(asked, places):
            return found  # inputs and truth of one batch are asked for in turn
        found = self._at(places)
        if len(places) <= _BATCH:
            self._latest["at"] = (places.copy(), found)
        return found

    @cached_property
    def _near(self) -> tuple[int, Rows]:
        """Return ``(shift, runs)``: place p lies in run ``runs[p >> shift]`` or soon after; faster than a search."""
        shift = max(0, (len(self) // (4 * max(len(self.count), 1))).bit_length() - 1)
        return shift, np.searchsorted(self._ends, np.arange(0, len(self) + 1, 1 << shift), side="right")

    @cached_property
    def _latest(self) -> dict[str, tuple[npt.NDArray[Any], tuple[Rows, Rows]]]:
        return {}

    def _at(self, places: npt.NDArray[Any]) -> tuple[Rows, Rows]:
        if len(places) and places.min() < 0:
            places = np.where(places < 0, places + len(self), places)
            if places.min() < 0:
                raise IndexError(f"{len(self)} windows, asked for {places.min() - len(self)}")
        if len(places) and places.max() >= len(self):
            raise IndexError(f"{len(self)} windows, asked for {places.max()}")
        shift, near = self._near
        run = near[places >> shift]
        while (late := self._ends[run] <= places).any():
            run = run + late
        rows = np.asarray(self._bases[run] + places * self.step[run], np.int64)
        return rows, self.seen[run]

    def take(self, places: slice | npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Cutoffs:
        """Return the cutoffs at ``places``."""
        return Cutoffs.of(*self.at(places))

    def shifted(self, rows: int) -> Cutoffs:
        """Return the same cutoffs ``rows`` further down: those of a part, in the whole panel."""
        return Cutoffs(self.first + rows, self.step, self.count, self.seen + rows)

    def spans(self, start: int, stop: int, only_seen: bool = False) -> tuple[Rows, Rows]:
        """Return the stretches ``[first, last]`` of rows that lie ``start..stop`` from some cutoff, joined within runs.

        :param only_seen: whether rows that a context may not show are left out.
        """
        whole = self.step <= stop - start + 1  # neighbours' stretches touch: a run is one stretch
        rows, seen = self.at(slice(None)) if not whole.all() else (self.first, self.seen)
        last = rows if not whole.all() else self.first + self.step * (self.count - 1)
        begin: Rows = rows + start
        return (np.maximum(begin, seen) if only_seen else begin), last + stop
