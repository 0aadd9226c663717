"""The quantile head whose widths know their step: what it begins with, learns, refuses and gives back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch

from tsfm_core import CapabilityError, ConfigError
from tsfm_ttm.model import network_inputs
from tsfm_ttm.quantiles import StepsHead

Write = Callable[..., Path]
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def head_of(levels: tuple[float, ...]) -> StepsHead:
    torch.manual_seed(0)
    return StepsHead(features=32, steps=12, levels=levels, hidden=8, dropout=0.0)


def asked(head: StepsHead, count: int, size: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a point forecast and the quantiles that the head makes of it."""
    point = size * torch.randn(count, 12, 1)
    head.look(size * torch.rand(count, 1) + 1e-3, size * torch.randn(count, 1))
    return point, head(point, size * torch.randn(count, 3, 2, 16))


@pytest.mark.parametrize("levels", [LEVELS, (0.5, 0.9), (0.1, 0.2, 0.5), (0.5,)])
def test_levels_never_cross_and_the_median_is_the_point_forecast(levels: tuple[float, ...]) -> None:
    head = head_of(levels)
    for size in (1.0, 30.0):
        with torch.no_grad():
            for weights in head.parameters():
                weights.mul_(size).add_(size * torch.randn_like(weights) / 3)
        point, quantiles = asked(head, 500, size)
        assert quantiles.shape == (500, len(levels), 12, 1)
        assert (quantiles.diff(dim=1) >= 0).all()
        assert torch.equal(quantiles[:, levels.index(0.5)], point)


def test_the_widths_begin_as_a_gaussians_that_grows_with_the_root_of_the_step() -> None:
    head = head_of(LEVELS)
    with torch.no_grad():
        head.widths.weight.zero_()
    point, quantiles = asked(head, 3)
    expected = 0.5 * np.sqrt(np.arange(1, 13) / 12) * np.array([[NormalDist().inv_cdf(level)] for level in LEVELS])
    apart = (quantiles - point[:, None]).detach()[..., 0].numpy()
    np.testing.assert_allclose(apart, np.broadcast_to(expected, apart.shape), rtol=1e-4, atol=1e-6)


def test_every_weight_gets_a_gradient_and_every_input_counts() -> None:
    head = head_of(LEVELS)
    features = torch.randn(4, 1, 2, 16, requires_grad=True)
    scale, last = (0.5 + torch.rand(4, 1)).requires_grad_(), torch.randn(4, 1, requires_grad=True)
    head.look(scale, last)
    head(torch.zeros(4, 12, 1), features).diff(dim=1).square().sum().backward()
    for values in (*head.parameters(), features, scale, last):
        assert values.grad is not None
        assert (values.grad != 0).any()


def test_it_is_shown_the_windows_deviation_and_last_reading(kit: Any, small: dict[str, Any]) -> None:
    """By hand, of observed readings alone; a gap before the cutoff leaves the reading that fills it."""
    task = kit.task(quantile_levels=LEVELS, past_covariates=("iob",))
    columns = kit.columns()
    columns["glucose"][97:100] = np.nan
    windows = kit.windows(task, columns)
    model = kit.load(task, **small)
    seen: list[torch.Tensor] = []
    block = model.network.multi_quantile_head_block
    block.register_forward_pre_hook(lambda module, given: seen.append(module._window))
    rows = np.arange(20)
    readings = windows.inputs(rows).target.astype(np.float64)
    assert np.isnan(readings[:, -1]).any()
    with torch.inference_mode():
        model.network(**network_inputs(windows, rows, model.scaler), return_loss=False)
    deviation = np.sqrt(np.nanvar(readings, axis=1) + 1e-5)
    last = np.array([one[np.isfinite(one)][-1] for one in readings])
    expected = np.stack([np.log(deviation), (last - np.nanmean(readings, axis=1)) / deviation], axis=1)
    np.testing.assert_allclose(seen[0].numpy(), expected, rtol=1e-3, atol=1e-3)


def coverage(kit: Any, small: dict[str, Any], head: str) -> np.ndarray:
    """Train on a random walk, whose spread grows with the step, and return how many of others' truths are covered."""
    task = kit.task(context_length=48, quantile_levels=LEVELS)
    random = np.random.default_rng(0)
    walks = [(140 + np.cumsum(random.normal(0, 2, length))).astype(np.float32) for length in (4000, 2000)]
    learnt, others = (kit.windows(task, {"glucose": walk}) for walk in walks)
    others = others.take(slice(None, None, 3))
    model = kit.load(task, quantile_head=head, **(small | {"patch_length": 8}))
    model = kit.train(model, learnt, head, max_steps=100, learning_rate=1e-2, batch_size=64)
    quantiles, truth = kit.predict(model, others).quantiles, others.truth(slice(None))
    return np.asarray(((truth >= quantiles[:, 0]) & (truth <= quantiles[:, -1])).mean(axis=0))


def test_each_step_is_covered_where_granites_own_head_fails(kit: Any, small: dict[str, Any]) -> None:
    ours, theirs = (coverage(kit, small, head) for head in ("steps", "granite"))
    assert np.abs(ours - 0.9).max() < 0.06
    assert theirs[0] - theirs[-1] > 0.15


@pytest.mark.parametrize("levels", [LEVELS, (0.1, 0.5)])
def test_it_comes_back_and_a_shorter_horizon_is_its_beginning(
    kit: Any, small: dict[str, Any], untrained: Write, levels: tuple[float, ...]
) -> None:
    task = kit.task(quantile_levels=levels)
    windows = kit.windows(task)
    trained = kit.train(kit.load(task, untrained(), strategy="full"), windows)
    values = kit.predict(trained, windows).quantiles
    np.testing.assert_array_equal(kit.predict(kit.load(task, kit.best()), windows).quantiles, values)
    short = kit.task(quantile_levels=levels, prediction_length=5)
    np.testing.assert_array_equal(
        kit.predict(kit.load(short, kit.best()), kit.windows(short)).quantiles[: len(windows)], values[..., :5]
    )
    stored = json.loads((kit.best() / "config.json").read_text())
    assert (stored["quantile_head"], stored["quantile_head_hidden"]) == ("steps", 32)


def test_adapters_reach_a_head_that_the_base_has(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task(quantile_levels=LEVELS)
    windows = kit.windows(task)
    before = kit.train(kit.load(task, **small), windows, "base", max_steps=1).network.state_dict()
    model = kit.load(task, kit.best("base"), strategy="lora")
    trained = kit.train(model, windows, strategy="lora", max_steps=3, learning_rate=1e-2)
    after = trained.network.state_dict()
    for layer in ("hidden", "widths"):
        name = f"multi_quantile_head_block.{layer}.weight"
        assert not torch.equal(before[name], after[name])
    again = kit.predict(kit.load(task, kit.best()), windows).quantiles
    np.testing.assert_array_equal(again, kit.predict(trained, windows).quantiles)


def test_a_single_step_and_granites_reading_of_the_median(kit: Any, small: dict[str, Any]) -> None:
    from tsfm_ttm.granite import tinytimemixer

    task = kit.task(prediction_length=1, quantile_levels=(0.2, 0.5, 0.7, 0.9))
    windows = kit.windows(task)
    trained = kit.train(kit.load(task, **small), windows)
    median = kit.predict(trained, windows).quantiles[:32, 1]
    config = tinytimemixer().TinyTimeMixerConfig.from_pretrained(kit.best())
    network = tinytimemixer().TinyTimeMixerForPrediction(config).eval()
    weights = trained.network.state_dict()
    network.load_state_dict({name: values for name, values in weights.items() if "quantile_head" not in name})
    with torch.inference_mode():
        batch = network_inputs(windows, np.arange(32), trained.scaler)
        point = network(**batch, return_loss=False).prediction_outputs[..., 0].numpy()
    np.testing.assert_array_equal(trained.scaler.target(point), median)


def test_a_checkpoint_keeps_its_head(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task(quantile_levels=LEVELS)
    windows = kit.windows(task)
    for head, other in (("granite", "steps"), ("steps", "granite")):
        kit.train(kit.load(task, **small, quantile_head=head), windows, head, max_steps=1)
        again = kit.load(task, kit.best(head), strategy="full")
        assert isinstance(again.network.multi_quantile_head_block, StepsHead) is (head == "steps")
        assert kit.load(task, kit.best(head), quantile_head=head)
        for strategy in ("zero_shot", "full"):
            said = f"model.quantile_head is {other}, and .* has the quantile head {head}; leave model.quantile_head out"
            with pytest.raises(ConfigError, match=said):
                kit.load(task, kit.best(head), strategy=strategy, quantile_head=other)


@pytest.mark.parametrize(
    ("head", "changes", "said"),
    [
        ("steps", {"quantile_levels": (0.1, 0.9)}, r"head steps cannot give the levels \[0.1, 0.9\]: it needs 0.5; ch"),
        ("granite", {"quantile_levels": (0.1, 0.9)}, r"head granite cannot give .*: it needs 0.5 and as many below as"),
        ("granite", {"quantile_levels": (0.1, 0.2, 0.5)}, "it needs 0.5 and as many below as above; choose such"),
        ("granite", {"quantile_levels": (0.5,), "prediction_length": 1}, "granite cannot learn a single step"),
    ],
)
def test_levels_that_a_head_cannot_give(
    kit: Any, small: dict[str, Any], head: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(CapabilityError, match=said):
        kit.load(kit.task(**changes), **small, quantile_head=head)


def test_a_head_without_levels_is_refused(kit: Any, small: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"quantile_head is steps, and task.quantile_levels is \[\]; leave"):
        kit.load(kit.task(), **small, quantile_head="steps")
