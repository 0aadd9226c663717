"""Gluroo: readings and messages of a hundred thousand people, as parquet.

Three folders hold the tables: ``readings/``, ``messages/`` and ``groups/``, with or without ``name=value`` folders
below. They are read file by file, so the people of a file are interleaved as they are there; stamps are instants, and
local time is that of the person's ``group_timezone``. Left out and counted:

- rows of a ``gid`` that has no row in ``groups/`` or no number there, and readings without a value;
- doses of another type than rapid and long (``data.options`` says which words mean which), and amounts below 0.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tsfm_core import DataError, Dataset, Section, Source
from tsfm_glucose.sources.fragments import fragment, keys, numbers, stamps, texts
from tsfm_glucose.sources.tables import COLUMNS, RULES, find, folder, offered

__all__ = ["DATASET", "Options"]

_DOSES = ("bolus_u", "basal_u")


class Options(Section):
    """What the words of ``messages.dose_type`` mean: in any case, and with or without "insulin" or "acting"."""

    rapid: tuple[str, ...] = Field(default=("rapid",), description="dose types of bolus_u; '' is a dose without a type")
    long: tuple[str, ...] = Field(default=("long",), description="dose types of basal_u, likewise")


@dataclass(frozen=True)
class _People:
    """What ``groups/`` says, a row a person: ``[n]`` each."""

    gids: pa.Array
    items: pa.Array
    zones: pa.Array


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield the readings of all people, then their doses and meals.

    :raises DataError: for a folder without the three tables, or a file that is not as it should be.
    """
    root = folder(source, "gluroo", "readings, messages and groups, each a folder of parquet files")
    people = _people(source, root, _files(root, "groups"))
    options = source.options or Options()
    both = {_plain(word) for word in options.rapid} & {_plain(word) for word in options.long}
    if both:
        raise DataError(f"data.options: {min(both)!r} is among rapid and long", "a dose type is one of them")
    for path in _files(root, "readings"):
        if "glucose" in source.columns:
            yield from _readings(source, people, root, path)
    wanted = [name for name in ("carbs_g", *_DOSES) if name in source.columns]
    for path in _files(root, "messages") if wanted else ():
        yield from _messages(source, people, root, path, options)


def _files(root: Path, table: str) -> list[Path]:
    return find(root, [f"{table}/**/*.parquet", f"{table}.parquet"], "gluroo")


def _people(source: Source, root: Path, paths: Sequence[Path]) -> _People:
    """Return the people that have a number.

    :raises DataError: for a number that is none, or one person's gid or number given twice.
    """
    known: dict[str, str] = {}
    zones: dict[str, str | None] = {}
    names = zoneinfo.available_timezones()
    for path in paths:
        for before, batch in fragment(path, ["gid", "p_num", "group_timezone"], keys(path, root)):
            columns = [texts(batch, name, path).to_pylist() for name in ("gid", "p_num", "group_timezone")]
            for row, (gid, number, zone) in enumerate(zip(*columns, strict=True), before + 1):
                if not gid or not number:
                    source.count("", "groups without a number", 1)
                    continue
                # the database writes p_num with the name of the set before it
                digits = re.fullmatch(r"(?:gluroo_)?0*(\d+)", number)
                if not digits:
                    raise DataError(f"{path}: row {row} of 'p_num' is {number[:60]!r}", "a number, or gluroo_<number>")
                item = f"glu_{digits[1]}"
                if gid in known or item in zones:
                    raise DataError(f"{path}: row {row} gives {item}, or its gid, again", "one row for each person")
                known[gid] = item
                zones[item] = zone if zone in names else None
                source.count(item, "group_timezone that is no IANA zone", int(bool(zone) and zone not in names))
    items = list(known.values())
    return _People(*(pa.array(one, pa.string()) for one in (list(known), items, [zones[item] for item in items])))


def _readings(source: Source, people: _People, root: Path, path: Path) -> Iterator[pa.RecordBatch]:
    for before, batch in fragment(path, ["gid", "date", "bgl"], keys(path, root)):
        at = _owners(source, people, texts(batch, "gid", path), "readings")
        values = numbers(batch, "bgl", path, before)
        _count(source, people, at, np.isnan(values), "readings without a value")
        yield from _rows(source, people, at, stamps(batch, "date", path, before, "UTC"), glucose=values)


def _messages(source: Source, people: _People, root: Path, path: Path, options: Options) -> Iterator[pa.RecordBatch]:
    columns = ["gid", "date", "food_g", "dose_units", "dose_type"]
    for before, batch in fragment(path, columns, keys(path, root)):
        at = _owners(source, people, texts(batch, "gid", path), "messages")
        amounts = {name: numbers(batch, name, path, before) for name in ("food_g", "dose_units")}
        for name, values in amounts.items():
            _count(source, people, at, values < 0, f"{name} below 0")
            amounts[name] = np.where(values < 0, np.nan, values)
        doses = amounts["dose_units"]
        kinds = _kinds(source, people, at, texts(batch, "dose_type", path), ~np.isnan(doses), options)
        channels = {name: np.where(kinds == name, doses, np.nan) for name in _DOSES}
        when = stamps(batch, "date", path, before, "UTC")
        yield from _rows(source, people, at, when, carbs_g=amounts["food_g"], **channels)


def _kinds(
    source: Source, people: _People, at: pa.Array, words: pa.Array, given: npt.NDArray[np.bool_], options: Options
) -> npt.NDArray[Any]:
    """Return the channel of each dose, "" where its type is not known; those are counted by their word, ``[n]``."""
    meanings = {_plain(word): "bolus_u" for word in options.rapid} | {_plain(word): "basal_u" for word in options.long}
    encoded = pc.fill_null(words, "").dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    channels = []
    for code, word in enumerate(encoded.dictionary.to_pylist()):
        channels.append(meanings.get(_plain(word), ""))
        if not channels[-1] and any(name in source.columns for name in _DOSES):
            what = f"doses of type {word[:30]!r}" if word else "doses without a type"
            _count(source, people, at, given & (codes == code), what)
    named: npt.NDArray[Any] = np.asarray([*channels, ""], dtype=object)[codes]
    return named


def _plain(word: str) -> str:
    return re.sub(r"[ _-]+(acting|insulin)\b", "", word.strip().casefold())


def _owners(source: Source, people: _People, gids: pa.Array, what: str) -> pa.Array:
    """Return each row's index into ``people``, null where its gid is not among them."""
    at = pc.index_in(gids, value_set=people.gids)
    source.count("", f"{what} of a gid without a number in groups", at.null_count)
    return at


def _count(source: Source, people: _People, at: pa.Array, rows: npt.NDArray[np.bool_], what: str) -> None:
    """Count the marked rows of people that are known, by person."""
    for one in pc.value_counts(people.items.take(at.filter(pa.array(rows)).drop_null())):
        source.count(one["values"].as_py(), what, one["counts"].as_py())


def _rows(source: Source, people: _People, at: pa.Array, when: pa.Array, **channels: Any) -> Iterator[pa.RecordBatch]:
    """Yield the rows of people that are known that hold a wanted channel."""
    wanted = {name: values for name, values in channels.items() if name in source.columns}
    holds = np.any([~np.isnan(values) for values in wanted.values()], axis=0)
    keep = pc.and_(pa.array(holds), pc.is_valid(at))
    columns = {"item_id": people.items.take(at), "timestamp": when, "timezone": people.zones.take(at)}
    columns |= {name: pa.array(values, from_pandas=True) for name, values in wanted.items()}
    batch = pa.RecordBatch.from_pydict({name: one for name, one in columns.items() if name in source.columns})
    kept = batch.filter(keep)
    if kept.num_rows:
        yield kept


DATASET = Dataset(
    name="gluroo",
    summary="people of the Gluroo app, CGM with logged doses and meals; private",
    licence="private: not for release",
    origin="an export of the app's database, in parquet",
    read=_read,
    columns={**COLUMNS, "timezone": "timezone"},
    target="glucose",
    unit="mg/dL",
    freq="5min",
    clock="utc",
    channels=offered("bolus_u", "basal_u", "carbs_g"),
    rules=RULES,
    options_schema=Options,
)
