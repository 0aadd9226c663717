"""Weights that stay as they are, chosen by their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tsfm_core import ConfigError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["frozen"]


@contextmanager
def frozen(module: nn.Module, patterns: Sequence[str]) -> Iterator[None]:
    """Keep the weights whose names match one of the patterns from being trained inside.

    :raises ConfigError: for a pattern that matches no name, or patterns that leave nothing to train.
    """
    held = []
    for pattern in patterns:
        matching = [values for name, values in module.named_parameters() if fnmatchcase(name, pattern)]
        if not matching:
            tops = dict.fromkeys(name.partition(".")[0] for name, _ in module.named_parameters())
            raise ConfigError(
                f"training.freeze names {pattern!r}, and no weight has such a name",
                f"the names begin with {', '.join(tops)}",
            )
        held += [values for values in matching if values.requires_grad]
    for values in held:
        values.requires_grad_(False)
    try:
        if not any(values.requires_grad for values in module.parameters()):
            raise ConfigError(f"training.freeze {', '.join(patterns)} leaves nothing to train", "name fewer weights")
        yield
    finally:
        for values in held:
            values.requires_grad_(True)
