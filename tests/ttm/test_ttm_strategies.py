"""Adapters and heads of Tiny Time Mixers: what is trained, what is left, and that this comes back."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from tsfm_core import CapabilityError, ConfigError
from tsfm_torch import ADAPTER_CONFIG, ADAPTER_WEIGHTS, quietly

Write = Callable[..., Path]
RICH = {"past_covariates": ("iob",), "known_covariates": ("meal",), "quantile_levels": (0.1, 0.5, 0.9)}
LORA: dict[str, Any] = {"strategy": "lora", "learning_rate": 1e-2, "max_steps": 6}


def weights(model: Any) -> dict[str, np.ndarray]:
    return {name: values.detach().numpy().copy() for name, values in model.network.state_dict().items()}


def differing(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> set[str]:
    return {name for name in one if not np.array_equal(one[name], other[name])}


def lines_of(kit: Any, name: str = "run") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (kit.folder / name / "training.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("channels", [{}, RICH])
def test_adapters_are_trained_alone_and_come_back(kit: Any, untrained: Write, channels: dict[str, Any]) -> None:
    """Beside the layers with an adapter only blocks change that the task adds; the base's file stays."""
    base = untrained()
    stored = (base / "model.safetensors").read_bytes()
    task = kit.task(**channels)
    windows = kit.windows(task)
    before = weights(kit.load(task, base, strategy="full"))
    trained = kit.train(kit.load(task, base, strategy="lora"), windows, **LORA)
    changed = differing(before, weights(trained))
    ends = {"fc1", "fc2", "attn_layer", "patcher", "base_forecast_block"}
    added = ("multi_quantile_head_block.", "head.fcm_block.", ".channel_feature_mixer.")
    assert {name.split(".")[-2] for name in changed if not any(one in name for one in added)} == ends
    assert {one for one in added if any(one in name for name in changed)} == (set(added) if channels else set())
    assert (base / "model.safetensors").read_bytes() == stored
    files = {path.name for path in kit.best().iterdir()}
    assert files == {ADAPTER_CONFIG, ADAPTER_WEIGHTS, "config.json", "tsfm_ttm.json"}
    again = kit.load(task, kit.best())
    np.testing.assert_array_equal(kit.values(again, windows), kit.values(trained, windows))
    further = kit.load(task, kit.best(), strategy="full")
    assert not differing(weights(trained), weights(further))
    assert differing(weights(further), weights(kit.train(further, windows, "further")))
    assert (kit.best("further") / "model.safetensors").exists()


def test_the_trainable_share_and_the_size_are_those_of_the_ranks(kit: Any, untrained: Write) -> None:
    """An adapter of rank r beside a layer of n by m has r (n + m) weights."""
    task = kit.task()
    model = kit.load(task, untrained(), strategy="lora")
    layers = {name: one for name, one in model.network.named_modules() if isinstance(one, torch.nn.Linear)}
    mine = [one for name, one in layers.items() if name.endswith((".fc1", ".attn_layer"))]
    expected = 3 * sum(sum(one.weight.shape) for one in mine)
    whole = sum(values.numel() for values in model.network.parameters())
    kit.train(model, kit.windows(task), **LORA, lora={"rank": 3, "alpha": 5, "target_modules": ["fc1", "attn_layer"]})
    assert lines_of(kit)[0] == {"trainable": expected, "parameters": whole + expected}
    held = safetensors.torch.load_file(kit.best() / ADAPTER_WEIGHTS)
    assert sum(values.numel() for values in held.values()) == expected
    settings = json.loads((kit.best() / ADAPTER_CONFIG).read_text())
    assert (settings["r"], settings["lora_alpha"]) == (3, 5)


@pytest.mark.parametrize("channels", [{}, RICH])
def test_peft_itself_loads_them_on_granites_network(kit: Any, untrained: Write, channels: dict[str, Any]) -> None:
    import peft

    from tsfm_ttm.granite import tinytimemixer
    from tsfm_ttm.model import answer, network_inputs

    task = kit.task(**channels)
    windows = kit.windows(task)
    head = {"quantile_head": "granite"} if channels else {}
    trained = kit.train(kit.load(task, untrained(), strategy="lora", **head), windows, **LORA)
    granite = tinytimemixer()
    settings = json.loads((kit.best() / ADAPTER_CONFIG).read_text())
    config = granite.TinyTimeMixerConfig.from_pretrained(kit.best())
    with quietly(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = granite.TinyTimeMixerForPrediction.from_pretrained(
            settings["base_model_name_or_path"], config=config
        ).eval()
        theirs = peft.PeftModel.from_pretrained(network, kit.best()).eval()
    batch = network_inputs(windows, np.arange(32), trained.scaler)
    with torch.inference_mode():
        forecast = trained.scaler.target(answer(theirs, batch).numpy())
    np.testing.assert_allclose(forecast, kit.values(trained, windows)[:32], rtol=1e-5)


@pytest.mark.parametrize("channels", [{}, RICH])
def test_merged_forecasts_are_those_of_the_adapters(kit: Any, untrained: Write, channels: dict[str, Any]) -> None:
    """``best`` then holds whole weights as granite reads them, and nothing of peft's."""
    from tsfm_ttm.model import answer, network_inputs

    base, task = untrained(), kit.task(**channels)
    windows = kit.windows(task)
    kit.train(kit.load(task, base, strategy="lora"), windows, "kept", **LORA)
    merged = kit.train(kit.load(task, base, strategy="lora"), windows, "merged", **LORA, lora={"merge": True})
    best = kit.best("merged")
    assert {path.name for path in best.iterdir()} == {"config.json", "model.safetensors", "tsfm_ttm.json"}
    assert best.resolve().name == "merged_step_6"
    assert (best.with_name("last") / ADAPTER_CONFIG).exists()
    np.testing.assert_array_equal(kit.values(kit.load(task, best), windows), kit.values(merged, windows))
    unmerged = kit.load(task, kit.best("kept"), strategy="lora")
    assert unmerged.adapters is not None
    batch = network_inputs(windows, np.arange(len(windows)), merged.scaler)
    with torch.inference_mode():
        beside = merged.scaler.target(answer(unmerged.network, batch).numpy())
    np.testing.assert_allclose(kit.values(merged, windows), beside, rtol=1e-5)
    plain = kit.values(kit.load(task, base, strategy="full"), windows)
    assert np.abs(beside - plain).max() > 0.1


@pytest.mark.parametrize("channels", [{}, RICH])
def test_a_second_stage_goes_on_with_the_same_adapters(kit: Any, untrained: Write, channels: dict[str, Any]) -> None:
    base, task = untrained(), kit.task(**channels)
    windows = kit.windows(task)
    section = {"rank": 2, "alpha": 3, "target_modules": ["fc2"]}
    kit.train(kit.load(task, base, strategy="lora"), windows, "one", **LORA, lora=section)
    begun = kit.load(task, kit.best("one"), strategy="lora")
    first = safetensors.torch.load_file(kit.best("one") / ADAPTER_WEIGHTS)
    trained = kit.train(begun, windows, "two", **LORA)
    second = safetensors.torch.load_file(kit.best("two") / ADAPTER_WEIGHTS)
    assert {name: values.shape for name, values in first.items()} == {name: one.shape for name, one in second.items()}
    assert all(not torch.equal(values, second[name]) for name, values in first.items() if "lora_B" in name)
    settings = json.loads((kit.best("two") / ADAPTER_CONFIG).read_text())
    assert (settings["r"], settings["lora_alpha"], settings["target_modules"]) == (2, 3, ["fc2"])
    assert settings["base_model_name_or_path"] == str(base)
    again = kit.load(task, kit.best("two"))
    np.testing.assert_array_equal(kit.values(again, windows), kit.values(trained, windows))
    # a step too small to move anything: it begins where the first stage ended
    tiny = kit.load(task, kit.best("one"), strategy="lora")
    kit.train(tiny, windows, "tiny", strategy="lora", max_steps=1, learning_rate=1e-30)
    still = safetensors.torch.load_file(kit.best("tiny") / ADAPTER_WEIGHTS)
    assert all(torch.equal(values, still[name]) for name, values in first.items())
    for key, value, was in (
        ("rank", 4, "2"),
        ("alpha", 16, "3"),
        ("dropout", 0.5, "0.0"),
        ("target_modules", ["fc1"], "fc2"),
    ):
        model = kit.load(task, kit.best("one"), strategy="lora")
        with pytest.raises(
            ConfigError, match=rf"training.lora.{key} is .* further have \[?{was}\]?; leave training.lora"
        ):
            kit.train(model, windows, "three", **LORA, lora={key: value})


def test_adapters_need_their_base_and_their_blocks(kit: Any, untrained: Write) -> None:
    base, task = untrained(), kit.task()
    kit.train(kit.load(task, base, strategy="lora"), kit.windows(task), **LORA)
    adapters = kit.best()
    rich = kit.task(quantile_levels=(0.1, 0.5, 0.9))
    with pytest.raises(
        CapabilityError, match="know nothing of multi_quantile_head_block, which covariates or quantiles"
    ):
        kit.load(rich, adapters, strategy="lora")
    assert kit.load(rich, adapters, strategy="full").added == ("multi_quantile_head_block",)
    record = adapters / "tsfm_ttm.json"
    told = record.read_text()
    record.unlink()
    with pytest.raises(ConfigError, match="have no tsfm_ttm.json beside them"):
        kit.load(task, adapters)
    record.write_text(told)
    file = base / "model.safetensors"
    moved = {name: values + 1 for name, values in safetensors.torch.load_file(file).items()}
    safetensors.torch.save_file(moved, file)
    with pytest.raises(
        CapabilityError, match=f"trained on other weights than {base} holds now; put those weights back"
    ):
        kit.load(task, adapters)
    file.unlink()
    with pytest.raises(ConfigError, match=f"belong to {base}, which is not to be had: it has no model.safetensors"):
        kit.load(task, adapters)
    base.rename(base.with_name("elsewhere"))
    with pytest.raises(ConfigError, match=f"belong to {base}, which is not to be had: .*; put it there, or correct"):
        kit.load(task, adapters)
    settings = adapters / ADAPTER_CONFIG
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"base_model_name_or_path": ""}))
    with pytest.raises(ConfigError, match="do not say which checkpoint they belong to"):
        kit.load(task, adapters)


@pytest.mark.parametrize("channels", [{}, RICH])
def test_a_head_is_trained_as_if_the_backbone_were_run(
    kit: Any, untrained: Write, channels: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second implementation runs granite's backbone in eval mode at every step."""
    base, task = untrained(), kit.task(**channels)
    windows = kit.windows(task)
    some = {"validation": windows.take(slice(0, 40)), "max_steps": 12, "learning_rate": 1e-2, "save_every": 4}
    keys = {"dropout": 0.4, "head_dropout": 0.0}
    before = weights(kit.load(task, base, strategy="full"))
    # dropout of the backbone would be seen, were it run in training mode; decoder and head have the other one
    trained = kit.train(kit.load(task, base, strategy="head", **keys), windows, "kept", strategy="head", **some)
    changed = differing(before, weights(trained))
    assert changed
    assert not any(name.startswith("backbone.") for name in changed)
    parts = {name.split(".")[0] for name in changed}
    assert parts == {"decoder", "head"} | ({"multi_quantile_head_block"} if channels else set())
    files = {path.name for path in kit.best("kept").iterdir()}
    assert files == {"config.json", "model.safetensors", "tsfm_ttm.json"}
    np.testing.assert_array_equal(kit.values(kit.load(task, kit.best("kept")), windows), kit.values(trained, windows))

    model = kit.load(task, base, strategy="full", **keys)
    model.network.backbone.requires_grad_(False)
    monkeypatch.setattr(model.network.backbone, "train", lambda mode=True: model.network.backbone)
    run = kit.train(model, windows, "run", strategy="full", **some)
    for name, values in weights(run).items():
        np.testing.assert_allclose(weights(trained)[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    judged = [
        [line["validation"]["rmse"] for line in lines_of(kit, name) if "validation" in line] for name in ("kept", "run")
    ]
    assert len(judged[0]) == 3
    np.testing.assert_allclose(judged[0], judged[1], rtol=1e-4)


@pytest.mark.parametrize("merge", [False, True])
def test_adapters_beside_a_base_in_four_bits(kit: Any, small: dict[str, Any], merge: bool) -> None:
    """Trained beside nf4, merged with the base's own float32: what loading ``best`` gives, to the last bit."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: nothing is held in four bits")
    from tsfm_ttm.network import save

    base, task = kit.folder / "wide", kit.task(**RICH)
    base.mkdir()
    save(kit.load(kit.task(), **small | {"d_model": 64, "decoder_d_model": 64}).network, base)
    windows = kit.windows(task)
    before = weights(kit.load(task, base, strategy="full"))
    section = {"quantization": "nf4", "merge": merge, "target_modules": ["fc1"]}
    trained = kit.train(kit.load(task, base, strategy="lora"), windows, **LORA, lora=section)
    added = ("multi_quantile_head_block.", "head.fcm_block.", ".channel_feature_mixer.")
    changed = differing(before, weights(trained))
    assert {name.split(".")[-2] for name in changed if not any(one in name for one in added)} == {"fc1"}
    assert (kit.best() / ADAPTER_CONFIG).exists() is not merge
    np.testing.assert_array_equal(kit.values(kit.load(task, kit.best()), windows), kit.values(trained, windows))
    plain = kit.load(task, base, strategy="lora")
    kit.train(plain, windows, "plain", **LORA, lora={"target_modules": ["fc1"]})
    first, other = (next(line["loss"] for line in lines_of(kit, name) if "loss" in line) for name in ("run", "plain"))
    assert first != other
    assert first == pytest.approx(other, rel=0.2)
    assert lines_of(kit)[0] == lines_of(kit, "plain")[0], "a weight of four bits is a weight"
