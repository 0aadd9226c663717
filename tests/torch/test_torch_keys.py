"""Keys of ``training:`` that change how a step is computed: each took effect, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torchkit import CONTEXT, Fitted, Net, noisy_sine, windows_of

from tsfm_core import CapabilityError, ConfigError

Train = Callable[..., Fitted]


def plain_net() -> Net:
    """Return always the same net, without dropout."""
    torch.manual_seed(0)
    return Net(dropout=0.0)


@contextmanager
def gradient_norms() -> Iterator[list[float]]:
    """Collect the norm of all gradients before each step of any optimizer."""
    norms: list[float] = []

    def note(optimizer: torch.optim.Optimizer, *rest: object) -> None:
        gradients = [one.grad.flatten() for group in optimizer.param_groups for one in group["params"]]
        norms.append(float(torch.cat(gradients).norm()))

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield norms
    finally:
        handle.remove()


@pytest.mark.parametrize("passes", [2, 5, 64])
def test_accumulated_gradients_are_those_of_the_whole_batch(train: Train, passes: int) -> None:
    """Truths are missing unevenly, so that passes are the mean over numbers of their own."""
    values = noisy_sine(215)
    values[np.random.default_rng(1).choice(215, 20, replace=False)] = np.nan
    values[60:75] = np.nan
    data = windows_of(values, min_observed=0.01)
    keys = {"num_epochs": 2, "learning_rate": 1e-2, "batch_size": 64}
    with gradient_norms() as expected:
        whole = train(data, module=plain_net(), **keys)
    with gradient_norms() as norms:
        parts = train(data, module=plain_net(), **keys, gradient_accumulation_steps=passes)
    assert max(len(rows) for rows in parts.rows) == -(-64 // passes)
    np.testing.assert_allclose(norms, expected, rtol=1e-4)
    np.testing.assert_allclose(
        [line["loss"] for line in parts.steps], [line["loss"] for line in whole.steps], rtol=1e-4
    )
    for name, values in whole.weights.items():
        np.testing.assert_allclose(parts.weights[name], values, atol=1e-4)


def test_more_passes_than_windows_are_refused() -> None:
    from tsfm_torch import TrainingConfig

    with pytest.raises(ValueError, match="gradient_accumulation_steps is 9, and a step has only 8 windows"):
        TrainingConfig(strategy="full", batch_size=8, gradient_accumulation_steps=9)


def test_gradients_are_clipped(train: Train) -> None:
    with gradient_norms() as free:
        train(num_epochs=2)
    with gradient_norms() as clipped:
        train(num_epochs=2, max_grad_norm=min(free) / 2)
    np.testing.assert_allclose(clipped, min(free) / 2, rtol=1e-4)


class Watched(Net):
    """A net that notes the type of what its layer answers while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()
        self.map.register_forward_hook(lambda layer, given, answer: self.seen.add(answer.dtype))


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_is_of_the_computation_alone(train: Train, precision: str, dtype: torch.dtype) -> None:
    net = Watched()
    fitted = train(None, windows_of(noisy_sine(80)), module=net, precision=precision, num_epochs=1)
    assert net.seen == {dtype}
    assert {values.dtype for values in net.parameters()} == {torch.float32}
    net.seen.clear()
    fitted.module(torch.zeros(1, CONTEXT))
    assert net.seen == {torch.float32}  # autocast is gone with the training


def test_half_precision_is_refused_on_a_cpu(train: Train) -> None:
    with pytest.raises(CapabilityError, match="fp16, which a CPU does not train in; set it to bf16 or fp32"):
        train(precision="fp16", max_steps=1)


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
def test_torch_compile_compiles(train: Train) -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    plain = train(module=plain_net(), max_steps=2)
    assert not counters["stats"]["unique_graphs"]
    compiled = train(module=plain_net(), max_steps=2, torch_compile="aot_eager")
    assert counters["stats"]["unique_graphs"]
    for name, values in plain.weights.items():
        np.testing.assert_allclose(compiled.weights[name], values, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
def test_torch_compile_without_a_compiler_is_refused(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("/no/compiler",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    with pytest.raises(CapabilityError, match="'inductor', which cannot compile this network here: .* a C.. compiler"):
        train(module=Net(dropout=0.5), max_steps=1, torch_compile="inductor")


def test_a_backend_that_torch_compile_does_not_have_is_refused(train: Train) -> None:
    with pytest.raises(ConfigError, match="torch_compile is 'inducter', no backend .*; did you mean 'inductor'"):
        train(max_steps=1, torch_compile="inducter")


def test_frozen_weights_stay(train: Train) -> None:
    net = Net()
    before = {name: values.clone() for name, values in net.state_dict().items()}
    after = train(module=net, num_epochs=1, freeze=["*.bias"]).module.state_dict()
    assert torch.equal(before["map.bias"], after["map.bias"])
    assert not torch.equal(before["map.weight"], after["map.weight"])
    assert all(values.requires_grad for values in net.parameters())


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["head.*"], "training.freeze names 'head.\\*', and no weight has such a name; the names begin with map"),
        (["map.weight", "*.bias"], "leaves nothing to train; name fewer weights"),
    ],
)
def test_patterns_that_freeze_nothing_or_all_are_refused(train: Train, patterns: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(freeze=patterns, max_steps=1)


def test_a_network_without_gradient_checkpointing_is_refused(train: Train) -> None:
    with pytest.raises(CapabilityError, match="gradient_checkpointing is true, and this network does not offer it"):
        train(gradient_checkpointing=True, max_steps=1)
