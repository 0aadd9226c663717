"""JDRF CGM RCT (Tamborlane 2008): children and adults with type 1 diabetes, glucose alone, every 5 or 10 minutes.

Every ``*DataRTCGM*.csv`` of the archive is read, rows as they are recorded, at the device's own ``DeviceDtTm``. A file
without that column is refused, also where it has ``DeviceDate`` and ``DeviceTime``: a calendar is never made up. Dates
are year-month-day or, in American order, month/day/year. People with a reading every 10 minutes leave every second slot
empty. Left out and counted are rows without a number of 0 or more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from tsfm_core import DataError, Dataset, Source
from tsfm_glucose.sources.tables import (
    COLUMNS,
    RULES,
    events,
    find,
    folder,
    item_ids,
    numbers,
    read_text,
    stamps,
    tally,
)

__all__ = ["DATASET"]

_NAME = "tamborlane"
_FILES = "*DataRTCGM*.csv"
_STAMP = "DeviceDtTm"
#: A date alone is midnight: some exports leave its time of day out.
_FORMATS = (
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%Y-%m-%d",
    "%m/%d/%Y",
)


def _inside(path: Path) -> Path:
    for name in ("DataTables", "Data Tables"):
        if (path / name).is_dir():
            return path / name
    return path


def _files(path: Path | None) -> list[Path]:
    """Return what the rows are read from."""
    if path is None or not path.is_dir():
        return []
    return find(_inside(path), _FILES, _NAME, required=False)


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield each file's rows.

    :raises DataError: where there is no file, or one that is not as it is published.
    """
    where = _inside(folder(source, _NAME, f"the folder DataTables with {_FILES}"))
    for path in find(where, _FILES, _NAME):
        for cells in read_text(path, ["PtID", "Glucose"], optional=[_STAMP]):
            if _STAMP not in cells:
                raise DataError(
                    f"{path} has no column {_STAMP!r}", "no other column is read as a time: take the published file"
                )
            items = item_ids(cells["PtID"], path, "tam_")
            times = stamps(cells[_STAMP], path, *_FORMATS)
            values = pd.Series(numbers(cells["Glucose"], path), cells.index)
            usable = values >= 0  # an empty cell is not
            tally(source, items[~usable], "rows without a Glucose of 0 or more")
            yield from events(source, items[usable], times[usable], glucose=values[usable])


DATASET = Dataset(
    name=_NAME,
    summary="JDRF CGM RCT: 451 children and adults with type 1 diabetes, CGM every 5 or 10 min, glucose alone; mg/dL",
    licence="JAEB Center data use terms: not redistributable",
    origin="JAEB Center for Health Research, public.jaeb.org/datasets/diabetes, after registration",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mg/dL",
    freq="5min",
    rules=RULES,
    files=_files,
)
