"""The hooks that the three models share. Their bodies import what they need: importing this module costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsfm_core import hookimpl

if TYPE_CHECKING:
    from tsfm_core import Forecasts, Job, Task, Windows

__all__ = ["predict", "prepare_data", "train"]


@hookimpl
def prepare_data(model: Any, windows: Windows, task: Task) -> Any:
    """Return the windows as they are: each batch is gathered when it is needed."""
    return windows


@hookimpl
def train(model: Any, data: Any, validation: Any, job: Job) -> Any:
    """Train all weights, or adapters beside them, and return the model with the best ones."""
    from tsfm_chronos.training import train as fit

    return fit(model, data, validation, job)


@hookimpl
def predict(model: Any, data: Any, task: Task) -> Forecasts:
    """Forecast every window; the answer does not depend on how windows are chunked."""
    from tsfm_chronos.forecasting import forecast

    return forecast(model, data)
