"""What tests of model plugins do again and again: windows of one series, and the hooks called by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tsfm_core import Forecasts, Job, Panel, Runtime, Task, TrainingWindows
from tsfm_core.data.windows import WindowRule

ROWS = 400


@dataclass(frozen=True)
class Kit:
    """The hooks of a model's module, on windows over one series.

    :param folder: for what is trained.
    :param hooks: the entry module.
    """

    folder: Path
    hooks: ModuleType

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

    def load(self, task: Task, checkpoint: Path | str | None = None, *, seed: int = 0, **keys: Any) -> Any:
        """Load a model; ``strategy`` and ``batch_size`` are the runtime's, other keys those of ``model:``."""
        strategy = keys.pop("strategy", "from_scratch" if checkpoint is None else "zero_shot")
        runtime = Runtime(strategy, seed=seed, device=keys.pop("device", "cpu"), batch_size=keys.pop("batch_size", 32))
        config = self.hooks.model_card().config_schema.model_validate_json(json.dumps(keys), strict=True)
        name = None if checkpoint is None else str(checkpoint)
        return self.hooks.load_model(config=config, task=task, checkpoint=name, runtime=runtime)

    def train(self, model: Any, windows: TrainingWindows, name: str = "run", *, seed: int = 0, **keys: Any) -> Any:
        """Train and return the model; its checkpoints are in ``folder / name / checkpoints``."""
        validation, precision = keys.pop("validation", None), keys.pop("precision", "fp32")
        training = self.hooks.model_card().training_schema(
            **({"strategy": "full", "max_steps": 8, "batch_size": 32} | keys)
        )
        place = self.folder / name
        runtime = Runtime(training.strategy, seed=seed, device="cpu", precision=precision)
        job = Job(training, runtime, place / "checkpoints", place / "training.jsonl")
        return self.hooks.train(model=model, data=windows, validation=validation, job=job)

    def best(self, name: str = "run") -> Path:
        return self.folder / name / "checkpoints" / "best"

    def predict(self, model: Any, windows: TrainingWindows) -> Forecasts:
        data = self.hooks.prepare_data(model=model, windows=windows.inputs_only(), task=windows.task)
        return self.hooks.predict(model=model, data=data, task=windows.task)

    def values(self, model: Any, windows: TrainingWindows) -> np.ndarray:
        """Return the quantiles, or the mean where there are none."""
        forecasts = self.predict(model, windows)
        values = forecasts.quantiles if forecasts.quantiles is not None else forecasts.mean
        assert values is not None
        return values
