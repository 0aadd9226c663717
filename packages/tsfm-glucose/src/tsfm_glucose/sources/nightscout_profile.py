"""Nightscout's profiles: which basal schedule was in force when, and the time zone of a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsfm_core import DataError
from tsfm_glucose.sources.nightscout_basal import LONGEST, Schedule
from tsfm_glucose.sources.nightscout_records import SINCE, Record, instant, number, parsed, zone_name

__all__ = ["Profile", "Switch", "profiles", "schedules", "switch", "zone"]


@dataclass(frozen=True)
class Profile:
    """A set of named schedules.

    :param start: microseconds since 1970 from which on it is in force.
    :param default: name of the schedule that applies where no switch says another.
    :param store: the schedules, None where a zone or the basal is missing.
    :param zone: of the default, or None.
    """

    start: int
    default: str
    store: Mapping[str, Schedule | None]
    zone: str | None


@dataclass(frozen=True)
class Switch:
    """A change to another schedule.

    :param minutes: how long; 0: until the next one, or the next profile.
    :param schedule: that the switch itself holds, for a name that the profile does not have.
    """

    start: int
    minutes: float
    name: str
    schedule: Schedule | None


def profiles(records: Sequence[Record], path: Path) -> list[Profile]:
    """Return the profiles of a file, by their start.

    :raises DataError: for a record without schedules, or with one that is not as it should be.
    """
    return sorted(
        (_profile(one, f"{path}: record {at}") for at, one in enumerate(records, 1)), key=lambda one: one.start
    )


def zone(known: Sequence[Profile]) -> str | None:
    """Return the time zone of a person: that of the newest profile."""
    return known[-1].zone if known else None


def switch(record: Record, where: str) -> Switch:
    """Return a treatment of type Profile Switch."""
    text, schedule = record.get("profileJson"), None
    if text:
        try:
            held = parsed(text)
        except (TypeError, ValueError):
            held = None
        if not isinstance(held, dict):
            raise DataError(f"{where}: 'profileJson' is no json object", "correct the record or take it out")
        schedule = _schedule(held, where)
    minutes = min(number(record, "duration", where, 0) or 0.0, LONGEST)
    return Switch(instant(record, SINCE, where), minutes, str(record.get("profile")), schedule)


def schedules(known: Sequence[Profile], switches: Sequence[Switch]) -> list[tuple[int, Schedule | None]]:
    """Return from when on which schedule is in force, ascending.

    As the server has it: a switch counts while its profile is the newest, the latest one wins, and one to a name that
    is nowhere changes nothing.
    """
    instants = {one.start for one in known} | {one.start for one in switches}
    instants |= {one.start + round(one.minutes * 60e6) for one in switches}
    found: list[tuple[int, Schedule | None]] = []
    for now in sorted(instants):
        profile = next((one for one in reversed(known) if one.start <= now), None)
        if profile is None:
            continue
        on = [
            one
            for one in switches
            if profile.start <= one.start <= now and (not one.minutes or now < one.start + one.minutes * 60e6)
        ]
        schedule = profile.store.get(profile.default)
        if on:
            latest = max(on, key=lambda one: one.start)
            schedule = profile.store.get(latest.name, latest.schedule or schedule)
        found.append((now, schedule))
    return found


def _profile(record: Record, where: str) -> Profile:
    store = record.get("store")
    default = str(record.get("defaultProfile") or "Default")
    if store is None and "basal" in record:  # as it was stored before profiles had names
        store = {default: record}
    if not isinstance(store, dict) or not isinstance(store.get(default), dict):
        raise DataError(f"{where} has no schedule {default!r} in 'store'", "take the file as Nightscout gives it")
    start = next((record[name] for name in ("startDate", "created_at") if record.get(name)), None)
    begin = 0 if _epoch(start) else instant(record, ("startDate", "created_at"), where)
    schedules = {name: _schedule(one, f"{where}, {name}") for name, one in store.items() if isinstance(one, dict)}
    return Profile(begin, default, schedules, zone_name(store[default].get("timezone"), where))


def _epoch(value: Any) -> bool:
    """Return whether a start is none: it is missing, or the begin of time that editors write."""
    return value is None or value == 0 or str(value).startswith("1970-01-01")


def _schedule(record: Record, where: str) -> Schedule | None:
    entries, name = record.get("basal"), zone_name(record.get("timezone"), where)
    if not entries or name is None:
        return None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{where}: 'basal' is no list of rates", "take the file as Nightscout gives it")
    rates = sorted((_seconds(entry, where), number(entry, "value", where, 0)) for entry in entries)
    if any(rate is None for _, rate in rates):
        raise DataError(f"{where}: 'basal' has an entry without 'value'", "take the file as Nightscout gives it")
    return Schedule(name, tuple(at for at, _ in rates), tuple(rate or 0.0 for _, rate in rates))


def _seconds(entry: Record, where: str) -> float:
    """Return when an entry begins: ``timeAsSeconds``, or ``time`` as HH:MM."""
    seconds = number(entry, "timeAsSeconds", where, 0)
    hours, _, minutes = str(entry.get("time")).partition(":")
    if seconds is None and hours.isdigit() and minutes.isdigit():
        seconds = int(hours) * 3600.0 + int(minutes) * 60.0
    if seconds is None or seconds >= 86400:
        said = entry.get("time") if seconds is None else seconds
        raise DataError(f"{where}: an entry of 'basal' begins at {said!r:.60}", "expected HH:MM, or seconds of a day")
    return seconds
