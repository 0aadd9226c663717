"""Reading files as record batches: csv as text, parquet as it is typed. Nothing is guessed or coerced here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tsfm_core.errors import DataError, did_you_mean, listing

if TYPE_CHECKING:
    import pyarrow as pa

    from tsfm_core.records import Source

    _Read = Callable[[Path | None, Sequence[str]], Iterator[pa.RecordBatch]]

__all__ = ["ITEM", "check_quotes", "csv_columns", "of_one_item", "parquet_columns", "read_csv", "read_parquet"]

#: The column of ids where ``data.columns`` names none.
ITEM = "item_id"
#: What a folder of parquet files is called where its column is null.
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
#: What a csv may write for "not observed".
NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]


def read_csv(path: Path | None, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a csv file with a header, every column as text.

    :raises DataError: for a file that is missing, empty, ragged or not UTF-8, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    path = _existing(path, "csv")
    try:
        parse = pc.ParseOptions(newlines_in_values=check_quotes(path))
        with pc.open_csv(path, parse_options=parse) as reader:
            names = list(reader.schema.names)
        _require_columns(path, names, columns)
        convert = pc.ConvertOptions(
            include_columns=list(columns),
            column_types=dict.fromkeys(columns, pa.string()),
            strings_can_be_null=True,
            null_values=NULLS,
        )
        with pc.open_csv(path, parse_options=parse, convert_options=convert) as reader:
            yield from reader
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}", "write it again as UTF-8") from error
    except (pa.ArrowException, OSError) as error:
        hint = "every row needs as many cells as the header, in UTF-8"
        raise DataError(f"{path} is not a csv table: {_first_line(error)}", hint) from error


def check_quotes(path: Path, separator: str = ",") -> bool:
    """Refuse a csv file with a quote that nothing closes: it would hide the rows up to the next one.

    :return: whether a cell holds a line break.
    :raises DataError: naming the line.
    """
    import csv

    with path.open("rb") as file:
        if not any(b'"' in part for part in iter(lambda: file.read(1 << 20), b"")):
            return False
    at = 0

    def odd() -> Iterator[str]:  # only a line with an odd number of quotes opens or closes a cell that has several
        nonlocal at
        with path.open(encoding="latin-1", newline="\n") as lines:  # quotes are one byte in UTF-8 too
            for number, line in enumerate(lines, 1):
                if line.count('"') % 2:
                    at = number
                    yield line

    try:
        return sum(1 for _ in csv.reader(odd(), delimiter=separator, strict=True)) > 0
    except csv.Error as error:
        said = f"{path} is not a csv table: line {at} opens a quote that nothing closes, or closes one too early"
        raise DataError(said, "close it, or write a quote inside a cell twice, in quotes") from error


def read_parquet(path: Path | None, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a parquet file, or of every one below a folder, file by file in the order of their paths.

    A folder called ``key=value`` gives the column ``key`` of the files in it, as text: ``014`` stays ``014``.

    :raises DataError: for a file that is missing, not parquet, or lacks a column.
    """
    if path is None or not path.is_dir():
        yield from _read_parquet_file(_existing(path, "parquet"), columns, {})
        return
    for file, keys in _parquet_files(path).items():
        yield from _read_parquet_file(file, columns, keys)


def of_one_item(source: Source, read: _Read, names: Callable[[Path | None], Sequence[str]]) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a table; with ``data.options.item_id`` every row is of that item.

    :raises DataError: where the table has ids of its own, or ``data.columns`` says so.
    """
    import pyarrow as pa

    item = source.options.item_id if source.options else None
    if item is None:
        yield from read(source.path, source.columns)
        return
    if ITEM not in source.columns or ITEM in names(source.path):
        raise DataError(
            f"data.options.item_id says that {source.path} holds {item!r} alone, and it has a column of ids",
            "leave the option out",
        )
    for batch in read(source.path, [name for name in source.columns if name != ITEM]):
        ids = pa.DictionaryArray.from_arrays(pa.nulls(batch.num_rows, pa.int32()).fill_null(0), pa.array([item]))
        yield batch.append_column(ITEM, ids)


def csv_columns(path: Path | None) -> list[str]:
    """Return the header of a csv file."""
    import pyarrow as pa
    import pyarrow.csv as pc

    path = _existing(path, "csv")
    try:
        with pc.open_csv(path) as reader:
            return list(reader.schema.names)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a csv table: {_first_line(error)}", "check data.path") from error


def parquet_columns(path: Path | None) -> list[str]:
    """Return the columns of a parquet file, or of the first one below a folder, with those that its folders give."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = _parquet_files(path) if path is not None and path.is_dir() else {_existing(path, "parquet"): {}}
    file, keys = next(iter(files.items()))
    try:
        return [*pq.read_schema(file).names, *keys]
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} is not a parquet file: {_first_line(error)}", "check data.path") from error


def _parquet_files(path: Path) -> dict[Path, dict[str, str | None]]:
    """Return the parquet files below a folder, in the order of their paths, and the columns that their folders give."""
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".parquet", ".pq") and file.is_file())
    if not files:
        raise DataError(f"{path} is a folder without a parquet file", "check data.path")
    found = {}
    for file in files:
        keys = (part.partition("=") for part in file.relative_to(path).parts[:-1] if "=" in part)
        found[file] = {key: None if value == _NO_VALUE else unquote(value) for key, _, value in keys}
    return found


def _read_parquet_file(path: Path, columns: Sequence[str], keys: Mapping[str, str | None]) -> Iterator[pa.RecordBatch]:
    """Yield a file's batches.

    :param keys: the columns that its folders give.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _require_columns(path, [*file.schema_arrow.names, *keys], columns)
            own = [name for name in columns if name not in keys]
            for batch in file.iter_batches(columns=own):
                arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
                for key in set(columns) & set(keys):
                    same = pa.array(np.zeros(batch.num_rows, np.int32))
                    arrays[key] = pa.DictionaryArray.from_arrays(same, pa.array([keys[key]], pa.string()))
                yield pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a parquet file: {_first_line(error)}", "check data.path") from error


def _existing(path: Path | None, source: str) -> Path:
    if path is None:
        raise DataError(f"data.source {source} needs data.path", "name the file, such as --set data.path=cgm.csv")
    if not path.is_file():
        raise DataError(f"{path} is {'a folder, not a file' if path.is_dir() else 'not there'}", "check data.path")
    if not path.stat().st_size:
        raise DataError(f"{path} is empty", "check data.path")
    return path


def _require_columns(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise DataError(f"{path} has the column {twice[0]!r} twice", "rename one of them")
    missing = [name for name in wanted if name not in names]
    if missing:
        hint = did_you_mean(missing[0], names)
        raise DataError(
            f"{path} has no column {missing[0]!r}; it has {listing(names)}",
            f"{hint or 'map it'} (data.columns, such as --set data.columns.target=NAME)",
        )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
