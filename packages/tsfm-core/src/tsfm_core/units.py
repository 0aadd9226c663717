"""Units of a target: what is known, and the one conversion that the glucose field needs.

``CUSTOM`` marks a quantity of the user's own (``custom:MW``): it is carried and printed, never converted.
"""

from __future__ import annotations

from typing import NamedTuple

from tsfm_core.errors import DataError, did_you_mean

__all__ = ["CUSTOM", "KNOWN_UNITS", "MGDL_PER_MMOLL", "Thresholds", "check_unit", "conversion_factor", "thresholds"]

#: mg/dL in one mmol/L of glucose: the clinical factor 1 / 0.0555.
MGDL_PER_MMOLL = 18.018

#: The known units, each with its size in mg/dL.
KNOWN_UNITS = {"mg/dL": 1.0, "mmol/L": MGDL_PER_MMOLL}

CUSTOM = "custom:"


class Thresholds(NamedTuple):
    """The bounds of the glycaemic ranges, in one unit; a reading is low where it is strictly below."""

    very_low: float
    low: float
    high: float
    very_high: float


#: Paired, never converted: 10.0 mmol/L is in range, 10.0 x 18.018 = 180.18 mg/dL would not be.
_THRESHOLDS = {"mg/dL": Thresholds(54, 70, 180, 250), "mmol/L": Thresholds(3.0, 3.9, 10.0, 13.9)}


def check_unit(unit: str) -> str:
    """Return ``unit`` if it is known or custom.

    :raises DataError: naming the known units.
    """
    if unit in KNOWN_UNITS or (unit.startswith(CUSTOM) and len(unit) > len(CUSTOM)):
        return unit
    hint = did_you_mean(unit, KNOWN_UNITS) or f"write '{CUSTOM}{unit}' for a quantity of your own"
    raise DataError(f"unit {unit!r} is not known (known: {', '.join(KNOWN_UNITS)})", hint)


def conversion_factor(source: str, to: str) -> float:
    """Return the number that turns values in ``source`` into values in ``to``.

    :raises DataError: where the two are not units of one quantity.
    """
    check_unit(source), check_unit(to)
    if source == to:
        return 1.0
    if source not in KNOWN_UNITS or to not in KNOWN_UNITS:
        raise DataError(f"{source!r} cannot be converted to {to!r}", f"known: {', '.join(KNOWN_UNITS)}")
    return KNOWN_UNITS[source] / KNOWN_UNITS[to]


def thresholds(unit: str) -> Thresholds:
    """Return the thresholds for data in ``unit``: data are thresholded in their own unit.

    :raises DataError: for a unit that is not one of glucose.
    """
    check_unit(unit)
    if unit not in _THRESHOLDS:
        raise DataError(f"{unit!r} is no unit of glucose", f"known: {', '.join(KNOWN_UNITS)}")
    return _THRESHOLDS[unit]
