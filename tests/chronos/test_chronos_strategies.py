"""Adapters and heads of Chronos: merged, trained further, beside a base in four bits, on kept answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from tsfm_core import ConfigError
from tsfm_torch import ADAPTER_CONFIG, ADAPTER_WEIGHTS

Write = Callable[..., Path]
TASK = {"context_length": 128, "prediction_length": 32, "quantile_levels": (0.1, 0.5, 0.9)}
LORA: dict[str, Any] = {"strategy": "lora", "learning_rate": 1e-2, "max_steps": 5}


def weights(model: Any) -> dict[str, np.ndarray]:
    return {name: values.detach().numpy().copy() for name, values in model.network.state_dict().items()}


def differing(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> set[str]:
    return {name for name in one if not np.array_equal(one[name], other[name])}


def journal(kit: Any, name: str = "run") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (kit.folder / name / "training.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["chronos", "chronos_bolt"])
def test_merged_forecasts_are_those_of_the_adapters(kits: Any, untrained: Write, theirs_of: Any, name: str) -> None:
    """``best`` then holds whole weights as the package reads them, and nothing of peft's."""
    base, kit = untrained(name), kits(name)
    task = kit.task(**TASK)
    windows = kit.windows(task)
    some = windows.take(slice(0, 9))
    plain = kit.predict(kit.load(task, base), some).quantiles
    kit.train(kit.load(task, base, strategy="lora"), windows, "kept", **LORA)
    merged = kit.train(kit.load(task, base, strategy="lora"), windows, "merged", **LORA, lora={"merge": True})
    best = kit.best("merged")
    assert {path.name for path in best.iterdir()} == {"config.json", "model.safetensors"}
    assert best.resolve().name == "merged_step_5"
    ours = kit.predict(merged, some).quantiles
    np.testing.assert_array_equal(kit.predict(kit.load(task, best), some).quantiles, ours)
    unmerged = kit.load(task, kit.best("kept"), strategy="lora")
    assert unmerged.adapters is not None
    beside = kit.predict(unmerged, some).quantiles
    np.testing.assert_allclose(ours, beside, rtol=1e-5)
    assert np.abs(beside - plain).max() > 0.1
    inputs = torch.from_numpy(some.inputs(slice(None)).target)
    theirs, _ = theirs_of(best).predict_quantiles(
        inputs[:, None] if name == "chronos" else inputs, prediction_length=32, quantile_levels=[0.1, 0.5, 0.9]
    )
    stacked = torch.cat(theirs) if isinstance(theirs, list) else theirs
    np.testing.assert_allclose(ours, stacked.transpose(1, 2), rtol=1e-5)


def test_a_second_stage_goes_on_with_the_same_adapters(kits: Any, untrained: Write) -> None:
    base, kit = untrained("chronos"), kits("chronos")
    task = kit.task(**TASK)
    windows = kit.windows(task)
    kit.train(kit.load(task, base, strategy="lora"), windows, "one", **LORA, lora={"rank": 2, "target_modules": ["v"]})
    trained = kit.train(kit.load(task, kit.best("one"), strategy="lora"), windows, "two", **LORA)
    first, second = (safetensors.torch.load_file(kit.best(name) / ADAPTER_WEIGHTS) for name in ("one", "two"))
    assert {name: values.shape for name, values in first.items()} == {name: one.shape for name, one in second.items()}
    assert all(not torch.equal(values, second[name]) for name, values in first.items() if "lora_B" in name)
    settings = json.loads((kit.best("two") / ADAPTER_CONFIG).read_text())
    assert (settings["r"], settings["target_modules"], settings["base_model_name_or_path"]) == (2, ["v"], str(base))
    some = windows.take(slice(0, 9))
    again = kit.load(task, kit.best("two"))
    np.testing.assert_array_equal(kit.predict(again, some).quantiles, kit.predict(trained, some).quantiles)
    trainable = sum(values.numel() for values in second.values())
    assert journal(kit, "two")[0]["trainable"] == trainable
    for key, value in (("rank", 8), ("target_modules", ["q"])):
        model = kit.load(task, kit.best("one"), strategy="lora")
        with pytest.raises(ConfigError, match=f"training.lora.{key} is .* that are trained further have"):
            kit.train(model, windows, "three", **LORA, lora={key: value})


def test_adapters_beside_a_base_in_four_bits(kits: Any, untrained: Write) -> None:
    """Trained beside nf4, merged with the base's own float32: what loading ``best`` gives, to the last bit."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: nothing is held in four bits")
    base, kit = untrained("chronos_bolt"), kits("chronos_bolt")
    task = kit.task(**TASK)
    windows = kit.windows(task)
    before = weights(kit.load(task, base))
    some = windows.take(slice(0, 9))
    first = {}
    for merge in (False, True):
        name, section = f"nf4 {merge}", {"quantization": "nf4", "merge": merge, "target_modules": ["q", "wo"]}
        trained = kit.train(kit.load(task, base, strategy="lora"), windows, name, **LORA, lora=section)
        kinds = {type(one).__name__ for one in trained.network.modules()}
        assert not kinds & {"Linear4bit", "Params4bit"}
        assert {one.split(".")[-2] for one in differing(before, weights(trained))} == {"q", "wo"}
        assert (kit.best(name) / ADAPTER_CONFIG).exists() is not merge
        again = kit.load(task, kit.best(name))
        np.testing.assert_array_equal(kit.predict(again, some).quantiles, kit.predict(trained, some).quantiles)
        first[name] = next(line["loss"] for line in journal(kit, name) if "loss" in line)
    plain = {"target_modules": ["q", "wo"]}
    kit.train(kit.load(task, base, strategy="lora"), windows, "plain", **LORA, lora=plain)
    lines = journal(kit, "plain")
    assert lines[0] == journal(kit, "nf4 True")[0], "a weight of four bits is a weight"
    loss = next(line["loss"] for line in lines if "loss" in line)
    assert first["nf4 False"] == first["nf4 True"] != loss
    assert first["nf4 True"] == pytest.approx(loss, rel=0.2)


@pytest.mark.parametrize("name", ["chronos", "chronos_bolt"])
def test_a_head_is_trained_as_if_the_backbone_were_run(kits: Any, untrained: Write, name: str) -> None:
    """The second implementation runs everything at every step: without dropout, training mode or not is one."""
    base, kit = untrained(name), kits(name)
    covariates = {"past_covariates": ("iob",), "known_covariates": ("meal",)} if name == "chronos" else {}
    task = kit.task(**TASK, **covariates)
    windows = kit.windows(task)
    some = {"validation": windows.take(slice(0, 40)), "max_steps": 6, "learning_rate": 1e-2, "save_every": 3}
    before = weights(kit.load(task, base))
    trained = kit.train(kit.load(task, base, strategy="head"), windows, "kept", strategy="head", **some)
    changed = differing(before, weights(trained))
    assert changed
    assert changed == {one for one in before if one.startswith("output_patch_embedding.")}
    few = windows.take(slice(0, 9))
    again = kit.load(task, kit.best("kept"))
    np.testing.assert_array_equal(kit.predict(again, few).quantiles, kit.predict(trained, few).quantiles)

    model = kit.load(task, base, strategy="full")
    model.network.requires_grad_(False)
    model.network.output_patch_embedding.requires_grad_(True)
    run = kit.train(model, windows, "run", strategy="full", **some)
    for key, values in weights(run).items():
        np.testing.assert_allclose(weights(trained)[key], values, rtol=1e-3, atol=1e-4, err_msg=key)
    judged = [[line["validation"] for line in journal(kit, one) if "validation" in line] for one in ("kept", "run")]
    assert len(judged[0]) == 2
    for one, other in zip(*judged, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    share = next(line for line in journal(kit, "kept") if "parameters" in line)
    assert share["trainable"] == sum(before[one].size for one in changed)


def test_the_backbone_of_a_head_is_run_without_dropout(kits: Any, untrained: Write) -> None:
    """With dropout in the checkpoint's encoder the kept answers are those of a forecast."""
    base, kit = untrained("chronos"), kits("chronos")
    task = kit.task(**TASK)
    windows = kit.windows(task)
    keys = {"strategy": "head", "max_steps": 1, "batch_size": 8, "learning_rate": 1e-30}
    scores = []
    for name, dropout in (("none", 0.0), ("much", 0.5)):
        model = kit.load(task, base, strategy="head", dropout_rate=dropout)
        model.network.output_patch_embedding.dropout.p = 0.0
        kit.train(model, windows, name, **keys)
        scores.append(next(line["loss"] for line in journal(kit, name) if "loss" in line))
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
