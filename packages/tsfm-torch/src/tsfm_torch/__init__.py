"""The training engine that tsfm's PyTorch backends share.

A backend describes its model by a :class:`Trainable` and calls :func:`fit`; its ``training:`` section is
:class:`TrainingConfig` or a subclass. Names are loaded when they are first used: importing this package loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsfm_torch.batches import fixed_batches, shuffled
    from tsfm_torch.device import choose_device
    from tsfm_torch.engine import fit
    from tsfm_torch.schema import EarlyStopping, TrainingConfig
    from tsfm_torch.trainable import Trainable

_MODULE_OF = {
    "EarlyStopping": "schema",
    "Trainable": "trainable",
    "TrainingConfig": "schema",
    "choose_device": "device",
    "fit": "engine",
    "fixed_batches": "batches",
    "shuffled": "batches",
}

__all__ = ["EarlyStopping", "Trainable", "TrainingConfig", "choose_device", "fit", "fixed_batches", "shuffled"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tsfm_torch' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tsfm_torch.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
