"""Granite's network: built, filled with weights, written back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from tsfm_core import CapabilityError
from tsfm_ttm.checkpoint import CONFIG, WEIGHTS
from tsfm_ttm.from_last import FromLast
from tsfm_ttm.granite import tinytimemixer
from tsfm_ttm.quantiles import add_steps_head
from tsfm_ttm.skip import LinearSkip

__all__ = ["build", "load_weights", "read_weights", "save", "save_config"]

#: The blocks that a task may add to a network of one channel and a point forecast.
_ADDED = ("multi_quantile_head_block.", "head.fcm_block.", ".channel_feature_mixer.")

#: The last layer of each added mixing block; both blocks add their answer to what they were given.
_LAST_OF_ADDED = ("head.fcm_block.mlp", ".channel_feature_mixer.mlp.fc2")


def build(fields: Mapping[str, Any], seed: int) -> Any:
    """Return a ``TinyTimeMixerForPrediction`` in eval mode, drawn by ``seed``; the global generator stays as it is."""
    granite = tinytimemixer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = granite.TinyTimeMixerForPrediction(granite.TinyTimeMixerConfig(**fields))
        if fields.get("forecast_from") == "last":
            network.backbone.scaler = FromLast(fields["context_length"], fields["prediction_length"])
            for parameter in network.head.base_forecast_block.parameters():
                torch.nn.init.zeros_(parameter)  # a network that has learnt nothing adds nothing
        if fields.get("quantile_head") == "steps":
            add_steps_head(network)
        return network.eval()


def load_weights(network: Any, directory: Path, name: str) -> tuple[str, ...]:
    """Fill a network with a checkpoint's weights; blocks that the checkpoint does not have stay random.

    Mixing blocks that stay random begin as the identity: training starts at the checkpoint's forecast.

    :return: the names of these blocks.

    :raises CapabilityError: for weights that are missing, left over, of another shape, or cannot be read.
    """
    weights = _read(directory, name)
    wanted = network.state_dict()
    wrong = [key for key in weights if key not in wanted or weights[key].shape != wanted[key].shape]
    missing = [key for key in wanted if key not in weights]
    wrong += [key for key in missing if not any(block in key for block in _ADDED)]
    if wrong:
        raise CapabilityError(
            f"the weights of {name} do not fit its {CONFIG}: {wrong[0]} and {len(wrong) - 1} more",
            "use a checkpoint of TinyTimeMixerForPrediction",
        )
    network.load_state_dict(weights, strict=False)
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if key in missing and any(layer in key for layer in _LAST_OF_ADDED):
                parameter.zero_()
    return tuple(sorted({_block(key) for key in missing}))


def _block(key: str) -> str:
    """Return the name of the added block that a weight belongs to."""
    block = next(block for block in _ADDED if block in key)
    return f"{key.partition(block)[0]}{block}".rstrip(".")


def read_weights(network: Any, directory: Path) -> None:
    """Fill a network with the weights that :func:`save` wrote."""
    if isinstance(network, LinearSkip):
        network.read(directory, str(directory))
        network = network.network
    network.load_state_dict(_read(directory, str(directory)))


def save(network: Any, directory: Path) -> None:
    """Write a network in granite's own layout: ``from_pretrained`` reads it. A linear skip is a file beside it."""
    if isinstance(network, LinearSkip):
        network.write(directory)
        network = network.network
    save_config(network, directory)
    weights = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    safetensors.torch.save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})


def save_config(network: Any, directory: Path) -> None:
    """Write what granite builds the network from, without its weights."""
    config = network.config.to_dict() | {"architectures": [type(network).__name__], "light_mode": False}
    type(network.config).from_dict(config).to_json_file(directory / CONFIG, use_diff=False)


def _read(directory: Path, name: str) -> dict[str, torch.Tensor]:
    try:
        weights: dict[str, torch.Tensor] = safetensors.torch.load_file(directory / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise CapabilityError(
            f"the weights of {name} cannot be read: {error}", "fetch or train the checkpoint again"
        ) from error
    return weights
