"""Forecasts: what a model returned, checked where it enters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tsfm_core.data.panel import Stamps
from tsfm_core.data.windows import Windows
from tsfm_core.errors import ForecastError
from tsfm_core.task import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Forecasts", "check_forecasts"]

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Forecasts of N windows, in the unit of the target.

    :param item_id: ``[N]``.
    :param cutoff: ``[N]``, the last timestamp that each window showed.
    :param mean: ``[N, H]`` or None.
    :param quantiles: ``[N, Q, H]`` at ``task.quantile_levels``, or None; at least one of the two is given.
    """

    item_id: npt.NDArray[np.object_]
    cutoff: Stamps
    mean: Floats | None = None
    quantiles: Floats | None = None

    @classmethod
    def of(cls, windows: Windows, mean: Floats | None = None, quantiles: Floats | None = None) -> Forecasts:
        """Return the forecasts of ``windows``, in their order."""
        return cls(windows.item_id, windows.cutoff, mean, quantiles)

    def __len__(self) -> int:
        return len(self.item_id)

    def to_frame(self, task: Task) -> pd.DataFrame:
        """Return the long table: item_id, cutoff, timestamp, step, mean, ``0.1``, ``0.5`` and so on."""
        import pandas as pd

        horizon = task.prediction_length
        steps = np.tile(np.arange(1, horizon + 1), len(self))
        cutoff = np.repeat(self.cutoff, horizon)
        frame = pd.DataFrame({"item_id": np.repeat(self.item_id, horizon), "cutoff": cutoff})
        frame["timestamp"] = cutoff + (steps * task.step_seconds).astype("timedelta64[s]")
        frame["step"] = steps
        if self.mean is not None:
            frame["mean"] = self.mean.reshape(-1)
        if self.quantiles is not None:
            for at, level in enumerate(task.quantile_levels):
                frame[str(level)] = self.quantiles[:, at].reshape(-1)
        return frame


def check_forecasts(forecasts: Forecasts, windows: Windows, task: Task, model: str) -> None:
    """Check what a plugin returned against the windows it was given.

    :raises ForecastError: naming the item, the cutoff, expected and got.
    """
    if not isinstance(forecasts, Forecasts):
        raise ForecastError(f"{model} returned {type(forecasts).__name__} from predict; expected Forecasts")
    if len(forecasts) != len(windows):
        raise ForecastError(f"{model} returned {len(forecasts)} forecasts for {len(windows)} windows")
    wrong = np.flatnonzero((forecasts.item_id != windows.item_id) | (forecasts.cutoff != windows.cutoff))
    if len(wrong):
        raise ForecastError(
            f"{model} returned item {forecasts.item_id[wrong[0]]!r} at {forecasts.cutoff[wrong[0]]} "
            f"where {_where(windows, wrong[0])} was asked"
        )
    if forecasts.mean is None and forecasts.quantiles is None:
        raise ForecastError(f"{model} returned neither mean nor quantiles")
    expected = (len(task.quantile_levels), task.prediction_length)
    if forecasts.mean is not None:
        _check_array(forecasts.mean, expected[1:], "mean", windows, model)
    if forecasts.quantiles is not None:
        _check_array(forecasts.quantiles, expected, "quantiles", windows, model)
    elif task.quantile_levels:
        raise ForecastError(f"{model} returned no quantiles; the task asks for {len(task.quantile_levels)} levels")


def _check_array(array: Floats, expected: tuple[int, ...], name: str, windows: Windows, model: str) -> None:
    if array.shape[1:] != expected or len(array) != len(windows):
        where = f" for {_where(windows, 0)}" if len(windows) else ""
        wanted = (len(windows), *expected)
        raise ForecastError(f"{model} returned {name} of shape {list(array.shape)}{where}; expected {list(wanted)}")
    bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
    if len(bad):
        raise ForecastError(f"{model} returned a {name} that is not finite for {_where(windows, bad[0])}")


def _where(windows: Windows, at: int) -> str:
    one = windows.take(slice(at, at + 1))
    return f"item {one.item_id[0]!r} at {one.cutoff[0]}"
