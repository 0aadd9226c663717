"""Frozen layers in four bits: their values by hand, the layers put back, and what cannot be held so."""

from __future__ import annotations

import sys

import pytest
import torch

from tsfm_core import CapabilityError
from tsfm_torch import Adapted, LoraSection, add_adapters
from tsfm_torch.quantization import Quantized, count_weights, require_bitsandbytes

CPU = torch.device("cpu")

#: The sixteen values of nf4 (Dettmers et al. 2023, appendix E), to seven digits.
NF4 = torch.tensor(
    [
        *(-1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0),
        *(0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0),
    ]
)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(64, 128), torch.nn.Linear(128, 8, bias=False)

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.second(torch.relu(self.first(past)))
        return answer


def nearest(weight: torch.Tensor) -> torch.Tensor:
    """Return each block of 64 as multiples of its largest size, each the nearest of the sixteen values."""
    blocks = weight.detach().reshape(-1, 64)
    largest = blocks.abs().amax(dim=1, keepdim=True)
    chosen = (blocks / largest)[..., None].sub(NF4).abs().argmin(dim=2)
    return (NF4[chosen] * largest).reshape(weight.shape)


@pytest.fixture(scope="module", autouse=True)
def _bitsandbytes() -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: nothing is held in four bits")


def test_a_frozen_layer_holds_the_nearest_values_and_comes_back() -> None:
    torch.manual_seed(0)
    net = Net().requires_grad_(False)
    first, second = net.first, net.second
    past = torch.randn(5, 64)
    expected = torch.relu(past @ nearest(first.weight).T + first.bias) @ nearest(second.weight).T
    plain = net(past)
    held = Quantized.hold(net, CPU)
    assert set(held.layers) == {"first", "second"}
    for mode in (True, False, True):
        torch.testing.assert_close(net.train(mode)(past), expected, rtol=1e-4, atol=1e-5)
    assert count_weights(net) == (0, 64 * 128 + 128 + 128 * 8)
    assert (plain - expected).abs().max() > 1e-3
    held.restore(CPU)
    assert (net.first, net.second) == (first, second)
    assert torch.equal(net(past), plain)


def test_what_is_trained_is_not_held() -> None:
    net = Net()
    net.second.requires_grad_(False)
    assert set(Quantized.hold(net, CPU).layers) == {"second"}


def test_adapters_learn_beside_layers_in_four_bits() -> None:
    """As beside float32 layers of the same nf4 values; merged, they stand on the first weights."""
    torch.manual_seed(0)
    net, twin = Net(), Net()
    twin.load_state_dict({name: values.clone() for name, values in net.state_dict().items()})
    first = {name: values.clone() for name, values in net.state_dict().items()}
    past = torch.randn(7, 64)
    section = LoraSection(rank=2, quantization="nf4")
    adapted = Adapted.begin(add_adapters(net, section, ("first", "second"), seed=3), section, CPU)
    with torch.no_grad():
        for layer in (twin.first, twin.second):
            layer.weight.copy_(nearest(layer.weight))
    add_adapters(twin, LoraSection(rank=2), ("first", "second"), seed=3)
    for one in (net, twin):
        optimizer = torch.optim.SGD([values for values in one.parameters() if values.requires_grad], lr=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            one(past).square().sum().backward()
            optimizer.step()
    adapters = {name: values for name, values in twin.named_parameters() if "lora_" in name}
    assert len(adapters) == 4
    for name, values in adapters.items():
        torch.testing.assert_close(net.get_parameter(name), values, rtol=1e-3, atol=1e-4)
    lora = net.second
    scaling = lora.scaling["default"]
    expected = first["second.weight"] + scaling * lora.lora_B.default.weight @ lora.lora_A.default.weight
    merged = adapted.merged
    assert type(merged.second) is torch.nn.Linear
    torch.testing.assert_close(merged.second.weight, expected)
    assert scaling == 16 / 2


def test_what_cannot_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = torch.nn.ModuleDict({"odd": torch.nn.Linear(96, 64), "good": torch.nn.Linear(64, 96)}).requires_grad_(False)
    assert set(Quantized.hold(odd, CPU).layers) == {"good"}
    said = (
        "holds layers whose inputs are a multiple of 64, and the frozen ones have 96; leave training.lora.quantization"
    )
    with pytest.raises(CapabilityError, match=said):
        Quantized.hold(odd, CPU)
    with pytest.raises(CapabilityError, match="nf4 runs on cpu and cuda, and the device is mps"):
        require_bitsandbytes(torch.device("mps"))
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(
        CapabilityError, match="needs bitsandbytes, which is not installed; pip install 'bitsandbytes>=0"
    ):
        require_bitsandbytes(CPU)
