"""Training: what the shared engine must know of a Tiny Time Mixer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsfm_core import ConfigError, Job, TrainingWindows
from tsfm_torch import (
    Adapted,
    LoraSection,
    Trainable,
    add_adapters,
    check_same,
    fit,
    read_adapters,
    save_adapters,
)
from tsfm_ttm.augmenting import Augmentation, Drawn
from tsfm_ttm.checkpoint import Training
from tsfm_ttm.forecasting import mean_weights
from tsfm_ttm.from_last import FromLast
from tsfm_ttm.losses import point_loss, quantile_loss
from tsfm_ttm.model import Ttm, answer, network_inputs
from tsfm_ttm.network import read_weights, save, save_config
from tsfm_ttm.scaling import Scaler
from tsfm_ttm.schema import TtmTraining
from tsfm_ttm.skip import LinearSkip
from tsfm_ttm.solving import fit_map, fit_skip

__all__ = ["ADAPTER_TARGETS", "train"]

#: Layers that get an adapter by default: every linear one of a published network, and of its
#: quantile head; fewer learnt less.
ADAPTER_TARGETS = ("fc1", "fc2", "attn_layer", "patcher", "adapter", "base_forecast_block", "hidden", "widths")

#: The part of granite's network that its own examples freeze: all but decoder and head.
_BACKBONE = "backbone"


def train(model: Ttm, data: TrainingWindows, validation: TrainingWindows | None, job: Job) -> Ttm:
    """Learn the scaler, train all weights, the head or adapters, and return the model with the best of them.

    :raises ConfigError: for a point loss where quantiles are trained.
    """
    training: TtmTraining = job.training
    if model.task.quantile_levels and training.loss:
        raise ConfigError(
            f"training.loss is {training.loss!r}, but task.quantile_levels is trained by the quantile loss",
            "leave training.loss out, or set task.quantile_levels to []",
        )
    scaler = Scaler.learn(data, job.runtime.seed)
    trained = replace(model, scaler=scaler.with_target(model.kept_scale) if model.kept_scale else scaler)
    network = model.network
    if training.strategy == "lora":
        return _train_adapters(trained, data, validation, job)
    if isinstance(network, LinearSkip):
        fit_skip(network, data, trained.scaler, job.runtime.seed)
    elif model.checkpoint is None and isinstance(network.backbone.scaler, FromLast):
        fit_map(network, data, trained.scaler, job.runtime.seed)
    backbone = (_BACKBONE,) if training.strategy == "head" else ()
    for name in backbone:
        network.get_submodule(name).requires_grad_(False)
    record = _record(trained)

    def write(directory: Path) -> None:
        save(network, directory)
        record.write(directory)

    whole = _trainable(trained, job, write, lambda directory: read_weights(network, directory))
    fit(replace(whole, backbone=backbone), data, validation, job)
    for name in backbone:
        network.get_submodule(name).requires_grad_(True)
    return trained


def _train_adapters(model: Ttm, data: TrainingWindows, validation: TrainingWindows | None, job: Job) -> Ttm:
    """Train the checkpoint's own adapters further, or new ones, and return the model with them merged.

    Blocks that the checkpoint does not have are random: they are trained whole, and kept with the adapters.
    """
    assert model.checkpoint is not None  # random weights are trained whole
    network, checkpoint = model.network, model.checkpoint
    section = job.training.lora or LoraSection()
    if model.adapters is None:
        wrapper = add_adapters(network, section, ADAPTER_TARGETS, job.runtime.seed, model.added)
    else:
        wrapper = model.adapters
        check_same(section, wrapper, checkpoint.name)
    adapted = Adapted.begin(wrapper, section, model.device)
    plain = _record(model)
    record = plain.model_copy(update={"base_sha256": checkpoint.sha256()})

    def write(directory: Path) -> None:
        save_adapters(wrapper, directory, checkpoint.base)
        save_config(network, directory)
        record.write(directory)

    def finish(directory: Path) -> None:
        save(adapted.merged, directory)
        plain.write(directory)

    trainable = _trainable(model, job, write, lambda directory: read_adapters(wrapper, directory))
    fit(replace(trainable, finish=finish if section.merge else None), data, validation, job)
    adapted.merged.requires_grad_(True)
    return replace(model, network=adapted.merged, adapters=None)


def _record(model: Ttm) -> Training:
    scaler = model.scaler
    return Training(
        task=model.task,
        mean=tuple(scaler.mean.tolist()),
        std=tuple(scaler.std.tolist()),
        kept_scale=True if model.kept_scale else None,
    )


def _trainable(model: Ttm, job: Job, write: Callable[[Path], None], read: Callable[[Path], None]) -> Trainable:
    scaler, task, training = model.scaler, model.task, job.training
    augmentation = training.augment and Augmentation(
        training.augment, float(scaler.std[0]), task.step_seconds, job.runtime.seed
    )
    levels = torch.tensor(task.quantile_levels, device=model.device)
    weights = torch.from_numpy(mean_weights(task.quantile_levels)).to(model.device)

    def batch(windows: TrainingWindows, rows: npt.NDArray[np.int64], drawn: Drawn | None = None) -> dict[str, Tensor]:
        truth = scaler.standardise(windows.truth(rows)[..., None], slice(0, 1))[..., 0]
        truth, change = (drawn.truth(truth), drawn.context) if drawn else (truth, None)
        return network_inputs(windows, rows, scaler, change) | {"truth": torch.from_numpy(truth)}

    def training_batch(windows: TrainingWindows, rows: npt.NDArray[np.int64], epoch: int) -> dict[str, Tensor]:
        return batch(windows, rows, augmentation.draw(rows, epoch))

    def loss_of(forecast: Tensor, batch: dict[str, Tensor]) -> Tensor:
        if len(levels):
            return quantile_loss(forecast, batch["truth"], levels)
        return point_loss(training.loss or "huber", forecast, batch["truth"])

    def point(forecast: Tensor) -> Tensor:
        mean = (forecast * weights[:, None]).sum(dim=1) if len(levels) else forecast
        return mean * float(scaler.std[0]) + float(scaler.mean[0])

    return Trainable(
        module=model.network,
        batch=batch,
        forward=answer,
        loss=loss_of,
        point=point,
        save=write,
        load=read,
        weight=lambda batch: torch.isfinite(batch["truth"]).sum(),
        training_batch=training_batch if augmentation else None,
    )
