"""One column at a time: ids, stamps and numbers out of what a file holds, or a sentence that names the row."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tsfm_core.errors import DataError

__all__ = ["CONTROL", "item_codes", "numbers", "row_stamps"]

_MAP_IT = "map the right column with data.columns"
_FORMAT = "set data.timestamp_format, such as '%d/%m/%Y %H:%M'"
_LEAVE_IT = "leave a reading that is not there empty"
_SAY_ZONE = "write naive local times, or set data.timezone to the people's zone"
_NO_ZONE = "the stamps are local already: leave data.timezone out, and data.columns.timezone"
_MICROSECONDS = pa.timestamp("us")
#: What would break lines, and ids that are joined for a hash.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: The years of a calendar, 1 to 9999, in microseconds since 1970.
_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999


def item_codes(
    column: pa.ChunkedArray, name: str, where: str, before: int = 0
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the ids, ascending, and each row's index into them.

    :param before: rows of the source before these, for the number of a row in a sentence.
    :raises DataError: for a row without an id.
    """
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if not any(getattr(pa.types, f"is_{one}")(column.type) for one in ("string", "large_string", "integer", "null")):
        raise DataError(f"{where}: {name!r} holds {column.type}, not item ids", _MAP_IT)
    text = pc.cast(column, pa.string()).combine_chunks()
    text = pc.if_else(pc.equal(text, ""), None, text)
    if text.null_count:
        raise DataError(f"{where}: row {_first(pc.is_null(text), before)} has no {name}", "every row needs an item id")
    encoded = text.dictionary_encode()
    ids = encoded.dictionary.to_pylist()
    odd = next(filter(CONTROL.search, ids), None)
    if odd is not None:
        row = _first(pc.equal(text, odd), before)
        raise DataError(f"{where}: row {row} of column {name!r} is {odd!r}", "take the control character out of the id")
    order = sorted(range(len(ids)), key=ids.__getitem__)
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids))
    return [ids[at] for at in order], rank[encoded.indices.to_numpy(zero_copy_only=False)]


def row_stamps(
    column: pa.ChunkedArray, name: str, form: str | None, where: str, before: int = 0, instants: bool = False
) -> npt.NDArray[np.int64]:
    """Return each row's stamp in microseconds since 1970: naive local time, or UTC of instants.

    :param form: strptime format of text; None: ISO 8601.
    :param before: rows of the source before these, for the number of a row in a sentence.
    :param instants: whether the stamps say their offset from UTC.
    :raises DataError: for a missing or unreadable stamp, an offset that is or is not there, or plain numbers.
    """
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    kind = column.type
    zone = getattr(kind, "tz", None)
    if zone and not instants:
        raise DataError(f"{where}: {name!r} is in zone {zone}", _SAY_ZONE)
    if column.null_count:
        raise DataError(
            f"{where}: row {_first(pc.is_null(column), before)} has no {name}", "every row needs a timestamp"
        )
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if instants and not zone:
            raise DataError(f"{where}: {name!r} holds naive times", _NO_ZONE)
        # finer than a microsecond is cut off; what no microsecond can hold is refused, not wrapped around
        target = pa.timestamp("us", zone) if zone else _MICROSECONDS
        options = pc.CastOptions(target_type=target, allow_time_truncate=True)
        try:
            stamps = pc.cast(column, options=options)
        except pa.ArrowInvalid as error:
            raise DataError(f"{where}: {name!r} cannot be read: {error}", _MAP_IT) from error
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        moment = pa.timestamp("us", "UTC") if instants else _MICROSECONDS
        stamps = (
            _formatted(column, name, form, where, before, instants)
            if form
            else _parsed(column, moment, name, where, _FORMAT, before)
        )
    else:
        raise DataError(f"{where}: {name!r} holds {kind}, not timestamps", _MAP_IT)
    found = np.asarray(stamps.cast(pa.int64()).to_numpy())
    if len(found) and (found.min() < _EARLIEST or found.max() > _LATEST):
        row = _first((found < _EARLIEST) | (found > _LATEST), before)
        raise DataError(f"{where}: row {row} of column {name!r} lies outside the years 1 to 9999", _MAP_IT)
    return found


def numbers(column: pa.ChunkedArray, name: str, where: str, before: int = 0) -> npt.NDArray[np.float64]:
    """Return a column as float64, NaN where it is empty.

    :param before: rows of the source before these, for the number of a row in a sentence.
    :raises DataError: for text, an infinity, or a column of another kind.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = pc.cast(column, kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = _parsed(column, pa.float64(), name, where, _LEAVE_IT, before)
    elif any(getattr(pa.types, f"is_{one}")(kind) for one in ("floating", "integer", "decimal", "null")):
        column = column.cast(pa.float64(), safe=False)
    else:
        raise DataError(f"{where}: {name!r} holds {kind}, not numbers", _MAP_IT)
    values = np.asarray(column.to_numpy(), np.float64)
    infinite = np.isinf(values)
    if infinite.any():
        at = int(np.flatnonzero(infinite)[0])
        raise DataError(f"{where}: row {before + at + 1} of column {name!r} is infinite ({values[at]})", _LEAVE_IT)
    return values


def _parsed(
    column: pa.ChunkedArray, kind: pa.DataType, name: str, where: str, hint: str, before: int
) -> pa.ChunkedArray:
    """Return text as ``kind``; nothing but plain numbers and ISO 8601 is read."""
    try:
        return pc.cast(column, kind)
    except pa.ArrowInvalid as error:
        begin, end = 0, len(column)
        while end - begin > 1:  # which row it was, by halves
            middle = (begin + end) // 2
            try:
                pc.cast(column.slice(begin, middle - begin), kind)
                begin = middle
            except pa.ArrowInvalid:
                end = middle
        wanted = "a timestamp" if pa.types.is_timestamp(kind) else "a number"
        if "expected no zone offset" in str(error):
            wanted, hint = "a timestamp without an offset from UTC", _SAY_ZONE
        elif "expected a zone offset" in str(error):
            wanted, hint = "a timestamp with an offset from UTC", _NO_ZONE
        said = f"row {before + begin + 1} of column {name!r} is {column[begin].as_py()!r}, not {wanted}"
        raise DataError(f"{where}: {said}", hint) from error


def _formatted(
    column: pa.ChunkedArray, name: str, form: str, where: str, before: int, instants: bool
) -> pa.ChunkedArray:
    """Return text read by a strptime format."""
    text = pd.Series(column.to_numpy(), dtype=object)
    hint = f"data.timestamp_format is {form!r}"
    if "%" not in form:  # "mixed" and "ISO8601" are words of pandas
        raise DataError(f"{where}: data.timestamp_format {form!r} is no strptime format", _FORMAT)
    offsets = "%z" in form.replace("%%", "")
    if offsets and not instants:
        raise DataError(f"{where}: {name!r} has an offset from UTC, such as {text[0]!r}", _SAY_ZONE)
    try:
        stamps = pd.to_datetime(text, format=form, errors="coerce", utc=offsets)
    except (ValueError, re.error) as error:  # re: one directive twice
        raise DataError(f"{where}: {name!r} cannot be read: {str(error).splitlines()[0]}", hint) from error
    if instants and not offsets:
        raise DataError(f"{where}: data.timestamp_format {form!r} reads no offset from UTC", _NO_ZONE)
    if instants:
        stamps = stamps.dt.tz_localize(None)
    elif not pd.api.types.is_datetime64_dtype(stamps.dtype):
        raise DataError(f"{where}: {name!r} has an offset from UTC, such as {text[0]!r}", _SAY_ZONE)
    wrong = (stamps.isna() | text.isin(["now", "today"])).to_numpy()  # pandas would read the clock
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{where}: row {before + at + 1} of column {name!r} is {text[at]!r}, not a timestamp", hint)
    return pa.chunked_array([pa.array(stamps.to_numpy("datetime64[us]"))])


def _first(mask: Any, before: int) -> int:
    """Return the number, from 1, of the first row that ``mask`` marks."""
    return before + int(np.flatnonzero(np.asarray(mask))[0]) + 1
