"""cgm-format: the unified csv of the package cgm-format, one person in each file, who is named by it.

A row is an event. Only ``EGV_READ`` rows are the sensor's; finger-stick readings stand in the same column. Every row
keeps the stamp that was recorded, ``original_datetime``: ``datetime`` has been moved onto a grid (quality bits 16 and
64), and two readings moved to one instant could not be told apart any more. A re-timed reading (64) takes the value
``original_glucose`` back, because ``glucose`` is an interpolation at the other instant.

Imputed rows (quality bit 4) are left out and counted. Readings out of range (1), on a calibration day (2), at a time
that another row has (8), merged of two sensors (32) and moved ones (16, 64) are kept, and counted.

``basal_rate``, a column of the extended format, is in U/h by its definition and holds until the next ``BASAL_RT`` row.
An empty one says "unknown from here", which a channel cannot: the last rate holds, for a day at most, and it is
counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tsfm_core import DataError, Dataset, Source
from tsfm_glucose.sources.tables import COLUMNS, RULES, events, find, folder, numbers, offered, read_text, stamps

__all__ = ["DATASET"]

_NAME = "cgm_format"
_FORMATS = ("%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S")
#: The event and the column of each channel.
_CHANNELS = {
    "glucose": ("EGV_READ", "glucose"),
    "carbs_g": ("CARBS_IN", "carbs"),
    "bolus_u": ("INS_FAST", "insulin_fast"),
    "basal_u": ("INS_SLOW", "insulin_slow"),
    "basal_u_per_h": ("BASAL_RT", "basal_rate"),
}
_EVENTS = [event for event, _ in _CHANNELS.values()]
_IMPUTED, _RETIMED = 4, 64
#: What is kept and counted, by quality bits.
_FLAGS = {
    1: "readings out of the sensor's range, kept",
    2: "readings on a calibration day, kept",
    8: "readings at a time that another row has, kept",
    16 | _RETIMED: "readings that had been moved in time, at their recorded stamp",
    32: "readings merged of two sensors, kept",
}
#: Columns of the extended format.
_EXTENDED = ("original_glucose", "basal_rate", "insulin_duration")


def _files(path: Path | None) -> Sequence[Path]:
    """Return what the rows are read from."""
    if path is None or path.is_file():
        return [path] if path else []
    return find(path, "*.csv", _NAME, required=False)


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield each file, chunk by chunk.

    :raises DataError: for a path that is not there, or a file that is not as the format has it.
    """
    if source.path is None or not source.path.is_file():
        find(folder(source, _NAME, "csv files, one for each person; or name one such file"), "*.csv", _NAME)
    for path in _files(source.path):
        wanted = [column for channel, (_, column) in _CHANNELS.items() if channel in source.columns]
        core = [column for column in wanted if column not in _EXTENDED]
        for chunk in read_text(path, ["original_datetime", "event_type", "quality", *core], optional=_EXTENDED):
            yield from _rows(source, path, chunk)


def _rows(source: Source, path: Path, rows: pd.DataFrame) -> Iterator[pa.RecordBatch]:
    item = path.stem
    _require_events(rows["event_type"], path)
    quality = pd.Series(_bits(rows["quality"], path), rows.index)
    meter = rows["event_type"].isin(["CALIBRAT", "BG_METER"])
    source.count(item, "finger-stick readings (CALIBRAT, BG_METER), left out", int(meter.sum()))
    other = ~meter & ~rows["event_type"].isin(_EVENTS)
    source.count(item, "rows of other events, such as alerts and exercise, left out", int(other.sum()))
    imputed = ~meter & ~other & (quality & _IMPUTED > 0)
    source.count(item, "imputed rows (quality bit 4), left out", int(imputed.sum()))
    rows = rows[~meter & ~other & ~imputed]
    quality = quality[rows.index]
    wanted = [channel for channel in _CHANNELS if channel in source.columns]
    channels = {channel: _values(source, path, rows, channel, quality) for channel in wanted}
    yield from events(source, item, stamps(rows["original_datetime"], path, *_FORMATS), **channels)


def _values(
    source: Source, path: Path, rows: pd.DataFrame, channel: str, quality: pd.Series[int]
) -> npt.NDArray[np.float64]:
    """Return the values of one channel, NaN in the rows of other events."""
    item, (event, column) = path.stem, _CHANNELS[channel]
    own = rows["event_type"] == event
    values = np.full(len(rows), np.nan)
    if column not in rows:
        source.count(item, f"{event} rows without a column {column}: their unit is not known, left out", int(own.sum()))
        return values
    values[own] = numbers(rows.loc[own, column], path)
    if column == "glucose":
        for bits, what in _FLAGS.items():
            source.count(item, what, int((quality[own] & bits > 0).sum()))
        if "original_glucose" in rows:
            back = own & (quality & _RETIMED > 0) & rows["original_glucose"].notna()
            values[back] = numbers(rows.loc[back, "original_glucose"], path)
    if (values < 0).any():
        row = rows.index[int((values < 0).argmax())]
        raise DataError(f"{path}: row {row} of {column!r} is {rows[column][row]!r}, below 0", "correct the cell")
    blank = "BASAL_RT rows that end what is known of the rate; the last one holds" if event == "BASAL_RT" else None
    source.count(item, blank or f"{event} rows without a value, left out", int(np.isnan(values[own]).sum()))
    if column == "insulin_fast" and "insulin_duration" in rows:
        slow = numbers(rows.loc[own, "insulin_duration"], path) > 0
        source.count(item, "boluses given over some time, put at their begin", int(slow.sum()))
    return values


def _require_events(cells: pd.Series[str], path: Path) -> None:
    if cells.isna().any():
        row = cells.index[int(cells.isna().to_numpy().argmax())]
        raise DataError(f"{path}: row {row} has no event_type", "cgm-format writes one into every row")


def _bits(cells: pd.Series[str], path: Path) -> npt.NDArray[np.int64]:
    """Return the quality flags.

    :raises DataError: for a cell that is empty or no sum of flags, naming its row.
    """
    values = numbers(cells, path)
    wrong = ~((values >= 0) & (values < 2**31) & (values % 1 == 0))
    if wrong.any():
        row = cells.index[int(wrong.argmax())]
        said = repr(cells[row]) if isinstance(cells[row], str) else "empty"
        raise DataError(f"{path}: row {row} of 'quality' is {said}, not a sum of flags", "0 says that there is none")
    return values.astype(np.int64)


DATASET = Dataset(
    name=_NAME,
    summary="unified csv of the package cgm-format: one file a person, or a folder of them",
    licence="your own",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mg/dL",
    freq="5min",
    channels=offered("bolus_u", "basal_u_per_h", "basal_u", "carbs_g"),
    rules=RULES,
    files=_files,
)
