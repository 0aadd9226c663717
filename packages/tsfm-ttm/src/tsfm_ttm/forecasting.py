"""Forecasts in batches of one size."""

from __future__ import annotations

import numpy as np
import torch

from tsfm_core import Forecasts, Windows
from tsfm_torch import fixed_batches
from tsfm_ttm.model import Ttm, answer, network_inputs

__all__ = ["forecast"]


def forecast(model: Ttm, windows: Windows) -> Forecasts:
    """Forecast every window, in order.

    A network with a quantile head gives quantiles only: what granite calls its prediction is then the median.
    """
    task, levels = model.task, len(model.task.quantile_levels)
    shape = (len(windows), levels, task.prediction_length) if levels else (len(windows), task.prediction_length)
    forecasts = np.empty(shape, np.float32)
    done = 0
    with torch.inference_mode():
        for rows, kept in fixed_batches(len(windows), model.batch_size):
            batch = {key: value.to(model.device) for key, value in network_inputs(windows, rows, model.scaler).items()}
            forecasts[done : done + kept] = answer(model.network, batch)[:kept].cpu().numpy()
            done += kept
    forecasts = model.scaler.target(forecasts)
    return Forecasts.of(windows, quantiles=forecasts) if levels else Forecasts.of(windows, mean=forecasts)
