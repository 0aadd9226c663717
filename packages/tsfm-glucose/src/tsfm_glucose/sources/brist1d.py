"""BrisT1D, as the Kaggle competition gives it: ``train.csv``, whose rows hold the last six hours and no date.

Each row of a person repeats most of the row before it, so the sequence can be put together again. A row goes on where
its clock is k steps ahead (modulo a day) and the lags that both rows hold are the same, empty cells included, with at
least three values other than 0 among them. Where that cannot be shown, a new stretch begins: its first stamp lies a
whole placeholder day or more after the last one, and it is counted, for the true distance is not known.

The time of day is true, dates are placeholders from 2024-01-01 on. ``insulin`` is what a slot got in all, a pump's
basal included. The target of the competition (``bg+1:00``) and the isolated windows of ``test.csv`` are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tsfm_core import Channel, DataError, Dataset, Source
from tsfm_glucose.sources.tables import COLUMNS, events, numbers, offered, read_text, stamps

__all__ = ["DATASET"]

_NAME = "brist1d"
_SIGNALS = {
    "bg": "glucose",
    "insulin": "insulin_u",
    "carbs": "carbs_g",
    "hr": "heart_rate",
    "steps": "steps",
    "cals": "active_kcal",
}
_LAGS = [f"{minutes // 60}:{minutes % 60:02d}" for minutes in range(355, -1, -5)]
_CELLS = [f"{signal}-{lag}" for signal in _SIGNALS for lag in _LAGS]
_STEP, _DAY = 300, 86_400  # seconds
_REACH = (len(_LAGS) - 1) * _STEP
_BEGIN = int(pd.Timestamp("2024-01-01").timestamp())
#: Fewer values than this may agree by chance, and a 0 proves nothing.
_PROOF = 3


class _Row(NamedTuple):
    stamp: int  # seconds since 1970, of the newest lag
    cells: npt.NDArray[np.float64]  # [signals, lags]


def _train(path: Path | None) -> Path:
    """Return the file.

    :raises DataError: where it is not there, or is the competition's test file.
    """
    if path is None:
        raise DataError(f"{_NAME} needs data.path", "name the folder that holds train.csv: --path FOLDER")
    file = path / "train.csv" if path.is_dir() else path
    if file.name == "test.csv":
        raise DataError(f"{file} holds windows that do not follow each other", "name train.csv")
    if not file.is_file():
        raise DataError(f"{file} is not there", "data.path is train.csv of the competition brist1d, or its folder")
    return file


def _files(path: Path | None) -> list[Path]:
    """Return what the rows are read from."""
    return [_train(path)]


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield the sequence of each person.

    :raises DataError: for a file that is not as the competition gives it.
    """
    path = _train(source.path)
    last: dict[str, _Row] = {}
    for chunk in read_text(path, ["p_num", "time", *_CELLS]):
        items = _items(chunk["p_num"], path)
        times = stamps(chunk["time"], path, "%H:%M:%S")
        clocks = ((times - times.dt.normalize()).dt.total_seconds()).to_numpy(np.int64)
        cells = np.stack([numbers(chunk[name], path) for name in _CELLS], axis=1)
        cells = cells.reshape(len(chunk), len(_SIGNALS), len(_LAGS))
        for item, at in items.groupby(items, sort=False).indices.items():
            yield from _continue(source, str(item), clocks[at], cells[at], last)


def _items(people: pd.Series[str], path: Path) -> pd.Series[str]:
    """Return the item of each row: p01 is ``bri_1``.

    :raises DataError: for a cell that is none.
    """
    found = people.str.extract(r"^p0*([1-9]\d*)$", expand=False)
    if found.isna().any():
        row = people.index[int(found.isna().to_numpy().argmax())]
        said = f"{path}: row {row} of {people.name!r} is {people.fillna('')[row]!r}"
        raise DataError(said, "people are called p01, p02, ...")
    return "bri_" + found


def _continue(
    source: Source, item: str, clocks: npt.NDArray[np.int64], cells: npt.NDArray[np.float64], last: dict[str, _Row]
) -> Iterator[pa.RecordBatch]:
    """Yield what rows of one person add to the rows before, of which ``last`` holds the last.

    :param clocks: ``[n]``, seconds of the day.
    :param cells: ``[n, signals, lags]``.
    """
    width = len(_LAGS)
    seconds, values, apart, twice = [], [], 0, 0
    for clock, row in zip(clocks.tolist(), cells, strict=True):
        before = last.get(item)
        added = None if before is None else _ahead(before, clock, row)
        if before is None or added is None:
            stamp, new = _from(_BEGIN if before is None else before.stamp + _DAY, clock), width
            apart += before is not None
        else:
            stamp, new = before.stamp + added * _STEP, added
            twice += added == 0
        last[item] = _Row(stamp, row)
        seconds.append(stamp - _STEP * np.arange(new - 1, -1, -1))
        values.append(row[:, width - new :])
    last[item] = _Row(last[item].stamp, last[item].cells.copy())  # not the whole chunk with it
    source.count(item, "stretches whose distance is unknown", apart)
    source.count(item, "rows given twice", twice)
    times = np.concatenate(seconds).astype("datetime64[s]").astype("datetime64[us]")
    joined = dict(zip(_SIGNALS.values(), np.concatenate(values, axis=1), strict=True))
    yield from events(source, item, times, **joined)


def _ahead(before: _Row, clock: int, cells: npt.NDArray[np.float64]) -> int | None:
    """Return by how many steps a row goes on, or None where the lags do not show that it does."""
    steps, rest = divmod((clock - before.stamp) % _DAY, _STEP)
    if rest or steps >= len(_LAGS):
        return None
    old, again = before.cells[:, steps:], cells[:, : len(_LAGS) - steps]
    same = np.array_equal(old, again, equal_nan=True) and np.count_nonzero(np.abs(old) > 0) >= _PROOF
    return steps if same else None


def _from(earliest: int, clock: int) -> int:
    """Return the first stamp at this time of day whose oldest lag is not before ``earliest``."""
    earliest += _REACH
    return earliest + (clock - earliest) % _DAY


DATASET = Dataset(
    name=_NAME,
    summary="young adults with type 1 diabetes, CGM every 5 or 15 min with insulin, carbohydrates and a watch; "
    "mmol/L; the time of day is true, dates are placeholders",
    licence="the rules of the Kaggle competition brist1d",
    origin="BrisT1D Blood Glucose Prediction Competition (Kaggle), University of Bristol: train.csv",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mmol/L",
    freq="5min",
    channels={"insulin_u": Channel("amount", "U"), **offered("carbs_g", "heart_rate", "steps", "active_kcal")},
    rules={"off_grid": "floor", "mixed_freq": "keep", "valid_range": (1.1, 33.3)},
    clock="time_of_day",
    files=_files,
)
