"""Chronos-2: an encoder of patches; the variates of a window inform each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tsfm_chronos.families.categories import encode_categories
from tsfm_chronos.families.cut import Backbone
from tsfm_chronos.families.family import (
    Answer,
    Floats,
    Rows,
    check_lengths,
    check_levels,
    check_paths,
    truth_of,
)
from tsfm_chronos.families.grouping import any_groups, attend_within_windows, freeze_comparisons
from tsfm_chronos.families.quantiles import give, in_unit, pinball_sum, sizes_of
from tsfm_chronos.upstream import quietly, upstream
from tsfm_core import Task, Windows

if TYPE_CHECKING:
    from tsfm_chronos.model import Chronos

__all__ = ["FAMILY", "Chronos2"]

#: Rows in a forward pass, one a variate: more gain nothing on a CPU.
_ROWS = 128


class Chronos2:
    """The family of Chronos-2."""

    name = "chronos"
    adapter_targets: tuple[str, ...] = (
        "self_attention.q",
        "self_attention.k",
        "self_attention.v",
        "self_attention.o",
        "output_patch_embedding.output_layer",
    )
    head = "output_patch_embedding"
    draws = False
    facts: Mapping[str, type] = {
        "context_length": int,
        "max_output_patches": int,
        "input_patch_size": int,
        "input_patch_stride": int,
        "output_patch_size": int,
        "quantiles": list,
    }

    def random_config(self, sizes: Mapping[str, Any], task: Task) -> dict[str, Any]:
        """Return config.json of a new network: as long as the task, with the recipe of the published ones."""
        patch = sizes["patch_size"]
        chronos = {
            "context_length": task.context_length,
            "input_patch_size": patch,
            "input_patch_stride": patch,
            "output_patch_size": patch,
            "max_output_patches": math.ceil(task.prediction_length / patch),
            "quantiles": list(sizes["quantiles"]),
            "use_reg_token": True,
            "use_arcsinh": True,
            "time_encoding_scale": task.context_length,
        }
        layers = ("d_model", "d_kv", "d_ff", "num_layers", "num_heads", "dropout_rate")
        return {
            **{key: sizes[key] for key in layers},
            "architectures": ["Chronos2Model"],
            "chronos_pipeline_class": "Chronos2Pipeline",
            "chronos_config": chronos,
        }

    def classes(self, config: Mapping[str, Any]) -> tuple[Any, type[Any]]:
        """Return the configuration as upstream's object, and the network's class."""
        architectures = list(config.get("architectures") or ["Chronos2Model"])
        if architectures != ["Chronos2Model"] or not config["chronos_config"].get("use_reg_token"):
            raise TypeError(f"{architectures[0]}, use_reg_token {config['chronos_config'].get('use_reg_token')}")
        scale = config["chronos_config"].get("time_encoding_scale", 1)
        if not isinstance(scale, int) or scale < 1:
            raise TypeError(f"time_encoding_scale {scale}")
        made = upstream("chronos2.config").Chronos2CoreConfig.from_dict(dict(config))
        return made, upstream().Chronos2Model

    def sizes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return what ``model:`` calls the sizes in config.json."""
        return sizes_of(config)

    def lengthen(self, config: dict[str, Any], task: Task) -> None:
        """Let a network that is trained read and write as many patches as the task asks for."""
        chronos = config["chronos_config"]
        chronos.setdefault("time_encoding_scale", chronos["context_length"])  # as it was until now
        patches = math.ceil(task.prediction_length / chronos["output_patch_size"])
        chronos["context_length"] = max(chronos["context_length"], task.context_length)
        chronos["max_output_patches"] = max(chronos["max_output_patches"], patches)

    def check(self, config: Mapping[str, Any], section: Any, task: Task, name: str, trains: bool) -> None:
        """Check context, horizon and levels."""
        chronos = config["chronos_config"]
        longest = chronos["max_output_patches"] * chronos["output_patch_size"]
        check_lengths(chronos["context_length"], longest, task, name, trains)
        check_levels(tuple(chronos["quantiles"]), task, name)
        check_paths(tuple(chronos["quantiles"]), task, name, longest)

    def batch_size(self, task: Task, section: Any, config: Mapping[str, Any]) -> int:
        """Return how many windows make a forward pass: a window has a row a channel."""
        return max(1, _ROWS // len(task.channels))

    def ready(self, network: Any, task: Task) -> Any:
        """Return the network with attention between the variates of a window alone: upstream's answer, without the
        comparison of all rows of a batch.
        """
        return attend_within_windows(network, len(task.channels))

    def module(self, network: Any, task: Task) -> nn.Module:
        """Return what is trained."""
        if len(task.channels) == 1:
            freeze_comparisons(network)
        return _Module(network, task)

    def batch(self, network: Any, windows: Windows, rows: Rows) -> dict[str, Tensor]:
        """Gather a row a variate: the target, the past covariates, the known ones. NaN is what is not there.

        :return: ``context [B * V, C]`` and, with known covariates, ``future_covariates [B * V, H]``.
        """
        inputs, task = windows.inputs(rows), windows.task
        count, length = inputs.target.shape
        past, known = len(task.past_covariates), len(task.known_covariates)
        context = np.empty((count, 1 + past + known, length), np.float32)
        context[:, 0] = inputs.target
        context[:, 1 : 1 + past] = inputs.past_covariates.transpose(0, 2, 1)
        context[:, 1 + past :] = inputs.known_covariates[:, :length].transpose(0, 2, 1)
        future = np.full((count, 1 + past + known, task.prediction_length), np.nan, np.float32)
        future[:, 1 + past :] = inputs.known_covariates[:, length:].transpose(0, 2, 1)
        for at, channel in enumerate(task.channels[1:], start=1):
            labels = windows.panel.categories.get(channel)
            if labels is not None:
                encode_categories(context, future, at, len(labels))
        batch = {"context": torch.from_numpy(context.reshape(-1, length))}
        if known:
            batch["future_covariates"] = torch.from_numpy(future.reshape(len(batch["context"]), -1))
        truth = truth_of(windows, rows)
        return batch if truth is None else batch | {"truth": torch.from_numpy(truth)}

    def loss(self, network: Any, answer: Answer, batch: Mapping[str, Tensor]) -> Tensor:
        """Return twice the pinball loss on the window's own scale: the sum over levels of the mean over what was
        observed. Upstream's mean also counts what is missing, covariates and steps behind the horizon.
        """
        values, loc, scale = answer
        truth, _ = network.instance_norm(batch["truth"], (loc, scale))
        return 2 * pinball_sum(values, truth, network.quantiles) / torch.isfinite(truth).sum().clamp(min=1)

    def weight(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the number of truths that were observed."""
        return torch.isfinite(batch["truth"]).sum()

    def forecast(self, model: Chronos, windows: Windows, rows: Rows) -> tuple[Floats | None, Floats | None]:
        """Return the quantiles, or the median that this model calls its mean where no level is asked for."""
        network, task, together = model.network, model.task, model.section.cross_learning
        batch = {key: values.to(model.device) for key, values in self.batch(network, windows, rows).items()}
        chronos = network.chronos_config
        if task.prediction_length <= chronos.max_output_patches * chronos.output_patch_size:
            values = in_unit(network, _answer(network, batch, task, together))
        else:
            values = _unrolled(network, batch, task, together)
        return give(values, tuple(chronos.quantiles), task.quantile_levels)


class _Module(nn.Module):
    def __init__(self, network: Any, task: Task) -> None:
        super().__init__()
        self.network = network
        self.backbone = Backbone(_encoded, network)
        self._task = task

    def forward(self, batch: dict[str, Tensor]) -> Answer:
        return _quantiles(self.network, self.backbone(batch, self._task), self._task)


def _answer(network: Any, batch: Mapping[str, Tensor], task: Task, together: bool = False) -> Answer:
    """Return the target's quantiles on the window's scale: covariates' own forecasts are not computed.

    :param together: whether all windows of the batch are one group.
    """
    return _quantiles(network, _encoded(network, batch, task, together), task)


def _encoded(network: Any, batch: Mapping[str, Tensor], task: Task, together: bool = False) -> Answer:
    """Return what the head is given of the target, ``[B, patches, d_model]``, and the window's scale."""
    patch, variates = network.chronos_config.output_patch_size, len(task.channels)
    patches = math.ceil(task.prediction_length / patch)
    group = torch.zeros_like(batch["context"][:, 0], dtype=torch.long) if together else None
    with any_groups(network) if together else nullcontext():
        encoded, (loc, scale), *_ = network.encode(
            context=batch["context"],
            group_ids=group,
            future_covariates=batch.get("future_covariates"),
            num_output_patches=patches,
        )
    return (
        encoded[0].unflatten(0, (-1, variates))[:, 0, -patches:],
        loc.unflatten(0, (-1, variates))[:, 0],
        scale.unflatten(0, (-1, variates))[:, 0],
    )


def _quantiles(network: Any, encoded: Answer, task: Task) -> Answer:
    hidden, loc, scale = encoded
    patch = network.chronos_config.output_patch_size
    values = network.output_patch_embedding(hidden).unflatten(2, (-1, patch)).transpose(1, 2).flatten(2)
    return values[..., : task.prediction_length], loc, scale


def _unrolled(network: Any, batch: Mapping[str, Tensor], task: Task, together: bool) -> Tensor:
    """Return ``[B, Q, H]`` past the network's own horizon, by upstream's rule: it goes on from nine quantile paths."""
    variates, known = len(task.channels), len(task.known_covariates)
    context = batch["context"].cpu().reshape(-1, variates, task.context_length)
    empty = torch.full((len(context), variates, task.prediction_length), torch.nan)
    future = batch["future_covariates"].cpu().reshape(empty.shape) if known else empty
    inputs = [
        {
            "context": one,
            "future_covariates": later,
            "n_targets": 1,
            "n_covariates": variates - 1,
            "n_future_covariates": known,
        }
        for one, later in zip(context, future, strict=True)
    ]
    with quietly(), any_groups(network), torch.random.fork_rng(devices=[]):  # a loader draws there
        pipeline = upstream().Chronos2Pipeline(network)
        size = len(context) * variates
        paths = pipeline.predict(inputs, task.prediction_length, batch_size=size, cross_learning=together)
    return torch.cat(paths)


FAMILY = Chronos2()
