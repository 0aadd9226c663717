"""The levels below a set: the hour of the day and the glycaemic range that each pair of truth and forecast falls in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tsfm_core.data.store import StoredChunk
from tsfm_core.units import KNOWN_UNITS, thresholds

__all__ = ["HOURS", "hours_of", "range_names", "ranges_of"]

Codes = npt.NDArray[np.intp]

HOURS = tuple(f"{hour:02d}" for hour in range(24))


def hours_of(chunk: StoredChunk, step: int) -> Codes:
    """Return the local hour of each truth, ``[n, H]``; 24 where the time of day is not known.

    :param step: seconds between two steps.
    """
    ahead = np.arange(1, chunk.truth.shape[1] + 1) * step // 60
    minute = chunk.minute.astype(np.int32)[:, None]
    hours = (minute + ahead) // 60 % 24
    return np.where(minute < 0, len(HOURS), hours).astype(np.intp)


def range_names(unit: str) -> tuple[str, ...]:
    """Return the glycaemic ranges in ``unit``, from the lowest to the highest; none for another quantity."""
    if unit not in KNOWN_UNITS:
        return ()
    very_low, low, high, very_high = thresholds(unit)
    within = (f"{very_low} to {low}", f"{low} to {high}", f"{high} to {very_high}")
    return (f"below {very_low}", *within, f"above {very_high}")


def ranges_of(truth: npt.NDArray[np.floating], unit: str) -> Codes:
    """Return the range of each truth, ``[n, H]``: ``< 54``, ``< 70``, ``<= 180``, ``<= 250``, above; 5: missing."""
    very_low, low, high, very_high = thresholds(unit)
    codes = (truth >= very_low).astype(np.intp)
    for above in (truth >= low, truth > high, truth > very_high):
        codes += above
    codes[np.isnan(truth)] = 5
    return codes
