"""Nightscout: a folder for each person with ``entries``, ``treatments`` and ``profile``, as the server gives them.

Stamps are instants; local time is that of the zone in the newest profile. Only entries of type sgv are readings.
Boluses, micro-boluses included, are whole at their stamp. The basal rate is put together from the temporary basals and
the profiles (:mod:`tsfm_glucose.sources.nightscout_basal`): it runs from the first temporary basal to the end of the
last, since a profile alone is no record of a pump. Left out and counted: entries of other types, treatments that are
there twice, amounts below 0, the extended part of a combo bolus, and suspends that are no temporary basal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from tsfm_core import DataError, Dataset, Section, Source
from tsfm_glucose.sources.nightscout_csv import is_export, read_entries, read_export
from tsfm_glucose.sources.nightscout_profile import profiles, zone
from tsfm_glucose.sources.nightscout_records import Count, Record, instant, load, number, zone_name
from tsfm_glucose.sources.nightscout_treatments import Treatment, amounts, basal, numbered, once
from tsfm_glucose.sources.tables import COLUMNS, RULES, events, find, offered

__all__ = ["DATASET", "Options"]

_OTHER_TYPES = ("mbg", "cal", "etr")
_AMOUNTS = {"insulin": "bolus_u", "carbs": "carbs_g"}


class Options(Section):
    """What the exporter's csv does not say."""

    timezone: str | None = Field(
        default=None, description="IANA zone of the browser that wrote it, and of people whose profile names none"
    )
    date_format: str | None = Field(default=None, description="strptime format of its date, a blank, and its time")


class _Person(NamedTuple):
    item: str
    entries: Sequence[Path]
    treatments: Sequence[Path]
    profile: Sequence[Path]


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield each person's readings, boluses, carbohydrates and basal rates.

    :raises DataError: for a folder without entries, or a record that is not as it should be.
    """
    options = source.options or Options()
    for person in _people(source.path):
        yield from _person(source, person, options)


def _files(path: Path | None) -> list[Path]:
    """Return what the rows are read from."""
    if path is None or not path.exists():
        return []
    return [file for one in _people(path) for file in (*one.entries, *one.treatments, *one.profile)]


def _people(path: Path | None) -> list[_Person]:
    """Return whose files they are: of a folder, of the folders in it, or of one file.

    :raises DataError: where there are none.
    """
    if path is None:
        raise DataError("nightscout needs data.path", "name a person's folder, or the folder of such: --path FOLDER")
    if not path.exists():
        raise DataError(f"{path} is not there", "nightscout: a folder with entries.json, treatments.json, profile.json")
    if path.is_file():
        return [_Person(path.resolve().parent.name, [path], [], [])]
    inside = [one for one in map(_folder, sorted(one for one in path.iterdir() if one.is_dir())) if one.entries]
    own = _folder(path)
    if own.entries and inside:
        raise DataError(f"{path} holds entries, and so does {inside[0].item} in it", "one folder for each person")
    if not own.entries and not inside:
        raise DataError(f"{path} holds no entries.json or entries.csv", "nightscout: one such file for each person")
    return [own] if own.entries else inside


def _folder(path: Path) -> _Person:
    entries = find(path, ["entries*.json", "entries*.csv"], "nightscout", required=False)
    exports = [
        one for one in find(path, "*.csv", "nightscout", required=False) if one not in entries and is_export(one)
    ]
    treatments, profile = (
        find(path, f"{one}*.json", "nightscout", required=False) for one in ("treatments", "profile")
    )
    return _Person(path.resolve().name, [*entries, *exports], treatments, profile)


def _person(source: Source, person: _Person, options: Options) -> Iterator[pa.RecordBatch]:
    known = [one for path in person.profile for one in profiles(load(path), path)]
    known.sort(key=lambda one: one.start)
    clock, item = zone(known) or zone_name(options.timezone, "data.options"), person.item
    source.count(item, "no time zone in a profile", int(clock is None))
    count = partial(source.count, item)
    treatments: list[Treatment] = []
    latest = 0
    for path in person.entries:
        entries, exported = _entries(path, options, count)
        treatments += numbered(exported, path)
        moments, values = _readings(path, entries, count)
        latest = max([latest, *moments])
        yield from _rows(source, item, clock, moments, glucose=values)
    if not {"bolus_u", "carbs_g", "basal_u_per_h"} & set(source.columns):
        return
    for path in person.treatments:
        treatments += numbered(load(path), path)
    treatments = once(treatments, count)
    for key, channel in _AMOUNTS.items():
        moments, values = amounts(treatments, key, count)
        latest = max([latest, *moments])
        yield from _rows(source, item, clock, moments, **{channel: values})
    if "basal_u_per_h" in source.columns:
        instants, rates = basal(treatments, known, latest, count)
        yield from _rows(source, item, clock, instants, basal_u_per_h=rates)


def _entries(path: Path, options: Options, count: Count) -> tuple[list[Record], list[Record]]:
    """Return the entries of a file, and the treatments that an exporter's csv has too."""
    if path.suffix.lower() != ".csv":
        return load(path), []
    if not is_export(path):
        return read_entries(path), []
    browser = zone_name(options.timezone, "data.options")
    return read_export(path, browser, options.date_format, count)


def _readings(path: Path, entries: Sequence[Record], count: Count) -> tuple[list[int], list[float]]:
    moments, values = [], []
    for at, entry in enumerate(entries, 1):
        kind = entry.get("type") or ("sgv" if "sgv" in entry else "")
        if kind != "sgv":
            count(f"entries of type {kind if kind in _OTHER_TYPES else 'other than sgv'}", 1)
            continue
        value = number(entry, "sgv", f"{path}: entry {at}")
        count("entries without a value", int(value is None))
        if value is not None:
            moments.append(instant(entry, ("date", "dateString"), f"{path}: entry {at}"))
            values.append(value)
    return moments, values


def _rows(source: Source, item: str, clock: str | None, moments: Any, **channels: Any) -> Iterator[pa.RecordBatch]:
    """Yield rows at instants, with the person's zone beside them."""
    stamps = pd.DatetimeIndex(np.asarray(moments, "datetime64[us]")).tz_localize("UTC")
    for batch in events(source, item, stamps, **channels):
        if "timezone" in source.columns:
            batch = batch.append_column("timezone", pa.array([clock] * batch.num_rows, pa.string()))
        yield batch


DATASET = Dataset(
    name="nightscout",
    summary="your own Nightscout: CGM with boluses, carbohydrates, and the basal rate of temporary basals and profile",
    licence="your own",
    read=_read,
    columns={**COLUMNS, "timezone": "timezone"},
    target="glucose",
    unit="mg/dL",
    freq="5min",
    clock="utc",
    channels=offered("bolus_u", "basal_u_per_h", "carbs_g"),
    rules=RULES,
    files=_files,
    options_schema=Options,
)
