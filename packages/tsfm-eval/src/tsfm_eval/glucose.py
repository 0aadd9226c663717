"""What every clinical score starts from: thresholds in both units, and arrays that hold glucose."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_core.units import KNOWN_UNITS, Thresholds, conversion_factor, thresholds
from tsfm_eval.pairs import Floats, check_shapes, floats

__all__ = [
    "FLOAT32_SLACK",
    "SLACK",
    "check_number",
    "checked_slack",
    "glucose_pairs",
    "glucose_values",
    "is_number",
    "is_whole",
    "limits_of",
    "low_limit",
    "mgdl_factor",
    "numbers",
]

SLACK = 1e-9

#: For values that were ever stored in float32, whose last digit moves the distance of a pair by up to 7e-7 of 0.2 r.
FLOAT32_SLACK = 1e-6

#: The most that a slack can be: with 1 % the 20 % of zone A would be 20.2.
MOST_SLACK = 0.01

#: The types of values that have few digits.
_SHORT = (np.float32, np.float16)


def low_limit(unit: str, level: int) -> float:
    """Return the limit in ``unit`` below which hypoglycaemia of level 1 or 2 begins.

    :raises DataError: for another level, or a unit that is not one of glucose.
    """
    if not is_whole(level) or level not in (1, 2):
        raise DataError(f"level {level!r} of hypoglycaemia is not known", "known: 1 (below 70 mg/dL), 2 (below 54)")
    limits = limits_of(unit)
    return limits.low if level == 1 else limits.very_low


def limits_of(unit: str) -> Thresholds:
    """Return the limits of the glycaemic ranges in ``unit``.

    :raises DataError: for what is no unit of glucose.
    """
    return thresholds(_named(unit))


def mgdl_factor(unit: str) -> float:
    """Return the number that turns glucose in ``unit`` into mg/dL.

    :raises DataError: for what is no unit of glucose.
    """
    return conversion_factor(_named(unit), "mg/dL")


def _named(unit: Any) -> str:
    if not isinstance(unit, str):
        raise DataError(f"unit {unit!r} is not known", f"known: {', '.join(KNOWN_UNITS)}")
    return unit


def is_whole(value: Any) -> bool:
    """Return whether ``value`` is one whole number; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return whether ``value`` is one number, NaN and infinities included; True and False are none."""
    return is_whole(value) or isinstance(value, float | np.floating)


def check_number(name: str, value: Any, above_zero: bool = False) -> None:
    """Check that ``value`` is a finite number of 0 or more, or above 0.

    :raises DataError: naming it.
    """
    if not is_number(value) or not 0 <= value <= sys.float_info.max or (above_zero and value == 0):
        raise DataError(f"{name} is {value!r}", "give a number above 0" if above_zero else "give a number of 0 or more")


def numbers(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return ``values`` as an array of numbers: one of whole numbers as it is, else float64, float32 or float16.

    A type that holds few digits is kept, whatever holds the array, for it tells the slack; NaN where one is masked.

    :raises DataError: for anything else, such as text or rows of different lengths.
    """
    if isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "iuf":
        return values
    array = floats(name, values)
    given = np.asarray(values).dtype
    return array.astype(given) if given in _SHORT else array


def glucose_pairs(
    reference: npt.ArrayLike, prediction: npt.ArrayLike, unit: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return both as arrays of one shape, as they are given.

    :raises DataError: for a reference of 0 or less, shapes that differ, or what holds no numbers.
    """
    r, p = numbers(reference, "reference"), numbers(prediction, "prediction")
    check_shapes(reference=r, prediction=p)
    if (r <= 0).any():
        raise DataError(f"a reference of {r[r <= 0][0]:g} {unit} is no glucose", "mark missing values by NaN")
    return r, p


def glucose_values(glucose: npt.ArrayLike, unit: str, name: str = "glucose") -> Floats:
    """Return ``glucose`` in float64 with NaN for whatever is not finite.

    :raises DataError: for a value of 0 or less, or what holds no numbers.
    """
    g = floats(name, glucose)
    if (g <= 0).any():
        raise DataError(f"a {name} value of {g[g <= 0][0]:g} {unit} is no glucose", "mark missing values by NaN")
    return np.where(np.isfinite(g), g, np.nan)


def checked_slack(slack: float | None, *arrays: npt.NDArray[Any]) -> float:
    """Return ``slack``, or for None the relative tolerance that pairs of these arrays need to stay on their line.

    :raises DataError: for a slack that is no number in 0 to 0.01.
    """
    if slack is None:
        return FLOAT32_SLACK if any(array.dtype in _SHORT for array in arrays) else SLACK
    if not is_number(slack) or not 0 <= slack <= MOST_SLACK:
        raise DataError(f"slack is {slack!r}", f"give a relative tolerance from 0 to {MOST_SLACK:g}, such as 1e-6")
    return float(slack)
