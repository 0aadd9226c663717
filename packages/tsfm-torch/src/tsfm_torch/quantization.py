"""Frozen linear layers in four bits while adapters are trained beside them (QLoRA, Dettmers et al. 2023)."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from tsfm_core import CapabilityError
from tsfm_torch.quiet import quietly

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Quantized", "count_weights", "require_bitsandbytes"]

_DEVICES = ("cpu", "cuda")

#: So many weights share a scale. Where a layer's inputs are no multiple of it, bitsandbytes 0.50 takes other weights'
#: scale on a CPU, without a word.
_BLOCK = 64


@dataclass(frozen=True)
class Quantized:
    """The layers of a network that stand in for others, and those others, in float32 in main memory.

    :param layers: what was there, by its place in the network.
    """

    network: nn.Module
    layers: dict[str, nn.Module]

    @classmethod
    def hold(cls, network: nn.Module, device: torch.device) -> Quantized:
        """Replace every frozen linear layer of ``network``, in place, by one that holds the nearest nf4 values.

        One whose inputs are no multiple of 64 stays as it is.

        :raises CapabilityError: without bitsandbytes, for a device that it does not serve, or where no layer can be
            held so.
        """
        import torch

        bitsandbytes = require_bitsandbytes(device)
        linear = {
            name: layer
            for name, layer in network.named_modules()
            # the very class: others' forward may not be a product alone; an original is not run beside its copy
            if type(layer) is torch.nn.Linear and not layer.weight.requires_grad and ".original_module" not in name
        }
        layers: dict[str, Any] = {name: one for name, one in linear.items() if not one.in_features % _BLOCK}
        if not layers:
            inputs = sorted({one.in_features for one in linear.values()})
            raise CapabilityError(
                f"training.lora.quantization nf4 holds layers whose inputs are a multiple of {_BLOCK}, and the frozen "
                f"ones have {', '.join(map(str, inputs)) or 'none'}",
                "leave training.lora.quantization out",
            )
        for name, layer in layers.items():
            _put(network, name, _in_nf4(bitsandbytes, layer, device))
            layer.to("cpu")
        return cls(network, layers)

    def restore(self, device: torch.device) -> None:
        """Put the layers back that were there."""
        for name, layer in self.layers.items():
            _put(self.network, name, layer.to(device))


def require_bitsandbytes(device: torch.device) -> Any:
    """Return bitsandbytes.

    :raises CapabilityError: where it is not installed, or does not serve ``device``.
    """
    if device.type not in _DEVICES:
        raise CapabilityError(
            f"training.lora.quantization nf4 runs on {' and '.join(_DEVICES)}, and the device is {device}",
            "leave training.lora.quantization out, or set runtime.device",
        )
    try:
        with quietly("bitsandbytes"):
            return importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise CapabilityError(
            "training.lora.quantization nf4 needs bitsandbytes, which is not installed",
            "pip install 'bitsandbytes>=0.50', or leave training.lora.quantization out",
        ) from error


def count_weights(module: nn.Module) -> tuple[int, int]:
    """Return how many weights of ``module`` are trained, and how many it has; one of four bits counts as one."""
    counts = [
        (values.requires_grad, prod(values.quant_state.shape) if hasattr(values, "quant_state") else values.numel())
        for values in module.parameters()
    ]
    return sum(count for trained, count in counts if trained), sum(count for _, count in counts)


def _in_nf4(bitsandbytes: Any, layer: Any, device: torch.device) -> nn.Module:
    import torch

    held = bitsandbytes.nn.Linear4bit(
        layer.in_features,
        layer.out_features,
        bias=layer.bias is not None,
        compute_dtype=torch.float32,
        quant_type="nf4",
        compress_statistics=False,
        # T5 casts what it feeds a layer to the type of its weight: bytes would cut it to whole numbers
        quant_storage=torch.float32,
    )
    held.load_state_dict(layer.state_dict())
    # else some processors would compute evaluations, and from then on the training, in bfloat16
    held.support_avx512bf16_for_cpu = False
    in_place: nn.Module = held.requires_grad_(False).train(layer.training).to(device)
    return in_place


def _put(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, layer)
