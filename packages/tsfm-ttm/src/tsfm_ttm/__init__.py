"""Granite Tiny Time Mixers: the hooks. Their bodies import the implementation: importing this module costs nothing.

``TTMConfig``, ``TTMTrainer`` and ``finetune_ttm`` are fronts of :func:`tsfm_core.train` for code that has these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsfm_core import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tsfm_core import Forecasts, Job, ModelCard, Runtime, Task, Windows
    from tsfm_ttm.fronts import TTMConfig, TTMTrainer, finetune_ttm

__all__ = [
    "TTMConfig",
    "TTMTrainer",
    "finetune_ttm",
    "load_model",
    "model_card",
    "predict",
    "prepare_data",
    "statistics",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in ("TTMConfig", "TTMTrainer", "finetune_ttm"):
        raise AttributeError(f"module 'tsfm_ttm' has no attribute {name!r}")
    from tsfm_ttm import fronts

    return getattr(fronts, name)


@hookimpl
def model_card() -> ModelCard:
    """Return the static facts."""
    from tsfm_core import KnownCheckpoint, ModelCard
    from tsfm_ttm.schema import TtmConfig, TtmTraining
    from tsfm_ttm.shipped import SHIPPED, shipped_checkpoint

    r2 = KnownCheckpoint("ibm-granite/granite-timeseries-ttm-r2", 805_280, "Apache-2.0")
    return ModelCard(
        summary="Granite Tiny Time Mixers: small pretrained mixers, 1 to 5 million weights",
        licence="Apache-2.0",
        strategies=("zero_shot", "full", "lora", "head", "from_scratch"),
        config_schema=TtmConfig,
        training_schema=TtmTraining,
        default_checkpoint=SHIPPED,
        quantiles=True,
        past_covariates=True,
        known_covariates=True,
        longest_context=1536,
        longest_prediction=720,
        precisions=("fp32", "bf16", "fp16"),
        launchers=("ddp",),
        checkpoints=(shipped_checkpoint(), r2),
    )


@hookimpl
def load_model(config: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Any:
    """Return the network of ``checkpoint``, or one with random weights, checked against the task."""
    from tsfm_ttm.loading import load

    return load(config, task, checkpoint, runtime)


@hookimpl
def prepare_data(model: Any, windows: Windows, task: Task) -> Any:
    """Return the windows as they are: each batch is gathered when it is needed."""
    return windows


@hookimpl
def train(model: Any, data: Any, validation: Any, job: Job) -> Any:
    """Train all weights, the head or adapters, and return the model with the best ones."""
    from tsfm_ttm.training import train as fit

    return fit(model, data, validation, job)


@hookimpl
def predict(model: Any, data: Any, task: Task) -> Forecasts:
    """Forecast every window; the answer does not depend on how windows are chunked."""
    from tsfm_ttm.forecasting import forecast

    return forecast(model, data)


@hookimpl
def statistics(model: Any, data: Any, runtime: Runtime) -> Mapping[str, tuple[Sequence[float], Sequence[float]]]:
    """Return the scaler's mean and deviation of each channel, and what the training windows give.

    Without the target, where a network that sees its level kept what it was trained with before.
    """
    from tsfm_ttm.scaling import Scaler

    again = Scaler.learn(data, runtime.seed)
    record = model.checkpoint.training if model.checkpoint else None
    first = 1 if model.kept_scale or (record and record.kept_scale) else 0
    return {
        "mean": (model.scaler.mean[first:].tolist(), again.mean[first:].tolist()),
        "std": (model.scaler.std[first:].tolist(), again.std[first:].tolist()),
    }
