"""Time in the glycaemic ranges, and how well forecasts tell it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsfm_core.units import thresholds
from tsfm_eval.glucose import glucose_values, limits_of
from tsfm_eval.pairs import Floats
from tsfm_eval.person import person_error

__all__ = ["METRICS", "TimeInRanges", "time_in_ranges"]


@dataclass(frozen=True)
class TimeInRanges:
    """Shares of the readings in percent; NaN where there is none.

    :param tbr2: below 54 mg/dL (3.0 mmol/L).
    :param tbr1: 54 to below 70 (3.9).
    :param tir: 70 to 180 (10.0), both included.
    :param tar1: above 180 to 250 (13.9), included.
    :param tar2: above 250.
    :param readings: how many were finite.
    """

    tbr2: float
    tbr1: float
    tir: float
    tar1: float
    tar2: float
    readings: int


def time_in_ranges(glucose: npt.ArrayLike, unit: str = "mg/dL") -> TimeInRanges:
    """Return the shares of the finite readings of one person in the five ranges of the consensus of 2019.

    Readings are judged in their own unit: 10.0 mmol/L is in range, though 180.18 mg/dL is not.

    Unit: %. Neither lower nor higher is better: near that of the truth is. Give the median where it is of a forecast.
    Source: Battelino et al. 2019, Diabetes Care 42(8).

    :param glucose: readings at equal distances, any shape, above 0; NaN where nothing was observed.
    :param unit: ``mg/dL`` or ``mmol/L``.
    :raises DataError: for a reading of 0 or less, an unknown unit, or what holds no numbers.
    """
    limits = limits_of(unit)
    g = glucose_values(glucose, unit)
    g = g[np.isfinite(g)]
    below = [np.count_nonzero(g < limits.very_low), np.count_nonzero(g < limits.low)]
    up_to = [np.count_nonzero(g <= limits.high), np.count_nonzero(g <= limits.very_high)]
    counts = np.diff([0, *below, *up_to, g.size])
    tbr2, tbr1, tir, tar1, tar2 = (100.0 * counts / g.size if g.size else np.full(5, np.nan)).tolist()
    return TimeInRanges(tbr2, tbr1, tir, tar1, tar2, g.size)


def _in_range(g: Floats, unit: str) -> Floats:
    limits = thresholds(unit)
    return np.where((limits.low <= g) & (g <= limits.high), 100.0, 0.0)


def _below(g: Floats, unit: str) -> Floats:
    return np.where(g < thresholds(unit).low, 100.0, 0.0)


def _above(g: Floats, unit: str) -> Floats:
    return np.where(g > thresholds(unit).high, 100.0, 0.0)


_UNIT = "in the unit of the data"
_SOURCE = "Battelino et al. 2019, Diabetes Care 42(8)"

METRICS = tuple(
    person_error(name, share, share, f"percent of steps with {rule}, {_UNIT}", "%", _SOURCE)
    for name, share, rule in (
        ("tir_error", _in_range, "70 <= g <= 180 mg/dL or 3.9 <= g <= 10.0 mmol/L"),
        ("tbr_error", _below, "g < 70 mg/dL or 3.9 mmol/L, level 2 included"),
        ("tar_error", _above, "g > 180 mg/dL or 10.0 mmol/L, level 2 included"),
    )
)
