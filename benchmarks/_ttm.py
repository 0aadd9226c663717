"""A TTM of r2's shape with random weights: what both TTM benchmarks run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tsfm_core.config.resolve import read_config
from tsfm_core.prepare import Loaded, load

__all__ = ["SHAPE", "load_ttm", "random_checkpoint"]

#: Granite TTM-r2: 512 steps in, 96 out, 805,280 parameters.
SHAPE: dict[str, Any] = {
    "context_length": 512,
    "patch_length": 64,
    "patch_stride": 64,
    "prediction_length": 96,
    "d_model": 192,
    "decoder_d_model": 128,
    "num_layers": 2,
    "decoder_num_layers": 2,
    "adaptive_patching_levels": 3,
    "expansion_factor": 2,
    "dropout": 0.2,
    "head_dropout": 0.2,
}


def random_checkpoint(folder: Path) -> Any:
    """Write a checkpoint with random weights into ``folder`` and return the model."""
    import torch
    from tsfm_public.models.tinytimemixer import TinyTimeMixerConfig, TinyTimeMixerForPrediction

    torch.manual_seed(0)
    model = TinyTimeMixerForPrediction(TinyTimeMixerConfig(**SHAPE))
    model.save_pretrained(folder)
    return model


def load_ttm(checkpoint: Path, training: dict[str, Any], command: str) -> Loaded:
    """Load ``checkpoint`` by the plugin."""
    task = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 512, "prediction_length": 96}
    config = {"seed": 0, "task": task, "model": {"checkpoint": str(checkpoint)}, "training": training}
    return load("ttm", read_config(config), command)
