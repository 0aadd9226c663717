"""T1D-UOM: people with type 1 diabetes for one to six months, as the University of Manchester published them.

Rows are given as they are recorded, a stream after the other. What is left out is counted:

- blank cells, and rows of boluses, basal and meals that hold a date without a time of day;
- such rows with a wrong year: out of the file's order by more than half a year, and as far from the median of the
  eleven rows around them (January and February "2023" in the middle of 2024);
- activity that is given again under another offset from UTC: of one ``start_time_s`` and activity type the first row
  in the file counts, and rows that say another amount are counted apart.

Basal of kind R behaves as a rate in U/h that holds until the next row, kind L is a dose. An activity row is stamped
with the begin of its quarter of an hour and holds what came in all of it; it is given 10 minutes later, so that on a
grid of 5 minutes it lies in the slot in which it is whole: a cutoff must not show steps that are not yet made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from tsfm_core import DataError, Dataset, Source
from tsfm_glucose.sources.tables import COLUMNS, RULES, events, find, folder, numbers, offered, read_text, stamps

__all__ = ["DATASET"]

_NAME = "t1d_uom"
_FORMAT = "%d/%m/%Y %H:%M"
_HALF_YEAR = 183 * 86_400_000_000  # microseconds
_KNOWN_AFTER = pd.Timedelta("10min")
_TWICE = ["start_time_s", "activity_type"]


class _Stream(NamedTuple):
    name: str
    file: str
    stamp: str
    channels: Mapping[str, str]  # the column of each
    beside: Sequence[str] = ()


_BASAL = {"basal_u_per_h": "basal_dose", "basal_u": "basal_dose"}
_ACTIVITY = {"steps": "step_count", "active_kcal": "active_Kcal"}
_STREAMS = (
    _Stream("glucose", "Glucose Data/UoMGlucose", "bg_ts", {"glucose": "value"}),
    _Stream("bolus", "Insulin Data/Bolus Data/UoMBolus", "bolus_ts", {"bolus_u": "bolus_dose"}),
    _Stream("basal", "Insulin Data/Basal Data/UoMBasal", "basal_ts", _BASAL, ["insulin_kind"]),
    _Stream("meal", "Nutrition Data/UoMNutrition", "meal_ts", {"carbs_g": "carbs_g"}),
    _Stream("activity", "Activity Data/UoMActivity", "activity_ts", _ACTIVITY, _TWICE),
)


def _files(path: Path | None) -> list[Path]:
    """Return what the rows are read from."""
    if path is None or not path.is_dir():
        return []
    return find(path, [f"{stream.file}*.csv" for stream in _STREAMS], _NAME, required=False)


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield each person's streams.

    :raises DataError: for a folder without glucose files, or a file that is not as it is published.
    """
    root = folder(source, _NAME, "Glucose Data, Insulin Data, Nutrition Data and Activity Data")
    find(root, f"{_STREAMS[0].file}*.csv", _NAME)
    files = _by_person(root)
    for person, own in sorted(files.items()):
        if "glucose" not in own:
            source.count(f"uom{person}", "no glucose file", 1)
            continue
        for stream in _STREAMS:
            if not set(stream.channels) & set(source.columns):
                continue
            if stream.name in own:
                yield from _rows(source, f"uom{person}", own[stream.name], stream)
            else:
                source.count(f"uom{person}", f"no {stream.name} file", 1)


def _by_person(root: Path) -> dict[int, dict[str, Path]]:
    """Return each person's files by stream.

    :raises DataError: for a file that is not named by a number: a copy would be another person.
    """
    files: dict[int, dict[str, Path]] = {}
    for stream in _STREAMS:
        name = Path(stream.file).name
        for path in find(root, f"{stream.file}*.csv", _NAME, required=False):
            number = re.fullmatch(rf"{name}([1-9]\d*)\.csv", path.name)
            if not number:
                raise DataError(f"{path} is not named {name}<number>.csv", "rename it, or take it out of the folder")
            files.setdefault(int(number[1]), {})[stream.name] = path
    return files


def _rows(source: Source, item: str, path: Path, stream: _Stream) -> Iterator[pa.RecordBatch]:
    columns = list(dict.fromkeys(stream.channels.values()))
    parts = list(read_text(path, [stream.stamp, *columns, *stream.beside]))
    if not parts:  # a header alone
        return
    rows = pd.concat(parts)
    if stream.name == "activity":
        rows = _once(source, item, rows, columns)
    elif stream.name != "glucose":
        rows = _in_time(source, item, rows, path, stream)
    cells = {column: numbers(rows[column], path) for column in columns}
    for column, values in cells.items():
        source.count(item, f"blank {column} cells", int(np.isnan(values).sum()))
        if stream.name != "glucose" and (values < 0).any():
            row = rows.index[int((values < 0).argmax())]
            raise DataError(f"{path}: row {row} of {column!r} is {rows[column][row]!r}, below 0", "correct the cell")
    channels: dict[str, Any] = {channel: cells[column] for channel, column in stream.channels.items()}
    if stream.name == "basal":
        rate = _is_rate(rows["insulin_kind"], path)
        channels = {name: np.where(rate == (name == "basal_u_per_h"), one, np.nan) for name, one in channels.items()}
    times = stamps(rows[stream.stamp], path, _FORMAT)
    yield from events(source, item, times + _KNOWN_AFTER if stream.name == "activity" else times, **channels)


def _once(source: Source, item: str, rows: pd.DataFrame, amounts: list[str]) -> pd.DataFrame:
    again = rows.duplicated(_TWICE)
    other = again & ~rows.duplicated([*_TWICE, *amounts])
    source.count(item, "activity rows given twice", int(again.sum()))
    source.count(item, "activity rows given twice that disagree", int(other.sum()))
    return rows[~again]


def _in_time(source: Source, item: str, rows: pd.DataFrame, path: Path, stream: _Stream) -> pd.DataFrame:
    """Return the rows that hold a time of day (midnight would be an invented one) and a year that can be right."""
    bare = rows[stream.stamp].astype("string").str.fullmatch(r"\d{1,2}/\d{1,2}/\d{4}").fillna(False).astype(bool)
    source.count(item, f"{stream.name} rows without a time of day", int(bare.sum()))
    rows = rows[~bare]
    wrong = _wrong_year(stamps(rows[stream.stamp], path, _FORMAT))
    source.count(item, f"{stream.name} rows with a wrong year", int(wrong.sum()))
    return rows[~wrong]


def _wrong_year(times: pd.Series[Any]) -> pd.Series[bool]:
    """Mark stamps out of the file's order by half a year that are as far from the rows around them."""
    moments = times.astype("int64")
    behind = moments.cummax() - moments > _HALF_YEAR
    ahead = moments - moments[::-1].cummin()[::-1] > _HALF_YEAR
    far = (moments - moments.rolling(11, center=True, min_periods=1).median()).abs() > _HALF_YEAR
    return (behind | ahead) & far


def _is_rate(kinds: pd.Series[str], path: Path) -> Any:
    """Return whether each row is of kind R.

    :raises DataError: for another kind than R and L.
    """
    known = kinds.isin(["R", "L"]).to_numpy()
    if not known.all():
        row = kinds.index[int(known.argmin())]
        raise DataError(f"{path}: row {row} of 'insulin_kind' is {kinds[row]!r}", "R (rapid) or L (long-acting)")
    return (kinds == "R").to_numpy()


DATASET = Dataset(
    name=_NAME,
    summary="adults with type 1 diabetes, CGM every 5 or 15 min with insulin, meals and activity; mmol/L",
    licence="CC BY 4.0",
    origin="T1D-UOM - A Longitudinal Multimodal Dataset of Type 1 Diabetes, University of Manchester, "
    "doi 10.5281/zenodo.15169263",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mmol/L",
    task_unit="mg/dL",
    freq="5min",
    channels=offered("bolus_u", "basal_u_per_h", "basal_u", "carbs_g", "steps", "active_kcal"),
    rules=RULES | {"shared_rows": "drop", "valid_range": (1.1, 33.3)},
    files=_files,
)
