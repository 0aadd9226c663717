"""Training: what it learns, what it leaves, and that this comes back, here and in the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tsfm_core import ConfigError
from tsfm_torch import ADAPTER_CONFIG

Write = Callable[..., Path]
LEVELS = (0.1, 0.5, 0.9)
TASK = {"context_length": 128, "prediction_length": 32, "quantile_levels": LEVELS}


def weights(model: Any) -> dict[str, np.ndarray]:
    return {name: values.numpy().copy() for name, values in model.network.state_dict().items()}


def differing(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> set[str]:
    return {name for name in one if not np.array_equal(one[name], other[name])}


def journal(kit: Any, name: str = "run") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (kit.folder / name / "training.jsonl").read_text().splitlines()]


def test_it_learns_and_the_best_checkpoint_is_the_model(kit: Any, family: str, small: dict[str, Any]) -> None:
    """The loss falls; ``best`` forecasts the same bits; validation chose by the loss."""
    task = kit.task(prediction_length=16, quantile_levels=LEVELS)
    windows = kit.windows(task)
    model = kit.load(task, **small[family])
    drawn = weights(model)
    rate = 3e-2 if family == "chronos_t5" else 3e-3
    keys = {"max_steps": 60, "learning_rate": rate, "save_every": 20, "strategy": "from_scratch"}
    trained = kit.train(model, windows, validation=windows.take(slice(0, 90, 3)), **keys)
    lines = journal(kit)
    losses = [line["loss"] for line in lines if "loss" in line]
    assert np.mean(losses[-9:-1]) < (0.9 if family == "chronos_t5" else 0.8) * np.mean(losses[:3])
    judged = [line["validation"] for line in lines if "validation" in line]
    assert [set(scores) for scores in judged] == [{"loss"} if family == "chronos_t5" else {"rmse", "mae", "loss"}] * 3
    best = [line["best"] for line in lines if "validation" in line]
    lowest = np.minimum.accumulate([scores["loss"] for scores in judged])
    assert best == [True, *(np.diff(lowest) < 0)]
    assert differing(drawn, weights(trained))
    some = windows.take(slice(0, 12))
    again = kit.load(task, kit.best())
    np.testing.assert_array_equal(kit.predict(again, some).quantiles, kit.predict(trained, some).quantiles)


def test_the_same_seed_gives_the_same_bits(kit: Any, family: str, small: dict[str, Any]) -> None:
    task = kit.task(prediction_length=16)
    windows = kit.windows(task)
    sizes = small[family] | {"dropout_rate": 0.3}
    one, two, other = (
        weights(kit.train(kit.load(task, seed=seed, **sizes), windows, str(at), seed=seed, max_steps=4))
        for at, seed in enumerate((1, 1, 2))
    )
    assert not differing(one, two)
    assert differing(one, other)


def test_a_full_training_begins_at_the_checkpoint(kit: Any, family: str, untrained: Write) -> None:
    """All weights change that do anything."""
    checkpoint = untrained(family)
    task = kit.task(**TASK)
    windows = kit.windows(task)
    before = weights(kit.load(task, checkpoint))
    first = kit.load(task, checkpoint, strategy="full")
    assert not differing(before, weights(first))
    changed = differing(before, weights(kit.train(first, windows, max_steps=2, learning_rate=1e-3)))
    assert set(before) - changed - {"quantiles"} == {name for name in before if nothing_to_compare(family, name)}


def nothing_to_compare(family: str, name: str) -> bool:
    """Say whether attention looks at one thing alone there: at a decoder's only step, at a window's only variate."""
    if family == "chronos":
        return ".layer.1.self_attention.q" in name or ".layer.1.self_attention.k" in name
    only = ("SelfAttention.q", "SelfAttention.k", "SelfAttention.relative")
    return family == "chronos_bolt" and name.startswith("decoder") and any(part in name for part in only)


@pytest.mark.parametrize("name", ["chronos", "chronos_bolt"])
def test_the_package_loads_what_was_trained(
    kits: Any, untrained: Write, theirs_of: Any, name: str, small: dict[str, Any]
) -> None:
    kit = kits(name)
    task = kit.task(**TASK)
    windows = kit.windows(task)
    model = kit.train(kit.load(task, **small[name]), windows, strategy="from_scratch", max_steps=3)
    some = windows.take(slice(0, 9))
    inputs = torch.from_numpy(some.inputs(slice(None)).target)
    pipeline = theirs_of(kit.best())
    quantiles, _ = pipeline.predict_quantiles(
        inputs[:, None] if name == "chronos" else inputs, prediction_length=32, quantile_levels=list(LEVELS)
    )
    stacked = torch.cat(quantiles) if isinstance(quantiles, list) else quantiles
    np.testing.assert_allclose(kit.predict(model, some).quantiles, stacked.transpose(1, 2), rtol=1e-5)


@pytest.mark.parametrize("name", ["chronos", "chronos_bolt"])
@pytest.mark.parametrize("section", [None, {"rank": 2, "alpha": 3, "dropout": 0.1, "target_modules": ["q", "v"]}])
def test_adapters_are_trained_alone(kits: Any, untrained: Write, name: str, section: dict[str, Any] | None) -> None:
    """The base's file stays; only layers with an adapter change; ``best`` forecasts the same bits."""
    checkpoint = untrained(name)
    kit = kits(name)
    task = kit.task(**TASK)
    windows = kit.windows(task)
    before, stored = weights(kit.load(task, checkpoint)), (checkpoint / "model.safetensors").read_bytes()
    model = kit.load(task, checkpoint, strategy="lora", dropout_rate=0.2)
    trained = kit.train(model, windows, strategy="lora", lora=section, max_steps=5, learning_rate=1e-2)
    assert (checkpoint / "model.safetensors").read_bytes() == stored
    ends = {"q", "v"} if section else {"q", "k", "v", "o", "output_layer"}
    changed = differing(before, weights(trained))
    assert {key.split(".")[-2] for key in changed} <= ends
    assert {key.split(".")[-2] for key in changed} >= {"q", "v"}
    settings = json.loads((kit.best() / ADAPTER_CONFIG).read_text())
    assert (settings["r"], settings["lora_alpha"]) == ((2, 3) if section else (8, 16))
    assert settings["base_model_name_or_path"] == str(checkpoint)
    assert not (kit.best() / "model.safetensors").exists()
    some = windows.take(slice(0, 9))
    again = kit.load(task, kit.best(), dropout_rate=0.2)  # as a run's stored configuration says
    np.testing.assert_array_equal(kit.predict(again, some).quantiles, kit.predict(trained, some).quantiles)


def test_the_package_loads_our_adapters_and_we_load_its_own(kits: Any, untrained: Write, theirs_of: Any) -> None:
    checkpoint = untrained("chronos")
    kit = kits("chronos")
    task = kit.task(**TASK)
    windows = kit.windows(task)
    some = windows.take(slice(0, 9))
    inputs = torch.from_numpy(some.inputs(slice(None)).target)[:, None]

    def theirs(pipeline: Any) -> torch.Tensor:
        quantiles, _ = pipeline.predict_quantiles(inputs, prediction_length=32, quantile_levels=list(LEVELS))
        return torch.cat(quantiles).transpose(1, 2)

    base = theirs(theirs_of(checkpoint))
    ours = kit.train(
        kit.load(task, checkpoint, strategy="lora"), windows, strategy="lora", max_steps=5, learning_rate=1e-2
    )
    loaded = theirs(theirs_of(kit.best()))
    assert (loaded - base).abs().max() > 0.1
    np.testing.assert_allclose(kit.predict(ours, some).quantiles, loaded, rtol=1e-5)

    series = [torch.from_numpy(kit.columns()["glucose"])[None]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)
        fitted = theirs_of(checkpoint).fit(
            series,
            prediction_length=32,
            finetune_mode="lora",
            num_steps=5,
            batch_size=8,
            learning_rate=1e-2,
            output_dir=kit.folder / "theirs",
            remove_printer_callback=True,
            disable_tqdm=True,
            report_to="none",
        )
    own = kit.folder / "theirs" / "finetuned-ckpt"
    assert (own / ADAPTER_CONFIG).exists()
    expected = theirs(fitted)
    assert (expected - base).abs().max() > 0.1
    np.testing.assert_allclose(kit.predict(kit.load(task, own), some).quantiles, expected, rtol=1e-5)


@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_a_longer_reach_is_learnt_and_kept(kits: Any, untrained: Write, strategy: str) -> None:
    """Chronos-2 alone is as long as its task: 32 steps from 128 become 80 from 192."""
    checkpoint = untrained("chronos")
    kit = kits("chronos")
    task = kit.task(context_length=192, prediction_length=80, quantile_levels=LEVELS)
    windows = kit.windows(task)
    trained = kit.train(kit.load(task, checkpoint, strategy=strategy), windows, strategy=strategy, max_steps=2)
    again = kit.load(task, kit.best())
    chronos = again.network.chronos_config
    assert chronos.time_encoding_scale == 128, "what was learnt of time stays as it was"
    assert (chronos.context_length, chronos.max_output_patches) == (192, 5)
    some = windows.take(slice(0, 5))
    np.testing.assert_array_equal(kit.predict(again, some).quantiles, kit.predict(trained, some).quantiles)


def test_covariates_are_learnt_from_and_never_trained_as_targets(kits: Any, small: dict[str, Any]) -> None:
    """The loss of a window with covariates is that of its target: their truth is not even gathered."""
    kit = kits("chronos")
    task = kit.task(prediction_length=16, past_covariates=("iob",), known_covariates=("meal",))
    windows = kit.windows(task)
    model = kit.load(task, **small["chronos"])
    batch = model.family.batch(model.network, windows, np.arange(6))
    assert batch["context"].shape == (18, 96)
    assert batch["truth"].shape == (6, 16)
    assert torch.isnan(batch["future_covariates"].view(6, 3, 16)[:, :2]).all()
    columns = kit.columns()
    columns["iob"][96:] = 7e4
    other = model.family.batch(model.network, kit.windows(task, columns), np.array([0]))
    for key, values in model.family.batch(model.network, windows, np.array([0])).items():
        torch.testing.assert_close(other[key], values, equal_nan=True)


def test_a_shorter_truth_and_a_missing_one_are_no_bins(kits: Any, untrained: Write) -> None:
    """Chronos-T5 learns 20 of the 32 steps that it was made for; a step that was not observed is left out."""
    kit = kits("chronos_t5")
    task = kit.task(context_length=128, prediction_length=20)
    columns = kit.columns()
    columns["glucose"][130:140:3] = np.nan
    windows = kit.windows(task, columns)
    model = kit.load(task, untrained("chronos_t5"), strategy="full")
    labels = model.family.batch(model.network, windows, np.array([0, 1]))["labels"].numpy()
    assert labels.shape == (2, 33)
    assert (labels[:, 20:32] == -100).all()
    np.testing.assert_array_equal(labels[:, :20] == -100, np.isnan(windows.truth(np.array([0, 1]))))
    assert (labels[:, 32] == 1).all(), "the end of the sentence"


def test_early_stopping_judges_by_the_quantile_loss(kits: Any, small: dict[str, Any]) -> None:
    kit = kits("chronos_bolt")
    task = kit.task(prediction_length=16)
    windows = kit.windows(task)
    keys = {"max_steps": 60, "save_every": 2, "learning_rate": 1.0, "early_stopping": {"patience": 2}}
    kit.train(kit.load(task, **small["chronos_bolt"]), windows, validation=windows.take(slice(0, 50)), **keys)
    judged = [line for line in journal(kit) if "validation" in line]
    assert judged[-1]["step"] < 60
    assert [line["best"] for line in judged[-2:]] == [False, False]


def test_a_loss_that_is_not_finite_is_a_sentence(kits: Any, small: dict[str, Any]) -> None:
    kit = kits("chronos")
    task = kit.task(prediction_length=16)
    with pytest.raises(ConfigError, match="not finite at step .*; lower training.learning_rate"):
        kit.train(kit.load(task, **small["chronos"]), kit.windows(task), max_steps=30, learning_rate=1e30)
