"""The networks: built, filled with weights, written back, in the layout of chronos-forecasting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from tsfm_chronos.checkpoint import Checkpoint
from tsfm_chronos.families.family import Family
from tsfm_chronos.upstream import quietly
from tsfm_core import CapabilityError

__all__ = ["build", "load_weights", "read_weights", "save"]

_AGAIN = "fetch or train the checkpoint again"


def build(family: Family, config: Mapping[str, Any], seed: int) -> Any:
    """Return a network of ``config`` drawn by ``seed``; the CPU's global generator stays as it is.

    :raises CapabilityError: for a configuration that upstream cannot build.
    """
    with _described(family, f"a new {family.name}"), quietly(), torch.random.fork_rng(devices=[]):
        made, kind = family.classes(config)
        torch.manual_seed(seed)
        return kind(made)


def load_weights(family: Family, config: Mapping[str, Any], checkpoint: Checkpoint) -> Any:
    """Return a network in float32 with a checkpoint's whole weights.

    :raises CapabilityError: for weights that are missing, left over, of another shape, or cannot be read.
    """
    name = checkpoint.name
    with _described(family, name), quietly(), torch.device("meta"):
        made, kind = family.classes(config)
        kind(made)
    held = _keys(checkpoint)
    try:
        with quietly(), torch.random.fork_rng(devices=[]):
            network, told = kind.from_pretrained(
                str(checkpoint.directory),
                config=family.classes(config)[0],
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # told below
                output_loading_info=True,
            )
    except Exception as error:  # whatever transformers makes of the files
        said = " ".join(str(error).split())
        raise CapabilityError(f"the weights of {name} cannot be read: {said}", _AGAIN) from error
    wrong = [*_lost(network, held), *sorted(told["unexpected_keys"])]
    wrong += sorted(one if isinstance(one, str) else one[0] for one in told["mismatched_keys"])
    if wrong:
        said = f"the weights of {name} do not fit its config.json: {wrong[0]} and {len(wrong) - 1} more"
        raise CapabilityError(said, _AGAIN)
    return network


def _lost(network: Any, held: set[str]) -> list[str]:
    """Return the weights that a file holds under none of their names: tied ones have several."""
    names: dict[int, list[str]] = {}
    for name, values in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(values), []).append(name)
    return [several[0] for several in names.values() if held.isdisjoint(several)]


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
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        said = f"{name}: config.json does not describe a network of {family.name}: {why}"
        raise CapabilityError(said, _AGAIN) from error


def _keys(checkpoint: Checkpoint) -> set[str]:
    keys: set[str] = set()
    for file in checkpoint.weights():
        try:
            with safe_open(file, "pt") as weights:
                keys.update(weights.keys())
        except (SafetensorError, OSError) as error:
            said = f"the weights of {checkpoint.name} cannot be read: {error}"
            raise CapabilityError(said, _AGAIN) from error
    return keys
