"""The conformance kit: what every model plugin must hold, run by its author.

::

    from tsfm_core.testing import check_model

    def test_contract(tmp_path):
        check_model("mine", tmp_path)

Each check is a function of this module whose docstring is the promise. The data is made here: four short series with
gaps, a past-only and a known covariate.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.checkpoints import BEST
from tsfm_core.config.resolve import Resolved, read_config
from tsfm_core.data.forecasts import Forecasts
from tsfm_core.data.panel import Panel
from tsfm_core.data.windows import TrainingWindows, WindowRule
from tsfm_core.errors import CapabilityError
from tsfm_core.pipeline import forecast_windows_of
from tsfm_core.plugins import host
from tsfm_core.prepare import Loaded, load
from tsfm_core.records import Job
from tsfm_core.task import Task

__all__ = ["check_model", "sample_panel"]

_STEPS = 600
_HEAVY = ("torch", "numpy", "pandas", "pyarrow", "transformers")


def check_model(
    name: str,
    folder: Path,
    model: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    task: Mapping[str, Any] | None = None,
) -> list[str]:
    """Run every check on the model ``name``; return the names of the checks.

    :param folder: an empty folder for checkpoints.
    :param model: the ``model:`` section; a small model makes the kit fast.
    :param training: the ``training:`` section; by default the first trained strategy of the card, else zero-shot.
    :param task: keys over the kit's task: 96 steps of 5 min in, 12 out, quantiles and covariates as the card says.
    :raises AssertionError: naming every promise that is broken, from what was raised first.
    :raises TsfmError: where the model cannot be loaded for the kit's task at all.
    """
    subject = _Subject(name, folder, dict(model or {}), dict(training or {}), dict(task or {}))
    assert subject.loaded.backend.name == name
    broken: list[str] = []
    first: Exception | None = None
    for check in _CHECKS:
        try:
            check(subject)
        except Exception as error:
            promise = (check.__doc__ or "").splitlines()[0]
            said = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            broken.append(f"{check.__name__[1:]}: {promise} {said}")
            first = first or error
    if broken:
        count = f"{len(broken)} of {len(_CHECKS)} promises"
        raise AssertionError(f"the model {name!r} breaks {count}:\n" + "\n".join(broken)) from first
    return [check.__name__[1:] for check in _CHECKS]


def sample_panel(task: Task, seed: int = 0) -> Panel:
    """Return four series of 600 steps with gaps, for every channel of ``task``; known covariates move the target."""
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
            columns[channel].append(drive if channel in task.known_covariates else random.normal(size=_STEPS))
    return Panel(
        item_ids=("a", "b", "c", "d"),
        offsets=np.arange(5, dtype=np.int64) * _STEPS,
        starts=np.full(4, "2001-01-01T00:00:00", "datetime64[s]"),
        step=task.step_seconds,
        columns={channel: np.concatenate(series).astype(np.float32) for channel, series in columns.items()},
        unit=task.unit,
    )


@dataclass
class _Subject:
    """The model under test, its task and its windows, each made once."""

    name: str
    folder: Path
    model: dict[str, Any]
    training: dict[str, Any]
    changes: dict[str, Any]

    @cached_property
    def resolved(self) -> Resolved:
        card = host().model(self.name).card
        levels = [0.1, 0.5, 0.9] if card.quantiles is True else list(card.quantiles or ())
        task = {"target": "x", "unit": "custom:kit", "freq": "5min", "context_length": 96, "prediction_length": 12}
        covariates = {
            "past_covariates": ["past"] if card.past_covariates else [],
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
        strategy: str = self.loaded.strategy
        return strategy != "zero_shot"

    @cached_property
    def task(self) -> Task:
        assert self.resolved.config.task is not None
        return self.resolved.config.task

    @cached_property
    def panel(self) -> Panel:
        return sample_panel(self.task)

    @cached_property
    def loaded(self) -> Loaded:
        strategy = self.resolved.config.training.get("strategy", "zero_shot")
        return load(self.name, self.resolved, "train" if strategy != "zero_shot" else "backtest")

    def windows(self, panel: Panel, stride: int = 5) -> TrainingWindows:
        rule = WindowRule(max_gap=45 * 60, min_observed=0.8, min_context=self.task.context_length)
        allowed = np.arange(len(panel)) % stride == 0
        return rule.cut(panel, self.task, allowed, panel.offsets[:-1], panel.offsets[1:])[0]

    def train(self, loaded: Loaded, folder: Path) -> Any:
        """Return the model, trained on the kit's windows where its strategy trains."""
        if not self.trains:
            return loaded.model
        folder.mkdir(parents=True, exist_ok=True)
        cut = self.panel.offsets[:-1] + 450
        rule = WindowRule(max_gap=45 * 60, min_observed=0.8, min_context=self.task.context_length)
        every = np.ones(len(self.panel), bool)
        learnt = rule.cut(self.panel, self.task, every, self.panel.offsets[:-1], cut)[0]
        chosen = rule.cut(self.panel, self.task, every, cut, self.panel.offsets[1:])[0]
        backend, model = loaded.backend, loaded.model
        data, validation = (backend.prepare_data(model, windows, self.task) for windows in (learnt, chosen))
        job = Job(loaded.sections["training"], loaded.runtime, folder / "checkpoints", folder / "log.jsonl")
        return backend.train(model, data, validation, job)

    @cached_property
    def trained(self) -> Any:
        return self.train(self.loaded, self.folder / "first")

    def forecast(self, windows: TrainingWindows, model: Any = None) -> Forecasts:
        return forecast_windows_of(self.loaded, self.trained if model is None else model, windows)

    @cached_property
    def forecasts(self) -> Forecasts:
        return self.forecast(self.windows(self.panel))


def _importing_is_cheap(subject: _Subject) -> None:
    """Importing the plugin and reading its card loads neither torch nor pandas."""
    code = (
        "import sys; from tsfm_core.plugins import host; host().model(sys.argv[1]).card; "
        f"print(','.join(m for m in {_HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, subject.name], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    loaded = done.stdout.strip()
    assert not loaded, f"it loads {loaded}: import it, and what of tsfm_core holds arrays, inside the hooks"


def _the_card_fits_the_hooks(subject: _Subject) -> None:
    """The card names a strategy that trains if, and only if, the plugin implements train."""
    backend = subject.loaded.backend
    trained = [one for one in backend.card.strategies if one != "zero_shot"]
    assert bool(trained) == backend.trainable, f"strategies {backend.card.strategies}, train: {backend.trainable}"


def _sections_are_strict(subject: _Subject) -> None:
    """An unknown key of the sections model and training is refused."""
    card = host().model(subject.name).card
    for schema in (card.config_schema, card.training_schema):
        assert schema.model_config.get("extra") == "forbid", f"{schema.__name__} takes unknown keys"


def _what_the_card_excludes_is_refused(subject: _Subject) -> None:
    """A task that the card excludes is refused before any data is read."""
    card = host().model(subject.name).card
    excluded: dict[str, Any] = {}
    if card.quantiles is not True:
        excluded["quantile_levels"] = [0.123]
    excluded |= {kind: ["other"] for kind in ("past_covariates", "known_covariates") if not getattr(card, kind)}
    for what, longest in (("context", card.longest_context), ("prediction", card.longest_prediction)):
        if longest is not None:
            excluded[f"{what}_length"] = longest + 1
    for key, value in excluded.items():
        other = replace(subject, changes=subject.changes | {key: value})
        try:
            load(subject.name, other.resolved, "train" if subject.trains else "backtest")
        except CapabilityError:
            continue
        raise AssertionError(f"task.{key} = {value} was taken")


def _preparing_is_lazy(subject: _Subject) -> None:
    """prepare_data copies nothing: its memory does not grow with the windows."""
    windows = subject.windows(subject.panel, stride=1)
    many = windows.take(np.tile(np.arange(len(windows)), 20))
    size = len(many) * subject.task.context_length * 4
    tracemalloc.start()
    try:
        subject.loaded.backend.prepare_data(subject.loaded.model, many.inputs_only(), subject.task)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 2, f"it allocates {peak:,} bytes for {len(many):,} windows"


def _every_window_is_answered(subject: _Subject) -> None:
    """Every window gets a finite forecast, in the order of the windows."""
    assert len(subject.forecasts) == len(subject.windows(subject.panel))


def _chunking_changes_nothing(subject: _Subject) -> None:
    """The forecasts are the same bits in chunks of 1, of 7 and all at once."""
    windows = subject.windows(subject.panel).take(slice(0, 22))
    for size in (1, 7):
        parts = [subject.forecast(chunk) for chunk in windows.chunks(size)]
        for field in ("mean", "quantiles"):
            whole = getattr(subject.forecasts, field)
            if whole is not None:
                joined = np.concatenate([getattr(part, field) for part in parts])
                assert np.array_equal(joined, whole[:22]), f"{field} differs in chunks of {size}"


def _the_data_is_left_alone(subject: _Subject) -> None:
    """Training and forecasting change no value of the panel."""
    fresh = sample_panel(subject.task)
    assert subject.forecasts is not None
    assert subject.panel.fingerprint == fresh.fingerprint, "the panel was written to"


def _the_future_stays_hidden(subject: _Subject) -> None:
    """Changing what lies after a cutoff, known covariates apart, moves no forecast."""
    windows, moved = _around_one_cutoff(subject, (subject.task.target, *subject.task.past_covariates))
    assert _same(subject.forecast(windows), subject.forecast(moved)), "a forecast moved"


def _known_covariates_are_used(subject: _Subject) -> None:
    """Changing a known covariate over the horizon moves the forecast."""
    if subject.task.known_covariates and subject.trains:
        windows, moved = _around_one_cutoff(subject, subject.task.known_covariates)
        assert not _same(subject.forecast(windows), subject.forecast(moved)), "no forecast moved"


def _the_seed_decides(subject: _Subject) -> None:
    """The same seed gives the same bits, training included."""
    again = replace(subject)
    second = again.train(again.loaded, subject.folder / "second")
    assert _same(again.forecast(again.windows(again.panel), second), subject.forecasts), "two runs differ"


def _a_checkpoint_is_the_model(subject: _Subject) -> None:
    """load_model on ``best``, in a new process, forecasts the same bits."""
    if not subject.trains:
        return
    assert subject.trained is not None
    best = subject.folder / "first" / "checkpoints" / BEST
    assert best.is_dir(), f"{best} is not there"
    stored = subject.folder / "forecasts.npz"
    asked = {
        "name": subject.name,
        "model": {**subject.model, "checkpoint": str(best)},
        "training": subject.resolved.config.training,
        "task": subject.changes,
        "output": str(stored),
    }
    command = [sys.executable, "-m", "tsfm_core.testing", json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    with np.load(stored) as arrays:
        for field in arrays.files:
            assert np.array_equal(arrays[field], getattr(subject.forecasts, field)), f"{field} differs"


_CHECKS: tuple[Callable[[_Subject], None], ...] = (
    _importing_is_cheap,
    _the_card_fits_the_hooks,
    _sections_are_strict,
    _what_the_card_excludes_is_refused,
    _preparing_is_lazy,
    _every_window_is_answered,
    _chunking_changes_nothing,
    _the_data_is_left_alone,
    _the_future_stays_hidden,
    _known_covariates_are_used,
    _the_seed_decides,
    _a_checkpoint_is_the_model,
)


def _around_one_cutoff(subject: _Subject, channels: tuple[str, ...]) -> tuple[TrainingWindows, TrainingWindows]:
    """Return the windows at one cutoff, and the same with the channels changed after it."""
    windows = subject.windows(subject.panel)
    windows = windows.take(slice(len(windows) // 2, len(windows) // 2 + 1))
    cutoff = int(windows.cutoffs_at[0])
    columns = {channel: column.copy() for channel, column in subject.panel.columns.items()}
    for channel in channels:
        columns[channel][cutoff + 1 :] = 50 - 2 * np.nan_to_num(columns[channel][cutoff + 1 :])
    return windows, replace(windows, panel=replace(subject.panel, columns=columns))


def _same(one: Forecasts, other: Forecasts) -> bool:
    def digest(forecasts: Forecasts) -> str:
        arrays = [array for array in (forecasts.mean, forecasts.quantiles) if array is not None]
        return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()

    return digest(one) == digest(other)


def _forecast_in_a_new_process(asked: Mapping[str, Any]) -> None:
    subject = _Subject(asked["name"], Path(), asked["model"], asked["training"], asked["task"])
    loaded = load(subject.name, subject.resolved, "predict", from_run=True)
    forecasts = forecast_windows_of(loaded, loaded.model, subject.windows(subject.panel))
    arrays = {name: getattr(forecasts, name) for name in ("mean", "quantiles")}
    np.savez(asked["output"], **{name: array for name, array in arrays.items() if array is not None})


if __name__ == "__main__":
    _forecast_in_a_new_process(json.loads(sys.argv[1]))
