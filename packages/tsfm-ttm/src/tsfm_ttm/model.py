"""The loaded model, and how windows become what the network reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tsfm_core import Task, Windows, fill_context
from tsfm_ttm.checkpoint import Checkpoint
from tsfm_ttm.scaling import Scaler

__all__ = ["Ttm", "answer", "network_inputs"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Ttm:
    """What ``load_model`` returns.

    :param network: granite's ``TinyTimeMixerForPrediction``, or a linear skip around it, on ``device``, in eval mode.
    :param scaler: of ``task.channels``; the identity before training.
    :param batch_size: windows in each forward pass of a forecast.
    :param answers: what the network gives: no fewer steps and quantile levels than ``task``.
    :param checkpoint: None for one that began with random weights.
    :param added: blocks of the network that the checkpoint does not have.
    :param kept_scale: of the target alone: that of a checkpoint which sees the level, and so keeps it in training.
    :param adapters: peft's wrapper of the network, where the checkpoint's adapters are to be trained further.
    """

    network: Any
    task: Task
    scaler: Scaler
    device: torch.device
    batch_size: int
    answers: Task
    checkpoint: Checkpoint | None = None
    added: tuple[str, ...] = ()
    kept_scale: Scaler | None = None
    adapters: Any = None


def network_inputs(
    windows: Windows,
    rows: npt.NDArray[np.int64],
    scaler: Scaler,
    change: Callable[[Floats], Floats] | None = None,
) -> dict[str, Tensor]:
    """Gather the windows at ``rows`` as granite's arguments, on the CPU.

    Channels are standardised, then filled causally; before its first reading a channel has that reading, and one
    without any reading has 0, its mean. Granite's mask only reaches the mean and deviation of a window, so what is
    filled in does count, and a zero in mg/dL would count as a reading of zero.

    :param change: makes another of the target's standardised context, ``[B, C]``, before it is filled.
    :return: ``past_values``, ``past_observed_mask`` ``[B, C, channels]``, and with known covariates ``future_values``
        ``[B, H, channels]``, zeros but for these.
    """
    inputs = windows.inputs(rows)
    length, known = inputs.target.shape[1], inputs.known_covariates.shape[2]
    past = np.concatenate([inputs.target[..., None], inputs.past_covariates], axis=2)
    standardised = scaler.standardise(past, slice(0, past.shape[2]))
    if change:
        standardised[..., 0] = change(standardised[..., 0])
    values, observed = _filled(standardised)
    if not known:
        return {"past_values": torch.from_numpy(values), "past_observed_mask": torch.from_numpy(observed)}
    later, later_observed = _filled(scaler.standardise(inputs.known_covariates, slice(past.shape[2], None)))
    future = np.zeros((len(values), later.shape[1] - length, past.shape[2] + known), np.float32)
    future[..., past.shape[2] :] = later[:, length:]
    return {
        "past_values": torch.from_numpy(np.concatenate([values, later[:, :length]], axis=2)),
        "past_observed_mask": torch.from_numpy(np.concatenate([observed, later_observed[:, :length]], axis=2)),
        "future_values": torch.from_numpy(future),
    }


def answer(network: Any, batch: dict[str, Tensor]) -> Tensor:
    """Return the standardised forecast: ``[B, Q, H]`` with a quantile head, else ``[B, H]``."""
    output = network(
        past_values=batch["past_values"],
        past_observed_mask=batch["past_observed_mask"],
        future_values=batch.get("future_values"),
        return_loss=False,
        return_dict=True,
    )
    quantiles = output.quantile_outputs
    forecast: Tensor = output.prediction_outputs if quantiles is None else quantiles
    return forecast[..., 0]


def _filled(values: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Fill ``[B, steps, channels]`` along the steps, each channel by itself."""
    count, steps, channels = values.shape
    flat, observed = fill_context(values.transpose(0, 2, 1).reshape(-1, steps))
    back = (count, channels, steps)
    return (
        np.ascontiguousarray(flat.reshape(back).transpose(0, 2, 1)),
        np.ascontiguousarray(observed.reshape(back).transpose(0, 2, 1)),
    )
