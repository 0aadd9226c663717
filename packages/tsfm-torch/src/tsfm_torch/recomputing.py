"""Gradient checkpointing: activations that are computed twice rather than kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tsfm_core import CapabilityError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["recomputing"]


@contextmanager
def recomputing(module: nn.Module, wanted: bool) -> Iterator[None]:
    """Let the networks in ``module`` compute their activations twice inside, where it is wanted.

    :raises CapabilityError: for a network that offers no gradient checkpointing.
    """
    if not wanted:
        yield
        return
    from transformers import PreTrainedModel

    networks = [
        one for one in module.modules() if isinstance(one, PreTrainedModel) and one.supports_gradient_checkpointing
    ]
    for network in networks:
        _switch(network, "enable", {"use_reentrant": False})
        if hasattr(network, "_require_grads_hook"):  # nothing would take it away again, and it is not needed here
            network.disable_input_require_grads()
    try:
        if not any(getattr(one, "gradient_checkpointing", False) for one in module.modules()):
            raise CapabilityError(
                "training.gradient_checkpointing is true, and this network does not offer it",
                "leave it out; training.gradient_accumulation_steps saves memory too",
            )
        yield
    finally:
        for network in networks:
            _switch(network, "disable")


def _switch(network: Any, how: str, *arguments: Any) -> None:
    """Call the method of transformers 5, which warns of the older name, or that of transformers 4."""
    new = getattr(network, f"activation_checkpointing_{how}", None)
    (new or getattr(network, f"gradient_checkpointing_{how}"))(*arguments)
