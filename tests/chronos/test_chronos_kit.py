"""Core's conformance kit, as any plugin author runs it, on each of the three."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tsfm_core.testing import check_model


def test_every_promise_is_kept(tmp_path: Path, family: str, small: dict[str, Any]) -> None:
    model = small[family] | ({"num_samples": 5} if family == "chronos_t5" else {})
    training = {"strategy": "from_scratch", "max_steps": 15, "learning_rate": 0.01}
    task = {"quantile_levels": [0.2, 0.5, 0.8]}
    assert "a_checkpoint_is_the_model" in check_model(family, tmp_path, model, training, task)
