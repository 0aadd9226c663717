"""What comes out: batches, chunks, missing values, covariates, categories, windows that inform each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tsfm_core import Panel, TrainingWindows
from tsfm_core.data.cutoffs import Cutoffs
from tsfm_core.data.windows import WindowRule

Write = Callable[..., Path]
LEVELS = (0.1, 0.5, 0.9)


@pytest.mark.parametrize("horizon", [12, 30])
def test_forecasts_do_not_depend_on_the_chunking(kit: Any, family: str, small: dict[str, Any], horizon: int) -> None:
    """Within the network's horizon and past it; nothing is drawn from the global generator."""
    task = kit.task(quantile_levels=LEVELS, prediction_length=horizon)
    kit.train(kit.load(kit.task(), **small[family]), kit.windows(kit.task()), max_steps=1)
    model, windows = kit.load(task, kit.best(), batch_size=8), kit.windows(task).take(slice(0, 40))
    state = torch.get_rng_state()
    whole = kit.predict(model, windows)
    for size in (1, 7, 33):
        parts = [kit.predict(model, chunk).quantiles for chunk in windows.chunks(size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole.quantiles)
    assert len(kit.predict(model, windows.take(slice(0, 0)))) == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_forecasts_do_not_depend_on_who_else_is_in_the_batch(kit: Any, family: str, small: dict[str, Any]) -> None:
    """The first window beside others of its own series, and beside nonsense."""
    task = kit.task(quantile_levels=LEVELS)
    columns = kit.columns()
    columns["glucose"][150:] = 1e5 * np.cos(np.arange(len(columns["glucose"]) - 150)).astype(np.float32)
    model = kit.load(task, **small[family])
    plain, odd = kit.windows(task), kit.windows(task, columns)
    rows = np.array([0, 60, 120, 200])
    np.testing.assert_array_equal(
        kit.predict(model, plain.take(rows)).quantiles[0], kit.predict(model, odd.take(rows)).quantiles[0]
    )


@pytest.mark.parametrize("name", ["chronos", "chronos_bolt"])
def test_batches_of_another_size_differ_by_rounding_alone(kits: Any, small: dict[str, Any], name: str) -> None:
    kit = kits(name)
    channels = {"past_covariates": ("iob",), "known_covariates": ("meal",)} if name == "chronos" else {}
    task = kit.task(quantile_levels=LEVELS, **channels)
    windows = kit.windows(task).take(slice(0, 60))
    one, other = (kit.predict(kit.load(task, batch_size=size, **small[name]), windows) for size in (None, 5))
    np.testing.assert_allclose(one.quantiles, other.quantiles, rtol=1e-5)


def test_what_a_model_calls_its_mean(kits: Any, small: dict[str, Any]) -> None:
    """The median where no level is asked for, or none is 0.5; of sample paths, their mean."""
    for name in ("chronos", "chronos_bolt"):
        kit = kits(name)
        asked = {levels: kit.task(quantile_levels=levels) for levels in ((), (0.5,), (0.2, 0.8))}
        found = {
            levels: kit.predict(kit.load(task, **small[name]), kit.windows(task)) for levels, task in asked.items()
        }
        assert found[()].quantiles is None
        assert found[(0.5,)].mean is None
        np.testing.assert_array_equal(found[()].mean, found[(0.5,)].quantiles[:, 0])
        np.testing.assert_array_equal(found[()].mean, found[(0.2, 0.8)].mean)
    kit = kits("chronos_t5")
    task = kit.task(quantile_levels=(0.5,))
    drawn = kit.predict(kit.load(task, **small["chronos_t5"]), kit.windows(task).take(slice(0, 5)))
    assert drawn.mean is not None
    assert np.abs(drawn.mean - drawn.quantiles[:, 0]).max() > 1


def test_the_seed_decides_what_is_drawn(kits: Any, small: dict[str, Any]) -> None:
    kit = kits("chronos_t5")
    task = kit.task(quantile_levels=(0.5,))
    windows = kit.windows(task).take(slice(0, 6))
    first = kit.load(task, **small["chronos_t5"], num_samples=3)
    state = torch.get_rng_state()
    np.testing.assert_array_equal(kit.predict(first, windows).quantiles, kit.predict(first, windows).quantiles)
    assert torch.equal(torch.get_rng_state(), state)
    other = kit.predict(replace(first, seed=1), windows).quantiles
    assert not np.array_equal(kit.predict(first, windows).quantiles, other)


def test_the_future_of_a_past_covariate_cannot_move_a_forecast(kits: Any, small: dict[str, Any]) -> None:
    kit = kits("chronos")
    task = kit.task(past_covariates=("iob",), known_covariates=("meal",), quantile_levels=LEVELS)
    windows = kit.windows(task).take(slice(0, 120))
    model = kit.load(task, **small["chronos"])
    before = kit.predict(model, windows).quantiles
    cutoff = int(windows.cutoffs_at[100])
    for channel, moves in (("glucose", False), ("iob", False), ("meal", True)):
        columns = kit.columns()
        columns[channel][cutoff + 1 :] += 1000
        after = kit.predict(model, kit.windows(task, columns).take(slice(0, 120))).quantiles
        assert np.array_equal(after[100], before[100]) != moves, channel
    for channel in ("iob", "meal"):
        columns = kit.columns()
        columns[channel][cutoff - 20 : cutoff + 1] += 1000
        after = kit.predict(model, kit.windows(task, columns).take(slice(0, 120))).quantiles
        assert not np.array_equal(after[100], before[100]), channel


def categorical(kit: Any, task: Any, codes: np.ndarray, labels: tuple[str, ...]) -> TrainingWindows:
    """Return windows whose channel ``mode`` holds labels."""
    columns = kit.columns()
    columns = {"glucose": columns["glucose"], "mode": codes.astype(np.float32)}
    count = len(columns["glucose"])
    start = np.array(["2024-01-01"], dtype="datetime64[s]")
    panel = Panel(("a",), np.array([0, count]), start, 300, columns, "mg/dL", categories={"mode": labels})
    rule = WindowRule(max_gap=10**9, min_observed=0.5, min_context=task.context_length)
    return rule.cut(panel, task, lambda part: np.ones(len(part), bool), np.array([0]), np.array([count]))[0]


@pytest.mark.parametrize("role", ["past_covariates", "known_covariates"])
def test_categories_are_read_as_the_package_reads_labels(
    kits: Any, untrained: Write, theirs_of: Any, role: str
) -> None:
    checkpoint = untrained("chronos")
    kit = kits("chronos")
    task = kit.task(context_length=128, prediction_length=32, quantile_levels=LEVELS, **{role: ("mode",)})
    codes = np.random.default_rng(3).integers(0, 3, 400)
    labels = ("auto", "manual", "sport")
    windows = categorical(kit, task, codes, labels).take(slice(0, 9))
    inputs = windows.inputs(slice(None))
    mode = (inputs.past_covariates if role == "past_covariates" else inputs.known_covariates)[..., 0].astype(int)
    names = np.array(labels)[mode]
    dicts = [
        {"target": inputs.target[at], "past_covariates": {"mode": names[at, :128]}}
        | ({"future_covariates": {"mode": names[at, 128:]}} if role == "known_covariates" else {})
        for at in range(len(windows))
    ]
    expected, _ = theirs_of(checkpoint).predict_quantiles(dicts, prediction_length=32, quantile_levels=list(LEVELS))
    forecasts = kit.predict(kit.load(task, checkpoint), windows)
    np.testing.assert_allclose(forecasts.quantiles, torch.cat(expected).transpose(1, 2), rtol=1e-5)


def test_the_numbers_of_categories_do_not_matter(kits: Any, small: dict[str, Any]) -> None:
    """The same labels under other codes; one that is missing; one that the context does not show."""
    kit = kits("chronos")
    task = kit.task(known_covariates=("mode",), quantile_levels=LEVELS)
    codes = np.random.default_rng(3).integers(0, 3, 400).astype(float)
    model = kit.load(task, **small["chronos"])
    one = kit.predict(model, categorical(kit, task, codes, ("a", "b", "c")))
    other = kit.predict(model, categorical(kit, task, 2 - codes, ("c", "b", "a")))
    np.testing.assert_array_equal(one.quantiles, other.quantiles)


def test_a_channel_without_any_label_says_nothing(kits: Any, small: dict[str, Any]) -> None:
    kit = kits("chronos")
    task = kit.task(past_covariates=("mode",), quantile_levels=LEVELS)
    windows = categorical(kit, task, np.full(400, np.nan), ())
    assert np.isfinite(kit.predict(kit.load(task, **small["chronos"]), windows).quantiles).all()


def test_a_label_is_its_mean_reading_in_the_context() -> None:
    """By hand: (m + sum) / (1 + count); what is missing stays missing, an unseen label is the mean."""
    from tsfm_chronos.families.categories import encode_categories

    nan = np.nan
    context = np.array([[[100, 200, nan, 120, 180], [0, 1, 1, nan, 1]]], np.float32)
    future = np.array([[[nan] * 3, [0, 2, nan]]], np.float32)
    encode_categories(context, future, 1, 3)
    mean = 150.0
    first, second = (mean + 100) / 2, (mean + 380) / 3
    np.testing.assert_allclose(context[0, 1], np.array([first, second, second, nan, second], np.float32))
    np.testing.assert_allclose(future[0, 1], np.array([first, mean, nan], np.float32))


def people(kit: Any, task: Any, count: int) -> TrainingWindows:
    """Return windows of several people over the same days."""
    glucose = kit.columns()["glucose"]
    random = np.random.default_rng(1)
    columns = {"glucose": np.concatenate([glucose + random.normal(0, 9, 400) for _ in range(count)]).astype(np.float32)}
    offsets = np.arange(count + 1) * 400
    starts = np.full(count, "2024-01-01", "datetime64[s]")
    panel = Panel(tuple("abcdefgh"[:count]), offsets, starts, 300, columns, "mg/dL")
    rule = WindowRule(max_gap=10**9, min_observed=0.5, min_context=task.context_length)
    return rule.cut(panel, task, lambda part: np.arange(len(part)) % 400 % 50 == 0, offsets[:-1], offsets[1:])[0]


@pytest.mark.parametrize("horizon", [32, 50])
def test_cross_learning_joins_the_windows_of_one_cutoff(
    kits: Any, untrained: Write, theirs_of: Any, horizon: int
) -> None:
    """Each cutoff is the package's own answer to its windows alone; a lone window is forecast as without."""
    checkpoint = untrained("chronos")
    kit = kits("chronos")
    task = kit.task(context_length=128, prediction_length=horizon, quantile_levels=LEVELS)
    windows = people(kit, task, 4)
    model = kit.load(task, checkpoint, cross_learning=True, batch_size=2)
    found = kit.predict(model, windows).quantiles
    pipeline = theirs_of(checkpoint)
    for cutoff in np.unique(windows.cutoff):
        rows = np.flatnonzero(windows.cutoff == cutoff)
        assert len(rows) == 4
        inputs = torch.from_numpy(windows.inputs(rows).target)[:, None]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *args, **kwargs: None)
            expected, _ = pipeline.predict_quantiles(
                inputs, prediction_length=horizon, quantile_levels=list(LEVELS), cross_learning=True
            )
        np.testing.assert_allclose(found[rows], torch.cat(expected).transpose(1, 2), rtol=1e-5)
    apart = kit.predict(kit.load(task, checkpoint, batch_size=2), windows).quantiles
    assert np.abs(apart - found).max() > 1e-4
    one = windows.take(np.array([2]))
    np.testing.assert_allclose(kit.predict(model, one).quantiles[0], apart[2], rtol=1e-5)


def test_cross_learning_never_shows_a_later_cutoff(kits: Any, small: dict[str, Any]) -> None:
    kit = kits("chronos")
    task = kit.task(quantile_levels=LEVELS)
    windows = people(kit, task, 3)
    model = kit.load(task, cross_learning=True, **small["chronos"])
    cutoff = np.unique(windows.cutoff)[2]
    earlier = windows.cutoff <= cutoff
    changed = {"glucose": windows.panel.columns["glucose"].copy()}
    slots = np.arange(1200) % 400
    last = int(windows.cutoffs_at[windows.cutoff == cutoff][0]) % 400
    changed["glucose"][slots > last] = 999
    panel = replace(windows.panel, columns=changed)
    other = TrainingWindows(panel, task, Cutoffs.of(windows.cutoffs_at, windows.seen_from))
    np.testing.assert_array_equal(
        kit.predict(model, windows).quantiles[earlier], kit.predict(model, other).quantiles[earlier]
    )
