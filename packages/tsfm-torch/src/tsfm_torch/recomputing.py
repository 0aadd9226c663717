"""Gradient checkpointing: activations that are computed twice rather than kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
        network.gradient_checkpointing_enable({"use_reentrant": False})
    try:
        if not any(getattr(one, "gradient_checkpointing", False) for one in module.modules()):
            raise CapabilityError(
                "training.gradient_checkpointing is true, and this network does not offer it",
                "leave it out; training.gradient_accumulation_steps saves memory too",
            )
        yield
    finally:
        for network in networks:
            network.gradient_checkpointing_disable()
