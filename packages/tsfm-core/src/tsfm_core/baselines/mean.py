"""``mean``: the mean of the context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsfm_core.baselines.naive import predict, prepare_data
from tsfm_core.baselines.schema import Rule, ZeroShot
from tsfm_core.hookspecs import hookimpl
from tsfm_core.records import ModelCard, Runtime

if TYPE_CHECKING:
    from tsfm_core.task import Task

__all__ = ["load_model", "model_card", "predict", "prepare_data"]


@hookimpl
def model_card() -> ModelCard:
    """Return the card."""
    return ModelCard("the mean of the context", "Apache-2.0", ("zero_shot",), Rule, ZeroShot, quantiles=True)


@hookimpl
def load_model(config: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Any:
    """Return the rule."""
    from tsfm_core.baselines.rules import mean_value

    return mean_value
