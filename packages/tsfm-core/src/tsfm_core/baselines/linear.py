"""``linear``: one ridge map from the latest values to all steps, both relative to the last value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsfm_core.baselines.schema import Linear, LinearTraining
from tsfm_core.hookspecs import hookimpl
from tsfm_core.records import Job, ModelCard, Runtime

if TYPE_CHECKING:
    from tsfm_core.data.forecasts import Forecasts
    from tsfm_core.data.windows import Windows
    from tsfm_core.task import Task

__all__ = ["load_model", "model_card", "predict", "prepare_data", "train"]


@hookimpl
def model_card() -> ModelCard:
    """Return the card."""
    summary = "one ridge map from the latest values to all steps, fitted in closed form"
    return ModelCard(summary, "Apache-2.0", ("from_scratch",), Linear, LinearTraining, quantiles=True)


@hookimpl
def load_model(config: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Any:
    """Return the map of ``checkpoint``, or one that is still to be fitted."""
    from tsfm_core.baselines.ridge import RidgeMap

    return RidgeMap.load(config.lags, task, checkpoint)


@hookimpl
def prepare_data(model: Any, windows: Windows, task: Task) -> Any:
    """Return the windows as they are."""
    return windows


@hookimpl
def train(model: Any, data: Any, validation: Any, job: Job) -> Any:
    """Fit the map; there is nothing to choose, so ``validation`` is not used."""
    return model.fit(data, job)


@hookimpl
def predict(model: Any, data: Any, task: Task) -> Forecasts:
    """Forecast by the map."""
    forecasts: Forecasts = model.forecast(data)
    return forecasts
