"""Adapters: put in, written, read back and merged; by hand on a network of two layers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tsfm_core import ConfigError
from tsfm_torch import (
    ADAPTER_CONFIG,
    AdapterTraining,
    LoraSection,
    add_adapters,
    merge_adapters,
    quietly,
    read_adapters,
    save_adapters,
)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(6, 5), torch.nn.Linear(5, 4)
        self.norm = torch.nn.LayerNorm(4)

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.norm(self.second(torch.relu(self.first(past))))
        return answer


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def trained(section: LoraSection) -> tuple[Net, object]:
    """Return a network whose adapters were moved, and peft's wrapper of it."""
    network = net()
    wrapper = add_adapters(network, section, ("second",), seed=3)
    with torch.no_grad():
        for name, values in network.named_parameters():
            if "lora_B" in name:
                values.copy_(torch.arange(values.numel()).view_as(values) / 10)
    return network, wrapper


def test_only_adapters_are_trained_and_they_begin_as_nothing() -> None:
    past = torch.randn(3, 6)
    network = net()
    before = network(past)
    add_adapters(network, LoraSection(rank=2), ("second",), seed=3)
    assert torch.equal(network(past), before)
    assert {name for name, values in network.named_parameters() if values.requires_grad} == {
        "second.lora_A.default.weight",
        "second.lora_B.default.weight",
    }


def test_the_seed_draws_them_and_the_global_generator_stays() -> None:
    def drawn(seed: int) -> torch.Tensor:
        network = net()
        state = torch.get_rng_state()
        add_adapters(network, LoraSection(), ("second",), seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        weight: torch.Tensor = network.second.lora_A["default"].weight
        return weight

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_merged_they_are_alpha_over_rank_times_their_product(tmp_path: Path) -> None:
    network, wrapper = trained(LoraSection(rank=2, alpha=6, target_modules=("second",)))
    save_adapters(wrapper, tmp_path, "someone/their-model")
    assert json.loads((tmp_path / ADAPTER_CONFIG).read_text())["base_model_name_or_path"] == "someone/their-model"
    assert {file.name for file in tmp_path.iterdir()} == {ADAPTER_CONFIG, "adapter_model.safetensors"}
    down, up = network.second.lora_A["default"].weight, network.second.lora_B["default"].weight
    expected = net().second.weight + 6 / 2 * up @ down
    merged = merge_adapters(net(), tmp_path, "mine")
    torch.testing.assert_close(merged.second.weight, expected)
    past = torch.randn(4, 6)
    torch.testing.assert_close(merged(past), network(past))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    network, wrapper = trained(LoraSection(rank=2))
    past = torch.randn(4, 6)
    before = network(past)
    save_adapters(wrapper, tmp_path, "base")
    with torch.no_grad():
        network.second.lora_B["default"].weight.zero_()
    assert not torch.equal(network(past), before)
    read_adapters(wrapper, tmp_path)
    assert torch.equal(network(past), before)


def test_targets_must_be_layers() -> None:
    said = "target_modules names 'third', and the network has no such layer; its layers end in first, norm, second"
    with pytest.raises(ConfigError, match=said):
        add_adapters(net(), LoraSection(target_modules=("third",)), ("second",), seed=0)
    with pytest.raises(ConfigError, match="target_modules norm: .*; name linear layers"):
        add_adapters(net(), LoraSection(target_modules=("norm",)), ("second",), seed=0)


def test_what_is_stored_can_be_read_again() -> None:
    config = AdapterTraining(strategy="lora", lora=LoraSection(rank=4, target_modules=("q",)))
    stored = json.dumps(config.model_dump(mode="json", exclude_none=True))
    assert AdapterTraining.model_validate_json(stored, strict=True) == config


def test_quiet_inside_and_as_before_outside(caplog: pytest.LogCaptureFixture) -> None:
    import logging
    import warnings

    from transformers.utils import logging as hub_logging

    logger = logging.getLogger("talkative")
    logger.setLevel(logging.INFO)
    assert hub_logging.is_progress_bar_enabled()
    with quietly("talkative"):
        assert not hub_logging.is_progress_bar_enabled()
        warnings.warn("advice", stacklevel=1)
        logger.warning("advice")
    logger.info("news")
    assert hub_logging.is_progress_bar_enabled()
    assert caplog.messages == ["news"]
