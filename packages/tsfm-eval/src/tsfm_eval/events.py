"""Hypoglycaemic events in a series of glucose readings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_eval.glucose import check_number, glucose_values, low_limit
from tsfm_eval.pairs import Floats

__all__ = ["HypoEvents", "find_events", "hypo_events", "samples_of_event"]

#: So long below the threshold begins an event, so long at or above it ends one.
EVENT_MINUTES = 15.0

#: A longer stretch without readings closes an event.
GAP_MINUTES = 45.0

Marks = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HypoEvents:
    """Events in order of time.

    :param start: ``[k]``, the index of the first low sample of each.
    :param stop: ``[k]``, one past the index of its last low sample.
    :param extended: ``[k]``, whether it lasted so long that it counts as extended.
    :param step_minutes: between two samples.
    :param samples: consecutive ones that begin or end an event: 3 at 5 min, 1 at 15 min and more.
    """

    start: Indices
    stop: Indices
    extended: Marks
    step_minutes: float
    samples: int

    @property
    def minutes(self) -> Floats:
        """From the start to the stop of each event, ``[k]``."""
        return np.asarray((self.stop - self.start) * self.step_minutes, dtype=np.float64)


def hypo_events(
    glucose: npt.ArrayLike,
    step_minutes: float,
    unit: str = "mg/dL",
    level: int = 1,
    exclusive: bool = False,
    extended_minutes: float = 120.0,
) -> HypoEvents:
    """Return the hypoglycaemic events in one series, by the consensus of 2017 and 2023 (Danne; Battelino).

    With ``n = 15 min / step``, rounded up: an event begins at the first of at least n consecutive samples below the
    threshold, strictly. It ends when at least n consecutive samples are at or above it; shorter rises belong to it, as
    do lows before such a recovery is complete. Its stop is one past its last low sample, also where the record ends.
    A sample without a reading neither begins nor ends an event and does not interrupt consecutive ones; a stretch of
    them of more than 45 min closes the event, and what follows stands for itself.

    :param glucose: ``[T]``, one sample each step, above 0; NaN where nothing was observed.
    :param step_minutes: between two samples.
    :param unit: ``mg/dL`` or ``mmol/L``; readings are judged in their own unit.
    :param level: 1 for below 70 mg/dL (3.9 mmol/L), 2 for below 54 (3.0).
    :param exclusive: leave out events of level 1 that hold one of level 2.
    :param extended_minutes: an event is extended from this duration on, its short rises included.
    :raises DataError: for more than one axis, a reading of 0 or less, a step that is no time, an unknown unit or level.
    """
    samples = samples_of_event(step_minutes)
    check_number("extended_minutes", extended_minutes)
    threshold = low_limit(unit, level)
    if exclusive and level != 1:
        raise DataError("exclusive leaves out level 2 and level 2 was asked for", "use exclusive with level 1")
    g = glucose_values(glucose, unit)
    if g.ndim != 1:
        raise DataError(f"glucose has shape {list(g.shape)}", "give one series at a time, [T]")
    start, stop = find_events(g < threshold, np.isfinite(g), step_minutes)
    if exclusive:
        severe = hypo_events(g, step_minutes, unit, level=2).start
        kept = np.searchsorted(severe, start) == np.searchsorted(severe, stop)
        start, stop = start[kept], stop[kept]
    extended = (stop - start) * step_minutes >= extended_minutes
    return HypoEvents(start, stop, extended, float(step_minutes), samples)


def samples_of_event(step_minutes: float) -> int:
    """Return how many consecutive samples begin or end an event: those of 15 min, one at least.

    :raises DataError: for a step that is no time.
    """
    check_number("step_minutes", step_minutes, above_zero=True)
    return max(1, math.ceil(EVENT_MINUTES / step_minutes - 1e-9))


def find_events(low: Marks, seen: Marks, step_minutes: float) -> tuple[Indices, Indices]:
    """Return start and stop of each event, as :func:`hypo_events` defines them.

    :param low: ``[T]``, where a reading lies below the threshold.
    :param seen: ``[T]``, where there is a reading.
    """
    at = np.flatnonzero(seen)
    if not at.size:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    below, samples = low[at], samples_of_event(step_minutes)
    gap = (np.diff(at) - 1) * step_minutes > GAP_MINUTES
    # runs of samples alike; those that no recovery and no gap parts are a group, and can hold one event
    first = np.concatenate([[0], 1 + np.flatnonzero((np.diff(below.view(np.int8)) != 0) | gap)])
    last = np.concatenate([first[1:], [at.size]]) - 1
    is_low, is_long = below[first], last - first + 1 >= samples
    parted = ~is_low & is_long
    parted[1:] |= gap[first[1:] - 1]
    group = np.cumsum(parted)
    groups, begins = np.unique(group[is_low & is_long], return_index=True)
    ends = np.searchsorted(group[is_low], groups, side="right") - 1
    start = at[first[is_low & is_long][begins]]
    stop = at[last[is_low][ends]] + 1
    return start.astype(np.int64), stop.astype(np.int64)
