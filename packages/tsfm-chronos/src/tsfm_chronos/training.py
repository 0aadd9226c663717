"""Training: what the shared engine must know of a Chronos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tsfm_chronos.checkpoint import Adapters
from tsfm_chronos.families.family import Answer
from tsfm_chronos.families.quantiles import median_of
from tsfm_chronos.model import Chronos
from tsfm_chronos.network import read_weights, save
from tsfm_core import ConfigError, Job, TrainingWindows
from tsfm_torch import LoraSection, Trainable, add_adapters, fit, read_adapters, save_adapters

__all__ = ["train"]


def train(model: Chronos, data: TrainingWindows, validation: TrainingWindows | None, job: Job) -> Chronos:
    """Train all weights, or adapters beside them, and return the model with the best of them."""
    if job.training.strategy != "lora":
        network = model.network
        fit(
            _trainable(model, lambda folder: save(network, folder), lambda folder: read_weights(network, folder)),
            data,
            validation,
            job,
        )
        network.requires_grad_(False)  # as it is where the checkpoint is loaded
        return model
    assert model.checkpoint is not None  # random weights are trained whole
    section = job.training.lora or LoraSection()
    wrapper = add_adapters(model.network, section, model.family.adapter_targets, job.runtime.seed)
    record = Adapters(
        base=model.checkpoint.base,
        base_sha256=model.checkpoint.sha256(),
        chronos_config=dict(model.network.config.chronos_config),
        dropout_rate=model.network.config.dropout_rate,
    )

    def write(folder: Path) -> None:
        save_adapters(wrapper, folder, record.base)
        record.write(folder)

    fit(_trainable(model, write, lambda folder: read_adapters(wrapper, folder)), data, validation, job)
    merged = wrapper.merge_and_unload()
    merged.requires_grad_(False)
    return replace(model, network=merged)


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
