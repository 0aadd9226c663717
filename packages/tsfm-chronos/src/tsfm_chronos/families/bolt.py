"""Chronos-Bolt: a T5 of patches whose head gives all quantiles of all steps at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tsfm_chronos.families.cut import Backbone
from tsfm_chronos.families.family import Answer, Floats, Rows, check_lengths, check_levels, truth_of
from tsfm_chronos.families.quantiles import Levels, give, in_unit, interpolated, pinball_sum, sizes_of
from tsfm_chronos.upstream import quietly, upstream
from tsfm_core import Task, Windows

if TYPE_CHECKING:
    from tsfm_chronos.model import Chronos

__all__ = ["FAMILY", "Bolt"]

_BATCH = 256


class Bolt:
    """The family of Chronos-Bolt."""

    name = "chronos_bolt"
    adapter_targets: tuple[str, ...] = ("q", "k", "v", "o", "output_patch_embedding.output_layer")
    head = "output_patch_embedding"
    draws = False
    facts: Mapping[str, type] = {
        "context_length": int,
        "prediction_length": int,
        "input_patch_size": int,
        "quantiles": list,
    }

    def random_config(self, sizes: Mapping[str, Any], task: Task) -> dict[str, Any]:
        """Return config.json of a new network: as long as the task, with the recipe of the published ones."""
        patch = sizes["patch_size"]
        chronos = {
            "context_length": task.context_length,
            "prediction_length": task.prediction_length,
            "input_patch_size": patch,
            "input_patch_stride": patch,
            "quantiles": list(sizes["quantiles"]),
            "use_reg_token": True,
        }
        layers = ("d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "dropout_rate")
        return {
            **{key: sizes[key] for key in layers},
            "model_type": "t5",
            "vocab_size": 2,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "decoder_start_token_id": 0,
            "initializer_factor": 0.05,
            "architectures": ["ChronosBoltModelForForecasting"],
            "chronos_pipeline_class": "ChronosBoltPipeline",
            "chronos_config": chronos,
        }

    def classes(self, config: Mapping[str, Any]) -> tuple[Any, type[Any]]:
        """Return the configuration as upstream's object, and the network's class."""
        from transformers import T5Config

        kind = upstream("chronos_bolt").ChronosBoltModelForForecasting
        if not isinstance(config.get("decoder_start_token_id"), int):
            raise TypeError(f"decoder_start_token_id {config.get('decoder_start_token_id')}")
        if list(config.get("architectures") or [kind.__name__]) != [kind.__name__]:
            raise TypeError(str(config["architectures"][0]))
        return T5Config.from_dict(dict(config)), kind

    def sizes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return what ``model:`` calls the sizes in config.json."""
        return sizes_of(config)

    def lengthen(self, config: dict[str, Any], task: Task) -> None:
        """Leave it: the head's horizon is fixed."""

    def check(self, config: Mapping[str, Any], section: Any, task: Task, name: str, trains: bool) -> None:
        """Check context, horizon and levels."""
        chronos = config["chronos_config"]
        check_lengths(chronos["context_length"], chronos["prediction_length"], task, name, trains)
        check_levels(tuple(chronos["quantiles"]), task, name)

    def batch_size(self, task: Task, section: Any, config: Mapping[str, Any]) -> int:
        """Return how many windows make a forward pass."""
        return _BATCH

    def ready(self, network: Any, task: Task) -> Any:
        """Return the network; peft looks for its embedding where T5 has one."""
        network.get_input_embeddings = lambda: network.shared
        return network

    def module(self, network: Any, task: Task) -> nn.Module:
        """Return what is trained."""
        return _Module(network, task.prediction_length)

    def batch(self, network: Any, windows: Windows, rows: Rows) -> dict[str, Tensor]:
        """Gather ``context [B, C]``, NaN where nothing was observed."""
        batch = {"context": torch.from_numpy(windows.inputs(rows).target)}
        truth = truth_of(windows, rows)
        return batch if truth is None else batch | {"truth": torch.from_numpy(truth)}

    def loss(self, network: Any, answer: Answer, batch: Mapping[str, Tensor]) -> Tensor:
        """Return twice the pinball loss on the window's own scale: the mean over levels, the mean over what was
        observed, times the horizon. Upstream sums the steps, so that a missing one lowers its loss.
        """
        values, loc, scale = answer
        truth, _ = network.instance_norm(batch["truth"], (loc, scale))
        each = pinball_sum(values, truth, network.quantiles) / torch.isfinite(truth).sum().clamp(min=1)
        loss: Tensor = each * (2 * truth.shape[1] / len(network.quantiles))
        return loss

    def weight(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the number of truths that were observed."""
        return torch.isfinite(batch["truth"]).sum()

    def forecast(self, model: Chronos, windows: Windows, rows: Rows) -> tuple[Floats | None, Floats | None]:
        """Return the quantiles, or the median that this model calls its mean where no level is asked for.

        Past its horizon the network goes on from all its quantile paths: upstream's rule.
        """
        network, task = model.network, model.task
        context = self.batch(network, windows, rows)["context"].to(model.device)
        if task.prediction_length <= network.chronos_config.prediction_length:
            values = in_unit(network, _answer(network, context, task.prediction_length))
        else:
            with quietly():
                values = upstream().ChronosBoltPipeline(network).predict(context, task.prediction_length)
        return give(values, tuple(network.chronos_config.quantiles), task.quantile_levels, _between)


class _Module(nn.Module):
    def __init__(self, network: Any, prediction_length: int) -> None:
        super().__init__()
        self.network = network
        self.backbone = Backbone(_decoded, network)
        self._prediction_length = prediction_length

    def forward(self, batch: dict[str, Tensor]) -> Answer:
        return _quantiles(self.network, self.backbone(batch["context"]), self._prediction_length)


def _answer(network: Any, context: Tensor, prediction_length: int) -> Answer:
    """Return the quantiles on the window's scale."""
    return _quantiles(network, _decoded(network, context), prediction_length)


def _decoded(network: Any, context: Tensor) -> Answer:
    """Return what the head is given, ``[B, 1, d_model]``, and the window's scale."""
    hidden, (loc, scale), embeds, mask = network.encode(context=context)
    return network.decode(embeds, mask, hidden), loc, scale


def _quantiles(network: Any, decoded: Answer, prediction_length: int) -> Answer:
    hidden, loc, scale = decoded
    values = network.output_patch_embedding(hidden).view(len(hidden), network.num_quantiles, -1)
    return values[..., :prediction_length], loc, scale


def _between(values: Tensor, given: Levels, asked: Levels) -> Tensor:
    """Interpolate as upstream does, which sorts crossing quantiles first; its rule fits even levels alone."""
    even = [(at + 1) / (len(given) + 1) for at in range(len(given))]
    if not np.allclose(given, even):
        return interpolated(values, given, asked)
    padded = torch.cat([values[:, :1], values, values[:, -1:]], dim=1)
    return torch.quantile(padded, torch.tensor(asked, device=values.device), dim=1).transpose(0, 1)


FAMILY = Bolt()
