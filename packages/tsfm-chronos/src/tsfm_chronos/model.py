"""The loaded model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from tsfm_chronos.checkpoint import Checkpoint
from tsfm_chronos.families.family import Family
from tsfm_core import Task

__all__ = ["Chronos"]


@dataclass(frozen=True)
class Chronos:
    """What ``load_model`` returns.

    :param family: Chronos-2, Chronos-Bolt or Chronos-T5.
    :param network: chronos-forecasting's own, in float32 on ``device``, in eval mode.
    :param section: the ``model:`` section.
    :param batch_size: windows in each forward pass of a forecast.
    :param seed: of what is drawn.
    :param checkpoint: None for one that began with random weights.
    :param adapters: peft's wrapper of the network, where the checkpoint's adapters are to be trained further.
    """

    family: Family
    network: Any
    task: Task
    section: Any
    device: torch.device
    batch_size: int
    seed: int
    checkpoint: Checkpoint | None
    adapters: Any = None
