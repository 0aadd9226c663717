"""An item in outline: its readings thinned out, its coverage by day, its typical day."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tsfm_core.data.panel import Panel
from tsfm_core.errors import DataError

__all__ = ["daily_coverage", "first_second", "thinned", "typical_day"]

Floats = npt.NDArray[np.float64]

#: The most points of a line: more than a screen is wide.
MOST_POINTS = 4_000


def first_second(panel: Panel) -> int:
    """Return the seconds from 1970 to the first row of an item."""
    return int(panel.starts[0].astype("datetime64[s]").astype(np.int64))


def thinned(column: npt.NDArray[np.float32], most: int = MOST_POINTS) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the rows to draw of a column, ascending, and the place of each on the axis, in rows.

    They are all readings, or the least and the greatest of each of ``most / 2`` bins, both in the middle of their bin.
    """
    rows = np.flatnonzero(np.isfinite(column))
    if len(rows) <= most:
        return rows, rows.astype(np.float64)
    size = math.ceil(len(column) / (most // 2))
    ordered = rows[np.lexsort((column[rows], rows // size))]
    new = np.diff(rows // size) != 0  # of a bin's readings in order the first and the last are kept
    kept = np.sort(ordered[np.append(True, new) | np.append(new, True)])
    return kept, (kept // size + 0.5) * size - 0.5


def daily_coverage(panel: Panel) -> tuple[Floats, Floats]:
    """Return the edges of an item's days ``[D + 1]``, in days since 1970, and the observed share of each one's slots.

    A step longer than a day makes the days as long.
    """
    length = max(86400, panel.step)
    day = (first_second(panel) + np.arange(len(panel)) * panel.step) // length
    share = np.bincount(day - day[0], np.isfinite(panel.columns[panel.target])) / np.bincount(day - day[0])
    return np.arange(day[0], day[-1] + 2) * (length / 86400), share


def typical_day(panel: Panel) -> tuple[Floats, Floats]:
    """Return the edges of the local hours ``[H + 1]`` and the percentiles of an item's readings in each, ``[5, H]``.

    They are the 10th, 25th, 50th, 75th and 90th, NaN without a reading; a step longer than an hour makes it as long.

    :raises DataError: where the time of day of the rows is not known, or one day is like another.
    """
    if panel.clock == "none":
        raise DataError("the data has no time of day")
    if "" in panel.zones or (panel.clock == "utc" and not panel.zones):
        raise DataError("the time zone is not known", "set data.timezone")
    if panel.step >= 86400:
        raise DataError(f"the step is {panel.freq}")
    width = max(1, panel.step // 3600)
    edges = np.minimum(np.arange(0, 24 + width, width), 24).astype(np.float64)
    column = panel.columns[panel.target]
    observed = np.isfinite(column)
    if not observed.any():
        raise DataError("there is no reading")
    readings, hours = column[observed].astype(np.float64), panel.minutes()[observed] // (60 * width)
    found = np.full((5, len(edges) - 1), np.nan)
    for hour in np.unique(hours):
        found[:, hour] = np.percentile(readings[hours == hour], (10, 25, 50, 75, 90))
    return edges, found
