"""Nightscout's json: records with numbers, some of them as text, and instants in milliseconds or as ISO text."""

from __future__ import annotations

import json
import math
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from tsfm_core import DataError
from tsfm_core.errors import did_you_mean

__all__ = ["SINCE", "Count", "Record", "instant", "load", "microseconds", "number", "parsed", "zone_name"]

Record = Mapping[str, Any]
#: ``count(what, rows)`` of one person.
Count = Callable[[str, int], None]
#: Where a treatment says when it was.
SINCE = ("created_at", "mills", "date")
#: 1973 and 2099 in milliseconds: outside, a number is seconds, or no instant at all.
_EARLIEST, _LATEST = 1e11, 4.1e12
_TAKE_OUT = "correct the record or take it out"


def load(path: Path) -> list[Record]:
    """Return the records of a file: a list, or the answer of the API with its list as ``result``.

    :raises DataError: for a file that is no json, or holds something else.
    """
    try:
        whole = parsed(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error.reason}", "write it again as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no json: {error}", "take the file as Nightscout gives it") from error
    records = whole.get("result", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(records, list):
        raise DataError(f"{path} holds no list of records", "take the file as Nightscout gives it")
    for at, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise DataError(f"{path}: record {at} is {_shown(record)}, not an object", _TAKE_OUT)
    return records


def parsed(text: str) -> Any:
    """Return json, without the NaN and Infinity that it does not have.

    :raises ValueError: for anything else.
    """

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no number of json")

    return json.loads(text, parse_constant=refuse)


def number(record: Record, key: str, where: str, least: float = -math.inf) -> float | None:
    """Return a number of a record, None where it has none.

    :param where: file and record, for the sentence.
    :param least: the lowest that it may be.
    :raises DataError: for text that is no number, or a number that is too low.
    """
    value = record.get(key)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value):
            raise ValueError
        found = float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found) or found < least:
        wanted = "a number" if least == -math.inf or not math.isfinite(found) else f"{least:g} or more"
        raise DataError(f"{where}: {key!r} is {_shown(value)}, not {wanted}", _TAKE_OUT)
    return found


def instant(record: Record, names: Sequence[str], where: str) -> int:
    """Return the first of ``names`` that a record has, in microseconds since 1970.

    :raises DataError: where it has none, or one that is no instant.
    """
    for name in names:
        value = record.get(name)
        if value is not None and value != "":
            return microseconds(value, f"{where}: {name!r}")
    raise DataError(f"{where} has no {' and no '.join(names)}", _TAKE_OUT)


def microseconds(given: Any, where: str) -> int:
    """Return milliseconds since 1970, or ISO text (in UTC where it has no offset), in microseconds.

    :raises DataError: for anything else.
    """
    value = given
    try:
        if isinstance(value, str) and not value.isdigit():
            moment = datetime.fromisoformat(value.strip())
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            value = aware.timestamp() * 1000
        if not isinstance(value, bool) and isinstance(value, int | float | str) and _EARLIEST < float(value) < _LATEST:
            return round(float(value)) * 1000
    except (ValueError, OverflowError):
        pass
    raise DataError(f"{where} is {_shown(given)}, not milliseconds since 1970 or ISO time", _TAKE_OUT)


def zone_name(value: Any, where: str) -> str | None:
    """Return the IANA name of a zone; some uploaders write it in another case.

    :raises DataError: for a name that is none.
    """
    if value is None or value == "":
        return None
    name = _zones().get(value.casefold()) if isinstance(value, str) else None
    if name is None:
        near = did_you_mean(value, _zones().values()) or "use an IANA name such as Europe/London"
        raise DataError(f"{where}: 'timezone' is {_shown(value)}, not a time zone", near)
    return name


@cache
def _zones() -> dict[str, str]:
    return {name.casefold(): name for name in zoneinfo.available_timezones()}


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
