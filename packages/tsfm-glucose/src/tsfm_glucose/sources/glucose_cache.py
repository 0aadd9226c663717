"""The cache of nocturnal-hypo-gly-prob-forecast: ``<p_num>_full.csv``, one file for each person, read unchanged.

The first column is the stamp (naive local time), whatever its header says. ``p_num`` inside the file is the item; where
all its cells are empty the name of the file is. ``dose_units`` has the basal rolled in, so it stays apart from the
bolus; iob, cob and their availabilities are those that the cache was written with.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from tsfm_core import Channel, DataError, Dataset, Source
from tsfm_glucose.sources.tables import COLUMNS, events, find, numbers, offered, read_text, stamps

__all__ = ["DATASET"]

_NAME = "p_num_full"
_END = "_full.csv"
_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")
_VALUES = {
    "glucose": "bg_mM",
    "bolus_u": "bolus",
    "dose_u": "dose_units",
    "basal_u_per_h": "rate",
    "carbs_g": "food_g",
    "heart_rate": "hr_bpm",
    "steps": "steps",
    "active_kcal": "cals",
    "iob": "iob",
    "insulin_availability": "insulin_availability",
    "cob": "cob",
    "carb_availability": "carb_availability",
}


def _files(path: Path | None) -> list[Path]:
    """Return the people's files: of a folder those in it and below ``processed``.

    :raises DataError: where there is none.
    """
    if path is None:
        raise DataError(f"{_NAME} needs data.path", f"name a file *{_END} or the folder that holds them: --path FOLDER")
    if path.is_dir():
        return find(path, [f"*{_END}", f"**/processed/*{_END}"], _NAME)
    if not path.is_file():
        raise DataError(f"{path} is not there", f"data.path is a file *{_END} or the folder that holds them")
    return [path]


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield the rows of each person.

    :raises DataError: for a file that is not as the cache writes it, or two files of one person.
    """
    seen: dict[str, Path] = {}
    wanted = [column for name, column in _VALUES.items() if name in source.columns and name != "glucose"]
    for path in _files(source.path):
        stamp = _first_column(path)
        parts = list(read_text(path, [stamp, "p_num", "bg_mM"], optional=wanted))
        if not parts:  # a header alone
            continue
        rows = pd.concat(parts)
        item = _item(rows["p_num"], path)
        if item in seen:
            raise DataError(f"{path} and {seen[item]} both hold {item!r}", "take one of them out of the folder")
        seen[item] = path
        cells = {channel: numbers(rows[column], path) for channel, column in _VALUES.items() if column in rows}
        yield from events(source, item, stamps(rows[stamp], path, *_FORMATS), **cells)


def _first_column(path: Path) -> str:
    """Return the name of the first column; an index without a name is what pandas calls it.

    :raises DataError: where it is one of the others.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        name = file.readline().split(",")[0].strip().strip('"').strip() or "Unnamed: 0"
    if name in ("p_num", *_VALUES.values()):
        raise DataError(f"{path} begins with the column {name!r}, not with the stamps", "write it with its index")
    return name


def _item(cells: pd.Series[str], path: Path) -> str:
    """Return whose file it is.

    :raises DataError: for a file of two people.
    """
    names = cells.dropna()
    if names.empty:
        return path.name.removesuffix(".csv").removesuffix("_full")
    other = names[names != names.iloc[0]]
    if len(other):
        said = f"row {other.index[0]} of 'p_num' is {other.iloc[0]!r}, the rows before it say {names.iloc[0]!r}"
        raise DataError(f"{path}: {said}", "write one file for each person")
    return str(names.iloc[0])


DATASET = Dataset(
    name=_NAME,
    summary="the cache of nocturnal-hypo-gly-prob-forecast, <p_num>_full.csv for each person; mmol/L",
    licence="that of the data it was made from",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mmol/L",
    freq="5min",
    channels={
        **offered("bolus_u"),
        "dose_u": Channel("amount", "U"),
        **offered("basal_u_per_h", "carbs_g", "heart_rate", "steps", "active_kcal"),
        "iob": Channel("reading", "U"),
        "insulin_availability": Channel("reading", "U"),
        "cob": Channel("reading", "g"),
        "carb_availability": Channel("reading", "g"),
    },
    files=_files,
)
