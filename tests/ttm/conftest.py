"""Small networks and the real weights."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from modelkit import Kit
from smallkit import TTM

import tsfm_ttm


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path, tsfm_ttm)


@pytest.fixture
def small() -> dict[str, Any]:
    """Sizes of a network that trains in a blink, without dropout."""
    return TTM | {"dropout": 0.0, "head_dropout": 0.0}


@pytest.fixture
def untrained(kit: Kit, small: dict[str, Any]) -> Callable[..., Path]:
    """Return a function that writes a checkpoint as granite would: no word of tsfm's in it."""

    def write(name: str = "granite", **changes: Any) -> Path:
        from tsfm_ttm.network import save

        directory = kit.folder / name
        directory.mkdir()
        save(kit.load(kit.task(), **small).network, directory)
        file = directory / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
        return directory

    return write


@pytest.fixture(scope="session")
def real_weights() -> Path:
    shared = os.environ.get("TSFM_SHARED")
    if not shared:
        pytest.skip("TSFM_SHARED is not set: the pretrained weights are read from there")
    return Path(shared) / "weights" / "granite-ttm-r2-512-96"
