"""The model under test, and the data it is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.config.resolve import Resolved, read_config
from tsfm_core.data.forecasts import Forecasts
from tsfm_core.data.panel import Panel
from tsfm_core.data.windows import TrainingWindows, WindowRule
from tsfm_core.pipeline import forecast_windows_of
from tsfm_core.plugins import host
from tsfm_core.prepare import Loaded, load
from tsfm_core.records import Job
from tsfm_core.task import Task

__all__ = ["Subject", "sample_panel"]

_STEPS = 600
#: The past covariate that is categorical, and its labels.
_STATE, _LABELS = "state", ("busy", "calm")


def sample_panel(task: Task, seed: int = 0) -> Panel:
    """Return four series of 600 steps with gaps, for every channel of ``task``; known covariates move the target.

    A past covariate called ``state`` is categorical, with the labels ``busy`` and ``calm``, and recorded now and then.
    """
    random = np.random.default_rng(seed)
    time = np.arange(_STEPS)
    columns: dict[str, list[npt.NDArray[np.float64]]] = {channel: [] for channel in task.channels}
    for item in range(4):
        drive = random.normal(size=_STEPS)
        target = 130 + 30 * np.sin(2 * np.pi * time / 144 + item) + 20 * drive + random.normal(size=_STEPS)
        target[random.random(_STEPS) < 0.03] = np.nan
        target[250 : 250 + 4 * (item + 1)] = np.nan
        columns[task.target].append(target)
        for channel in (*task.past_covariates, *task.known_covariates):
            if channel in task.known_covariates:
                columns[channel].append(drive)
            elif channel == _STATE:
                columns[channel].append(random.choice([0, 1, np.nan], _STEPS, p=[0.4, 0.4, 0.2]))
            else:
                columns[channel].append(random.normal(size=_STEPS))
    return Panel(
        item_ids=("a", "b", "c", "d"),
        offsets=np.arange(5, dtype=np.int64) * _STEPS,
        starts=np.full(4, "2001-01-01T00:00:00", "datetime64[s]"),
        step=task.step_seconds,
        columns={channel: np.concatenate(series).astype(np.float32) for channel, series in columns.items()},
        unit=task.unit,
        categories={_STATE: _LABELS} if _STATE in task.past_covariates else {},
    )


@dataclass
class Subject:
    """The model under test, its task and its windows, each made once."""

    name: str
    folder: Path
    model: dict[str, Any]
    training: dict[str, Any]
    changes: dict[str, Any]

    @cached_property
    def resolved(self) -> Resolved:
        """Return the configuration: the card's capabilities, then what the author gave."""
        card = host().model(self.name).card
        levels = [0.1, 0.5, 0.9] if card.quantiles is True else list(card.quantiles or ())
        task = {"target": "x", "unit": "custom:kit", "freq": "5min", "context_length": 96, "prediction_length": 12}
        covariates = {
            "past_covariates": ["past", *([_STATE] if card.categorical_covariates else [])]
            if card.past_covariates
            else [],
            "known_covariates": ["known"] if card.known_covariates else [],
        }
        trained = [one for one in card.strategies if one != "zero_shot"]
        strategy = {"strategy": sorted(trained, key=lambda one: one != "from_scratch")[0]} if trained else {}
        config = {
            "seed": 1,
            "task": task | covariates | {"quantile_levels": levels} | self.changes,
            "model": self.model,
            "training": strategy | self.training,
        }
        return read_config(config)

    @property
    def trains(self) -> bool:
        """Return whether the model's strategy trains."""
        strategy: str = self.loaded.strategy
        return strategy != "zero_shot"

    @cached_property
    def task(self) -> Task:
        """Return the task."""
        assert self.resolved.config.task is not None
        return self.resolved.config.task

    @cached_property
    def panel(self) -> Panel:
        """Return the series."""
        return sample_panel(self.task)

    @cached_property
    def loaded(self) -> Loaded:
        """Return the model, loaded and not yet trained."""
        strategy = self.resolved.config.training.get("strategy", "zero_shot")
        return load(self.name, self.resolved, "train" if strategy != "zero_shot" else "backtest")

    def windows(self, panel: Panel, stride: int = 5) -> TrainingWindows:
        """Return the windows of ``panel``, a cutoff every ``stride`` rows."""
        rule = WindowRule(max_gap=45 * 60, min_observed=0.8, min_context=self.task.context_length)
        spans = panel.offsets[:-1], panel.offsets[1:]
        return rule.cut(panel, self.task, lambda part: part.slots() % stride == 0, *spans)[0]

    @property
    def learnt_and_chosen(self) -> tuple[TrainingWindows, TrainingWindows]:
        """Return the windows that the model is trained on, and those that it is chosen by."""
        begin, cut, end = self.panel.offsets[:-1], self.panel.offsets[:-1] + 450, self.panel.offsets[1:]
        rule = WindowRule(max_gap=45 * 60, min_observed=0.8, min_context=self.task.context_length)
        learnt, chosen = (rule.cut(self.panel, self.task, _every, *span)[0] for span in ((begin, cut), (cut, end)))
        return learnt, chosen

    def train(self, loaded: Loaded, folder: Path) -> Any:
        """Return the model, trained on the kit's windows where its strategy trains."""
        if not self.trains:
            return loaded.model
        folder.mkdir(parents=True, exist_ok=True)
        backend, model = loaded.backend, loaded.model
        data, validation = (backend.prepare_data(model, windows, self.task) for windows in self.learnt_and_chosen)
        job = Job(loaded.sections["training"], loaded.runtime, folder / "checkpoints", folder / "log.jsonl")
        return backend.train(model, data, validation, job)

    @cached_property
    def trained(self) -> Any:
        """Return the model after its first training."""
        return self.train(self.loaded, self.folder / "first")

    def forecast(self, windows: TrainingWindows, model: Any = None) -> Forecasts:
        """Return the forecasts of ``model``, by default the trained one."""
        return forecast_windows_of(self.loaded, self.trained if model is None else model, windows)

    @cached_property
    def forecasts(self) -> Forecasts:
        """Return the trained model's forecasts of every window."""
        return self.forecast(self.windows(self.panel))


def _every(part: Panel) -> npt.NDArray[np.bool_]:
    return np.ones(len(part), bool)
