"""The basal rate in force: what the profile schedules, and temporary rates on top of it. No file is touched here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["LONGEST", "Instants", "Rates", "Schedule", "Temp", "basal_rates"]

Instants = npt.NDArray[np.int64]
Rates = npt.NDArray[np.float64]

_MINUTE, _DAY = 60_000_000, 86_400_000_000
#: A rate that holds on is given again at midnight and at noon, unless it was a moment ago: none is ever a day old.
_NOON, _AGAIN = _DAY // 2, _DAY // 4
#: In minutes: what ends later than in ten years does not end in a record.
LONGEST = 5_000_000


@dataclass(frozen=True)
class Schedule:
    """The rates of a day.

    :param zone: IANA name of the zone whose clock it follows.
    :param seconds: since local midnight at which each rate begins, ascending; before the first the last one holds.
    :param rates: U/h.
    """

    zone: str
    seconds: tuple[float, ...]
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Temp:
    """A temporary rate.

    :param start: microseconds since 1970.
    :param minutes: how long it holds; 0: it only ends the one before.
    :param absolute: U/h; 0 is a suspend.
    :param percent: change relative to the schedule, where ``absolute`` is None; both None: the schedule applies.
    """

    start: int
    minutes: float
    absolute: float | None = None
    percent: float | None = None


def basal_rates(
    temps: Sequence[Temp], schedules: Sequence[tuple[int, Schedule | None]], until: int
) -> tuple[Instants, Rates]:
    """Return when which rate came into force, from the first temporary rate to the end of the last.

    A newer temporary rate ends the one before; of several with one start the first counts. A percentage follows the
    schedule as it changes. Where no schedule is known there is no rate, not even a temporary one: nobody knows what
    followed it. A rate that holds on is given again twice a day.

    :param schedules: from when on which schedule is in force, ascending; None: it is not known.
    :param until: microseconds since 1970 after which nothing is known.
    :return: microseconds since 1970, ascending, and U/h, ``[n]`` each.
    """
    if not temps:
        return np.empty(0, np.int64), np.empty(0)
    begins, order = np.unique([temp.start for temp in temps], return_index=True)
    chosen = [temps[at] for at in order]
    lasts = begins + np.array([round(min(temp.minutes, LONGEST) * _MINUTE) for temp in chosen], np.int64)
    ends = np.minimum(lasts, np.append(begins[1:], max(until, begins[-1])))
    planned, plan = _planned(schedules, int(begins[0]), int(ends[-1]))
    instants = np.unique(np.concatenate([planned, begins, ends]))
    rates = plan[np.searchsorted(planned, instants, "right") - 1]
    at = np.searchsorted(begins, instants, "right") - 1
    on = instants < ends[at]
    absolute = np.array([np.nan if temp.absolute is None else temp.absolute for temp in chosen])[at]
    percent = np.array([temp.percent or 0.0 for temp in chosen])[at]
    known = ~np.isnan(rates)
    changed = np.where(np.isnan(absolute), rates * (100 + percent) / 100, absolute)
    rates = np.where(on, changed, rates)
    return _without_repeats(instants[known], rates[known])


def _planned(schedules: Sequence[tuple[int, Schedule | None]], first: int, last: int) -> tuple[Instants, Rates]:
    """Return the scheduled rates from ``first`` (an entry) to ``last``, NaN where none is known."""
    spans = [(first, None), *schedules]
    instants, rates = [], []
    for at, (begin, schedule) in enumerate(spans):
        stop = spans[at + 1][0] if at + 1 < len(spans) else last + 1
        begin, stop = max(begin, first), min(stop, last + 1)
        if begin < stop:
            own = _daily(schedule, begin, stop) if schedule else (np.array([begin]), np.array([np.nan]))
            instants.append(own[0])
            rates.append(own[1])
    return np.concatenate(instants), np.concatenate(rates)


def _daily(schedule: Schedule, begin: int, stop: int) -> tuple[Instants, Rates]:
    """Return when each rate of a schedule begins in [begin, stop), the one in force at ``begin`` first.

    Midnight and noon begin one too. A time that the clock skips is the moment after the gap; of one that it shows twice
    the first counts.
    """
    # two days early: the one before may be a day of another length, and zones lie up to 14 h beside UTC
    days = np.arange(begin // _DAY - 2, stop // _DAY + 2)
    entries = np.round(np.asarray(schedule.seconds) * 1e6).astype(np.int64)
    times = np.union1d(entries, [0, _NOON])
    local = (days[:, None] * _DAY + times).reshape(-1)
    clock = pd.DatetimeIndex(local.astype("datetime64[us]"))
    zoned = clock.tz_localize(schedule.zone, ambiguous=np.ones(len(clock), bool), nonexistent="shift_forward")
    instants = np.asarray(zoned.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[us]").astype(np.int64))
    # before the first entry, at index -1, the last one of the day before holds
    of_day = np.asarray(schedule.rates, np.float64)[np.searchsorted(entries, times, "right") - 1]
    rates = np.tile(of_day, len(days))
    at = int(np.searchsorted(instants, begin, "right")) - 1
    inside = np.flatnonzero((instants > begin) & (instants < stop))
    return np.append(begin, instants[inside]), np.append(rates[at], rates[inside])


def _without_repeats(instants: Instants, rates: Rates) -> tuple[Instants, Rates]:
    """Leave out a rate that is already in force and was given a moment ago."""
    keep = np.zeros(len(rates), bool)
    given = -1
    for at in range(len(rates)):
        if given < 0 or rates[at] != rates[given] or instants[at] - instants[given] >= _AGAIN:
            keep[at], given = True, at
    return instants[keep], rates[keep]
