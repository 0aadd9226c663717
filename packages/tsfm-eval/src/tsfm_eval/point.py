"""Errors of a point forecast: rmse, mse, mae, mape, smape, bias, cumulative_rmse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError, Metric
from tsfm_eval.pairs import Floats, check_shapes, complete, floats, ratio

__all__ = ["METRICS", "bias", "cumulative_rmse", "mae", "mape", "mse", "rmse", "smape"]

Loss = Callable[[Floats, Floats], Floats]


def mse(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return the mean squared error, mean((y - f)^2), over the pairs that are finite; NaN where there is none.

    Unit: square of that of the values. Lower is better. Give the mean. Source: Hyndman and Koehler (2006).

    :param truth: any shape.
    :param forecast: the same shape.
    :raises DataError: for shapes that differ, or what is no number.
    """
    return _mean(_squared, truth, forecast)


def rmse(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return sqrt(mean((y - f)^2)), the root of :func:`mse`.

    Unit: that of the values. Lower is better. Give the mean. Source: Hyndman and Koehler (2006).
    """
    return float(np.sqrt(mse(truth, forecast)))


def mae(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return the mean absolute error, mean(abs(y - f)); pairs as for :func:`mse`.

    Unit: that of the values. Lower is better. Give the median. Source: Hyndman and Koehler (2006).
    """
    return _mean(_absolute, truth, forecast)


def mape(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return 100 mean(abs(y - f) / y), the mean absolute relative error (of glucose: MARD); pairs as for :func:`mse`.

    Unit: %. Lower is better. Give the median. Source: Hyndman and Koehler (2006).

    :raises DataError: for a truth of 0 or less as well.
    """
    return _mean(_relative, truth, forecast)


def smape(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return the mean of 2 abs(y - f) / (abs(y) + abs(f)), from 0 to 2; a pair of zeros has no error.

    Pairs as for :func:`mse`. Some packages leave the 2 out.

    Unit: 1. Lower is better. Give the median. Source: Hyndman and Koehler (2006).
    """
    return _mean(_symmetric, truth, forecast)


def bias(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return mean(f - y), positive where forecasts are too high; pairs as for :func:`mse`.

    Unit: that of the values. Neither lower nor higher is better: best is 0. Give the mean. Source: Hyndman and Koehler
    (2006).
    """
    return _mean(_signed, truth, forecast)


def cumulative_rmse(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the rmse up to each step, first of each window, then its mean and standard deviation over the windows.

    At step k a window has sqrt(mean of (y - f)^2 over its finite pairs up to k), and counts if there is one. The mean
    of roots is less than the root of the mean: this is not the pooled rmse up to k. The deviation divides by the number
    of windows.

    Unit: that of the values. Lower is better. Give the mean. Source: GluPredKit: the root mean square error of a window
    up to each step.

    :param truth: ``[..., H]``.
    :param forecast: the same shape.
    :return: two arrays ``[H]`` in the unit of the values, NaN where no window counts.
    :raises DataError: for shapes that differ, or no axis of steps.
    """
    y, f = _pair(truth, forecast)
    if y.ndim == 0:
        raise DataError("truth is a single number", "give an axis of steps")
    windows = (int(np.prod(y.shape[:-1])), y.shape[-1])
    parts = _cumulative(y.reshape(windows), f.reshape(windows))
    curve = _finish_cumulative({name: part.sum(axis=0) for name, part in parts.items()})
    return curve["cumulative_rmse"], curve["cumulative_rmse_sd"]


def _mean(loss: Loss, truth: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    y, f, count = complete(*_pair(truth, forecast))
    return float(ratio(loss(y, f).sum(), count.sum()))


def _pair(truth: npt.ArrayLike, forecast: npt.ArrayLike) -> tuple[Floats, Floats]:
    y, f = floats("truth", truth), floats("forecast", forecast)
    check_shapes(truth=y, forecast=f)
    return y, f


def _squared(y: Floats, f: Floats) -> Floats:
    return np.square(y - f)


def _absolute(y: Floats, f: Floats) -> Floats:
    return np.abs(y - f)


def _relative(y: Floats, f: Floats) -> Floats:
    if (y <= 0).any():
        raise DataError(f"mape divides by the truth and found {y.min():g}", "leave mape out for such a target")
    return 100.0 * np.abs(y - f) / y


def _symmetric(y: Floats, f: Floats) -> Floats:
    size = np.abs(y) + np.abs(f)
    return 2.0 * np.abs(y - f) / np.where(size > 0, size, 1.0)


def _signed(y: Floats, f: Floats) -> Floats:
    return f - y


def _cumulative(truth: Floats, forecast: Floats) -> Mapping[str, Floats]:
    y, f, count = complete(truth, forecast)
    so_far = np.cumsum(count, axis=1)
    square = np.cumsum(_squared(y, f), axis=1) / np.maximum(so_far, 1.0)
    parts = {"root": np.sqrt(square), "square": square, "windows": np.minimum(so_far, 1.0)}
    # what the last step adds under a name of its own tells the sum over all steps from the sum of one
    last = {f"last_{name}": np.zeros_like(part) for name, part in parts.items()}
    for name, part in parts.items():
        last[f"last_{name}"][:, -1:] = part[:, -1:]
    return parts | last | {"count": last["last_windows"]}


def _finish_cumulative(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    def mean(name: str) -> Any:
        last = ratio(sums[f"last_{name}"], sums["last_windows"])
        return np.where(np.isnan(last), ratio(sums[name], sums["windows"]), last)[()]

    root, square = mean("root"), mean("square")
    variance = square - np.square(root)
    variance = np.where(variance < 1e-12 * square, 0.0, variance)  # the last digits of two sums
    return {"cumulative_rmse": root, "cumulative_rmse_sd": np.sqrt(variance)}


def _metric(
    name: str,
    definition: str,
    unit: str,
    judged: Literal["mean", "median"],
    loss: Loss,
    root: bool = False,
    direction: Literal["lower", "none"] = "lower",
) -> Metric:
    def parts(block: Block) -> Mapping[str, Floats]:
        y, f, count = complete(block.truth, block.point(judged))
        return {"loss": loss(y, f), "count": count}

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        mean = ratio(sums["loss"], sums["count"])
        return {name: np.sqrt(mean) if root else mean}

    return Metric(
        name,
        f"{definition} over all finite pairs",
        unit,
        direction,
        judged,
        parts,
        finish,
        family="point",
        limits={} if direction == "none" else {"": (0.0, float("inf"))},
        source="Hyndman and Koehler (2006), International Journal of Forecasting 22",
    )


METRICS = (
    _metric("rmse", "sqrt(mean((y - f)^2)), the mean", "target", "mean", _squared, root=True),
    _metric("mse", "mean((y - f)^2)", "target^2", "mean", _squared),
    _metric("mae", "mean(abs(y - f))", "target", "median", _absolute),
    _metric("mape", "100 mean(abs(y - f) / y), y > 0,", "%", "median", _relative),
    _metric("smape", "mean(2 abs(y - f) / (abs(y) + abs(f))), 0 where y = f = 0,", "1", "median", _symmetric),
    _metric("bias", "mean(f - y)", "target", "mean", _signed, direction="none"),
    Metric(
        name="cumulative_rmse",
        definition=(
            "at step k the mean over windows of sqrt(mean((y - f)^2 over the window's finite pairs of steps 1 to k)), "
            "windows with one such pair at least; over all steps its value at the last; cumulative_rmse_sd = the "
            "standard deviation over the same windows, sqrt of the squared deviations divided by their number"
        ),
        unit="target",
        direction="lower",
        point="mean",
        parts=lambda block: _cumulative(block.truth, block.point("mean")),
        finish=_finish_cumulative,
        pairs=False,
        family="point",
        source="GluPredKit: the root mean square error of a window up to each step",
        directions={"cumulative_rmse_sd": "none"},
        limits={"": (0.0, float("inf"))},
    ),
)
