"""Chronos-Bolt: its card and how it is loaded. Importing this module costs nothing."""

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
    from tsfm_chronos.schema import BoltSection, ChronosTraining
    from tsfm_core import KnownCheckpoint, ModelCard

    sizes = {
        "amazon/chronos-bolt-tiny": 9_000_000,
        "amazon/chronos-bolt-mini": 21_000_000,
        "amazon/chronos-bolt-small": 48_000_000,
        "amazon/chronos-bolt-base": 205_000_000,
    }
    return ModelCard(
        summary="Chronos-Bolt: a T5 of patches that gives deciles at once, 9 to 205 million weights",
        licence="Apache-2.0",
        strategies=("zero_shot", "full", "lora", "head", "from_scratch"),
        config_schema=BoltSection,
        training_schema=ChronosTraining,
        default_checkpoint="amazon/chronos-bolt-small",
        precisions=("fp32", "bf16", "fp16"),
        launchers=("ddp",),
        quantiles=True,
        checkpoints=tuple(KnownCheckpoint(name, size, "Apache-2.0") for name, size in sizes.items()),
    )


@hookimpl
def load_model(config: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Any:
    """Return the network of ``checkpoint``, or one with random weights, checked against the task."""
    from tsfm_chronos.families.bolt import FAMILY
    from tsfm_chronos.loading import load

    return load(FAMILY, config, task, checkpoint, runtime)
