"""Losses that leave out what was not observed. Granite's own forget the mask for quantiles."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["point_loss", "quantile_loss"]


def point_loss(kind: str, forecast: Tensor, truth: Tensor) -> Tensor:
    """Return the mean over observed truths of e^2 (``mse``), |e| (``mae``), ``huber``: e^2/2 up to 1, then |e| - 1/2.

    :param forecast: ``[B, H]``.
    :param truth: ``[B, H]``, NaN where not observed; 0 if nothing was.
    """
    observed = torch.isfinite(truth)
    target = torch.where(observed, truth, forecast.detach())
    error = forecast - target
    if kind == "mse":
        each = error.square()
    elif kind == "mae":
        each = error.abs()
    else:
        each = torch.nn.functional.huber_loss(forecast, target, reduction="none")
    return (each * observed).sum() / observed.sum().clamp(min=1)


def quantile_loss(quantiles: Tensor, truth: Tensor, levels: Tensor) -> Tensor:
    """Return the mean over levels and observed truths of ``max(q e, (q - 1) e)`` (Koenker and Bassett 1978).

    :param quantiles: ``[B, Q, H]``.
    :param truth: ``[B, H]``, NaN where not observed; 0 if nothing was.
    :param levels: ``[Q]``.
    """
    observed = torch.isfinite(truth)[:, None]
    target = truth[:, None].nan_to_num(0.0)
    error = target - quantiles
    level = levels[:, None]
    each = torch.maximum(level * error, (level - 1) * error) * observed
    return each.sum() / (observed.sum() * len(levels)).clamp(min=1)
