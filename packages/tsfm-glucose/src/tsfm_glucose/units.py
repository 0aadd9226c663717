"""Units of glucose, and the thresholds of the consensus reports in each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsfm_core.units import MGDL_PER_MMOLL, Thresholds, conversion_factor, thresholds

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Thresholds", "convert", "thresholds"]


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
