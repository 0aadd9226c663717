"""One column at a time: ids, stamps and numbers out of what a file holds, or a sentence that names the row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tsfm_core.errors import DataError

__all__ = ["item_codes", "numbers", "row_stamps"]

_MAP_IT = "map the right column with data.columns"
_FORMAT = "set data.timestamp_format, such as '%d/%m/%Y %H:%M'"
_LEAVE_IT = "leave a reading that is not there empty"
_MICROSECONDS = pa.timestamp("us")


def item_codes(column: pa.ChunkedArray, name: str, where: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the ids, ascending, and each row's index into them.

    :raises DataError: for a row without an id.
    """
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if not any(getattr(pa.types, f"is_{one}")(column.type) for one in ("string", "large_string", "integer", "null")):
        raise DataError(f"{where}: {name!r} holds {column.type}, not item ids", _MAP_IT)
    text = pc.cast(column, pa.string()).combine_chunks()
    text = pc.if_else(pc.equal(text, ""), None, text)
    if text.null_count:
        raise DataError(f"{where}: row {_first(pc.is_null(text))} has no {name}", "every row needs an item id")
    encoded = text.dictionary_encode()
    ids = encoded.dictionary.to_pylist()
    order = sorted(range(len(ids)), key=ids.__getitem__)
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids))
    return [ids[at] for at in order], rank[encoded.indices.to_numpy(zero_copy_only=False)]


def row_stamps(column: pa.ChunkedArray, name: str, form: str | None, where: str) -> npt.NDArray[np.int64]:
    """Return each row's stamp in microseconds since 1970, naive local time.

    :param form: strptime format of text; None: ISO 8601.
    :raises DataError: for a missing or unreadable stamp, an offset from UTC, or plain numbers.
    """
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    kind = column.type
    if getattr(kind, "tz", None):
        raise DataError(f"{where}: {name!r} is in zone {kind.tz}", "write naive local times")
    if column.null_count:
        raise DataError(f"{where}: row {_first(pc.is_null(column))} has no {name}", "every row needs a timestamp")
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # finer than a microsecond is cut off; what no microsecond can hold is refused, not wrapped around
        options = pc.CastOptions(target_type=_MICROSECONDS, allow_time_truncate=True)
        try:
            stamps = pc.cast(column, options=options)
        except pa.ArrowInvalid as error:
            raise DataError(f"{where}: {name!r} cannot be read: {error}", _MAP_IT) from error
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        stamps = _formatted(column, name, form, where) if form else _parsed(column, _MICROSECONDS, name, where, _FORMAT)
    else:
        raise DataError(f"{where}: {name!r} holds {kind}, not timestamps", _MAP_IT)
    return np.asarray(stamps.cast(pa.int64()).to_numpy())


def numbers(column: pa.ChunkedArray, name: str, where: str) -> npt.NDArray[np.float64]:
    """Return a column as float64, NaN where it is empty.

    :raises DataError: for text, an infinity, or a column of another kind.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = pc.cast(column, kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = _parsed(column, pa.float64(), name, where, _LEAVE_IT)
    elif any(getattr(pa.types, f"is_{one}")(kind) for one in ("floating", "integer", "decimal", "null")):
        column = column.cast(pa.float64(), safe=False)
    else:
        raise DataError(f"{where}: {name!r} holds {kind}, not numbers", _MAP_IT)
    values = np.asarray(column.to_numpy(), np.float64)
    infinite = np.isinf(values)
    if infinite.any():
        at = int(np.flatnonzero(infinite)[0])
        raise DataError(f"{where}: row {at + 1} of column {name!r} is infinite ({values[at]})", _LEAVE_IT)
    return values


def _parsed(column: pa.ChunkedArray, kind: pa.DataType, name: str, where: str, hint: str) -> pa.ChunkedArray:
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
        wanted = "a timestamp" if kind == _MICROSECONDS else "a number"
        if "zone offset" in str(error):
            wanted, hint = "a timestamp without an offset from UTC", "write naive local times"
        said = f"row {begin + 1} of column {name!r} is {column[begin].as_py()!r}, not {wanted}"
        raise DataError(f"{where}: {said}", hint) from error


def _formatted(column: pa.ChunkedArray, name: str, form: str, where: str) -> pa.ChunkedArray:
    """Return text read by a strptime format."""
    text = pd.Series(column.to_numpy(), dtype=object)
    hint = f"data.timestamp_format is {form!r}"
    if "%" not in form:  # "mixed" and "ISO8601" are words of pandas
        raise DataError(f"{where}: data.timestamp_format {form!r} is no strptime format", _FORMAT)
    try:
        stamps = pd.to_datetime(text, format=form, errors="coerce")
    except ValueError as error:
        raise DataError(f"{where}: {name!r} cannot be read: {str(error).splitlines()[0]}", hint) from error
    if not pd.api.types.is_datetime64_dtype(stamps.dtype):
        raise DataError(f"{where}: {name!r} has an offset from UTC, such as {text[0]!r}", "write naive local times")
    wrong = (stamps.isna() | text.isin(["now", "today"])).to_numpy()  # pandas would read the clock
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{where}: row {at + 1} of column {name!r} is {text[at]!r}, not a timestamp", hint)
    return pa.chunked_array([pa.array(stamps.to_numpy("datetime64[us]"))])


def _first(mask: Any) -> int:
    """Return the number, from 1, of the first row that ``mask`` marks."""
    return int(np.flatnonzero(np.asarray(mask))[0]) + 1
