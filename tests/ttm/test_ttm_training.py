"""Training: what it learns, what it leaves, and that this comes back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tsfm_core import ConfigError, DataError
from tsfm_ttm.scaling import Scaler

RICH = {"past_covariates": ("iob",), "known_covariates": ("meal",), "quantile_levels": (0.1, 0.5, 0.9)}


def weights(model: Any) -> dict[str, np.ndarray]:
    return {name: values.numpy().copy() for name, values in model.network.state_dict().items()}


def differs(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return any(not np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("channels", [{}, RICH])
def test_it_learns(kit: Any, small: dict[str, Any], channels: dict[str, Any]) -> None:
    task = kit.task(**channels)
    windows = kit.windows(task)
    truth = windows.truth(slice(None))

    def error(model: Any) -> float:
        values = kit.values(model, windows)
        return float(np.abs((values[:, 1] if channels else values) - truth).mean())

    model = kit.load(task, **small)
    before = error(model)
    assert error(kit.train(model, windows, max_steps=60, learning_rate=1e-2)) < 0.5 * before


def test_the_best_checkpoint_forecasts_the_same_bits_in_a_new_process(kit: Any, small: dict[str, Any]) -> None:
    """One process for a point forecast and for quantiles with covariates: importing granite takes long."""
    told = []
    for name, channels in (("plain", {}), ("rich", RICH)):
        task = kit.task(**channels)
        windows = kit.windows(task)
        trained = kit.train(kit.load(task, **small), windows, name)
        np.save(kit.folder / f"{name}.npy", kit.values(trained, windows))
        told.append((name, task.model_dump(mode="json"), str(kit.best(name))))
    np.savez(kit.folder / "columns.npz", **kit.columns())
    (kit.folder / "told.json").write_text(json.dumps(told))
    support = Path(__file__).parents[1] / "support"
    code = f"""
import json, pathlib, sys
sys.path.insert(0, {str(support)!r})
import numpy as np
import tsfm_ttm
from modelkit import Kit
from tsfm_core import Task
folder = pathlib.Path({str(kit.folder)!r})
kit = Kit(folder, tsfm_ttm)
for name, fields, best in json.loads((folder / "told.json").read_text()):
    task = Task.model_validate_json(json.dumps(fields))
    values = kit.values(kit.load(task, best), kit.windows(task, dict(np.load(folder / "columns.npz"))))
    print(name, np.array_equal(values, np.load(folder / f"{{name}}.npy")))
"""
    told_back = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told_back.stdout.split() == ["plain", "True", "rich", "True"]


def test_the_checkpoint_is_granites_own(kit: Any, small: dict[str, Any]) -> None:
    import torch
    import transformers

    from tsfm_ttm.granite import tinytimemixer

    task = kit.task(past_covariates=("iob",))
    windows = kit.windows(task)
    model = kit.train(kit.load(task, **small), windows)
    files = sorted(path.name for path in kit.best().iterdir())
    assert files == ["config.json", "model.safetensors", "tsfm_ttm.json"]
    transformers.logging.disable_progress_bar()
    try:
        network, info = tinytimemixer().TinyTimeMixerForPrediction.from_pretrained(kit.best(), output_loading_info=True)
    finally:
        transformers.logging.enable_progress_bar()
    assert not any(info.values())
    assert network.config.light_mode is False
    inputs = windows.inputs(slice(0, 32))
    past = np.concatenate([inputs.target[..., None], inputs.past_covariates], axis=2)
    past = (past - model.scaler.mean) / model.scaler.std
    with torch.inference_mode():
        forecast = network(past_values=torch.from_numpy(past), return_loss=False).prediction_outputs[..., 0].numpy()
    np.testing.assert_array_equal(model.scaler.target(forecast), kit.values(model, windows)[:32])


@pytest.mark.parametrize("levels", [(), (0.1, 0.5, 0.7)])
def test_validation_judges_the_mean(kit: Any, small: dict[str, Any], levels: tuple[float, ...]) -> None:
    task = kit.task(quantile_levels=levels)
    windows = kit.windows(task)
    parts = windows.take(slice(0, 200)), windows.take(slice(200, None))
    model = kit.train(kit.load(task, **small), parts[0], validation=parts[1])
    lines = (kit.folder / "run" / "training.jsonl").read_text().splitlines()
    judged = min(line["validation"]["rmse"] for line in map(json.loads, lines) if "validation" in line)
    error = kit.predict(model, parts[1]).mean - parts[1].truth(slice(None))
    assert judged == pytest.approx(np.sqrt(np.square(error, dtype=np.float64).mean()), rel=1e-4)


def test_the_same_seed_gives_the_same_bits(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task()
    windows = kit.windows(task)
    drawing = small | {"dropout": 0.3, "head_dropout": 0.3}
    one, two, other = (
        weights(kit.train(kit.load(task, seed=seed, **drawing), windows, str(at), seed=seed))
        for at, seed in enumerate((1, 1, 2))
    )
    assert not differs(one, two)
    assert differs(one, other)
    assert differs(weights(kit.load(task, seed=1, **small)), weights(kit.load(task, seed=2, **small)))


def test_loading_leaves_the_hosts_generator_alone(kit: Any, small: dict[str, Any]) -> None:
    import torch

    before = torch.random.get_rng_state()
    kit.load(kit.task(), **small)
    assert torch.equal(before, torch.random.get_rng_state())


def test_each_loss_takes_effect_and_huber_is_the_default(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task()
    windows = kit.windows(task)
    first: dict[str | None, float] = {}
    for loss in (None, "mse", "mae", "huber"):
        model = kit.load(task, **small)
        trained = kit.train(model, windows, str(loss), max_steps=1, batch_size=len(windows), loss=loss)
        lines = (kit.folder / str(loss) / "training.jsonl").read_text().splitlines()
        first[loss] = next(line["loss"] for line in map(json.loads, lines) if "loss" in line)
        if loss == "mae":
            start = kit.load(task, **small)
            start = replace(start, scaler=trained.scaler)
            error = (kit.values(start, windows) - windows.truth(slice(None))) / trained.scaler.std[0]
            assert first["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
            assert first["mse"] == pytest.approx((error**2).mean(), rel=1e-4)
    assert first[None] == first["huber"]
    assert len(set(first.values())) == 3


def test_a_point_loss_with_quantiles_is_refused(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task(quantile_levels=(0.1, 0.5, 0.9))
    with pytest.raises(ConfigError, match=r"training.loss is 'mae', but .*; leave training.loss out"):
        kit.train(kit.load(task, **small), kit.windows(task), loss="mae")


def test_the_scaler_is_learnt_from_the_training_windows_alone(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task(past_covariates=("iob",), known_covariates=("meal",))
    windows = kit.windows(task)
    few = windows.take(slice(0, 10))
    scaler = Scaler.learn(few, seed=0)
    for at, channel in enumerate(task.channels):
        seen = np.concatenate([kit.columns()[channel][row - 95 : row + 1] for row in few.cutoffs_at.tolist()])
        assert scaler.mean[at] == pytest.approx(seen.astype(np.float64).mean(), rel=1e-5)
        assert scaler.std[at] == pytest.approx(seen.astype(np.float64).std(), rel=1e-5)
    trained = kit.train(kit.load(task, **small), few)
    np.testing.assert_array_equal(trained.scaler.mean, scaler.mean)
    again = kit.load(task, kit.best())
    np.testing.assert_array_equal(again.scaler.mean, scaler.mean)
    np.testing.assert_array_equal(again.scaler.std, scaler.std)


def test_a_constant_channel_is_left_its_size_and_an_empty_one_is_refused(kit: Any) -> None:
    task = kit.task(past_covariates=("iob",))
    columns = kit.columns()
    columns["iob"][:] = 5
    assert Scaler.learn(kit.windows(task, columns), 0).std[1] == 1
    columns["iob"][:] = np.nan
    with pytest.raises(DataError, match="the channel 'iob' has no value in the training windows"):
        Scaler.learn(kit.windows(task, columns), 0)


def test_training_starts_at_the_checkpoints_forecast(
    kit: Any, small: dict[str, Any], untrained: Callable[..., Path]
) -> None:
    """What a task adds to a checkpoint begins as the identity, but for the spread of quantiles."""
    directory = untrained()
    plain = kit.values(kit.load(kit.task(), directory), kit.windows(kit.task()))
    task = kit.task(past_covariates=("iob",), known_covariates=("meal",))
    windows = kit.windows(task)
    model = kit.load(task, directory, strategy="full")
    np.testing.assert_allclose(kit.values(model, windows), plain, rtol=1e-5)
    before = weights(model)
    after = weights(kit.train(model, windows))
    new = [name for name in before if "channel_feature_mixer.mlp.fc2" in name or "fcm_block.mlp" in name]
    assert len(new) == 4
    assert all(not np.array_equal(before[name], after[name]) for name in new)


def test_a_quantile_head_is_added_by_the_seed(kit: Any, small: dict[str, Any], untrained: Callable[..., Path]) -> None:
    directory, task = untrained(), kit.task(quantile_levels=(0.1, 0.5, 0.9))
    heads = [weights(kit.load(task, directory, strategy="full", seed=seed)) for seed in (0, 0, 1)]
    assert not differs(heads[0], heads[1])
    changed = [name for name in heads[0] if not np.array_equal(heads[0][name], heads[2][name])]
    assert changed
    assert all(name.startswith("multi_quantile_head_block.") for name in changed)


@pytest.mark.parametrize("key", ["dropout", "head_dropout"])
def test_dropouts_may_change_when_a_checkpoint_is_trained(kit: Any, untrained: Callable[..., Path], key: str) -> None:
    directory, task = untrained(), kit.task()
    windows = kit.windows(task)
    plain = weights(kit.train(kit.load(task, directory, strategy="full"), windows, "plain"))
    dropped = weights(kit.train(kit.load(task, directory, strategy="full", **{key: 0.9}), windows, "dropped"))
    assert differs(plain, dropped)
    config = json.loads((kit.best("dropped") / "config.json").read_text())
    assert config[key] == 0.9


def test_a_trained_checkpoint_can_be_trained_on(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task()
    windows = kit.windows(task)
    first = weights(kit.train(kit.load(task, **small), windows, "first"))
    model = kit.load(task, kit.best("first"), strategy="full")
    assert not differs(first, weights(model))
    assert differs(first, weights(kit.train(model, windows, "second")))
