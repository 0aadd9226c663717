"""What the readers share: finding files, reading text tables, and strict cells. Nothing is guessed or coerced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tsfm_core import Channel, DataError, Source
from tsfm_core.errors import did_you_mean, listing

__all__ = ["CHANNELS", "COLUMNS", "events", "find", "folder", "numbers", "offered", "read_text", "stamps"]

#: The canonical columns of a glucose data set: what every reader calls them.
COLUMNS = {"item_id": "item_id", "timestamp": "timestamp", "target": "glucose"}
CHANNELS = {
    "bolus_u": Channel("amount", "U"),
    "basal_u_per_h": Channel("rate", "U/h"),
    "basal_u": Channel("amount", "U"),
    "carbs_g": Channel("amount", "g"),
    "steps": Channel("amount", "1"),
    "heart_rate": Channel("reading", "1/min"),
    "active_kcal": Channel("amount", "kcal"),
}
#: Cells that say "nothing recorded".
_EMPTY = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]
_CHUNK = 500_000


def offered(*names: str) -> dict[str, Channel]:
    """Return the canonical channels of these names, for ``Dataset.channels``."""
    return {name: CHANNELS[name] for name in names}


def folder(source: Source, name: str, holds: str) -> Path:
    """Return ``data.path``, which has to be a folder.

    :param name: of the data set.
    :param holds: what the folder holds, in words, for the sentence.
    :raises DataError: where it is not given, not there, or a file.
    """
    if source.path is None:
        raise DataError(f"{name} needs data.path", f"name the folder that holds {holds}: --path FOLDER")
    if not source.path.is_dir():
        raise DataError(f"{source.path} is {'a file' if source.path.exists() else 'not there'}", f"{name}: {holds}")
    return source.path


def find(where: Path, patterns: Sequence[str] | str, name: str, required: bool = True) -> list[Path]:
    """Return the files below ``where`` that match one of ``patterns`` (as of ``Path.glob``), in order.

    :raises DataError: where a required one is missing.
    """
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    found = sorted({path for pattern in wanted for path in where.glob(pattern) if path.is_file()})
    if not found and required:
        raise DataError(
            f"{where} holds no {' or '.join(wanted)}", f"data.path is the folder of {name} as it is published"
        )
    return found


def read_text(
    path: Path, columns: Sequence[str], separator: str = ",", optional: Sequence[str] = ()
) -> Iterator[pd.DataFrame]:
    """Yield a delimited text file with a header in chunks, every cell as text, empty cells as NA.

    The index counts the file's data rows from 1. Byte-order marks and blanks around names are passed over.

    :param columns: that must be there; ``optional`` ones are given where they are.
    :raises DataError: for a missing column, ragged rows, an empty file or one that is not UTF-8.
    """
    try:
        header = pd.read_csv(path, sep=separator, nrows=0, dtype=str, encoding="utf-8-sig")
        names = {str(column).strip().lstrip("\ufeff"): str(column) for column in header.columns}
        missing = [column for column in columns if column not in names]
        if missing:
            raise DataError(
                f"{path} has no column {missing[0]!r}; it has {listing(names)}", did_you_mean(missing[0], names)
            )
        wanted = [column for column in (*columns, *optional) if column in names]
        with pd.read_csv(
            path,
            sep=separator,
            usecols=[names[column] for column in wanted],
            dtype=str,
            encoding="utf-8-sig",
            keep_default_na=False,
            na_values=_EMPTY,
            chunksize=_CHUNK,
            index_col=False,
            on_bad_lines="error",
        ) as reader:
            for chunk in reader:
                chunk.columns = pd.Index([str(column).strip().lstrip("\ufeff") for column in chunk.columns])
                chunk = chunk[wanted].apply(lambda cells: cells.str.strip()).replace("", pd.NA)
                chunk.index = chunk.index + 1
                yield chunk
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}", "write it again as UTF-8") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(
            f"{path} is no table: {str(error).splitlines()[0]}", "take the file as it is published"
        ) from error


def stamps(cells: pd.Series[str], path: Path, *formats: str) -> pd.Series[Any]:
    """Return text as naive stamps, by the first of ``formats`` (strptime) that fits each cell.

    :raises DataError: for an empty cell or one that fits none, naming its row.
    """
    found = pd.Series(pd.NaT, index=cells.index, dtype="datetime64[us]")
    for form in formats:
        left = found.isna()
        if not left.any():
            break
        found[left] = pd.to_datetime(cells[left], format=form, errors="coerce").astype("datetime64[us]")
    wrong = found.isna()
    if wrong.any():
        row = cells.index[int(wrong.to_numpy().argmax())]
        raise DataError(
            f"{path}: row {row} of {cells.name!r} is {_shown(cells[row])}, not a timestamp",
            f"expected {' or '.join(formats)}",
        )
    return found


def numbers(cells: pd.Series[str], path: Path, words: Mapping[str, float] | None = None) -> npt.NDArray[np.float64]:
    """Return text as float64, NaN where a cell is empty.

    :param words: what a word stands for, such as ``{"Low": 39.0}``.
    :raises DataError: for text or an infinity, naming its row.
    """
    cells = cells.replace({word: str(value) for word, value in words.items()}) if words else cells
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = (np.isnan(values) & cells.notna().to_numpy()) | np.isinf(values)
    if wrong.any():
        row = cells.index[int(wrong.argmax())]
        raise DataError(
            f"{path}: row {row} of {cells.name!r} is {_shown(cells[row])}, not a number", "correct the cell"
        )
    return values


def events(source: Source, item_id: Any, timestamp: Any, **channels: Any) -> Iterator[pa.RecordBatch]:
    """Yield one batch of rows that hold at least one of the wanted channels; nothing where none is wanted.

    :param item_id: one id, or one for each row.
    :param timestamp: stamps ``[n]``; with a zone where they are instants.
    :param channels: values ``[n]``, NaN or NA where a row has none; rows without any wanted value are left out.
    """
    wanted = [name for name in channels if name in source.columns]
    if not wanted:
        return
    given = {"item_id": item_id, "timestamp": timestamp, **{name: channels[name] for name in wanted}}
    plain = {name: one.array if isinstance(one, pd.Series) else one for name, one in given.items()}
    frame = pd.DataFrame(plain)
    frame = frame[frame[wanted].notna().any(axis=1)]
    if len(frame):
        yield from pa.Table.from_pandas(frame, preserve_index=False).to_batches()


def _shown(cell: Any) -> str:
    return "empty" if not isinstance(cell, str) else repr(cell if len(cell) <= 60 else f"{cell[:57]}...")
