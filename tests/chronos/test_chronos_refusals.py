"""Every refusal is a sentence with the way out; all but those of a layer's name come before any data is read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tsfm_core import CapabilityError, ConfigError
from tsfm_core.config.resolve import read_config
from tsfm_core.prepare import load

Write = Callable[..., Path]
LEVELS = (0.1, 0.5, 0.9)
TASK = {"context_length": 128, "prediction_length": 32}


def refuses(
    kit: Any, said: str, checkpoint: Path | str | None = None, kind: Any = CapabilityError, **keys: Any
) -> None:
    task = TASK | keys.pop("task", {})
    with pytest.raises(kind, match=said):
        kit.load(kit.task(**task), checkpoint, **keys)


@pytest.mark.parametrize(
    ("name", "task", "strategy", "said"),
    [
        (
            "chronos",
            {"context_length": 129},
            "zero_shot",
            "at most 128 steps, .* is 129; set task.context_length",
        ),
        ("chronos_bolt", {"context_length": 129}, "full", "reads at most 128 steps"),
        ("chronos_t5", {"context_length": 129}, "full", "reads at most 128 steps"),
        ("chronos_bolt", {"prediction_length": 33}, "full", "learns at most 32 steps, .* is 33; .* from_scratch"),
        ("chronos_t5", {"prediction_length": 33}, "full", "learns at most 32 steps, .* is 33; .* from_scratch"),
        ("chronos", {"quantile_levels": (0.005, 0.5)}, "zero_shot", r"from 0.01 to 0.99, .* asks for 0.005; ask for"),
        ("chronos_bolt", {"quantile_levels": (0.5, 0.95)}, "zero_shot", r"from 0.1 to 0.9, .* asks for 0.95; ask for"),
        (
            "chronos_t5",
            {"quantile_levels": (0.04, 0.5)},
            "zero_shot",
            "20 sample paths say nothing of .* 0.04: .* 0.04",
        ),
    ],
)
def test_what_a_checkpoint_cannot_do(
    kits: Any, untrained: Write, name: str, task: dict[str, Any], strategy: str, said: str
) -> None:
    refuses(kits(name), said, untrained(name), task=task, strategy=strategy)


def test_more_sample_paths_tell_more(kits: Any, untrained: Write) -> None:
    kit = kits("chronos_t5")
    assert kit.load(kit.task(**TASK, quantile_levels=(0.04, 0.96)), untrained("chronos_t5"), num_samples=30)


def test_going_on_needs_the_deciles(kits: Any, small: dict[str, Any]) -> None:
    """A network of three levels forecasts its own horizon, and no further."""
    kit = kits("chronos")
    task = kit.task(prediction_length=16)
    model = kit.train(kit.load(task, **small["chronos"], quantiles=[0.2, 0.5, 0.8]), kit.windows(task), max_steps=1)
    assert kit.predict(model, kit.windows(task)).mean is not None
    with pytest.raises(CapabilityError, match="forecasts 16 steps at once, and going on needs the level 0.1, .* 16"):
        kit.load(kit.task(prediction_length=17), kit.best())


def test_another_kind_of_checkpoint(kits: Any, untrained: Write, tmp_path: Path) -> None:
    for serving, other in (("chronos", "chronos_bolt"), ("chronos_bolt", "chronos_t5"), ("chronos_t5", "chronos")):
        refuses(kits(other), f"which {other} does not serve; use the model {serving}", untrained(serving, serving))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"model_type": "tinytimemixer"}')
    (foreign / "model.safetensors").write_bytes(b"")
    refuses(kits("chronos"), "holds a model of type 'tinytimemixer', no Chronos; tsfm models list", foreign)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("context_length", None),
        ("context_length", -1),
        ("context_length", True),
        ("quantiles", [0.5, 0.1]),
        ("quantiles", ["a"]),
        ("quantiles", []),
        ("max_output_patches", "2"),
        ("quantiles", [0.5, 1.0]),
        ("input_patch_stride", 0),
    ],
)
def test_a_config_that_is_not_whole(kits: Any, untrained: Write, key: str, value: object) -> None:
    said = f"config.json of .* has the chronos_config.{key} "
    refuses(kits("chronos"), said + ".*; fetch or train", untrained("chronos", **{key: value}))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("chronos", {"use_reg_token": False}),
        ("chronos", {"output_patch_size": 8}),
        ("chronos", {"surprise": 1}),
        ("chronos_bolt", {"surprise": 1}),
        ("chronos_t5", {"model_type": "causal"}),
        ("chronos_t5", {"tokenizer_class": "Nothing"}),
        ("chronos_t5", {"pad_token_id": 9}),
        ("chronos_t5", {"n_tokens": 10_000}),
        ("chronos_t5", {"top_p": 1.5}),
        ("chronos", {"time_encoding_scale": None}),
    ],
)
def test_a_network_that_upstream_cannot_build(kits: Any, untrained: Write, name: str, changes: dict[str, Any]) -> None:
    refuses(kits(name), f"config.json does not describe a network of {name}", untrained(name, **changes))


def test_weights_that_cannot_be_read(kit: Any, family: str, untrained: Write) -> None:
    checkpoint = untrained(family)
    file = checkpoint / "model.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:4], b"", b"\xff" * 64):
        file.write_bytes(damaged)
        refuses(kit, f"the weights of {checkpoint} cannot be read: .*; fetch or train", checkpoint)
    file.write_bytes(whole)
    weights = safetensors.torch.load_file(file)
    lost = next(name for name in weights if "layer" in name)
    safetensors.torch.save_file({name: one for name, one in weights.items() if name != lost}, file)
    refuses(kit, f"do not fit its config.json: {lost} and 0 more", checkpoint)
    safetensors.torch.save_file(weights | {lost: weights[lost][:3].contiguous()}, file)
    refuses(kit, f"the weights of {checkpoint} do not fit its config.json: {lost} and 0 more", checkpoint)
    safetensors.torch.save_file({name: one for name, one in weights.items() if name != lost}, file)
    safetensors.torch.save_file({lost: weights[lost]}, checkpoint / "stray.safetensors")
    refuses(kit, f"the weights of {checkpoint} do not fit its config.json: {lost} and 0 more", checkpoint)
    file.unlink()
    refuses(kit, f"{checkpoint} has no weights in safetensors", checkpoint, ConfigError)
    index = checkpoint / "model.safetensors.index.json"
    index.write_text("{}")
    refuses(kit, "has an model.safetensors.index.json without a weight_map; fetch it again", checkpoint, ConfigError)
    index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(weights, "part.safetensors")}))
    refuses(kit, "has no weights in safetensors, or not all of them", checkpoint, ConfigError)
    file.with_name("stray.safetensors").unlink()
    safetensors.torch.save_file(weights, checkpoint / "part.safetensors", metadata={"format": "pt"})
    assert kit.load(kit.task(**TASK), checkpoint)
    (checkpoint / "config.json").unlink()
    refuses(kit, f"{checkpoint} has no config.json", checkpoint, ConfigError)


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and nothing cached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/nowhere")


@pytest.mark.usefixtures("no_hub")
def test_a_hub_that_cannot_be_reached(kit: Any, family: str) -> None:
    name = kit.hooks.model_card().default_checkpoint
    said = f"'{name}' is no directory and the hub cannot be reached; connect once .* or set model.checkpoint"
    refuses(kit, said, name, ConfigError)
    refuses(kit, "model.checkpoint is 'no-such-folder', and there is no such directory", "no-such-folder", ConfigError)


def test_adapters_need_their_base(kits: Any, untrained: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = untrained("chronos")
    kit = kits("chronos")
    task = kit.task(**TASK)
    kit.train(kit.load(task, checkpoint, strategy="lora"), kit.windows(task), strategy="lora", max_steps=1)
    adapters = kit.best()
    same = kit.load(task, adapters, strategy="lora")
    said = (
        f"training.lora.rank is 3, but the adapters in {adapters} that are trained further have 8; leave .* out, or set"
    )
    with pytest.raises(ConfigError, match=said):
        kit.train(same, kit.windows(task), "other", strategy="lora", lora={"rank": 3})
    further = kit.load(task, adapters, strategy="full")
    before = further.network.encoder.block[0].layer[2].mlp.wi.weight.clone()
    kit.train(further, kit.windows(task), "further", max_steps=1, learning_rate=1e-3)
    assert not torch.equal(before, further.network.encoder.block[0].layer[2].mlp.wi.weight)

    with monkeypatch.context() as without:
        without.setitem(sys.modules, "peft", None)
        refuses(kit, r"adapters \(lora\) need peft, which is not installed; pip install peft", adapters)
        refuses(kit, "pip install peft", checkpoint, strategy="lora")

    file = adapters / "adapter_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:300])
    refuses(kit, f"the adapters of {adapters} cannot be read", adapters)
    weights = safetensors.torch.load(whole)
    lost = sorted(weights)[0]
    safetensors.torch.save_file({name: one for name, one in weights.items() if name != lost}, file)
    refuses(kit, f"the adapters of {adapters} do not fit its base: {lost} and 0 more", adapters)
    file.unlink()
    refuses(kit, "has no adapter_model.safetensors", adapters, ConfigError)
    file.write_bytes(whole)

    base = checkpoint / "model.safetensors"
    first = base.read_bytes()
    other = safetensors.torch.load_file(base)
    safetensors.torch.save_file({name: one + 1 for name, one in other.items()}, base)
    refuses(kit, f"were trained on other weights than {checkpoint} holds now; put those weights back", adapters)
    checkpoint.rename(checkpoint.with_name("moved"))
    refuses(kit, f"belong to {checkpoint}, which is not to be had: .*; put it there, or correct", adapters, ConfigError)
    settings = json.loads((adapters / "adapter_config.json").read_text())
    for changes, said in (
        ({"base_model_name_or_path": None}, "do not say which checkpoint they belong to"),
        ({"peft_type": "PROMPT_TUNING"}, "holds adapters of the kind 'PROMPT_TUNING', not LORA"),
        ({"target_modules": "(("}, "the adapters of .* cannot be read"),
        ({"rank_pattern": [1]}, "the adapters of .* cannot be read"),
    ):
        (adapters / "adapter_config.json").write_text(json.dumps(settings | changes))
        if changes.get("base_model_name_or_path", "") is not None:
            checkpoint.with_name("moved").rename(checkpoint)
            base.write_bytes(first)
        refuses(kit, said, adapters, (ConfigError, CapabilityError))
        if checkpoint.exists():
            checkpoint.rename(checkpoint.with_name("moved"))


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (
            ["nowhere"],
            "target_modules names 'nowhere', .* no such layer; its layers end in .*output_layer",
        ),
        (["layer_norm"], "target_modules layer_norm: .*; name linear layers"),
    ],
)
def test_adapters_where_none_fits(kits: Any, untrained: Write, targets: list[str], said: str) -> None:
    kit = kits("chronos")
    task = kit.task(**TASK)
    model = kit.load(task, untrained("chronos"), strategy="lora")
    with pytest.raises(ConfigError, match=said):
        kit.train(model, kit.windows(task), strategy="lora", lora={"target_modules": targets})


@pytest.mark.parametrize(("key", "value"), [("d_model", 64), ("num_layers", 3), ("dropout_rate", 0.5)])
def test_the_sizes_of_a_checkpoint_are_fixed(kit: Any, family: str, untrained: Write, key: str, value: Any) -> None:
    checkpoint = untrained(family)
    refuses(kit, f"model.{key} is {value}, but {checkpoint} has .*; leave", checkpoint, ConfigError, **{key: value})
    assert kit.load(kit.task(**TASK), checkpoint, strategy="full", dropout_rate=0.5).network.config.dropout_rate == 0.5


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("chronos_bolt", {"d_model": "abc"}),
        ("chronos_bolt", {"dropout_rate": "x"}),
        ("chronos_t5", {"feed_forward_proj": "a-b-c"}),
        ("chronos_bolt", {"decoder_start_token_id": None}),
        ("chronos", {"num_layers": "many"}),
    ],
)
def test_a_config_of_other_kinds(kits: Any, untrained: Write, name: str, changes: dict[str, Any]) -> None:
    checkpoint = untrained(name)
    file = checkpoint / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    refuses(kits(name), f"config.json does not describe a network of {name}", checkpoint)


@pytest.mark.parametrize("pipeline", [[], "Nothing", 3])
def test_a_pipeline_that_nobody_serves(kit: Any, family: str, untrained: Write, pipeline: object) -> None:
    file = untrained(family) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chronos_pipeline_class": pipeline}))
    refuses(kit, "does not serve; tsfm-chronos serves Chronos2Pipeline", file.parent)


@pytest.mark.parametrize("name", ["", " ", "x" * 5000, "~nobody-of-that-name/x", "a\0b"])
def test_names_that_are_no_path(kits: Any, name: str) -> None:
    refuses(kits("chronos"), "there is no such directory", name, ConfigError)


def test_deeply_nested_json(kits: Any, untrained: Write) -> None:
    checkpoint = untrained("chronos")
    (checkpoint / "config.json").write_text("[" * 100_000)
    refuses(kits("chronos"), "config.json that is no JSON", checkpoint, ConfigError)


def test_adapters_on_what_windows_of_one_variate_do_not_use(kits: Any, untrained: Write) -> None:
    kit = kits("chronos")
    task = kit.task(**TASK)
    model = kit.load(task, untrained("chronos"), strategy="lora")
    with pytest.raises(ConfigError, match="names only what windows of one variate have no use for"):
        kit.train(model, kit.windows(task), strategy="lora", lora={"target_modules": ["1.self_attention.q"]})


@pytest.mark.parametrize("name", ["chronos_bolt", "chronos_t5"])
def test_covariates_are_refused_or_ignored_in_words(untrained: Write, kits: Any, name: str) -> None:
    task = {"target": "glucose", "unit": "mg/dL", "freq": "5min", **TASK, "past_covariates": ["iob"]}
    config = {"task": task, "model": {"checkpoint": str(untrained(name))}, "runtime": {"device": "cpu"}}
    with pytest.raises(CapabilityError, match=r"does not use past_covariates \(iob\); .*model.ignore_covariates: true"):
        load(name, read_config(config), "backtest")
    loaded = load(name, read_config(config, ["model.ignore_covariates=true"]), "backtest")
    assert loaded.task.channels == ("glucose",)
    assert loaded.sections["model"].model_dump()["ignore_covariates"] is True


def test_levels_outside_0_and_1() -> None:
    task = {"target": "glucose", "unit": "mg/dL", "freq": "5min", **TASK, "quantile_levels": [0.5, 1.5]}
    with pytest.raises(ConfigError, match="quantile levels lie strictly between 0 and 1"):
        read_config({"task": task})
