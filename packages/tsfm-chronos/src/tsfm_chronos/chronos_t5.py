"""Chronos-T5: its card and how it is loaded. Importing this module costs nothing."""

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
    from tsfm_chronos.schema import T5Section, T5Training
    from tsfm_core import KnownCheckpoint, ModelCard

    sizes = {
        "amazon/chronos-t5-tiny": 8_000_000,
        "amazon/chronos-t5-mini": 20_000_000,
        "amazon/chronos-t5-small": 46_000_000,
        "amazon/chronos-t5-base": 200_000_000,
        "amazon/chronos-t5-large": 710_000_000,
    }
    return ModelCard(
        summary="Chronos-T5: a language model of binned values that draws sample paths, 8 to 710 million weights",
        licence="Apache-2.0",
        strategies=("zero_shot", "full", "from_scratch"),
        config_schema=T5Section,
        training_schema=T5Training,
        default_checkpoint="amazon/chronos-t5-small",
        precisions=("fp32", "bf16", "fp16"),
        launchers=("ddp",),
        quantiles=True,
        checkpoints=tuple(KnownCheckpoint(name, size, "Apache-2.0") for name, size in sizes.items()),
    )


@hookimpl
def load_model(config: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Any:
    """Return the network of ``checkpoint``, or one with random weights, checked against the task."""
    from tsfm_chronos.families.t5 import FAMILY
    from tsfm_chronos.loading import load

    return load(FAMILY, config, task, checkpoint, runtime)
