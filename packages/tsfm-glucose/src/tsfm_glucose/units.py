"""Units of glucose, and the thresholds of the consensus reports in each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tsfm_core.errors import DataError
from tsfm_core.units import KNOWN_UNITS, MGDL_PER_MMOLL, check_unit, conversion_factor

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Thresholds", "convert", "thresholds"]


class Thresholds(NamedTuple):
    """The bounds of the glycaemic ranges, in one unit; a reading is low where it is strictly below."""

    very_low: float
    low: float
    high: float
    very_high: float


#: Paired, never converted: 10.0 mmol/L is in range, 10.0 x 18.018 = 180.18 mg/dL would not be.
_THRESHOLDS = {"mg/dL": Thresholds(54, 70, 180, 250), "mmol/L": Thresholds(3.0, 3.9, 10.0, 13.9)}


def thresholds(unit: str) -> Thresholds:
    """Return the thresholds for data in ``unit``: data are thresholded in their own unit.

    :raises DataError: for a unit that is not one of glucose.
    """
    check_unit(unit)
    if unit not in _THRESHOLDS:
        raise DataError(f"{unit!r} is no unit of glucose", f"known: {', '.join(KNOWN_UNITS)}")
    return _THRESHOLDS[unit]


def convert(
    values: npt.NDArray[np.float64], source: str, to: str, mgdl_per_mmoll: float = MGDL_PER_MMOLL
) -> npt.NDArray[np.float64]:
    """Return ``values`` in another unit, not rounded.

    :param mgdl_per_mmoll: the factor of a data set that was converted with another one, such as 18.0182 or 18.
    :raises DataError: for a unit that is not one of glucose.
    """
    thresholds(source), thresholds(to)
    factor = conversion_factor(source, to)
    if source != to:
        factor *= mgdl_per_mmoll / MGDL_PER_MMOLL if to == "mg/dL" else MGDL_PER_MMOLL / mgdl_per_mmoll
    return values * factor
