"""Nightscout's two csv files: the server's entries without a header, and the community exporter's two sections.

The server writes an entry as ``dateString, date, sgv, direction, device``. The exporter writes dates and times in the
order and the zone of the browser that it ran in, and says neither: both are needed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tsfm_core import DataError
from tsfm_core.errors import listing
from tsfm_glucose.sources.nightscout_records import Count, Record

__all__ = ["is_export", "read_entries", "read_export"]

_ENTRIES, _TREATMENTS = "# CGM ENTRIES", "# TREATMENTS"
_COLUMNS = {
    _ENTRIES: ["Date", "Time", "Glucose (mg/dL)", "Type", "Device", "Trend", "ID"],
    _TREATMENTS: ["Date", "Time", "Event Type", "Insulin (U)", "Carbs (g)", "Notes", "ID"],
}
_SERVER = 5


def is_export(path: Path) -> bool:
    """Return whether a csv is the exporter's."""
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf").startswith(_ENTRIES.encode())


def read_entries(path: Path) -> list[Record]:
    """Return the entries of the server's csv, as its json would have them, a record for each line.

    :raises DataError: for lines of another number of cells.
    """
    entries: list[Record] = []
    for line, cells in _lines(path):
        if len(cells) != _SERVER:
            raise DataError(
                f"{path}: line {line} has {len(cells)} cells, not {_SERVER}",
                "take the server's entries.csv, or its json",
            )
        entries.append({"date": cells[1] or cells[0], "sgv": cells[2], "type": "sgv"})
    return entries


def read_export(path: Path, zone: str | None, form: str | None, count: Count) -> tuple[list[Record], list[Record]]:
    """Return entries and treatments of the exporter's csv as its json would have them.

    :param zone: IANA name of the browser's zone.
    :param form: strptime format of date, blank and time.
    :param count: gets what the clock change leaves without an instant.
    :raises DataError: where one of these is not given, or the file has another layout.
    """
    if not zone or not form:
        raise DataError(
            f"{path} has dates in the order and the zone of the browser that wrote it, and says neither",
            "give data.options.timezone and data.options.date_format, such as '%m/%d/%Y %I:%M:%S %p'; or take the json",
        )
    sections: dict[str, list[tuple[int, list[str]]]] = {_ENTRIES: [], _TREATMENTS: []}
    section = ""
    for line, cells in _lines(path):
        if cells[0].startswith("#"):
            section = next((one for one in sections if cells[0].startswith(one)), "")
            if not section:
                raise DataError(
                    f"{path}: line {line} begins a section that is not known", "take the json of the server"
                )
        else:
            sections[section].append((line, cells))
    entries, treatments = (_section(path, name, rows, zone, form, count) for name, rows in sections.items())
    return entries, treatments


def _section(
    path: Path, name: str, rows: list[tuple[int, list[str]]], zone: str, form: str, count: Count
) -> list[Record]:
    if not rows:
        return []
    columns = _COLUMNS[name]
    for line, cells in rows:
        if line == rows[0][0] and cells != columns:
            raise DataError(
                f"{path}: the section {name} has not the columns {listing(columns)}", "take the server's json"
            )
        if len(cells) != len(columns):
            raise DataError(f"{path}: line {line} has {len(cells)} cells, not {len(columns)}", "take the server's json")
    # browsers write a narrow no-break space before AM and PM
    said = [f"{cells[0]} {cells[1]}".replace("\u202f", " ") for _, cells in rows[1:]]
    if "%" not in form or "%z" in form:  # pandas has words of its own
        raise DataError(f"data.options.date_format is {form!r}", "give a strptime format, such as '%d.%m.%Y %H:%M:%S'")
    try:
        local = pd.to_datetime(pd.Series(said, dtype=object), format=form, errors="coerce")
    except ValueError as error:
        raise DataError(f"data.options.date_format is {form!r}: {error}", "give a strptime format") from error
    wrong = np.flatnonzero(local.isna() | pd.Series(said, dtype=object).isin(["now", "today"]))
    if len(wrong):
        line = rows[wrong[0] + 1][0]
        raise DataError(f"{path}: line {line} is of {said[wrong[0]]!r}, not {form}", "check data.options.date_format")
    zoned = pd.DatetimeIndex(local).tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    lost = np.asarray(zoned.isna())
    count("exported rows in the hour of a clock change", int(lost.sum()))
    records: list[Record] = []
    for at in np.flatnonzero(~lost):
        cells, date = rows[at + 1][1], round(zoned[int(at)].timestamp() * 1000)
        if name == _ENTRIES:
            records.append({"date": date, "sgv": cells[2], "type": cells[3]})
        else:
            amounts = {"insulin": cells[3], "carbs": cells[4]}
            records.append({"date": date, "eventType": cells[2], "_id": cells[6], **amounts})
    return records


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of every line that is not blank.

    :raises DataError: for a file that is not UTF-8, or no csv.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, [cell.strip("\ufeff \t") for cell in cells]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error.reason}", "write it again as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path} is no csv: {error}", "take the file as it is exported") from error
