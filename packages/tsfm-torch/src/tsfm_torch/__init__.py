"""The training engine that tsfm's PyTorch backends share.

A backend describes its model by a :class:`Trainable` and calls :func:`fit`; its ``training:`` section is
:class:`TrainingConfig` or a subclass. Names are loaded when they are first used: importing this package loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsfm_torch.batches import fixed_batches, shuffled
    from tsfm_torch.checkpoint import check_sizes, checkpoint_directory, read_json, sha256_of
    from tsfm_torch.device import choose_device
    from tsfm_torch.draws import normals, uniforms
    from tsfm_torch.engine import fit
    from tsfm_torch.lora import (
        ADAPTER_CONFIG,
        ADAPTER_WEIGHTS,
        Adapted,
        add_adapters,
        check_same,
        merge_adapters,
        open_adapters,
        read_adapters,
        require_peft,
        save_adapters,
    )
    from tsfm_torch.quantization import require_bitsandbytes
    from tsfm_torch.quiet import quietly
    from tsfm_torch.schema import AdapterTraining, EarlyStopping, LoraSection, TrainingConfig
    from tsfm_torch.trainable import Trainable

_MODULE_OF = {
    "ADAPTER_CONFIG": "lora",
    "ADAPTER_WEIGHTS": "lora",
    "Adapted": "lora",
    "AdapterTraining": "schema",
    "EarlyStopping": "schema",
    "LoraSection": "schema",
    "Trainable": "trainable",
    "TrainingConfig": "schema",
    "add_adapters": "lora",
    "check_same": "lora",
    "check_sizes": "checkpoint",
    "checkpoint_directory": "checkpoint",
    "choose_device": "device",
    "fit": "engine",
    "fixed_batches": "batches",
    "merge_adapters": "lora",
    "normals": "draws",
    "open_adapters": "lora",
    "quietly": "quiet",
    "read_adapters": "lora",
    "read_json": "checkpoint",
    "require_bitsandbytes": "quantization",
    "require_peft": "lora",
    "save_adapters": "lora",
    "sha256_of": "checkpoint",
    "shuffled": "batches",
    "uniforms": "draws",
}

__all__ = [
    "ADAPTER_CONFIG",
    "ADAPTER_WEIGHTS",
    "Adapted",
    "AdapterTraining",
    "EarlyStopping",
    "LoraSection",
    "Trainable",
    "TrainingConfig",
    "add_adapters",
    "check_same",
    "check_sizes",
    "checkpoint_directory",
    "choose_device",
    "fit",
    "fixed_batches",
    "merge_adapters",
    "normals",
    "open_adapters",
    "quietly",
    "read_adapters",
    "read_json",
    "require_bitsandbytes",
    "require_peft",
    "save_adapters",
    "sha256_of",
    "shuffled",
    "uniforms",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tsfm_torch' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tsfm_torch.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
