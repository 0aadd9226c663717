"""What every clinical score starts from: thresholds in both units, and arrays that hold glucose."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError, conversion_factor
from tsfm_eval.pairs import Floats, check_shapes, floats

__all__ = [
    "FLOAT32_SLACK",
    "SLACK",
    "Thresholds",
    "check_number",
    "glucose_pairs",
    "glucose_values",
    "numbers",
    "slack_of",
    "thresholds",
]

SLACK = 1e-9

#: For values that were ever stored in float32, whose last digit moves the distance of a pair by up to 7e-7 of 0.2 r.
FLOAT32_SLACK = 1e-6


class Thresholds(NamedTuple):
    """The limits of the glycaemic ranges in one unit (international consensus on time in range, 2019)."""

    level2_low: float
    level1_low: float
    high: float
    level2_high: float

    def low(self, level: int) -> float:
        """Return the limit of hypoglycaemia of level 1 or 2.

        :raises DataError: for another level.
        """
        if level not in (1, 2):
            raise DataError(f"level {level!r} of hypoglycaemia is not known", "known: 1 (below 70 mg/dL), 2 (below 54)")
        return self.level1_low if level == 1 else self.level2_low


# Pairs, not conversions: 10.0 mmol/L is in range, and 180.18 mg/dL is not. In float32 none of them crosses its limit.
_THRESHOLDS = {"mg/dL": Thresholds(54.0, 70.0, 180.0, 250.0), "mmol/L": Thresholds(3.0, 3.9, 10.0, 13.9)}


def thresholds(unit: str) -> Thresholds:
    """Return the limits in ``unit``.

    :raises DataError: for a unit that is not one of glucose.
    """
    conversion_factor(unit, "mg/dL")
    return _THRESHOLDS[unit]


def check_number(name: str, value: Any, above_zero: bool = False) -> None:
    """Check that ``value`` is a finite number of 0 or more, or above 0.

    :raises DataError: naming it.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and bool(np.isfinite(value))
    if not is_number or value < 0 or (above_zero and value == 0):
        raise DataError(f"{name} is {value!r}", "give a number above 0" if above_zero else "give a number of 0 or more")


def numbers(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return ``values`` as an array of numbers: as it is where it is one, for float32 tells its slack, else float64.

    :raises DataError: for anything else, such as text or rows of different lengths.
    """
    if isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "iuf":
        return values
    return floats(name, values)


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
    return FLOAT32_SLACK if np.float32 in [array.dtype for array in arrays] else SLACK
