"""A quantile head whose widths know their step and their window."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, softplus

__all__ = ["StepsHead", "add_steps_head"]

#: Features of the hidden layer where config.json says nothing.
_HIDDEN = 32

#: The widths begin as those of a Gaussian whose deviation grows with the root of the step, to this at the last one, in
#: deviations of the window.
_LAST_DEVIATION = 0.5


class StepsHead(nn.Module):
    """The 0.5 quantile is the network's point forecast; each other level and step has a width of its own.

    A width is the distance to the neighbouring level nearer the median, a softplus and so never negative: the levels
    cannot cross. It is read from the decoder's features and from two numbers of the window that scaling it by itself
    takes from the network: the deviation of its readings, and how far the last of them lies from their mean.

    :param features: the decoder's for the target, all patches together.
    :param steps: that the network forecasts.
    :param levels: ascending, 0.5 among them.
    """

    def __init__(self, features: int, steps: int, levels: Sequence[float], hidden: int, dropout: float) -> None:
        super().__init__()
        self.num_quantiles = len(levels)  # granite asks for it
        self.median = list(levels).index(0.5)
        self.steps = steps
        self._window: Tensor | None = None
        if len(levels) == 1:
            return  # the median alone: there is no width to learn
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(features + 2, hidden)
        self.widths = nn.Linear(hidden + 2, (len(levels) - 1) * steps)
        nn.init.normal_(self.widths.weight, std=0.01)
        with torch.no_grad():
            self.widths.bias.copy_(_first_widths(levels, steps).flatten())

    def look(self, scale: Tensor, last: Tensor) -> None:
        """Note the windows whose forecasts come next.

        :param scale: ``[B, 1]`` deviation of the readings.
        :param last: ``[B, 1]`` the last reading, scaled as the network sees it.
        """
        self._window = torch.cat([scale.log(), last], dim=1)

    def forward(self, mean_hat: Tensor, decoder_hidden_state: Tensor) -> Tensor:
        """Return quantiles ``[B, Q, T, 1]``, ascending.

        :param mean_hat: ``[B, T, 1]``, granite's point forecast, of the first T steps.
        :param decoder_hidden_state: ``[B, channels, patches, features]``, the target first.
        """
        if self.num_quantiles == 1:
            return mean_hat[:, None]
        median = mean_hat[..., 0]
        assert self._window is not None
        window, self._window = self._window, None
        features = self.dropout(decoder_hidden_state[:, 0].flatten(1))
        hidden = gelu(self.hidden(torch.cat([features, window], dim=1)))
        widths = softplus(self.widths(torch.cat([hidden, window], dim=1)))
        widths = widths.view(len(widths), -1, self.steps)[..., : mean_hat.shape[1]]
        # one addition after another, outwards: a longer sum is never the smaller one, not even by rounding
        below = list(accumulate(widths[:, : self.median].flip(1).unbind(1)))
        above = list(accumulate(widths[:, self.median :].unbind(1)))
        quantiles = [*(median - one for one in reversed(below)), median, *(median + one for one in above)]
        return torch.stack(quantiles, dim=1)[..., None]


def add_steps_head(network: Any) -> None:
    """Put a :class:`StepsHead` where granite has its own head, as the network's configuration says."""
    config = network.config
    config.quantile_head_hidden = getattr(config, "quantile_head_hidden", None) or _HIDDEN
    network.multi_quantile_head_block = StepsHead(
        features=network.head.base_forecast_block.in_features,
        steps=config.prediction_length,
        levels=config.quantile_levels,
        hidden=config.quantile_head_hidden,
        dropout=config.head_dropout,
    )
    network.backbone.register_forward_hook(partial(_show_window, network))


def _show_window(network: Any, backbone: Any, given: Any, answer: Any) -> None:
    """Show the head what granite does not pass on: the scale of the window, and its last reading."""
    scale, last = answer.scale[..., 0], answer.patch_input[:, 0, -1, -1:]
    for module in network.multi_quantile_head_block.modules():  # adapters come with a copy of a head that is new
        if isinstance(module, StepsHead):
            module.look(scale, last)


def _first_widths(levels: Sequence[float], steps: int) -> Tensor:
    """Return what the softplus makes a Gaussian's widths of, ``[Q - 1, steps]``."""
    normal = NormalDist()
    units = torch.tensor([normal.inv_cdf(level) for level in levels], dtype=torch.float64).diff()
    deviation = _LAST_DEVIATION * ((torch.arange(steps, dtype=torch.float64) + 1) / steps).sqrt()
    return (units[:, None] * deviation).expm1().log()
