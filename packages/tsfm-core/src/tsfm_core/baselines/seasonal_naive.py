"""``seasonal_naive``: the value one season ago."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsfm_core.baselines.naive import predict, prepare_data
from tsfm_core.baselines.schema import Seasonal, ZeroShot
from tsfm_core.errors import CapabilityError
from tsfm_core.hookspecs import hookimpl
from tsfm_core.records import ModelCard, Runtime

if TYPE_CHECKING:
    from tsfm_core.task import Task

__all__ = ["load_model", "model_card", "predict", "prepare_data"]


@hookimpl
def model_card() -> ModelCard:
    """Return the card."""
    return ModelCard("the value one season ago", "Apache-2.0", ("zero_shot",), Seasonal, ZeroShot, quantiles=True)


@hookimpl
def load_model(config: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Any:
    """Return the rule, if a whole season fits into the context."""
    from tsfm_core.baselines.rules import seasonal_value
    from tsfm_core.freq import day_steps

    season = config.seasonality or day_steps(task.step_seconds)
    if season > task.context_length:
        raise CapabilityError(
            f"seasonal_naive needs a season of {season} steps in the context of {task.context_length}",
            "lengthen the context or set model.seasonality",
        )
    return seasonal_value(season)
