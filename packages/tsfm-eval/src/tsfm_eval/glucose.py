"""What every clinical score starts from: thresholds in both units, and arrays that hold glucose."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_core.units import thresholds
from tsfm_eval.pairs import Floats, check_shapes, floats

__all__ = [
    "FLOAT32_SLACK",
    "SLACK",
    "check_number",
    "glucose_pairs",
    "glucose_values",
    "low_limit",
    "numbers",
    "slack_of",
]

SLACK = 1e-9

#: For values that were ever stored in float32, whose last digit moves the distance of a pair by up to 7e-7 of 0.2 r.
FLOAT32_SLACK = 1e-6

#: The types of values that have few digits.
_SHORT = (np.float32, np.float16)


def low_limit(unit: str, level: int) -> float:
    """Return the limit in ``unit`` below which hypoglycaemia of level 1 or 2 begins.

    :raises DataError: for another level, or a unit that is not one of glucose.
    """
    if level not in (1, 2):
        raise DataError(f"level {level!r} of hypoglycaemia is not known", "known: 1 (below 70 mg/dL), 2 (below 54)")
    limits = thresholds(unit)
    return limits.low if level == 1 else limits.very_low


def check_number(name: str, value: Any, above_zero: bool = False) -> None:
    """Check that ``value`` is a finite number of 0 or more, or above 0.

    :raises DataError: naming it.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and bool(np.isfinite(value))
    if not is_number or value < 0 or (above_zero and value == 0):
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


def slack_of(*arrays: npt.NDArray[Any]) -> float:
    """Return the relative tolerance that pairs of these arrays need to stay on the line they lie on."""
    return FLOAT32_SLACK if any(array.dtype in _SHORT for array in arrays) else SLACK
