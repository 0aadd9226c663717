"""``naive``: the last value, held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsfm_core.baselines.schema import Rule, ZeroShot
from tsfm_core.hookspecs import hookimpl
from tsfm_core.records import ModelCard, Runtime

if TYPE_CHECKING:
    from tsfm_core.data.forecasts import Forecasts
    from tsfm_core.data.windows import Windows
    from tsfm_core.task import Task

__all__ = ["load_model", "model_card", "predict", "prepare_data"]


@hookimpl
def model_card() -> ModelCard:
    """Return the card."""
    return ModelCard("the last value, held", "Apache-2.0", ("zero_shot",), Rule, ZeroShot, quantiles=True)


@hookimpl
def load_model(config: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Any:
    """Return the rule."""
    from tsfm_core.baselines.rules import last_value

    return last_value


@hookimpl
def prepare_data(model: Any, windows: Windows, task: Task) -> Any:
    """Return the windows as they are."""
    return windows


@hookimpl
def predict(model: Any, data: Any, task: Task) -> Forecasts:
    """Forecast by the rule."""
    from tsfm_core.baselines.rules import forecast

    return forecast(model, data, task)
