"""Training: what the shared engine must know of a Tiny Time Mixer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsfm_core import ConfigError, Job, TrainingWindows
from tsfm_torch import Trainable, fit
from tsfm_ttm.checkpoint import Training
from tsfm_ttm.losses import point_loss, quantile_loss
from tsfm_ttm.model import Ttm, answer, network_inputs
from tsfm_ttm.network import read_weights, save
from tsfm_ttm.scaling import Scaler
from tsfm_ttm.schema import TtmTraining

__all__ = ["train"]


def train(model: Ttm, data: TrainingWindows, validation: TrainingWindows | None, job: Job) -> Ttm:
    """Learn the scaler, train all weights, and return the model with the best of them.

    :raises ConfigError: for a point loss where quantiles are trained.
    """
    training: TtmTraining = job.training
    if model.task.quantile_levels and training.loss:
        raise ConfigError(
            f"training.loss is {training.loss!r}, but task.quantile_levels is trained by the quantile loss",
            "leave training.loss out, or set task.quantile_levels to []",
        )
    trained = replace(model, scaler=Scaler.learn(data, job.runtime.seed))
    fit(_trainable(trained, training.loss or "huber"), data, validation, job)
    return trained


def _trainable(model: Ttm, loss: str) -> Trainable:
    scaler, task = model.scaler, model.task
    levels = torch.tensor(task.quantile_levels, device=model.device)
    record = Training(task=task, mean=tuple(scaler.mean.tolist()), std=tuple(scaler.std.tolist()))

    def batch(windows: TrainingWindows, rows: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        truth = scaler.standardise(windows.truth(rows)[..., None], slice(0, 1))[..., 0]
        return network_inputs(windows, rows, scaler) | {"truth": torch.from_numpy(truth)}

    def loss_of(forecast: Tensor, batch: dict[str, Tensor]) -> Tensor:
        if len(levels):
            return quantile_loss(forecast, batch["truth"], levels)
        return point_loss(loss, forecast, batch["truth"])

    def point(forecast: Tensor) -> Tensor:
        middle = forecast[:, len(levels) // 2] if len(levels) else forecast
        return middle * float(scaler.std[0]) + float(scaler.mean[0])

    def write(directory: Path) -> None:
        save(model.network, directory)
        record.write(directory)

    return Trainable(
        module=model.network,
        batch=batch,
        forward=answer,
        loss=loss_of,
        point=point,
        save=write,
        load=lambda directory: read_weights(model.network, directory),
        weight=lambda batch: torch.isfinite(batch["truth"]).sum(),
    )
