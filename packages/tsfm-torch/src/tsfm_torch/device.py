"""The one device that a model runs on."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tsfm_core import CapabilityError, ConfigError

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device"]


def choose_device(name: str) -> torch.device:
    """Return the device that ``runtime.device`` names; ``auto`` is the first GPU, or the CPU where there is none.

    :param name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    :raises ConfigError: for any other name.
    :raises CapabilityError: for a device that this machine does not have.
    """
    import torch

    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise ConfigError(f"runtime.device is {name!r}", "write auto, cpu, cuda or cuda:N")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not gpus):
        return torch.device("cpu")
    # where several processes train together, each has its own
    wanted = int(match[1] or os.environ.get("LOCAL_RANK", 0))
    if wanted >= gpus:
        there = (
            f"this machine has {gpus} GPU{'s' * (gpus != 1)} that torch can use" if gpus else "torch finds no GPU here"
        )
        raise CapabilityError(f"runtime.device is {name!r}, but {there}", "set runtime.device to cpu, or to auto")
    return torch.device("cuda", wanted)
