"""Low-rank adapters, by peft: put into a network, written in peft's own layout, read back and merged."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm_core import CapabilityError, ConfigError
from tsfm_torch.checkpoint import read_json
from tsfm_torch.quantization import Quantized
from tsfm_torch.quiet import quietly
from tsfm_torch.schema import LoraSection

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = [
    "ADAPTER_CONFIG",
    "ADAPTER_WEIGHTS",
    "Adapted",
    "add_adapters",
    "check_same",
    "merge_adapters",
    "open_adapters",
    "read_adapters",
    "require_peft",
    "save_adapters",
]

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass
class Adapted:
    """A network whose adapters are trained.

    :param wrapper: peft's, of the network, which it has changed in place.
    :param quantized: what is held in four bits meanwhile.
    """

    wrapper: Any
    device: torch.device
    quantized: Quantized | None = None

    @classmethod
    def begin(cls, wrapper: Any, section: LoraSection, device: torch.device) -> Adapted:
        """Hold the frozen layers of a wrapped network as ``lora.quantization`` says.

        :raises CapabilityError: for what cannot be held so.
        """
        held = Quantized.hold(wrapper, device) if section.quantization else None
        return cls(wrapper, device, held)

    @cached_property
    def merged(self) -> Any:
        """The network in float32, the adapters added to its weights: the training is over."""
        if self.quantized:
            self.quantized.restore(self.device)
        return self.wrapper.merge_and_unload()


def add_adapters(
    network: nn.Module, section: LoraSection, default_targets: Sequence[str], seed: int, whole: Sequence[str] = ()
) -> Any:
    """Put adapters into ``network``, in place, and freeze everything else; return peft's wrapper of it.

    They are drawn by ``seed``; the CPU's global generator stays as it is.

    :param default_targets: ends of the names of the layers that get one, where ``lora.target_modules`` says nothing;
        one that the network does not have is passed over.
    :param whole: modules that the base does not have: they are trained whole and kept with the adapters.
    :raises CapabilityError: where peft is not installed.
    :raises ConfigError: for targets that the network does not have, or that no adapter fits.
    """
    peft = require_peft()
    names = [name for name, _ in network.named_modules()]
    targets = list(section.target_modules or (end for end in default_targets if _ending(names, end)))
    for target in targets:
        if not _ending(names, target):
            ends = sorted({name.rpartition(".")[2] for name in names if name})
            raise ConfigError(
                f"training.lora.target_modules names {target!r}, and the network has no such layer",
                f"its layers end in {', '.join(end for end in ends if not end.isdigit())}",
            )
    config = peft.LoraConfig(
        r=section.rank,
        lora_alpha=section.alpha,
        lora_dropout=section.dropout,
        target_modules=targets,
        modules_to_save=list(whole) or None,
    )
    import torch

    try:
        with quietly(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return peft.get_peft_model(network, config)
    except ValueError as error:  # a layer of a kind that peft has no adapter for
        said = f"training.lora.target_modules {', '.join(targets)}: {str(error).splitlines()[0]}"
        raise ConfigError(said, "name linear layers") from error


def _ending(names: Sequence[str], end: str) -> bool:
    return any(name == end or name.endswith(f".{end}") for name in names)


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
    merged = open_adapters(network, directory, name).merge_and_unload()
    merged.requires_grad_(True)  # peft has frozen them, and they may be trained further
    return merged


def open_adapters(network: nn.Module, directory: Path, name: str) -> Any:
    """Put the adapters of a directory into ``network``, in place, to go on with; return peft's wrapper of it.

    :raises CapabilityError: where peft is not installed, or adapters that cannot be read or do not fit.
    """
    import torch

    peft = require_peft()
    kind = read_json(directory / ADAPTER_CONFIG, name).get("peft_type")
    if kind != "LORA":
        raise CapabilityError(f"{name} holds adapters of the kind {kind!r}, not LORA", "use adapters of that kind")
    wanted = _adapter_keys(directory, name)
    try:
        with quietly(), torch.random.fork_rng(devices=[]):  # they are drawn before they are read
            wrapper = peft.PeftModel.from_pretrained(network, str(directory), is_trainable=True)
    except Exception as error:  # whatever peft makes of the two files
        said = " ".join(str(error).split())
        raise CapabilityError(f"the adapters of {name} cannot be read: {said}", "fetch or train them again") from error
    held = set(peft.get_peft_model_state_dict(wrapper, save_embedding_layers=False))
    if wanted != held:
        odd = sorted(wanted ^ held)
        raise CapabilityError(
            f"the adapters of {name} do not fit its base: {odd[0]} and {len(odd) - 1} more", "train them again"
        )
    return wrapper


def check_same(section: LoraSection, wrapper: Any, name: str) -> None:
    """Check that the keys of ``training.lora`` that are given say what the adapters in ``wrapper`` are.

    :param name: of their checkpoint.
    :raises ConfigError: for one that says otherwise.
    """
    settings = wrapper.peft_config["default"]
    targets = settings.target_modules
    held = {
        "rank": settings.r,
        "alpha": settings.lora_alpha,
        "dropout": settings.lora_dropout,
        "target_modules": targets if isinstance(targets, str) else tuple(sorted(targets)),
    }
    for key, was in held.items():
        value = getattr(section, key)
        if isinstance(value, tuple):
            value = tuple(sorted(value))
        if key in section.model_fields_set and value is not None and value != was:
            raise ConfigError(
                f"training.lora.{key} is {_shown(value)}, but the adapters in {name} that are trained further have "
                f"{_shown(was)}",
                f"leave training.lora.{key} out, or set model.checkpoint to whole weights",
            )


def _shown(value: Any) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)


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
