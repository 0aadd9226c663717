"""Core's conformance kit, as any plugin author runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tsfm_core.testing import check_model


def test_every_promise_is_kept(tmp_path: Path, small: dict[str, Any]) -> None:
    training = {"strategy": "from_scratch", "max_steps": 20, "learning_rate": 0.01}
    assert "a_checkpoint_is_the_model" in check_model("ttm", tmp_path, small, training)
