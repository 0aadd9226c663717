"""Dexcom Clarity: the csv that a person exports, one file or a folder with a file for each person.

Sensor values are the rows of type EGV and Fasting Glucose. Alert and device rows hold settings, and rows without a
timestamp are about the person and the devices: both are left out. "Low" and "High" are censored values, below 40 and
above 400 mg/dL: they are given as 39 and 401 and counted. A file in mmol/L is converted, by 18.018, and counted.

Names and birth dates are in the file. The names are read for one purpose: a file that is named after its person is
refused, since its name would be the item's id. No sentence shows a cell that could be one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic import Field

from tsfm_core import DataError, Dataset, Section, Source
from tsfm_glucose.sources.clarity_layout import Layout, layout_of, unit_of
from tsfm_glucose.sources.tables import COLUMNS, RULES, events, find, numbers, offered, read_padded, stamps
from tsfm_glucose.units import convert

__all__ = ["DATASET", "Options"]

_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
_READINGS = ("EGV", "Fasting Glucose")
#: Types that are counted by their name; what a file says beyond them might be anybody's words.
_OTHERS = ("Alert", "Calibration", "Device", "Exercise", "Health", "Notes")
_DOSES = {"Fast-Acting": "bolus_u", "Long-Acting": "basal_u"}
_CENSORED = {"low": 39.0, "high": 401.0}
#: What a sentence may show of a cell: nothing that could be a name (two letters together) or a date of birth.
_SHOWN = re.compile(r"(?!\D*\d+[-/.]\d+[-/.]\d+$)(?!.*[^\W\d_]{2}).{1,25}")


class Options(Section):
    """Whose file it is."""

    item_id: str | None = Field(default=None, min_length=1, description="id of the person; default: the file's name")


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield each person's readings, doses and meals.

    :raises DataError: for a file that is no Clarity export, is named after its person, or holds a cell that is garbage.
    """
    given = source.options.item_id if source.options else None
    paths = _files(source.path)
    if given and len(paths) > 1:
        raise DataError(f"{source.path} holds {len(paths)} files; data.options.item_id names one person", "name a file")
    for path in paths:
        item = given or path.stem
        layout = layout_of(path, item)
        for rows in read_padded(path, list(layout.names.values()), layout.separator):
            yield from _rows(source, item, path, layout, rows)


def _files(path: Path | None) -> list[Path]:
    """Return the export, or all of a folder.

    :raises DataError: where there is none.
    """
    if path is None:
        raise DataError("clarity needs data.path", "name the export, or the folder of exports: --path FILE")
    if not path.exists():
        raise DataError(f"{path} is not there", "clarity: a csv file, or a folder with one for each person")
    return [path] if path.is_file() else find(path, "*.csv", "clarity")


def _rows(source: Source, item: str, path: Path, layout: Layout, rows: pd.DataFrame) -> Iterator[pa.RecordBatch]:
    """Yield the readings, the doses and the meals among some rows."""
    kinds = rows[layout.names["kind"]].fillna("")
    recorded = rows[layout.names["stamp"]].notna()
    source.count(item, "rows without a timestamp", int((~recorded).sum()))
    for kind, count in kinds[recorded & ~kinds.isin([*_READINGS, "Insulin", "Carbs"])].value_counts().items():
        source.count(item, f"{kind} rows" if kind in _OTHERS else "rows of another event type", int(count))
    yield from _readings(source, item, path, layout, rows[recorded & kinds.isin(_READINGS)])
    yield from _doses(source, item, path, layout, rows[recorded & (kinds == "Insulin")])
    meals = rows[recorded & (kinds == "Carbs")]
    carbs = _amounts(source, item, path, layout, meals, "carbs")
    yield from events(source, item, _stamps(path, layout, meals), carbs_g=carbs)


def _readings(source: Source, item: str, path: Path, layout: Layout, rows: pd.DataFrame) -> Iterator[pa.RecordBatch]:
    """Yield readings in mg/dL."""
    words = rows[layout.names["glucose"]].str.casefold()
    values = numbers(_cells(layout, rows, "glucose").mask(words.isin(list(_CENSORED))), path)
    if layout.unit != "mg/dL":
        source.count(item, "readings converted from mmol/L", int((~np.isnan(values)).sum()))
        values = convert(values, layout.unit, "mg/dL")
    for word, value in _CENSORED.items():
        censored = (words == word).to_numpy(bool, na_value=False)
        values = np.where(censored, value, values)
        source.count(item, f"readings {word.title()}, given as {value:g} mg/dL", int(censored.sum()))
    source.count(item, "readings without a value", int(np.isnan(values).sum()))
    yield from events(source, item, _stamps(path, layout, rows), glucose=values)


def _doses(source: Source, item: str, path: Path, layout: Layout, rows: pd.DataFrame) -> Iterator[pa.RecordBatch]:
    """Yield what was injected, rapid and long-acting apart."""
    units = _amounts(source, item, path, layout, rows, "insulin")
    kinds = _column(layout, rows, "subtype").fillna("")
    source.count(item, "doses neither Fast-Acting nor Long-Acting", int((~kinds.isin(list(_DOSES))).sum()))
    channels = {channel: np.where(kinds == word, units, np.nan) for word, channel in _DOSES.items()}
    yield from events(source, item, _stamps(path, layout, rows), **channels)


def _amounts(
    source: Source, item: str, path: Path, layout: Layout, rows: pd.DataFrame, key: str
) -> npt.NDArray[np.float64]:
    """Return what was injected or eaten, ``[n]``."""
    values = numbers(_cells(layout, rows, key), path)
    source.count(item, "doses and meals without an amount", int(np.isnan(values).sum()))
    source.count(item, "doses and meals below 0", int((values < 0).sum()))
    return np.where(values < 0, np.nan, values)


def _stamps(path: Path, layout: Layout, rows: pd.DataFrame) -> pd.Series[Any]:
    return stamps(_cells(layout, rows, "stamp"), path, *_FORMATS)


def _column(layout: Layout, rows: pd.DataFrame, key: str) -> pd.Series[str]:
    """Return a column, empty where the file has none."""
    return rows[layout.names[key]] if key in layout.names else pd.Series(None, rows.index, dtype="str", name=key)


def _cells(layout: Layout, rows: pd.DataFrame, key: str) -> pd.Series[str]:
    """Return a column without what no sentence may show: a stray quote or comma moves names about."""
    cells = _column(layout, rows, key)
    return cells.where(cells.isna() | cells.str.fullmatch(_SHOWN, na=False), "***")


DATASET = Dataset(
    name="clarity",
    summary="your own Dexcom Clarity export: CGM every 5 min with logged doses and meals",
    licence="your own",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mg/dL",
    freq="5min",
    channels=offered("bolus_u", "basal_u", "carbs_g"),
    rules=RULES,
    options_schema=Options,
    recognises=unit_of,
)
