"""Low-rank adapters, by peft: put into a network, written in peft's own layout, read back and merged."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm_core import CapabilityError, ConfigError
from tsfm_torch.checkpoint import read_json
from tsfm_torch.quiet import quietly
from tsfm_torch.schema import LoraSection

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ADAPTER_CONFIG",
    "ADAPTER_WEIGHTS",
    "add_adapters",
    "merge_adapters",
    "read_adapters",
    "require_peft",
    "save_adapters",
]

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def add_adapters(network: nn.Module, section: LoraSection, default_targets: Sequence[str], seed: int) -> Any:
    """Put adapters into ``network``, in place, and freeze everything else; return peft's wrapper of it.

    They are drawn by ``seed``; the CPU's global generator stays as it is.

    :param default_targets: ends of the names of the layers that get one, where ``lora.target_modules`` says nothing.
    :raises CapabilityError: where peft is not installed.
    :raises ConfigError: for targets that the network does not have, or that no adapter fits.
    """
    peft = require_peft()
    targets = list(section.target_modules or default_targets)
    names = [name for name, _ in network.named_modules()]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            ends = sorted({name.rpartition(".")[2] for name in names if name})
            raise ConfigError(
                f"training.lora.target_modules names {target!r}, and the network has no such layer",
                f"its layers end in {', '.join(end for end in ends if not end.isdigit())}",
            )
    config = peft.LoraConfig(
        r=section.rank, lora_alpha=section.alpha, lora_dropout=section.dropout, target_modules=targets
    )
    import torch

    try:
        with quietly(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return peft.get_peft_model(network, config)
    except ValueError as error:  # a layer of a kind that peft has no adapter for
        said = f"training.lora.target_modules {', '.join(targets)}: {str(error).splitlines()[0]}"
        raise ConfigError(said, "name linear layers") from error


def save_adapters(wrapper: Any, directory: Path, base: str) -> None:
    """Write the adapters alone.

    :param base: the checkpoint that they belong to, a directory or a hub name, as peft will look for it.
    """
    wrapper.peft_config["default"].base_model_name_or_path = base
    with quietly():
        wrapper.save_pretrained(str(directory), save_embedding_layers=False)
    (directory / "README.md").unlink(missing_ok=True)  # a form to fill in


def read_adapters(wrapper: Any, directory: Path) -> None:
    """Fill the adapters of a network with what :func:`save_adapters` wrote."""
    from safetensors.torch import load_file

    require_peft().set_peft_model_state_dict(wrapper, load_file(directory / ADAPTER_WEIGHTS))


def merge_adapters(network: nn.Module, directory: Path, name: str) -> Any:
    """Return ``network`` with the adapters of a directory merged into its weights.

    :raises CapabilityError: where peft is not installed, or adapters that cannot be read or do not fit.
    """
    peft = require_peft()
    kind = read_json(directory / ADAPTER_CONFIG, name).get("peft_type")
    if kind != "LORA":
        raise CapabilityError(f"{name} holds adapters of the kind {kind!r}, not LORA", "use adapters of that kind")
    wanted = _adapter_keys(directory, name)
    try:
        with quietly():
            wrapper = peft.PeftModel.from_pretrained(network, str(directory))
    except Exception as error:  # whatever peft makes of the two files
        said = " ".join(str(error).split())
        raise CapabilityError(f"the adapters of {name} cannot be read: {said}", "fetch or train them again") from error
    held = set(peft.get_peft_model_state_dict(wrapper, save_embedding_layers=False))
    if wanted != held:
        odd = sorted(wanted ^ held)
        raise CapabilityError(
            f"the adapters of {name} do not fit its base: {odd[0]} and {len(odd) - 1} more", "train them again"
        )
    merged = wrapper.merge_and_unload()
    merged.requires_grad_(True)  # peft has frozen them, and they may be trained further
    return merged


def _adapter_keys(directory: Path, name: str) -> set[str]:
    from safetensors import SafetensorError, safe_open

    file = directory / ADAPTER_WEIGHTS
    if not file.is_file():
        raise ConfigError(f"the checkpoint {name} has no {ADAPTER_WEIGHTS}", "set model.checkpoint to a complete one")
    try:
        with safe_open(file, "pt") as weights:
            return set(weights.keys())
    except (SafetensorError, OSError) as error:
        raise CapabilityError(f"the adapters of {name} cannot be read: {error}", "fetch or train them again") from error


def require_peft() -> Any:
    """Return peft.

    :raises CapabilityError: where it is not installed.
    """
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise CapabilityError("adapters (lora) need peft, which is not installed", "pip install peft") from error
