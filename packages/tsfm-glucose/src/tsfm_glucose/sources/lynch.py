"""IOBP2 (Lynch 2022): people from 6 years on with type 1 diabetes, on the iLet bionic pancreas for 13 weeks.

The pump writes a row every 5 minutes. Its glucose is a reading at the row's stamp; its insulin was delivered in the
step before, and so stands 5 minutes earlier, also that of rows without a reading. Basal insulin is a delivered amount,
given as a rate: 12 times as many U/h in its step, held on where rows are missing, for a day at most. Bolus and meal
bolus are one channel; where one of the two is empty the other counts alone. A meal is announced by a word, not in
grams, so there are no carbohydrates.

The pump writes 39 for a reading below its range and 401 for one above: they become 40 and 400, and are counted. Left
out and counted are insulin cells below 0, and rows that hold nothing. Only the pump's table is read: people of the
control group have a sensor table of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tsfm_core import Dataset, Source
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

_NAME = "lynch"
_FILE = "IOBP2DeviceiLet.txt"
#: At midnight the archive leaves the time of day out.
_FORMATS = ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y")
_INSULIN = ("BolusDelivPrev", "MealBolusDelivPrev", "BasalDelivPrev")
_STEP = pd.Timedelta("5min")
_STEPS_PER_HOUR = 12


def _inside(path: Path) -> Path:
    inner = path / "Data Tables"
    return inner if inner.is_dir() else path


def _files(path: Path | None) -> list[Path]:
    """Return what the rows are read from."""
    if path is None or not path.is_dir():
        return []
    return find(_inside(path), _FILE, _NAME, required=False)


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield the pump's rows: readings, then the insulin that was delivered before them.

    :raises DataError: for a table that is missing or not as it is published.
    """
    where = _inside(folder(source, _NAME, f"the folder Data Tables with {_FILE}"))
    path = find(where, _FILE, _NAME)[0]
    for cells in read_text(path, ["PtID", "DeviceDtTm", "CGMVal", *_INSULIN], "|"):
        items = item_ids(cells["PtID"], path, "lyn_")
        times = stamps(cells["DeviceDtTm"], path, *_FORMATS)
        readings = numbers(cells["CGMVal"], path)
        insulin = {name: _delivered(source, cells[name], items, path) for name in _INSULIN}
        nothing = np.isnan(readings) & np.all([np.isnan(units) for units in insulin.values()], axis=0)
        tally(source, items[nothing], "rows without a reading and without insulin")
        tally(source, items[readings <= 39], "readings below the sensor's range, set to 40")
        tally(source, items[readings >= 401], "readings above the sensor's range, set to 400")
        readings = np.where(readings <= 39, 40, np.where(readings >= 401, 400, readings))
        bolus, meal, basal = insulin.values()
        both = np.where(np.isnan(bolus), meal, bolus + np.nan_to_num(meal))
        yield from events(source, items, times, glucose=readings)
        yield from events(source, items, times - _STEP, bolus_u=both, basal_u_per_h=basal * _STEPS_PER_HOUR)


def _delivered(source: Source, cells: pd.Series[str], items: pd.Series[Any], path: Path) -> Any:
    """Return units, NaN where the cell is empty or says less than nothing."""
    units = numbers(cells, path)
    tally(source, items[units < 0], f"{cells.name} cells below 0")
    return np.where(units < 0, np.nan, units)


DATASET = Dataset(
    name=_NAME,
    summary="IOBP2: 343 people with type 1 diabetes on the iLet, CGM every 5 min with insulin, no carbohydrates; mg/dL",
    licence="JAEB Center data use terms: not redistributable",
    origin="JAEB Center for Health Research, public.jaeb.org/datasets/diabetes, after registration",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mg/dL",
    freq="5min",
    channels=offered("bolus_u", "basal_u_per_h"),
    rules=RULES,
    files=_files,
)
