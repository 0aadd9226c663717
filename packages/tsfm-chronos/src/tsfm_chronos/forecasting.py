"""Forecasts in batches: of one size, or of one cutoff where windows inform each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from tsfm_chronos.families.family import Floats, Rows
from tsfm_chronos.model import Chronos
from tsfm_core import CapabilityError, Forecasts, Windows
from tsfm_torch import fixed_batches

__all__ = ["forecast"]

#: Windows of one cutoff: attention compares all of them with each other.
_TOGETHER = 1024


def forecast(model: Chronos, windows: Windows) -> Forecasts:
    """Forecast every window, in order."""
    task = model.task
    mean = np.empty((len(windows), task.prediction_length), np.float32)
    quantiles = np.empty((len(windows), len(task.quantile_levels), task.prediction_length), np.float32)
    has_mean = True
    together = getattr(model.section, "cross_learning", False)
    batches = _by_cutoff(windows) if together else fixed_batches(len(windows), model.batch_size)
    with torch.inference_mode():
        for rows, kept in batches:
            some_mean, some_quantiles = model.family.forecast(model, windows, rows)
            has_mean = some_mean is not None
            for whole, part in ((mean, some_mean), (quantiles, some_quantiles)):
                _keep(whole, part, rows[:kept])
    return Forecasts.of(windows, mean=mean if has_mean else None, quantiles=quantiles if task.quantile_levels else None)


def _keep(whole: Floats, part: Floats | None, rows: Rows) -> None:
    if part is not None:
        whole[rows] = part[: len(rows)]


def _by_cutoff(windows: Windows) -> Iterator[tuple[Rows, int]]:
    """Yield the windows of each cutoff: one that is later shows what an earlier one must forecast."""
    order = np.argsort(windows.cutoff, kind="stable")
    _, first = np.unique(windows.cutoff[order], return_index=True)
    for rows in np.split(order, first[1:]):
        if len(rows) > _TOGETHER:
            cutoff = windows.cutoff[rows[0]]
            raise CapabilityError(
                f"model.cross_learning joins at most {_TOGETHER} windows, and {len(rows)} have the cutoff {cutoff}",
                "forecast fewer items at once, or leave it out",
            )
        if len(rows):
            yield rows, len(rows)
