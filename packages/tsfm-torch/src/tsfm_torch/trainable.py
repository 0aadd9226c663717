"""What the engine must know of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from tsfm_core import TrainingWindows

__all__ = ["Batch", "Trainable"]

#: What a backend's ``batch`` returns: tensors by name, on the CPU; the engine moves them to the device.
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Trainable:
    """A model as the engine sees it: a module and what is done with it. B windows a batch, horizon H.

    :param module: what is trained, in place.
    :param batch: inputs and truth of the windows at ``rows`` (``[B]``), by one gather a channel.
    :param forward: the module's answer to a batch, opaque to the engine. It calls the module that it is given.
    :param loss: a scalar from answer and batch. Missing truth is masked; a batch without any truth gives 0.
    :param point: the point forecast, ``[B, H]`` in the target's unit, from the answer; None: forecasts are sampled, and
        validation judges the loss alone.
    :param save: write a checkpoint into an empty directory.
    :param load: read such a directory's weights back into ``module``.
    :param weight: how many terms the loss of a batch is the mean over: where a step is cut into pieces, each counts as
        much as its terms.
    :param backbone: names of submodules of ``module`` that are frozen and answer each window by itself: the engine runs
        them once over all windows, and what they answered stands in for them while the rest is trained (``head``).
    :param finish: write the whole weights that ``best`` shall hold instead of what ``save`` wrote. Called once, with
        the best weights loaded; None: ``best`` stays as ``save`` wrote it.
    :param training_batch: the same as ``batch`` of training windows, with what is drawn for them in an epoch, its third
        argument: by seed, epoch and row alone, so that a training goes on to the same bits. None: nothing is drawn. Not
        with a backbone, whose answers are kept.
    :param chosen_by: the validation score that the best checkpoint has lowest, where early stopping names none.
    """

    module: nn.Module
    batch: Callable[[TrainingWindows, npt.NDArray[np.int64]], Batch]
    forward: Callable[[nn.Module, Batch], Any]
    loss: Callable[[Any, Batch], Tensor]
    point: Callable[[Any], Tensor] | None
    save: Callable[[Path], None]
    load: Callable[[Path], None]
    weight: Callable[[Batch], float | Tensor]
    backbone: tuple[str, ...] = ()
    finish: Callable[[Path], None] | None = None
    training_batch: Callable[[TrainingWindows, npt.NDArray[np.int64], int], Batch] | None = None
    chosen_by: Literal["rmse", "mae", "loss"] = "rmse"
