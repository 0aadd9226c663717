"""Forecasts relative to the last reading, of windows that are seen as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["FromLast"]


class FromLast(nn.Module):
    """Stands where granite scales a window: the network sees its values unchanged, and answers a difference.

    What it answers is added to the last reading and to a ridge map of the readings of the target: those before the
    last relative to it, the last, and 1. So the network knows the level, and has only to learn what is not linear. The
    map is solved for before a training from random weights, and stays: no gradient reaches it.

    :param context_length: steps in.
    :param prediction_length: steps out.
    """

    map: Tensor

    def __init__(self, context_length: int, prediction_length: int) -> None:
        super().__init__()
        self.register_buffer("map", torch.zeros(context_length + 1, prediction_length))

    def forward(self, data: Tensor, observed_indicator: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the values ``[B, C, channels]``, what is added to the answers, ``[B, H, channels]``, and a scale of 1.

        The scale is ``[B, 1, channels]``.
        """
        last = data[:, -1:]
        target = data[..., 0]
        features = torch.cat([target[:, :-1] - last[..., 0], last[..., 0], torch.ones_like(last[..., 0])], dim=1)
        added = (features @ self.map)[..., None]
        others = added.new_zeros(*added.shape[:2], data.shape[-1] - 1)
        return data, last + torch.cat([added, others], dim=2), torch.ones_like(last)

    def inverse(self, data: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
        """Return forecasts on the scale of the values.

        :param data: ``[..., T, channels]``, the first T steps.
        """
        return data * scale + loc[..., : data.shape[-2], :]
