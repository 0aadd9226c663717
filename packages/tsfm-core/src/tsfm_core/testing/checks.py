"""The promises: each check is a function whose docstring says what holds."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tsfm_core.checkpoints import BEST
from tsfm_core.data.forecasts import Forecasts
from tsfm_core.data.windows import TrainingWindows
from tsfm_core.errors import CapabilityError
from tsfm_core.plugins import host
from tsfm_core.prepare import load
from tsfm_core.testing.subject import Subject, sample_panel

__all__ = ["CHECKS"]

_HEAVY = ("torch", "numpy", "pandas", "pyarrow", "transformers")


def _importing_is_cheap(subject: Subject) -> None:
    """Importing the plugin and reading its card loads neither torch nor pandas."""
    code = (
        "import sys; from tsfm_core.plugins import host; host().model(sys.argv[1]).card; "
        f"print(','.join(m for m in {_HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, subject.name], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    loaded = done.stdout.strip()
    assert not loaded, f"it loads {loaded}: import it, and what of tsfm_core holds arrays, inside the hooks"


def _the_card_fits_the_hooks(subject: Subject) -> None:
    """The card names a strategy that trains if, and only if, the plugin implements train."""
    backend = subject.loaded.backend
    trained = [one for one in backend.card.strategies if one != "zero_shot"]
    assert bool(trained) == backend.trainable, f"strategies {backend.card.strategies}, train: {backend.trainable}"


def _sections_are_strict(subject: Subject) -> None:
    """An unknown key of the sections model and training is refused."""
    card = host().model(subject.name).card
    for schema in (card.config_schema, card.training_schema):
        assert schema.model_config.get("extra") == "forbid", f"{schema.__name__} takes unknown keys"


def _what_the_card_excludes_is_refused(subject: Subject) -> None:
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


def _preparing_is_lazy(subject: Subject) -> None:
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


def _every_window_is_answered(subject: Subject) -> None:
    """Every window gets a finite forecast, in the order of the windows."""
    assert len(subject.forecasts) == len(subject.windows(subject.panel))


def _chunking_changes_nothing(subject: Subject) -> None:
    """The forecasts are the same bits in chunks of 1, of 7 and all at once."""
    windows = subject.windows(subject.panel).take(slice(0, 22))
    for size in (1, 7):
        parts = [subject.forecast(chunk) for chunk in windows.chunks(size)]
        for field in ("mean", "quantiles"):
            whole = getattr(subject.forecasts, field)
            if whole is not None:
                joined = np.concatenate([getattr(part, field) for part in parts])
                assert np.array_equal(joined, whole[:22]), f"{field} differs in chunks of {size}"


def _the_data_is_left_alone(subject: Subject) -> None:
    """Training and forecasting change no value of the panel."""
    fresh = sample_panel(subject.task)
    assert subject.forecasts is not None
    assert subject.panel.fingerprint == fresh.fingerprint, "the panel was written to"


def _the_future_stays_hidden(subject: Subject) -> None:
    """Changing what lies after a cutoff, known covariates apart, moves no forecast."""
    windows, moved = _around_one_cutoff(subject, (subject.task.target, *subject.task.past_covariates))
    assert _same(subject.forecast(windows), subject.forecast(moved)), "a forecast moved"


def _known_covariates_are_used(subject: Subject) -> None:
    """Changing a known covariate over the horizon moves the forecast."""
    if subject.task.known_covariates and subject.trains:
        windows, moved = _around_one_cutoff(subject, subject.task.known_covariates)
        assert not _same(subject.forecast(windows), subject.forecast(moved)), "no forecast moved"


def _the_seed_decides(subject: Subject) -> None:
    """The same seed gives the same bits, training included."""
    again = replace(subject)
    second = again.train(again.loaded, subject.folder / "second")
    assert _same(again.forecast(again.windows(again.panel), second), subject.forecasts), "two runs differ"


def _a_checkpoint_is_the_model(subject: Subject) -> None:
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


def _statistics_are_of_the_training_windows(subject: Subject) -> None:
    """What ``statistics`` learns again from the training windows is what the trained model holds."""
    backend = subject.loaded.backend
    if not (subject.trains and backend.shows_statistics):
        return
    data = backend.prepare_data(subject.trained, subject.learnt_and_chosen[0], subject.task)
    for name, (stored, again) in backend.statistics(subject.trained, data, subject.loaded.runtime).items():
        assert np.allclose(stored, again, rtol=1e-6, atol=0), f"{name} is {stored}, learnt again {again}"


CHECKS: tuple[Callable[[Subject], None], ...] = (
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
    _statistics_are_of_the_training_windows,
)


def _around_one_cutoff(subject: Subject, channels: tuple[str, ...]) -> tuple[TrainingWindows, TrainingWindows]:
    """Return the windows at one cutoff, and the same with the channels changed after it."""
    windows = subject.windows(subject.panel)
    windows = windows.take(slice(len(windows) // 2, len(windows) // 2 + 1))
    cutoff = int(windows.cutoffs_at[0])
    columns = {channel: column.copy() for channel, column in subject.panel.columns.items()}
    for channel in channels:
        after = np.nan_to_num(columns[channel][cutoff + 1 :])
        labels = subject.panel.categories.get(channel)
        columns[channel][cutoff + 1 :] = len(labels) - 1 - after if labels else 50 - 2 * after
    return windows, replace(windows, panel=replace(subject.panel, columns=columns))


def _same(one: Forecasts, other: Forecasts) -> bool:
    def digest(forecasts: Forecasts) -> str:
        arrays = [array for array in (forecasts.mean, forecasts.quantiles) if array is not None]
        return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()

    return digest(one) == digest(other)
