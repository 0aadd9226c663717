"""GluPredKit: the csv that its parsers write, a row for every 5 minutes of every person.

What a parser wrote is given as it stands. Most parsers stamp 5 minutes with their end, readings and doses alike, and
nothing is shifted here. ``is_test``, ``hour`` and workouts are not read: splits and features are made by tsfm.

Stamps may carry an offset from UTC: the wall time that the stamp shows is taken, and the offset left out and counted.
So an hour that a clock repeats in autumn falls onto itself, and a file in UTC (+00:00 throughout, as of Tidepool) shows
UTC, not the person's midnight.

``insulin`` is basal per 5 minutes and boluses together; ``basal`` is U in 5 minutes in most parsers and U/h in some.
Where a row holds ``insulin``, ``bolus`` and ``basal``, they say which: a file that contradicts ``data.options.basal``
is refused. A rate that no pump gives is a long-acting injection in the wrong column: left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic import Field

from tsfm_core import Channel, DataError, Dataset, Section, Source
from tsfm_glucose.sources.tables import COLUMNS, RULES, events, numbers, offered, read_text, stamps

__all__ = ["DATASET", "Options"]

_NAME = "glupredkit"
_FORMATS = (
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M", "%Y-%m-%d"),
    *("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f"),
)
_OFFSET = r"^(.*\d:\d\d(?:\.\d+)?) ?(?:Z|[+-]\d\d:?\d\d)$"
#: The column of each channel.
_CHANNELS = {
    "glucose": "CGM",
    "insulin_u": "insulin",
    "bolus_u": "bolus",
    "carbs_g": "carbs",
    "heart_rate": "heartrate",
    "steps": "steps",
}
_ALWAYS = ("CGM", "insulin", "carbs")  # every parser writes them
_PER_HOUR = 12  # slots of 5 minutes
_FASTEST = 35.0  # U/h: no pump gives more
_NEAR = 0.01  # U: files are rounded to two decimals


class Options(Section):
    """``data.options``: what the file does not say."""

    basal: Literal["U", "U/h"] = Field(default="U", description="unit of the column basal: U in 5 min, or a rate")


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield the file, chunk by chunk.

    :raises DataError: for a path that is no file, or cells that are not what the format has there.
    """
    path = _file(source)
    wanted = {channel: column for channel, column in _CHANNELS.items() if channel in source.columns}
    always = [column for column in wanted.values() if column in _ALWAYS]
    basal = ["basal", "bolus", "insulin"] if "basal_u_per_h" in source.columns else []
    optional = [column for column in dict.fromkeys([*wanted.values(), *basal]) if column not in always]
    for rows in read_text(path, ["date", "id", *always], optional=optional):
        _require_ids(rows["id"], path)
        channels = {name: _checked(rows, column, path) for name, column in wanted.items() if column in rows}
        if "basal" in rows:
            channels["basal_u_per_h"] = _rate(source, rows, path)
        yield from events(source, rows["id"], _wall_time(source, rows, path), **channels)


def _file(source: Source) -> Path:
    """Return ``data.path``, which has to be a file."""
    path, hint = source.path, "name the csv that its parser wrote: --path FILE.csv"
    if path is None:
        raise DataError(f"{_NAME} needs data.path", hint)
    if not path.is_file():
        raise DataError(f"{_NAME}: {path} is {'a folder' if path.is_dir() else 'not there'}", hint)
    return path


def _wall_time(source: Source, rows: pd.DataFrame, path: Path) -> pd.Series[pd.Timestamp]:
    """Return the stamps as they show, without their offset."""
    shown = rows["date"].str.replace(_OFFSET, r"\1", regex=True)
    cut = rows["id"][rows["date"].notna() & (shown != rows["date"])]
    for item, number in cut.value_counts().items():
        source.count(str(item), "stamps whose offset was left out", int(number))
    return stamps(shown, path, *_FORMATS)


def _checked(rows: pd.DataFrame, column: str, path: Path) -> npt.NDArray[np.float64]:
    """Return numbers that are not negative.

    :raises DataError: for any other cell, naming its row.
    """
    values = numbers(rows[column], path)
    if (values < 0).any():
        row = rows.index[int((values < 0).argmax())]
        raise DataError(f"{path}: row {row} of {column!r} is {rows[column][row]!r}, below 0", "correct the cell")
    return values


def _rate(source: Source, rows: pd.DataFrame, path: Path) -> npt.NDArray[np.float64]:
    """Return the basal rate in U/h, NaN where it is not recorded or none that a pump can give."""
    options = source.options or Options()
    basal = _checked(rows, "basal", path)
    per_slot = {"U": basal, "U/h": basal / _PER_HOUR}
    if "insulin" in rows and "bolus" in rows:
        insulin, bolus = _checked(rows, "insulin", path), _checked(rows, "bolus", path)
        off = {unit: np.abs(insulin - np.nan_to_num(bolus) - given) for unit, given in per_slot.items()}
        other = "U/h" if options.basal == "U" else "U"
        wrong = (off[options.basal] > _NEAR) & (off[other] <= _NEAR)
        right = (off[options.basal] <= _NEAR) & (off[other] > _NEAR)
        if wrong.sum() > right.sum():
            row = rows.index[int(wrong.argmax())]
            cells = ", ".join(f"{one} {rows[one][row]}" for one in ("insulin", "bolus", "basal"))
            said = f"{path}: row {row} holds {cells}: basal is in {other}, not in {options.basal}"
            raise DataError(said, f"data.options.basal: {other}")
        for item, number in rows["id"][off[options.basal] > _NEAR].value_counts().items():
            source.count(str(item), "rows whose insulin is not bolus and basal together", int(number))
    rate = per_slot[options.basal] * _PER_HOUR
    injected = rate > _FASTEST
    for item, number in rows["id"][injected].value_counts().items():
        source.count(str(item), f"basal above {_FASTEST:g} U/h, which is no rate of a pump, left out", int(number))
    return np.where(injected, np.nan, rate)


def _require_ids(cells: pd.Series[str], path: Path) -> None:
    if cells.isna().any():
        row = cells.index[int(cells.isna().to_numpy().argmax())]
        raise DataError(f"{path}: row {row} has no id", "every row needs the id of its person")


DATASET = Dataset(
    name=_NAME,
    summary="csv that a parser of GluPredKit wrote: date, id, CGM, insulin, carbs and more",
    licence="your own",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mg/dL",
    freq="5min",
    channels={
        "insulin_u": Channel("amount", "U"),
        **offered("bolus_u", "basal_u_per_h", "carbs_g", "heart_rate", "steps"),
    },
    rules=RULES,
    options_schema=Options,
)
