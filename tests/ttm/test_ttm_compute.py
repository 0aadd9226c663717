"""How the network computes while it trains: in half the bits, and no activation twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tsfm_core import CapabilityError

KEYS = {"strategy": "from_scratch", "max_steps": 3, "learning_rate": 1e-2}


def test_half_the_bits_are_of_the_training_alone(kit: Any, small: dict[str, Any]) -> None:
    """Layers answer in bfloat16 while they learn; weights and forecasts are float32, and come back from the disk."""
    task = kit.task(past_covariates=("iob",), quantile_levels=(0.1, 0.5, 0.9))
    windows = kit.windows(task)
    model = kit.load(task, **small)
    seen: set[torch.dtype] = set()
    for layer in model.network.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda layer, given, answer: seen.add(answer.dtype))
    trained = kit.train(model, windows, precision="bf16", **KEYS)
    assert seen == {torch.bfloat16}
    assert {values.dtype for values in trained.network.parameters()} == {torch.float32}
    seen.clear()
    forecasts = kit.values(trained, windows)
    assert seen == {torch.float32}
    assert forecasts.dtype == np.float32
    np.testing.assert_array_equal(kit.values(kit.load(task, kit.best()), windows), forecasts)
    plain = kit.train(kit.load(task, **small), windows, "plain", **KEYS)
    assert np.abs(kit.values(plain, windows) - forecasts).max() > 0


def test_it_refuses_to_compute_activations_twice(kit: Any, small: dict[str, Any]) -> None:
    task = kit.task()
    with pytest.raises(CapabilityError, match="gradient_checkpointing is true, and this network does not offer it"):
        kit.train(kit.load(task, **small), kit.windows(task), **KEYS, gradient_checkpointing=True)
