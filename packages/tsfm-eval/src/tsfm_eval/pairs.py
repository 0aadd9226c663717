"""Pairs of a truth and a forecast, and means over those that count."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError

__all__ = ["Floats", "check_shapes", "complete", "quantile_pairs", "ratio"]

Floats = npt.NDArray[np.float64]


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


def ratio(total: Any, count: Any) -> Any:
    """Return ``total / count``, scalars or arrays alike; NaN where ``count`` is 0."""
    count = np.asarray(count, dtype=np.float64)
    return np.where(count > 0, total / np.where(count > 0, count, 1.0), np.nan)[()]
