"""Forecasts in batches of one size, and what quantiles say of the mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from tsfm_core import Forecasts, Windows
from tsfm_torch import fixed_batches
from tsfm_ttm.model import Ttm, answer, network_inputs

__all__ = ["forecast", "mean_weights"]


def forecast(model: Ttm, windows: Windows) -> Forecasts:
    """Forecast every window, in order.

    A network with a quantile head gives quantiles and the mean that they stand for (:func:`mean_weights`); what granite
    calls its prediction is then the median. Of what a network gives, the task's steps and levels are kept.
    """
    steps, levels = model.task.prediction_length, model.answers.quantile_levels
    forecasts = np.empty((len(windows), *([len(levels)] if levels else []), steps), np.float32)
    done = 0
    with torch.inference_mode():
        for rows, kept in fixed_batches(len(windows), model.batch_size):
            batch = {key: value.to(model.device) for key, value in network_inputs(windows, rows, model.scaler).items()}
            forecasts[done : done + kept] = answer(model.network, batch)[:kept, ..., :steps].cpu().numpy()
            done += kept
    forecasts = model.scaler.target(forecasts)
    if not levels:
        return Forecasts.of(windows, mean=forecasts)
    mean = np.zeros_like(forecasts[:, 0])
    for at, weight in enumerate(mean_weights(levels)):  # a product would round by the number of windows
        mean += weight * forecasts[:, at]
    asked = [levels.index(level) for level in model.task.quantile_levels]
    return Forecasts.of(windows, mean=mean, quantiles=forecasts[:, asked] if asked else None)


def mean_weights(levels: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return what each quantile counts in the mean, ``[Q]``; the sum is 1.

    The mean is the integral of the quantile function over the levels from 0 to 1, here linear between the levels and
    constant beyond the outermost two. Of tails that go on, it sees nothing.

    :param levels: ascending.
    """
    given = np.asarray(levels, np.float64)
    weights: npt.NDArray[np.float32] = np.diff(np.r_[0.0, (given[1:] + given[:-1]) / 2, 1.0]).astype(np.float32)
    return weights
