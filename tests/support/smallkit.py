"""A small experiment on the bundled people, and networks of a few weights."""

from __future__ import annotations

from typing import Any

COMMON: dict[str, Any] = {
    "experiment": "small",
    "seed": 3,
    "task": {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 96, "prediction_length": 12},
    "data": {"source": "simglucose_adult", "items": ["sim_01", "sim_02"], "stride": 4},
    "split": {"temporal_holdout": 0.2, "validation": 0.2},
    "evaluation": {"stride": 12, "metrics": ["rmse"], "baselines": []},
}
TTM = {
    "patch_length": 16,
    "d_model": 16,
    "num_layers": 1,
    "decoder_d_model": 16,
    "decoder_num_layers": 1,
    "adaptive_patching_levels": 0,
}
CHRONOS = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "patch_size": 16}
