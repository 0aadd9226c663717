"""DCLP3 (Brown 2019): people from 14 years on with type 1 diabetes, on closed-loop or sensor-augmented pumps.

Rows are given as they are recorded. A stamp is ISO or as SAS writes it, both in one column; where the study corrected
it (``DataDtTm_adjusted``) the correction counts, for two people were a year off and more. Glucose is in the fourth
column of ``cgm.txt``, which has no name. 43 of the 168 people have no pump rows and so no insulin.

A basal rate is the one that was commanded, and holds until the next change. The extended part of a bolus is a row of
its own, and no duration of it is published: its amount stands at its stamp, and is counted. Left out and counted are
rows without a number of 0 or more.
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
    offered,
    read_text,
    stamps,
    tally,
)

__all__ = ["DATASET"]

_NAME = "brown"
_FORMATS = ("%Y-%m-%d %H:%M:%S", "%d%b%y:%H:%M:%S")
_ADJUSTED = "DataDtTm_adjusted"
_NAMELESS = "Unnamed: 3"  # what pandas calls a fourth column without a name
#: The table of each channel, and its column; None: of ``cgm.txt``.
_STREAMS = {
    "glucose": ("cgm.txt", None),
    "bolus_u": ("Pump_BolusDelivered.txt", "BolusAmount"),
    "basal_u_per_h": ("Pump_BasalRateChange.txt", "CommandedBasalRate"),
}


def _inside(path: Path) -> Path:
    inner = path / "Data Files"
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
    where = _inside(folder(source, _NAME, "the folder Data Files with cgm.txt"))
    for channel, (file, column) in _STREAMS.items():
        if channel in source.columns:
            yield from _rows(source, find(where, file, _NAME)[0], channel, column)


def _rows(source: Source, path: Path, channel: str, column: str | None) -> Iterator[pa.RecordBatch]:
    needed = ["PtID", "DataDtTm", *([column] if column else []), *(["BolusType"] if channel == "bolus_u" else [])]
    offers = [_ADJUSTED, *([] if column else ["CGM", _NAMELESS])]
    for cells in read_text(path, needed, "|", optional=offers):
        items = item_ids(cells["PtID"], path, "bro_")
        moved = cells[_ADJUSTED].notna() if _ADJUSTED in cells else pd.Series(False, cells.index)
        tally(source, items[moved], f"stamps that the study corrected ({_ADJUSTED})")
        times = stamps(cells["DataDtTm"][~moved], path, *_FORMATS)
        if moved.any():
            times = pd.concat([times, stamps(cells[_ADJUSTED][moved], path, *_FORMATS)]).sort_index()
        values = pd.Series(numbers(cells[column] if column else _glucose(cells, path), path), cells.index)
        usable = values >= 0  # an empty cell is not
        tally(source, items[~usable], f"rows without a {channel} of 0 or more")
        if channel == "bolus_u":
            extended = cells["BolusType"].str.lower().isin(["extended"]) & usable
            tally(source, items[extended], "extended boluses: no duration is published, put at their stamp")
        if channel == "glucose":
            beyond = usable & ~values.between(40, 400)
            tally(source, items[beyond], "readings below 40 or above 400, the sensor's limits (kept)")
        yield from events(source, items[usable], times[usable], **{channel: values[usable]})


def _glucose(cells: pd.DataFrame, path: Path) -> pd.Series[str]:
    if "CGM" in cells:
        return cells["CGM"]
    if _NAMELESS in cells:
        return cells[_NAMELESS].rename("the fourth column, which has no name")
    raise DataError(
        f"{path} has neither a column 'CGM' nor a fourth one without a name", "take the file as it is published"
    )


DATASET = Dataset(
    name=_NAME,
    summary="DCLP3: 168 people with type 1 diabetes, CGM every 5 min, 125 of them with pump insulin; mg/dL",
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
