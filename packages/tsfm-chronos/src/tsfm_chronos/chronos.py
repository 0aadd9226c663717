"""Chronos-2: its card and how it is loaded. Importing this module costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsfm_chronos.hooks import predict, prepare_data, train
from tsfm_core import hookimpl

if TYPE_CHECKING:
    from tsfm_core import ModelCard, Runtime, Task

__all__ = ["load_model", "model_card", "predict", "prepare_data", "train"]


@hookimpl
def model_card() -> ModelCard:
    """Return the static facts."""
    from tsfm_chronos.schema import Chronos2Section, ChronosTraining
    from tsfm_core import KnownCheckpoint, ModelCard

    sizes = {
        "amazon/chronos-2": 120_000_000,
        "autogluon/chronos-2-small": 28_000_000,
    }
    return ModelCard(
        summary="Chronos-2: an encoder of patches with covariates, 28 to 120 million weights",
        licence="Apache-2.0",
        strategies=("zero_shot", "full", "lora", "head", "from_scratch"),
        config_schema=Chronos2Section,
        training_schema=ChronosTraining,
        default_checkpoint="amazon/chronos-2",
        precisions=("fp32", "bf16", "fp16"),
        launchers=("ddp",),
        quantiles=True,
        past_covariates=True,
        known_covariates=True,
        categorical_covariates=True,
        checkpoints=tuple(KnownCheckpoint(name, size, "Apache-2.0") for name, size in sizes.items()),
    )


@hookimpl
def load_model(config: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Any:
    """Return the network of ``checkpoint``, or one with random weights, checked against the task."""
    from tsfm_chronos.families.chronos2 import FAMILY
    from tsfm_chronos.loading import load

    return load(FAMILY, config, task, checkpoint, runtime)
