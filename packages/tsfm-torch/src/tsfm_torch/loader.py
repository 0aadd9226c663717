"""The batches of a training: each step's windows, cut into the pieces that processes and passes take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tsfm_core import TrainingWindows
from tsfm_torch.batches import shuffled_batches
from tsfm_torch.trainable import Batch, Trainable

__all__ = ["WEIGHT", "Loader"]

#: The key of a piece's weight in its step: how many terms its loss is the mean over.
WEIGHT = "tsfm_weight"


@dataclass
class Loader:
    """What transformers' Trainer iterates over in each epoch: the pieces of this process, step after step.

    A step's windows are the same however many processes and passes share them: ``batch_size`` is of the whole step.

    :param passes: forward passes of a process in one step.
    :param rank: of this process among ``world``.
    :param begin: how many steps of the whole training are over.
    """

    trainable: Trainable
    windows: TrainingWindows
    seed: int
    batch_size: int
    passes: int = 1
    rank: int = 0
    world: int = 1
    begin: int = 0
    _epoch: int = 0

    @property
    def dataset(self) -> TrainingWindows:
        """Return the windows."""
        return self.windows

    @property
    def steps(self) -> int:
        """Return the number of steps in an epoch."""
        return math.ceil(len(self.windows) / self.batch_size)

    def __len__(self) -> int:
        return self.steps * self.passes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose windows come next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Batch]:
        over = max(0, self.begin - self._epoch * self.steps)
        for rows in shuffled_batches(len(self.windows), self.batch_size, self.seed, self._epoch, over):
            pieces = self.passes * self.world
            if pieces == 1:
                yield self._batch(rows)
                continue
            for piece in np.array_split(rows, pieces)[self.rank :: self.world]:
                # a process without a window computes on one of another's, for nothing: all must take part
                batch = self._batch(piece if len(piece) else rows[:1])
                weight = float(self.trainable.weight(batch)) if len(piece) else 0.0
                yield batch | {WEIGHT: torch.tensor(weight, dtype=torch.float64)}

    def _batch(self, rows: npt.NDArray[np.int64]) -> Batch:
        drawn = self.trainable.training_batch
        return drawn(self.windows, rows, self._epoch) if drawn else self.trainable.batch(self.windows, rows)
