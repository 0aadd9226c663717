"""Where cutoffs stand, as runs of equal steps: memory grows with the gaps of the data, not with its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["Cutoffs"]

Rows = npt.NDArray[np.int64]


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

    def at(self, places: slice | npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
        """Return the rows and the first rows seen of the cutoffs at ``places``, ``[n]`` each."""
        if isinstance(places, slice):
            places = np.arange(*places.indices(len(self)), dtype=np.int64)
        places = np.asarray(places)
        if places.dtype == np.bool_:
            places = np.flatnonzero(places)
        places = np.where(places < 0, places + len(self), places)
        if len(places) and (places.min() < 0 or places.max() >= len(self)):
            raise IndexError(f"{len(self)} windows, asked for {places.min()} to {places.max()}")
        run = np.searchsorted(self._ends, places, side="right")
        after = places - (self._ends - self.count)[run]
        rows = np.asarray(self.first[run] + after * self.step[run], np.int64)
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
