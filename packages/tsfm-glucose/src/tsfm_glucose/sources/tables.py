"""What the readers share: finding files, reading text tables, and strict cells. Nothing is guessed or coerced."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as ac
import pyarrow.csv as pc

from tsfm_core import Channel, DataError, Source
from tsfm_core.data.read import check_quotes
from tsfm_core.errors import did_you_mean, listing

__all__ = [
    "CHANNELS",
    "COLUMNS",
    "RULES",
    "events",
    "find",
    "folder",
    "item_ids",
    "numbers",
    "offered",
    "read_padded",
    "read_text",
    "stamps",
    "tally",
]

#: The canonical columns of a glucose data set: what every reader calls them.
COLUMNS = {"item_id": "item_id", "timestamp": "timestamp", "target": "glucose"}
#: How rows in mg/dL go on the grid as they are recorded: a sensor drifts off it, and what is impossible is no reading.
RULES = {
    "unsorted": "sort",
    "off_grid": "floor",
    "duplicates": "median",
    "mixed_freq": "keep",
    "valid_range": (20, 600),
}
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
_BLOCK = 8 << 20


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
    """Yield a delimited text file with a header in chunks, every cell as text, empty cells missing.

    The index counts the file's data rows from 1; a column without a name is ``Unnamed: <place>``. Byte-order marks and
    blanks around names and cells are passed over.

    :param columns: that must be there; ``optional`` ones are given where they are.
    :raises DataError: for a missing or doubled column, ragged rows, an empty file or one that is not UTF-8.
    """
    try:
        parse = pc.ParseOptions(delimiter=separator, newlines_in_values=check_quotes(path, separator))
        with pc.open_csv(path, parse_options=parse) as reader:
            header = [_bare(name) or f"Unnamed: {at}" for at, name in enumerate(reader.schema.names)]
        missing = [column for column in columns if column not in header]
        if missing:
            said = f"{path} has no column {missing[0]!r}; it has {listing(header)}"
            raise DataError(said, did_you_mean(missing[0], header))
        wanted = list(dict.fromkeys(column for column in (*columns, *optional) if column in header))
        twice = [column for column in wanted if header.count(column) > 1]
        if twice:
            raise DataError(f"{path} has the column {twice[0]!r} twice", "take the file as it is published")
        # by position: names may be empty or doubled where nothing is wanted of them
        places = [f"c{at}" for at in range(len(header))]
        convert = pc.ConvertOptions(
            include_columns=[places[header.index(column)] for column in wanted],
            column_types=dict.fromkeys(places, pa.string()),
            strings_can_be_null=True,
            null_values=_EMPTY,
        )
        read = pc.ReadOptions(column_names=places, skip_rows=1, block_size=_BLOCK)
        before = 0
        with pc.open_csv(path, read_options=read, parse_options=parse, convert_options=convert) as reader:
            for batch in reader:
                for start in range(0, batch.num_rows, _CHUNK):
                    yield _as_frame(batch.slice(start, _CHUNK), wanted, before + start)
                before += batch.num_rows
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}", "write it again as UTF-8") from error
    except (pa.ArrowException, OSError) as error:
        # what follows is the row itself, which may name a person
        said = re.sub(r"(columns, got \d+): .*", r"\1", str(error).splitlines()[0])
        raise DataError(f"{path} is no table: {said}", "take the file as it is published, in UTF-8") from error


def read_padded(
    path: Path, columns: Sequence[str], separator: str = ",", optional: Sequence[str] = ()
) -> Iterator[pd.DataFrame]:
    """Yield a text file whose rows may be shorter than its header, as :func:`read_text` does; for files of one person.

    :raises DataError: as there, and for a row that is longer than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, delimiter=separator, strict=True))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}", "write it again as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path} is no table: {error}", "take the file as it is published") from error
    header = [_bare(name) for name in rows[0]] if rows else []
    missing = [column for column in columns if column not in header]
    if missing:
        said = f"{path} has no column {missing[0]!r}; it has {listing(header)}"
        raise DataError(said, did_you_mean(missing[0], header))
    long = next((at for at, row in enumerate(rows) if len(row) > len(header)), None)
    if long is not None:
        said = f"row {long} has {len(rows[long])} cells, the header {len(header)}"
        raise DataError(f"{path} is no table: {said}", "take the file as it is published")
    wanted = [column for column in (*columns, *optional) if column in header]
    places = [header.index(column) for column in wanted]
    cells = [[_cell(row[at]) if at < len(row) else None for row in rows[1:]] for at in places]
    frame: pd.DataFrame = pa.table([pa.array(column, pa.string()) for column in cells], wanted).to_pandas()
    yield frame.set_index(pd.RangeIndex(1, len(rows)))


def _cell(text: str) -> str | None:
    text = text.strip()
    return None if text in _EMPTY else text


def _bare(name: str) -> str:
    return name.strip().strip("\ufeff").strip()


def _as_frame(batch: pa.RecordBatch, names: Sequence[str], before: int) -> pd.DataFrame:
    cells = [ac.utf8_trim_whitespace(column) for column in batch.columns]
    cells = [ac.if_else(ac.equal(column, ""), None, column) for column in cells]
    frame: pd.DataFrame = pa.table(cells, list(names)).to_pandas()
    frame.index = pd.RangeIndex(before + 1, before + 1 + len(frame))
    return frame


def item_ids(cells: pd.Series[str], path: Path, prefix: str) -> pd.Series[Any]:
    """Return each row's id: the data set's prefix and the study's number without leading zeros.

    :raises DataError: for an empty cell or one that is no number, naming its row.
    """
    items = cells.map({cell: f"{prefix}{int(cell)}" for cell in cells.dropna().unique() if cell.isdecimal()})
    if items.isna().any():
        row = cells.index[int(items.isna().to_numpy().argmax())]
        said = f"row {row} of {cells.name!r} is {_shown(cells[row])}, not a person's number"
        raise DataError(f"{path}: {said}", "correct the cell")
    return items


def tally(source: Source, items: pd.Series[Any], what: str) -> None:
    """Count one row for each of ``items``."""
    for item, count in items.value_counts().items():
        source.count(str(item), what, int(count))


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
    wrong = found.isna() | cells.isin(["now", "today"])  # pandas would read the clock
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
