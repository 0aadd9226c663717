"""Parquet archives larger than memory: a file after the other, and of each a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tsfm_core import DataError
from tsfm_core.errors import did_you_mean, listing

__all__ = ["fragment", "keys", "numbers", "stamps", "texts"]

_ROWS = 1 << 17
_WRITE_IT = "write the file again, every row with its value"


def keys(path: Path, root: Path) -> dict[str, str]:
    """Return what the folders below ``root`` say of a file: ``{"gid": "a"}`` of ``gid=a/0.parquet``."""
    pairs = [part.partition("=") for part in path.relative_to(root).parts[:-1] if "=" in part]
    return {unquote(name): unquote(value) for name, _, value in pairs}


def fragment(path: Path, columns: Sequence[str], given: Mapping[str, str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the columns of a parquet file in batches, each with the number of rows before it.

    :param given: columns that the path says, by :func:`keys`, for those that the file does not hold.
    :raises DataError: for a file that is no parquet, or lacks a column or has it twice.
    """
    try:
        # without pre_buffer a row group of any size is decoded piece by piece
        with pq.ParquetFile(path, pre_buffer=False) as file:
            held = file.schema_arrow.names
            twice = [name for name in columns if held.count(name) > 1]
            if twice:
                raise DataError(f"{path} has the column {twice[0]!r} twice", "take the file as it is published")
            missing = [name for name in columns if name not in held and name not in given]
            if missing:
                raise DataError(
                    f"{path} has no column {missing[0]!r}; it has {listing(held)}", did_you_mean(missing[0], held)
                )
            before = 0
            for batch in file.iter_batches(_ROWS, columns=[name for name in columns if name in held]):
                for name in columns:
                    if name not in held:
                        batch = batch.append_column(name, pa.array([given[name]] * batch.num_rows, pa.string()))
                yield before, batch
                before += batch.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = str(error).splitlines()[0]
        raise DataError(f"{path} is no parquet file: {said}", "write it again, or take it out of the folder") from error


def numbers(batch: pa.RecordBatch, name: str, path: Path, before: int) -> npt.NDArray[np.float64]:
    """Return a column as float64 ``[n]``, NaN where it is empty.

    :raises DataError: for a column of another kind, or an infinity.
    """
    column = batch.column(name)
    kind = column.type
    if not any(getattr(pa.types, f"is_{one}")(kind) for one in ("floating", "integer", "decimal", "null")):
        raise DataError(f"{path}: {name!r} holds {kind}, not numbers", "write the column as numbers")
    cells = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    values = np.asarray(cells, np.float64)
    wrong = np.flatnonzero(np.isinf(values))
    if len(wrong):
        raise DataError(
            f"{path}: row {before + wrong[0] + 1} of {name!r} is {values[wrong[0]]}", "leave the cell empty"
        )
    return values


def stamps(batch: pa.RecordBatch, name: str, path: Path, before: int, zone: str | None) -> pa.Array:
    """Return a column of timestamps in microseconds.

    :param zone: ``UTC`` where they are instants, with a zone or in UTC; None where they are naive local times.
    :raises DataError: for a column of another kind, or an empty cell.
    """
    column = batch.column(name)
    kind = column.type
    if not pa.types.is_timestamp(kind):
        raise DataError(f"{path}: {name!r} holds {kind}, not timestamps", "write the column as timestamps")
    if zone is None and kind.tz:
        raise DataError(f"{path}: {name!r} is in zone {kind.tz}", "write naive local times")
    if column.null_count:
        row = before + int(np.flatnonzero(np.asarray(pc.is_null(column)))[0]) + 1
        raise DataError(f"{path}: row {row} of {name!r} is empty, not a timestamp", _WRITE_IT)
    return pc.cast(column, options=pc.CastOptions(target_type=pa.timestamp("us", zone), allow_time_truncate=True))


def texts(batch: pa.RecordBatch, name: str, path: Path) -> pa.Array:
    """Return a column of text or whole numbers as text.

    :raises DataError: for a column of another kind.
    """
    column = batch.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(getattr(pa.types, f"is_{one}")(kind) for one in ("string", "large_string", "integer", "null")):
        raise DataError(f"{path}: {name!r} holds {kind}, not text", "write the column as text")
    return pc.cast(pc.cast(column, kind), pa.string())
