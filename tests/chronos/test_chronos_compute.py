"""How the networks compute while they train: activations twice, or in half the bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tsfm_core import CapabilityError

KEYS = {"strategy": "from_scratch", "max_steps": 3, "learning_rate": 1e-2}


def weights(model: Any) -> dict[str, np.ndarray]:
    return {name: values.numpy().copy() for name, values in model.network.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "strategy"), [("chronos_bolt", "from_scratch"), ("chronos_bolt", "lora"), ("chronos_t5", "from_scratch")]
)
def test_activations_are_computed_twice(
    kits: Any, untrained: Callable[..., Path], small: dict[str, dict[str, Any]], name: str, strategy: str
) -> None:
    """Each block is entered again in a step's backward pass; what is learnt is the same, also with dropout."""
    kit = kits(name)
    task = kit.task(prediction_length=16)
    windows = kit.windows(task)
    base = untrained(name) if strategy == "lora" else None
    entered, learnt = [], []
    for twice in (False, True):
        sizes = {} if base else small[name]
        model = kit.load(task, base, strategy=strategy, **sizes | {"dropout_rate": 0.2})
        layers = [one.layer[0] for one in model.network.modules() if type(one).__name__ == "T5Block"]
        times = dict.fromkeys(layers, 0)

        def count(layer: torch.nn.Module, given: Any, times: dict[torch.nn.Module, int] = times) -> None:
            times[layer] += 1

        for layer in layers:
            layer.register_forward_pre_hook(count)
        keys = KEYS | {"strategy": strategy, "gradient_checkpointing": twice}
        trained = kit.train(model, windows, f"twice {twice}", **keys)
        entered.append(set(times.values()))
        learnt.append(weights(trained))
        embedding = model.network.get_input_embeddings()
        assert not embedding(torch.tensor([0])).requires_grad, "as it is where the checkpoint is loaded"
        assert not any(getattr(one, "gradient_checkpointing", False) for one in model.network.modules())
    assert entered == [{3}, {6}]
    for key, values in learnt[0].items():
        np.testing.assert_array_equal(learnt[1][key], values, err_msg=key)


def test_chronos_2_refuses_to_compute_twice(kits: Any, small: dict[str, dict[str, Any]]) -> None:
    kit = kits("chronos")
    task = kit.task(prediction_length=16)
    model = kit.load(task, **small["chronos"])
    with pytest.raises(CapabilityError, match="gradient_checkpointing is true, and this network does not offer it"):
        kit.train(model, kit.windows(task), **KEYS, gradient_checkpointing=True)


def test_half_the_bits_are_of_the_training_alone(kits: Any, small: dict[str, dict[str, Any]]) -> None:
    """Layers answer in bfloat16 while they learn; weights and forecasts are float32, and come back from the disk."""
    kit = kits("chronos")
    task = kit.task(prediction_length=16, quantile_levels=(0.1, 0.5, 0.9))
    windows = kit.windows(task)
    model = kit.load(task, **small["chronos"])
    seen: set[torch.dtype] = set()
    for layer in model.network.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda layer, given, answer: seen.add(answer.dtype))
    trained = kit.train(model, windows, precision="bf16", **KEYS)
    assert seen == {torch.bfloat16}
    assert {values.dtype for values in trained.network.parameters()} == {torch.float32}
    seen.clear()
    some = windows.take(slice(0, 9))
    forecasts = kit.predict(trained, some).quantiles
    assert seen == {torch.float32}
    assert forecasts.dtype == np.float32
    np.testing.assert_array_equal(kit.predict(kit.load(task, kit.best()), some).quantiles, forecasts)
    plain = kit.train(kit.load(task, **small["chronos"]), windows, "plain", **KEYS)
    assert np.abs(kit.predict(plain, some).quantiles - forecasts).max() > 0
