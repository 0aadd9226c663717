"""Training: what the shared engine must know of a Chronos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tsfm_chronos.checkpoint import Adapters
from tsfm_chronos.families.family import BACKBONE, Answer
from tsfm_chronos.families.quantiles import median_of
from tsfm_chronos.model import Chronos
from tsfm_chronos.network import read_weights, save
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

__all__ = ["train"]


def train(model: Chronos, data: TrainingWindows, validation: TrainingWindows | None, job: Job) -> Chronos:
    """Train all weights, the head or adapters, and return the model with the best of them."""
    if job.training.strategy == "lora":
        return _train_adapters(model, data, validation, job)
    network = model.network
    heads = job.training.strategy == "head"
    if heads:
        network.requires_grad_(False)
        network.get_submodule(model.family.head).requires_grad_(True)
    whole = _trainable(model, lambda folder: save(network, folder), lambda folder: read_weights(network, folder))
    fit(replace(whole, backbone=(BACKBONE,) if heads else ()), data, validation, job)
    network.requires_grad_(False)  # as it is where the checkpoint is loaded
    return model


def _train_adapters(model: Chronos, data: TrainingWindows, validation: TrainingWindows | None, job: Job) -> Chronos:
    """Train the checkpoint's own adapters further, or new ones, and return the model with them merged."""
    assert model.checkpoint is not None  # random weights are trained whole
    section = job.training.lora or LoraSection()
    if model.adapters is None:
        wrapper = add_adapters(model.network, section, model.family.adapter_targets, job.runtime.seed)
    else:
        wrapper = model.adapters
        check_same(section, wrapper, model.checkpoint.name)
    adapted = Adapted.begin(wrapper, section, model.device)
    record = Adapters(
        base=model.checkpoint.base,
        base_sha256=model.checkpoint.sha256(),
        chronos_config=dict(model.network.config.chronos_config),
        dropout_rate=model.network.config.dropout_rate,
    )

    def write(folder: Path) -> None:
        save_adapters(wrapper, folder, record.base)
        record.write(folder)

    trainable = _trainable(model, write, lambda folder: read_adapters(wrapper, folder))
    finish = (lambda folder: save(adapted.merged, folder)) if section.merge else None
    fit(replace(trainable, finish=finish), data, validation, job)
    adapted.merged.requires_grad_(False)
    return replace(model, network=adapted.merged, adapters=None)


def _trainable(model: Chronos, write: Any, read: Any) -> Trainable:
    family, network = model.family, model.network

    def batch(windows: TrainingWindows, rows: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        return family.batch(network, windows, rows)

    def loss(answer: Answer, batch: dict[str, Tensor]) -> Tensor:
        return family.loss(network, answer, batch)

    module = family.module(network, model.task)
    if not any(values.requires_grad for values in module.parameters()):
        raise ConfigError(
            "training.lora.target_modules names only what windows of one variate have no use for",
            "name other layers, or leave it out",
        )
    return Trainable(
        module=module,
        batch=batch,
        forward=lambda module, batch: module(batch),
        loss=loss,
        point=None if family.draws else lambda answer: median_of(network, answer),
        save=write,
        load=read,
        weight=family.weight,
        chosen_by="loss",
    )
