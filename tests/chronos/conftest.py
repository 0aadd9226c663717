"""Small networks of the three families, made here, in the package's own layout."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from modelkit import Kit

import tsfm_chronos.chronos
import tsfm_chronos.chronos_bolt
import tsfm_chronos.chronos_t5
from tsfm_torch import quietly

HOOKS: dict[str, ModuleType] = {
    "chronos": tsfm_chronos.chronos,
    "chronos_bolt": tsfm_chronos.chronos_bolt,
    "chronos_t5": tsfm_chronos.chronos_t5,
}
_SIZES = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}

#: Sizes of networks that train in a blink, without dropout.
SMALL: dict[str, dict[str, Any]] = {
    "chronos": _SIZES,
    "chronos_bolt": _SIZES | {"num_decoder_layers": 1},
    "chronos_t5": _SIZES | {"num_decoder_layers": 1, "num_layers": 1, "n_tokens": 96},
}


@pytest.fixture(params=list(HOOKS))
def family(request: pytest.FixtureRequest) -> str:
    """Each of the three; a test that asks for it runs three times."""
    name: str = request.param
    return name


@pytest.fixture
def small() -> dict[str, dict[str, Any]]:
    return SMALL


@pytest.fixture
def kits(tmp_path: Path) -> Callable[[str], Kit]:
    """Return a function that gives the kit of a family."""
    return lambda family: Kit(tmp_path, HOOKS[family])


@pytest.fixture
def kit(kits: Callable[[str], Kit], family: str) -> Kit:
    return kits(family)


@pytest.fixture
def untrained(kits: Callable[[str], Kit]) -> Callable[..., Path]:
    """Return a function that writes a checkpoint with random weights; ``changes`` go into its chronos_config."""

    def write(family: str, name: str = "untrained", task: dict[str, Any] | None = None, **changes: Any) -> Path:
        from tsfm_chronos.network import save

        kit = kits(family)
        directory = kit.folder / name
        directory.mkdir()
        fields = {"context_length": 128, "prediction_length": 32} | (task or {})
        save(kit.load(kit.task(**fields), **SMALL[family]).network, directory)
        file = directory / "config.json"
        config = json.loads(file.read_text())
        config["chronos_config"] |= changes
        file.write_text(json.dumps(config))
        return directory

    return write


@pytest.fixture
def theirs_of() -> Callable[[Path], Any]:
    """Return a function that loads a checkpoint, of whole weights or adapters, by the package itself."""

    def load(directory: Path) -> Any:
        with quietly(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import chronos

            adapters = (directory / "adapter_config.json").exists()
            kind = chronos.Chronos2Pipeline if adapters else chronos.BaseChronosPipeline
            return kind.from_pretrained(str(directory), device_map="cpu", dtype=torch.float32)

    return load
