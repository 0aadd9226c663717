"""Pairs of a truth and a forecast, and means over those that count."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError

__all__ = ["Floats", "check_shapes", "complete", "floats", "level_array", "quantile_arrays", "quantile_pairs", "ratio"]

Floats = npt.NDArray[np.float64]


def floats(name: str, values: npt.ArrayLike) -> Floats:
    """Return ``values`` as float64, NaN where a masked array hides one.

    :raises DataError: for text, dates, complex numbers and lists of unequal length.
    """
    try:
        if isinstance(values, np.ma.MaskedArray):
            values = np.where(np.ma.getmaskarray(values), np.nan, np.asarray(values, dtype=np.float64))
        array = np.asarray(values)
        if array.dtype.kind not in "biufO":
            raise ValueError(array.dtype.name)
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name} is no array of numbers", "give numbers, NaN where one is missing") from error


def check_shapes(**arrays: npt.NDArray[Any]) -> None:
    """Check that ``arrays`` have one shape: broadcasting would pair values that do not belong together.

    :raises DataError: naming both shapes.
    """
    (first, a), (second, b) = arrays.items()
    if a.shape != b.shape:
        raise DataError(f"{first} has shape {list(a.shape)}, {second} {list(b.shape)}", "give arrays of one shape")


def complete(truth: Floats, forecast: Floats) -> tuple[Floats, Floats, Floats]:
    """Return truth and forecast without gaps, and 1.0 where a pair counts: where both are finite.

    Any other pair becomes (1, 1), which is no error by any measure and so adds nothing to a sum.
    """
    both = np.isfinite(truth) & np.isfinite(forecast)
    return np.where(both, truth, 1.0), np.where(both, forecast, 1.0), both.astype(np.float64)


def quantile_pairs(block: Block) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the quantiles ``[n, Q, H]``, and ``[n, H]`` where the truth and all of them are finite."""
    assert block.quantiles is not None, "core gives quantile metrics no block without quantiles"
    return block.quantiles, np.isfinite(block.truth) & np.isfinite(block.quantiles).all(axis=1)


def level_array(levels: npt.ArrayLike) -> Floats:
    """Return quantile levels as an array ``[Q]``.

    :raises DataError: for none, one that is not between 0 and 1, or more than one axis.
    """
    level = floats("levels", levels)
    if level.ndim != 1 or not level.size:
        raise DataError(
            f"shapes do not fit: levels {list(level.shape)}", "give levels as a list, such as [0.1, 0.5, 0.9]"
        )
    wrong = level[~((level > 0) & (level < 1))]
    if wrong.size:
        raise DataError(f"{wrong[0]:g} is no quantile level", "a level lies between 0 and 1")
    return level


def quantile_arrays(quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> tuple[Floats, tuple[float, ...]]:
    """Return quantiles ``[..., Q]`` with their levels first, ``[Q, ...]``, both ascending: crossings are sorted away.

    :raises DataError: for shapes that do not fit, and for levels that are not distinct numbers between 0 and 1.
    """
    forecast, level = floats("quantiles", quantiles), level_array(levels)
    if forecast.ndim == 0 or forecast.shape[-1] != level.size:
        shapes = f"quantiles {list(forecast.shape)}, levels {list(level.shape)}"
        raise DataError(f"shapes do not fit: {shapes}", "quantiles need a last axis for the levels")
    ascending = np.sort(level)
    twice = ascending[1:][np.diff(ascending) == 0]
    if twice.size:
        raise DataError(f"level {twice[0]:g} is given twice", "give each level once")
    return np.moveaxis(np.sort(forecast, axis=-1), -1, 0), tuple(ascending.tolist())


def ratio(total: Any, count: Any) -> Any:
    """Return ``total / count``, scalars or arrays alike; NaN where ``count`` is 0."""
    count = np.asarray(count, dtype=np.float64)
    return np.where(count > 0, total / np.where(count > 0, count, 1.0), np.nan)[()]
