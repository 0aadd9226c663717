"""Alarms that forecasts would raise, matched with the hypoglycaemic events that came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_eval.events import HypoEvents
from tsfm_eval.glucose import check_number, is_whole
from tsfm_eval.pairs import Floats

__all__ = ["AlarmScore", "hypo_alarms", "sustained_alarms"]

Marks = npt.NDArray[np.bool_]

#: No series has more samples; the sum of two indices stays a whole number of 64 bits.
_LONGEST = 2**62 - 1


@dataclass(frozen=True)
class AlarmScore:
    """How alarms and events met. Shares are NaN where there is nothing to take a share of.

    :param events: how many there were.
    :param detected: events with an alarm in time.
    :param episodes: of alarms, those issued during an event left out.
    :param true: episodes that an event followed.
    :param false: episodes that none followed.
    :param ignored: alarms issued while an event was running.
    :param observed_days: the time that was judged.
    :param lead_minutes: from the earliest alarm in time to the start of each detected event.
    """

    events: int
    detected: int
    episodes: int
    true: int
    false: int
    ignored: int
    observed_days: float
    lead_minutes: Floats

    @property
    def recall(self) -> float:
        """Detected over all events."""
        return self.detected / self.events if self.events else float("nan")

    @property
    def precision(self) -> float:
        """True over all episodes."""
        return self.true / self.episodes if self.episodes else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision; 0 where there were events and none was detected."""
        if not self.events:
            return float("nan")
        return 2 * self.recall * self.precision / (self.recall + self.precision) if self.detected else 0.0

    @property
    def false_per_day(self) -> float:
        """False episodes per observed day."""
        return self.false / self.observed_days if self.observed_days else float("nan")

    @property
    def mean_lead(self) -> float:
        """Mean of the lead times in minutes."""
        return float(self.lead_minutes.mean()) if self.detected else float("nan")

    @property
    def median_lead(self) -> float:
        """Median of the lead times in minutes."""
        return float(np.median(self.lead_minutes)) if self.detected else float("nan")


def sustained_alarms(below: npt.ArrayLike, sustained: int = 3) -> Marks:
    """Return which forecasts raise an alarm: those with ``sustained`` consecutive steps marked.

    :param below: ``[n, H]`` bool: ``forecast < 70``, or ``P(y < 70) >= tau`` for a forecast of quantiles or samples.
    :param sustained: 3 for a forecast low of 15 min at 5 min, 1 for any low step.
    :return: ``[n]``; none where the horizon is shorter.
    :raises DataError: for marks that are not bool or not ``[n, H]``, or a count below 1.
    """
    marks = np.asarray(below)
    if marks.dtype != np.bool_ or marks.ndim != 2:
        raise DataError(f"marks are {marks.dtype} of shape {list(marks.shape)}", "give bool [n, H]: forecast < 70")
    if not is_whole(sustained) or sustained < 1:
        raise DataError(f"{sustained!r} consecutive steps raise no alarm", "give sustained=1 for any low step")
    starts = max(marks.shape[1] - sustained + 1, 0)
    runs = np.ones((len(marks), starts), dtype=np.bool_)
    for step in range(sustained if starts else 0):
        runs &= marks[:, step : step + starts]
    return np.asarray(runs.any(axis=1))


def _indices(issued: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the distinct issue times in order."""
    try:
        times = np.asarray(issued)
    except ValueError as error:
        raise DataError("issue times are lists of unequal length", "give sample indices, [a]") from error
    if times.size and (times.dtype.kind not in "iu" or times.ndim != 1):
        raise DataError(f"issue times are {times.dtype} of shape {list(times.shape)}", "give sample indices, [a]")
    if times.size and not 0 <= times.min() <= times.max() <= _LONGEST:
        wrong = times.min() if times.min() < 0 else times.max()
        raise DataError(f"an issue time is {wrong}", "give indices into the series of the events, 0 for its first")
    return np.unique(times.astype(np.int64))


def hypo_alarms(
    issued: npt.ArrayLike,
    events: HypoEvents,
    prediction_length: int,
    observed_days: float,
    refractory_minutes: float = 30.0,
    min_lead_minutes: float = 5.0,
) -> AlarmScore:
    """Match the alarms of one series with its events. No standard exists: this rule is tsfm's.

    1. Alarms issued while an event is running, ``start <= t < stop``, are ignored.
    2. Alarms less than ``refractory_minutes`` after the one before join its episode.
    3. An event starting at s is detected if some alarm has ``s - PH <= t <= s - min_lead``; its lead time is s less the
       earliest such t.
    4. An episode is true if an event starts in ``(t, t + PH]`` for any of its alarms t, else false. So an alarm nearer
       to the start than the least lead detects nothing, and is not false.

    Unit: 1 for shares, min for leads. Higher is better for recall, precision, F1 and lead, lower for false alarms per
    day. Give alarms of the median or of probabilities, such as :func:`sustained_alarms` raises. Source: tsfm's own
    matching; of the events: Danne et al. 2017, Diabetes Care 40(12), and Battelino et al. 2023.

    :param issued: ``[a]``, the sample after which each alarm was raised, as indices into the series of the events.
    :param events: of :func:`tsfm_eval.events.hypo_events`.
    :param prediction_length: PH in steps: how far the forecasts behind the alarms look ahead.
    :param observed_days: the time that was observed, for the rate of false alarms.
    :raises DataError: for indices that are not whole numbers of 0 or more, events of another kind, a PH that is no
        whole number above 0, or times below 0.
    """
    times = _indices(issued)
    if not isinstance(events, HypoEvents):
        raise DataError(f"events are of type {type(events).__name__}", "give what hypo_events returns")
    if not is_whole(prediction_length) or not 1 <= prediction_length <= _LONGEST:
        raise DataError(f"prediction_length is {prediction_length!r}", "give a number of steps, a whole number above 0")
    for name, value in {
        "observed_days": observed_days,
        "refractory_minutes": refractory_minutes,
        "min_lead_minutes": min_lead_minutes,
    }.items():
        check_number(name, value)
    start, step = events.start, events.step_minutes
    running = np.searchsorted(start, times, side="right") > np.searchsorted(events.stop, times, side="right")
    alarms = times[~running]
    earliest = np.searchsorted(alarms, start - prediction_length)
    found = earliest < alarms.size
    lead = np.asarray((start[found] - alarms[earliest[found]]) * step, dtype=np.float64)
    lead = lead[lead >= max(min_lead_minutes, step / 2)]  # an alarm at or after the start is none in time
    begins = np.ones(alarms.size, dtype=np.bool_)
    begins[1:] = np.diff(alarms) * step >= refractory_minutes
    follows = np.searchsorted(start, alarms, "right") < np.searchsorted(start, alarms + prediction_length, "right")
    episodes = np.flatnonzero(begins)
    true = int(np.logical_or.reduceat(follows, episodes).sum()) if episodes.size else 0
    return AlarmScore(
        events=start.size,
        detected=lead.size,
        episodes=episodes.size,
        true=true,
        false=episodes.size - true,
        ignored=int(running.sum()),
        observed_days=float(observed_days),
        lead_minutes=lead,
    )
