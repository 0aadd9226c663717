"""A network in two parts: what can be frozen and looked up, and the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

__all__ = ["Backbone"]


class Backbone(nn.Module):
    """What a network answers before its head, as a module that stands beside the network and lists none of its weights.

    :param answer: of the network, and of what the module is called with.
    """

    def __init__(self, answer: Callable[..., Any], network: nn.Module) -> None:
        super().__init__()
        self._answer = answer
        self._network = (network,)  # in a tuple it is no submodule

    def forward(self, *given: Any) -> Any:
        """Return the network's answer."""
        return self._answer(self._network[0], *given)
