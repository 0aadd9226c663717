"""Scores on the validation windows: what a checkpoint is chosen by."""

from __future__ import annotations

import numpy as np
import torch

from tsfm_core import ConfigError, TrainingWindows
from tsfm_torch.processes import count, rank, sum_of
from tsfm_torch.trainable import Trainable

__all__ = ["evaluate"]


def evaluate(trainable: Trainable, windows: TrainingWindows, batch_size: int, device: torch.device) -> dict[str, float]:
    """Return rmse and mae of the point forecast, in the target's unit, if there is one, and the training loss.

    Over all windows and steps whose truth was observed; the loss is the mean of the batches', weighted by that number.

    :raises ConfigError: if a score is not finite.
    """
    squared = absolute = loss = 0.0
    pairs = 0
    module = trainable.module
    module.eval()
    with torch.inference_mode():
        # each process takes every n-th batch
        for start in range(rank() * batch_size, len(windows), count() * batch_size):
            rows = np.arange(start, min(start + batch_size, len(windows)))
            batch = {name: values.to(device) for name, values in trainable.batch(windows, rows).items()}
            answer = trainable.forward(module, batch)
            truth = windows.truth(rows)
            observed = np.isfinite(truth)
            if trainable.point is not None:
                error = (trainable.point(answer).cpu().numpy().astype(np.float64) - truth)[observed]
                squared, absolute = squared + (error**2).sum(), absolute + np.abs(error).sum()
            loss += trainable.loss(answer, batch).item() * int(observed.sum())
            pairs += int(observed.sum())
    squared, absolute, loss = (sum_of(float(one), device) for one in (squared, absolute, loss))
    pairs = int(sum_of(float(pairs), device))
    if not pairs:
        raise ConfigError("no truth of the validation windows was observed", "raise split.validation")
    scores = {"loss": loss / pairs}
    if trainable.point is not None:
        scores = {"rmse": float(np.sqrt(squared / pairs)), "mae": float(absolute / pairs)} | scores
    for name, score in scores.items():
        if not np.isfinite(score):
            raise ConfigError(f"the validation {name} is {score}", "lower training.learning_rate")
    return scores
