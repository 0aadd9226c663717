"""The networks: built, filled with weights, written back, in the layout of chronos-forecasting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from tsfm_chronos.families.family import Family
from tsfm_chronos.upstream import quietly
from tsfm_core import CapabilityError

__all__ = ["build", "load_weights", "read_weights", "save"]

_AGAIN = "fetch or train the checkpoint again"


def build(family: Family, config: Mapping[str, Any], seed: int) -> Any:
    """Return a network of ``config`` drawn by ``seed``; the global generator stays as it is.

    :raises CapabilityError: for a configuration that upstream cannot build.
    """
    name = f"a new {family.name}"
    with _described(family, name), quietly(), torch.random.fork_rng(devices=[]):
        made, kind = family.classes(config)
        torch.manual_seed(seed)
        return kind(made)


def load_weights(family: Family, config: Mapping[str, Any], directory: Path, name: str) -> Any:
    """Return a network in float32 with the weights of a directory.

    :raises CapabilityError: for weights that are missing, left over, of another shape, or cannot be read.
    """
    held = _keys(directory, name)
    try:
        with _described(family, name), quietly(), torch.random.fork_rng(devices=[]):
            made, kind = family.classes(config)
            network, told = kind.from_pretrained(
                str(directory),
                config=made,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise CapabilityError(f"the weights of {name} cannot be read: {said}", _AGAIN) from error
    wrong = [*(key for key, _ in network.named_parameters() if key not in held)]
    wrong += sorted(told["unexpected_keys"]) + [str(key) for key in told["mismatched_keys"]]
    if wrong:
        said = f"the weights of {name} do not fit its config.json: {wrong[0]} and {len(wrong) - 1} more"
        raise CapabilityError(said, _AGAIN)
    return network


def read_weights(network: Any, directory: Path) -> None:
    """Fill a network with the weights that :func:`save` wrote."""
    safetensors.torch.load_model(network, directory / "model.safetensors")


def save(network: Any, directory: Path) -> None:
    """Write a network as chronos-forecasting reads it."""
    with quietly():
        network.save_pretrained(str(directory), max_shard_size="100GB")


@contextmanager
def _described(family: Family, name: str) -> Iterator[None]:
    """Say in a sentence where upstream cannot build what config.json describes."""
    try:
        yield
    except (AssertionError, TypeError, AttributeError, KeyError) as error:
        said = f"{name}: config.json does not describe a network of {family.name}: {error or type(error).__name__}"
        raise CapabilityError(said, _AGAIN) from error


def _keys(directory: Path, name: str) -> set[str]:
    keys: set[str] = set()
    for file in directory.glob("*.safetensors"):
        try:
            with safe_open(file, "pt") as weights:
                keys.update(weights.keys())
        except (SafetensorError, OSError) as error:
            raise CapabilityError(f"the weights of {name} cannot be read: {error}", _AGAIN) from error
    return keys
