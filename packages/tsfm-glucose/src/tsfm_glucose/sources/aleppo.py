"""REPLACE-BG (Aleppo 2017): adults with type 1 diabetes and a pump, a sensor reading every 5 minutes for half a year.

The archive says how many days after enrolment a row stands, and its time of day. Day 0 is laid on 2020-01-01: times
and distances are true, dates are not. Rows are given as they are recorded. Left out and counted are rows before day 0
(a blinded run-in), sensor records that are no reading (calibrations), rows without a number of 0 or more, and doses and
carbohydrates that are there twice, to the second and the amount, since a pump was uploaded more than once.

The extended part of a bolus is spread over its duration, in equal parts at its stamp and every 5 minutes after it.
Without a duration between 1 minute and 24 hours it stands at its stamp; both are counted. Durations are read as
milliseconds: those of Diasend uploads are minutes, too short for that, so their extended parts stand at their stamps.

A suspend without a rate is 0 U/h. The duration of a basal entry is not used: where it ends before the next entry begins
the rate is unknown, which an event cannot say, so it is held to the next entry, for a day at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
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
    offered,
    read_text,
    stamps,
    tally,
)

__all__ = ["DATASET"]

_NAME = "aleppo"
_DAY, _TIME = "DeviceDtTmDaysFromEnroll", "DeviceTm"
_PERSON = ("PtID", "PtId")  # the wizard's table has the second
#: From 1900-01-01, where strptime puts a bare time of day, to the date that stands for day 0.
_DAY_0 = np.datetime64("2020-01-01") - np.datetime64("1900-01-01")


def _inside(path: Path) -> Path:
    inner = path / "Data Tables"
    return inner if inner.is_dir() else path


def _files(path: Path | None) -> list[Path]:
    """Return what the rows are read from."""
    if path is None or not path.is_dir():
        return []
    return find(_inside(path), [file for file, _ in _STREAMS.values()], _NAME, required=False)


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield each table's rows; a table whose channel is not wanted is not opened.

    :raises DataError: for a table that is missing or not as it is published.
    """
    where = _inside(folder(source, _NAME, "the folder Data Tables with HDeviceCGM.txt"))
    for channel, (file, stream) in _STREAMS.items():
        if channel in source.columns:
            yield from stream(source, find(where, file, _NAME)[0])


def _glucose(source: Source, path: Path) -> Iterator[pa.RecordBatch]:
    for every in _rows(source, path, "RecordType", "GlucoseValue"):
        reading = every["RecordType"].str.upper().isin(["CGM"])
        tally(source, every["item"][~reading], "sensor records that are no reading (calibrations)")
        rows = _with_number(source, every[reading], path, "GlucoseValue")
        beyond = ~rows["GlucoseValue"].between(40, 400)
        tally(source, rows["item"][beyond], "readings below 40 or above 400, the sensor's limits (kept)")
        yield from events(source, rows["item"], rows["stamp"], glucose=rows["GlucoseValue"])


def _bolus(source: Source, path: Path) -> Iterator[pa.RecordBatch]:
    seen: list[Any] = []
    for every in _rows(source, path, "Normal", "Extended", "Duration"):
        rows = _once(source, _with_number(source, every, path, "Normal", "Extended"), ["Normal", "Extended"], seen)
        yield from events(source, rows["item"], rows["stamp"], bolus_u=rows["Normal"])
        rows = rows[rows["Extended"] > 0]
        minutes = pd.Series(numbers(rows["Duration"], path), rows.index) / 60_000
        known = minutes.between(1, 1440)
        tally(source, rows["item"][known], "extended boluses, spread over their duration")
        tally(source, rows["item"][~known], "extended boluses without a usable duration, put at their stamp")
        parts = np.ceil(minutes.where(known, 1).to_numpy() / 5).astype(np.int64)
        nth = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
        spread = rows.assign(part=rows["Extended"] / parts).iloc[np.repeat(np.arange(len(rows)), parts)]
        later = spread["stamp"].to_numpy() + nth * np.timedelta64(5, "m")
        yield from events(source, spread["item"], later, bolus_u=spread["part"])


def _basal(source: Source, path: Path) -> Iterator[pa.RecordBatch]:
    for every in _rows(source, path, "BasalType", "Rate"):
        stopped = every["BasalType"].str.lower().isin(["suspend"]) & every["Rate"].isna()
        rows = _with_number(source, every.assign(Rate=every["Rate"].mask(stopped, "0")), path, "Rate")
        yield from events(source, rows["item"], rows["stamp"], basal_u_per_h=rows["Rate"])


def _carbs(source: Source, path: Path) -> Iterator[pa.RecordBatch]:
    seen: list[Any] = []
    for every in _rows(source, path, "CarbInput"):
        rows = _once(source, _with_number(source, every, path, "CarbInput"), ["CarbInput"], seen)
        yield from events(source, rows["item"], rows["stamp"], carbs_g=rows["CarbInput"])


#: The table of each channel.
_STREAMS: dict[str, tuple[str, Callable[[Source, Path], Iterator[pa.RecordBatch]]]] = {
    "glucose": ("HDeviceCGM.txt", _glucose),
    "bolus_u": ("HDeviceBolus.txt", _bolus),
    "basal_u_per_h": ("HDeviceBasal.txt", _basal),
    "carbs_g": ("HDeviceWizard.txt", _carbs),
}


def _rows(source: Source, path: Path, *columns: str) -> Iterator[pd.DataFrame]:
    """Yield a table's chunks from day 0 on, with the columns ``item`` and ``stamp``."""
    for cells in read_text(path, [_DAY, _TIME, *columns], "|", optional=_PERSON):
        person = next((cells[name] for name in _PERSON if name in cells), None)
        if person is None:
            raise DataError(f"{path} has no column {_PERSON[0]!r}", "take the file as it is published")
        items, days = item_ids(person, path, "ale_"), numbers(cells[_DAY], path)
        # a device clock may be years off; a century is no day count
        _refuse(cells[_DAY], ~(np.abs(days) < 36_525) | (days % 1 != 0), path, "a whole number of days")
        times = stamps(cells[_TIME], path, "%H:%M:%S", "%H:%M:%S.%f") + (days.astype("timedelta64[D]") + _DAY_0)
        tally(source, items[days < 0], "rows of the run-in, before day 0")
        yield cells.assign(item=items, stamp=times)[days >= 0]


def _with_number(source: Source, rows: pd.DataFrame, path: Path, *columns: str) -> pd.DataFrame:
    """Return the rows that hold a number of 0 or more in one of ``columns``, and below 0 in none."""
    values = pd.DataFrame({name: numbers(rows[name], path) for name in columns}, rows.index)
    usable = values.notna().any(axis=1) & ~(values < 0).any(axis=1)
    tally(source, rows["item"][~usable], f"rows without {' or '.join(columns)} of 0 or more")
    return rows.assign(**values)[usable]


def _once(source: Source, rows: pd.DataFrame, amounts: list[str], seen: list[Any]) -> pd.DataFrame:
    """Return the rows that did not come before; ``seen`` holds a hash of each that did, 8 bytes a row."""
    hashes = pd.util.hash_pandas_object(rows[["item", "stamp", *amounts]], index=False)
    again = hashes.duplicated() | hashes.isin(np.concatenate(seen) if seen else [])
    seen.append(hashes[~again].to_numpy())
    tally(source, rows["item"][again], f"rows that give {' and '.join(amounts)} again for the same second")
    return rows[~again]


def _refuse(cells: pd.Series[str], wrong: Any, path: Path, wanted: str) -> None:
    if wrong.any():
        row = cells.index[int(np.asarray(wrong).argmax())]
        said = repr(cells[row]) if isinstance(cells[row], str) else "empty"
        raise DataError(f"{path}: row {row} of {cells.name!r} is {said}, not {wanted}", "correct the cell")


DATASET = Dataset(
    name=_NAME,
    summary="REPLACE-BG: 226 adults with type 1 diabetes, CGM every 5 min with pump insulin and carbohydrates; mg/dL",
    licence="JAEB Center data use terms: not redistributable",
    origin="JAEB Center for Health Research, public.jaeb.org/datasets/diabetes, after registration",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mg/dL",
    freq="5min",
    channels=offered("bolus_u", "basal_u_per_h", "carbs_g"),
    rules=RULES,
    clock="time_of_day",
    files=_files,
)
