"""Forecasts relative to the last reading, of windows that are seen as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["FromLast"]


class FromLast(nn.Module):
    """Stands where granite scales a window: the network sees its values unchanged, and answers a difference.

    So the network knows the level, and a network that has learnt nothing forecasts the last reading.
    """

    def forward(self, data: Tensor, observed_indicator: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the values ``[B, C, channels]``, the last of them and a scale of 1, each ``[B, 1, channels]``."""
        last = data[:, -1:]
        return data, last, torch.ones_like(last)

    def inverse(self, data: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
        """Return forecasts on the scale of the values."""
        return data * scale + loc
