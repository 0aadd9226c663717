"""Nightscout's treatments: doses, carbohydrates, and what changes the basal rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tsfm_glucose.sources.nightscout_basal import Instants, Rates, Temp, basal_rates
from tsfm_glucose.sources.nightscout_profile import Profile, schedules, switch
from tsfm_glucose.sources.nightscout_records import SINCE, Count, Record, instant, number

__all__ = ["Treatment", "amounts", "basal", "numbered", "once"]

#: Where a treatment stands, for a sentence, and what it holds.
Treatment = tuple[str, Record]


def numbered(records: Sequence[Record], path: Path) -> list[Treatment]:
    """Return the treatments of a file, each with its place."""
    return [(f"{path}: treatment {at}", record) for at, record in enumerate(records, 1)]


def once(treatments: Sequence[Treatment], count: Count) -> list[Treatment]:
    """Return each treatment once: exports that overlap would double its amounts."""
    kept: dict[str, Treatment] = {}
    for where, record in treatments:
        kept.setdefault(str(record.get("_id") or where), (where, record))
    count("treatments that are there twice", len(treatments) - len(kept))
    return list(kept.values())


def amounts(treatments: Sequence[Treatment], key: str, count: Count) -> tuple[list[int], list[float]]:
    """Return the instants and the amounts of ``key``.

    :raises DataError: for an amount that is no number, or has no instant.
    """
    moments, values = [], []
    for where, record in treatments:
        # what a temporary basal delivers is in its rate
        value = None if _kind(record).startswith("temp basal") else number(record, key, where)
        if value is not None and value < 0:
            count(f"{key} below 0", 1)
        elif value is not None:
            moments.append(instant(record, SINCE, where))
            values.append(value)
    return moments, values


def basal(
    treatments: Sequence[Treatment], known: Sequence[Profile], latest: int, count: Count
) -> tuple[Instants, Rates]:
    """Return when which rate came into force, by :func:`~tsfm_glucose.sources.nightscout_basal.basal_rates`.

    :param known: the profiles, by their start.
    :param latest: microseconds since 1970 of the last record of another kind.
    :raises DataError: for a treatment that is not as it should be.
    """
    temps, switches = [], []
    for where, record in treatments:
        kind = _kind(record)
        if kind.startswith("temp basal"):
            temps.append(_temp(where, record, count))
        elif kind == "profile switch":
            switches.append(switch(record, where))
            changed = (number(record, "percentage", where) or 100, number(record, "timeshift", where) or 0) != (100, 0)
            count("profile switches read without percentage and time shift", int(changed))
        count("combo boluses, without the extended part", int(kind == "combo bolus" and bool(record.get("relative"))))
        count("suspends that are no temporary basal", int(kind == "suspend pump"))
    plan = schedules(known, switches)
    begin = min((start for start, schedule in plan if schedule), default=None)
    unknown = sum(begin is None or one.start < begin for one in temps)
    count("temporary basals before a schedule is known", unknown)
    return basal_rates(temps, plan, max([latest, *(one.start for one in temps)]))


def _temp(where: str, record: Record, count: Count) -> Temp:
    minutes = number(record, "duration", where, 0) or 0.0
    rate = number(record, "absolute", where, 0)
    if rate is None:  # not "or": an absolute of 0 is a suspend
        rate = number(record, "rate", where, 0)
    percent = number(record, "percent", where, -100)
    count("temporary basals without a rate", int(minutes > 0 and rate is None and percent is None))
    return Temp(instant(record, SINCE, where), minutes, rate, percent)


def _kind(record: Record) -> str:
    return str(record.get("eventType") or "").casefold()
