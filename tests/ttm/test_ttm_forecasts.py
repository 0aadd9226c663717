"""What comes out: the real weights, gaps, chunks and covariates."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tsfm_core import ConfigError, fill_context
from tsfm_core.data.cutoffs import Cutoffs
from tsfm_ttm.forecasting import mean_weights


def golden() -> np.ndarray:
    steps = np.arange(512)
    return (120 + 40 * np.sin(2 * np.pi * steps / 288) + 10 * np.cos(2 * np.pi * steps / 36)).astype(np.float32)


def real_task(kit: Any, **changes: Any) -> Any:
    return kit.task(**({"context_length": 512, "prediction_length": 96} | changes))


def real_windows(kit: Any, task: Any, values: np.ndarray) -> Any:
    """One window whose context is ``values``, followed by a truth of no account."""
    return kit.windows(task, {"glucose": np.concatenate([values, np.full(task.prediction_length, 100, np.float32)])})


def test_the_golden_forecast(kit: Any, real_weights: Path) -> None:
    task = real_task(kit)
    forecasts = kit.predict(kit.load(task, real_weights), real_windows(kit, task, golden()))
    assert forecasts.quantiles is None
    expected = [84.6550, 84.9355, 85.1652, 85.2960, 85.3254, 85.4840]
    np.testing.assert_allclose(forecasts.mean[0, :6], expected, atol=1e-3)
    assert forecasts.mean.mean() == pytest.approx(100.5033, abs=1e-3)


def test_zero_shot_equals_the_network_itself(kit: Any, real_weights: Path) -> None:
    task = real_task(kit)
    windows = kit.windows(task, {"glucose": np.tile(kit.columns()["glucose"], 2)})
    model = kit.load(task, real_weights, batch_size=32)
    assert len(windows) > 64
    past = torch.from_numpy(windows.inputs(slice(0, 32)).target)[..., None]
    with torch.inference_mode():
        direct = model.network(past_values=past, return_loss=False).prediction_outputs[..., 0].numpy()
    np.testing.assert_array_equal(kit.values(model, windows)[:32], direct)


def test_a_shorter_horizon_is_the_beginning_of_the_longer(kit: Any, real_weights: Path) -> None:
    whole, short = real_task(kit), real_task(kit, prediction_length=24)
    values = kit.values(kit.load(whole, real_weights), real_windows(kit, whole, golden()))
    cut = kit.values(kit.load(short, real_weights), real_windows(kit, short, golden()))
    assert cut.shape == (1, 24)
    np.testing.assert_allclose(cut, values[:, :24], rtol=1e-6)


def test_gaps_are_filled_causally_and_masked(kit: Any, real_weights: Path) -> None:
    task = real_task(kit)
    gap = golden()
    gap[1:30] = gap[200:260] = np.nan
    model = kit.load(task, real_weights)
    filled, observed = fill_context(gap[None])
    with torch.inference_mode():
        by_hand = model.network(
            past_values=torch.from_numpy(filled)[..., None].repeat(32, 1, 1),
            past_observed_mask=torch.from_numpy(observed)[..., None].repeat(32, 1, 1),
            return_loss=False,
        ).prediction_outputs[:1, :, 0]
    values = kit.values(model, real_windows(kit, task, gap))
    np.testing.assert_array_equal(values, by_hand.numpy())
    whole = kit.values(model, real_windows(kit, task, golden()))
    assert 0 < np.abs(values - whole).max() < 40  # zeros would have moved it by a hundred


def test_what_stands_before_a_longer_gap_does_not_matter(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task()
    model = kit.load(task, **small)
    windows = kit.windows(task)
    late = replace(windows, index=Cutoffs.of(windows.cutoffs_at, windows.cutoffs_at - 40))
    changed = kit.columns()
    other = kit.windows(task, changed | {"glucose": changed["glucose"] + 0})
    other.panel.columns["glucose"][: int(late.seen_from[5])] = 999
    other = replace(other, index=Cutoffs.of(other.cutoffs_at, other.cutoffs_at - 40))
    np.testing.assert_array_equal(kit.values(model, late)[5], kit.values(model, other)[5])


@pytest.mark.parametrize("channels", [{}, {"quantile_levels": (0.1, 0.5, 0.9)}, {"past_covariates": ("iob",)}])
def test_forecasts_do_not_depend_on_the_chunking(kit: Any, small: dict[str, Any], channels: dict[str, Any]) -> None:
    task = kit.task(**channels)
    model, windows = kit.load(task, **small), kit.windows(task).take(slice(0, 100))
    whole = kit.values(model, windows)
    assert len(whole) == 100
    for size in (1, 7, 33):
        parts = [kit.values(model, chunk) for chunk in windows.chunks(size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(kit.values(model, windows.take(slice(0, 0)))) == 0


def test_the_real_network_does_not_depend_on_the_chunking(kit: Any, real_weights: Path) -> None:
    task = real_task(kit)
    windows = kit.windows(task, {"glucose": np.tile(kit.columns()["glucose"], 2)}).take(slice(0, 150))
    model = kit.load(task, real_weights, batch_size=None)
    whole = kit.values(model, windows)
    for size in (7, 100):
        parts = [kit.values(model, chunk) for chunk in windows.chunks(size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(kit.values(model, windows.take(slice(149, 150)))[0], whole[149])


def test_quantiles_ascend_and_have_a_mean(kit: Any, small: dict[str, Any]) -> None:
    """The integral of the quantile function by the trapezoid rule, on a grid that holds the corners."""
    levels = (0.05, 0.5, 0.8)
    task = kit.task(quantile_levels=levels)
    forecasts = kit.predict(kit.load(task, **small), kit.windows(task))
    assert forecasts.quantiles.shape[1:] == (3, 12)
    assert (np.diff(forecasts.quantiles, axis=1) > 0).all()
    grid = np.linspace(0, 1, 101)
    for window, step in ((0, 0), (7, 5), (30, 11)):
        function = np.interp(grid, levels, forecasts.quantiles[window, :, step])
        assert forecasts.mean[window, step] == pytest.approx(np.trapezoid(function, grid), rel=1e-5)


@pytest.mark.parametrize(
    ("levels", "weights"),
    [((0.5,), [1.0]), ((0.1, 0.5, 0.9), [0.3, 0.4, 0.3]), ((0.2, 0.4, 0.5), [0.3, 0.15, 0.55])],
)
def test_what_each_quantile_counts_in_the_mean(levels: tuple[float, ...], weights: list[float]) -> None:
    """0.3: the level 0.1 itself, and half the way to 0.5."""
    np.testing.assert_allclose(mean_weights(levels), weights, rtol=1e-6)


def test_the_future_of_a_past_covariate_cannot_move_a_forecast(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task(past_covariates=("iob",), known_covariates=("meal",))
    windows = kit.windows(task)
    model = kit.train(kit.load(task, **small), windows)
    before = kit.values(model, windows)
    cutoff = int(windows.cutoffs_at[100])
    for channel in ("glucose", "iob"):
        columns = kit.columns()
        columns[channel][cutoff + 1 :] += 1000
        np.testing.assert_array_equal(kit.values(model, kit.windows(task, columns))[100], before[100])
    for channel in ("iob", "meal"):
        columns = kit.columns()
        columns[channel][cutoff - 20 : cutoff + 1] += 1000
        assert np.abs(kit.values(model, kit.windows(task, columns))[100] - before[100]).max() > 1e-3


def test_the_future_of_a_known_covariate_moves_a_trained_forecast(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task(known_covariates=("meal",))
    windows = kit.windows(task)
    model = kit.train(kit.load(task, **small), windows)
    before = kit.values(model, windows)
    columns = kit.columns()
    columns["meal"][int(windows.cutoffs_at[100]) + 1 :] += 1000
    assert np.abs(kit.values(model, kit.windows(task, columns))[100] - before[100]).max() > 1e-3


def test_missing_covariates_are_filled(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task(past_covariates=("iob",))
    model = kit.train(kit.load(task, **small), kit.windows(task))
    columns = kit.columns()
    columns["iob"][:] = np.nan
    empty = kit.values(model, kit.windows(task, columns))
    columns["iob"][:] = model.scaler.mean[1]
    np.testing.assert_allclose(empty, kit.values(model, kit.windows(task, columns)), atol=1e-2)
    columns = kit.columns()
    columns["iob"][50:60] = np.nan
    held = kit.columns()
    held["iob"][50:60] = held["iob"][49]
    gap, filled = kit.windows(task, columns), kit.windows(task, held)
    # the mask still tells them apart: it leaves the filled values out of the window's mean and deviation
    assert np.isfinite(kit.values(model, gap)).all()
    np.testing.assert_array_equal(kit.values(model, gap)[200:], kit.values(model, filled)[200:])


@pytest.mark.parametrize(("scaling", "moves"), [(None, True), ("window", True), ("none", False), ("last", False)])
def test_without_scaling_each_window_the_level_is_known(
    kit: Any, small: dict[str, Any], scaling: str | None, moves: bool
) -> None:
    """A window that is scaled by itself has its forecast moved as far as its readings are; the other kind has not."""
    task = kit.task(quantile_levels=(0.1, 0.5, 0.9))
    windows, higher = kit.windows(task), kit.windows(task, {"glucose": kit.columns()["glucose"] + 60})
    model = kit.train(kit.load(task, **small, **({"scaling": scaling} if scaling else {})), windows)
    before, after = kit.values(model, windows), kit.values(model, higher)
    assert np.allclose(after, before + 60, atol=0.1) is moves
    np.testing.assert_array_equal(kit.values(kit.load(task, kit.best()), windows), before)
    own = scaling or "window"
    assert kit.load(task, kit.best(), scaling=own)
    other = {"window": "none", "none": "last", "last": "window"}[own]
    with pytest.raises(ConfigError, match=f"model.scaling is {other}, but .* has {own} and the sizes of a checkpoint"):
        kit.load(task, kit.best(), strategy="full", scaling=other)


def test_granite_is_imported_without_touching_the_hosts_logging(kit: Any, small: dict[str, Any]) -> None:
    code = (
        "import logging; from tsfm_ttm.granite import tinytimemixer; root = logging.getLogger(); "
        "before = root.level, root.handlers[:]; tinytimemixer(); print((root.level, root.handlers[:]) == before)"
    )
    told = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (told.stdout.strip(), told.stderr) == ("True", "")
    assert logging.getLogger().level == logging.WARNING
