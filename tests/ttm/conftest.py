"""Windows, small networks and the real weights."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsfm_ttm
from tsfm_core import Forecasts, Job, Panel, Runtime, Task, TrainingWindows
from tsfm_core.data.windows import WindowRule

SMALL = {
    "patch_length": 16,
    "d_model": 16,
    "num_layers": 1,
    "decoder_d_model": 16,
    "decoder_num_layers": 1,
    "adaptive_patching_levels": 0,
}
ROWS = 400


@dataclass(frozen=True)
class Kit:
    """What the tests of this folder do again and again."""

    folder: Path

    @staticmethod
    def task(**changes: Any) -> Task:
        fields = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 96, "prediction_length": 12}
        return Task(**(fields | changes))

    @staticmethod
    def columns() -> dict[str, np.ndarray]:
        steps = np.arange(ROWS)
        noise = np.random.default_rng(0).normal(0, 3, (3, ROWS))
        columns = {
            "glucose": 140 + 40 * np.sin(steps / 11) + noise[0],
            "iob": 3000 + 900 * np.cos(steps / 11) + 30 * noise[1],
            "meal": 50 * (steps % 60 == 0) + noise[2],
        }
        return {name: values.astype(np.float32) for name, values in columns.items()}

    def windows(self, task: Task, columns: dict[str, np.ndarray] | None = None) -> TrainingWindows:
        columns = columns or self.columns()
        count = len(columns["glucose"])
        start = np.array(["2024-01-01"], dtype="datetime64[s]")
        panel = Panel(("a",), np.array([0, count]), start, 300, columns, "mg/dL")
        rule = WindowRule(max_gap=10**9, min_observed=0.5, min_context=task.context_length)
        return rule.cut(panel, task, lambda part: np.ones(len(part), bool), np.array([0]), np.array([count]))[0]

    @staticmethod
    def load(task: Task, checkpoint: Path | str | None = None, *, seed: int = 0, **keys: Any) -> Any:
        """Load a model; ``strategy`` and ``batch_size`` are the runtime's, other keys those of ``model:``."""
        strategy = keys.pop("strategy", "from_scratch" if checkpoint is None else "zero_shot")
        runtime = Runtime(strategy, seed=seed, device=keys.pop("device", "cpu"), batch_size=keys.pop("batch_size", 32))
        config = tsfm_ttm.model_card().config_schema.model_validate_json(json.dumps(keys), strict=True)
        name = None if checkpoint is None else str(checkpoint)
        return tsfm_ttm.load_model(config=config, task=task, checkpoint=name, runtime=runtime)

    def train(self, model: Any, windows: TrainingWindows, name: str = "run", *, seed: int = 0, **keys: Any) -> Any:
        """Train and return the model; its checkpoints are in ``folder / name / checkpoints``."""
        training = tsfm_ttm.model_card().training_schema(
            **({"strategy": "full", "max_steps": 8, "batch_size": 32} | keys)
        )
        place = self.folder / name
        job = Job(training, Runtime("full", seed=seed, device="cpu"), place / "checkpoints", place / "training.jsonl")
        return tsfm_ttm.train(model=model, data=windows, validation=None, job=job)

    def best(self, name: str = "run") -> Path:
        return self.folder / name / "checkpoints" / "best"

    @staticmethod
    def predict(model: Any, windows: TrainingWindows) -> Forecasts:
        data = tsfm_ttm.prepare_data(model=model, windows=windows.inputs_only(), task=windows.task)
        return tsfm_ttm.predict(model=model, data=data, task=windows.task)

    def values(self, model: Any, windows: TrainingWindows) -> np.ndarray:
        """Return the mean, or the quantiles where there is none."""
        forecasts = self.predict(model, windows)
        values = forecasts.mean if forecasts.mean is not None else forecasts.quantiles
        assert values is not None
        return values


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


@pytest.fixture
def small() -> dict[str, Any]:
    """Sizes of a network that trains in a blink, without dropout."""
    return SMALL | {"dropout": 0.0, "head_dropout": 0.0}


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
