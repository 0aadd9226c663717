"""Errors of a point forecast: rmse, mse, mae, mape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError, Metric
from tsfm_eval.pairs import Floats, check_shapes, complete, ratio

__all__ = ["METRICS", "mae", "mape", "mse", "rmse"]

Loss = Callable[[Floats, Floats], Floats]


def mse(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return the mean squared error over the pairs that are finite, in the square of the unit; NaN where there is none.

    :param truth: any shape.
    :param forecast: the same shape.
    :raises DataError: for shapes that differ.
    """
    return _mean(_squared, truth, forecast)


def rmse(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return the root of :func:`mse`, in the unit of the values."""
    return float(np.sqrt(mse(truth, forecast)))


def mae(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return the mean absolute error, in the unit of the values; pairs as for :func:`mse`."""
    return _mean(_absolute, truth, forecast)


def mape(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return the mean absolute error relative to the truth in percent (for glucose: MARD); pairs as for :func:`mse`.

    :raises DataError: for a truth of 0 or less as well.
    """
    return _mean(_relative, truth, forecast)


def _mean(loss: Loss, truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    y, f = np.asarray(truth, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    check_shapes(truth=y, forecast=f)
    y, f, count = complete(y, f)
    return float(ratio(loss(y, f).sum(), count.sum()))


def _squared(y: Floats, f: Floats) -> Floats:
    return np.square(y - f)


def _absolute(y: Floats, f: Floats) -> Floats:
    return np.abs(y - f)


def _relative(y: Floats, f: Floats) -> Floats:
    if (y <= 0).any():
        raise DataError(f"mape divides by the truth and found {y.min():g}", "leave mape out for such a target")
    return 100.0 * np.abs(y - f) / y


def _metric(
    name: str, definition: str, unit: str, judged: Literal["mean", "median"], loss: Loss, root: bool = False
) -> Metric:
    def parts(block: Block) -> Mapping[str, Floats]:
        y, f, count = complete(block.truth, block.point(judged))
        return {"loss": loss(y, f), "count": count}

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        mean = ratio(sums["loss"], sums["count"])
        return {name: np.sqrt(mean) if root else mean}

    return Metric(name, f"{definition} over all finite pairs", unit, "lower", judged, parts, finish)


METRICS = (
    _metric("rmse", "sqrt(mean((y - f)^2)), the mean", "target", "mean", _squared, root=True),
    _metric("mse", "mean((y - f)^2)", "target^2", "mean", _squared),
    _metric("mae", "mean(abs(y - f))", "target", "median", _absolute),
    _metric("mape", "100 mean(abs(y - f) / y), y > 0,", "%", "median", _relative),
)
