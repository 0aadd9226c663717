"""Chronos-T5: a language model whose words are bins of values; its forecasts are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tsfm_chronos.families.drawing import draw, window_seed
from tsfm_chronos.families.family import Answer, Floats, Rows, check_lengths, truth_of
from tsfm_chronos.upstream import quietly, upstream
from tsfm_core import CapabilityError, Task, Windows

if TYPE_CHECKING:
    from tsfm_chronos.model import Chronos

__all__ = ["FAMILY", "T5"]

#: Sample paths in a forward pass.
_PATHS = 640


class T5:
    """The family of Chronos-T5."""

    name = "chronos_t5"
    adapter_targets: tuple[str, ...] = ()
    head = ""
    draws = True
    facts: Mapping[str, type] = {
        "context_length": int,
        "prediction_length": int,
        "n_tokens": int,
        "num_samples": int,
        "temperature": float,
        "top_k": int,
        "top_p": float,
        "tokenizer_kwargs": dict,
        "model_type": str,
    }

    def random_config(self, sizes: Mapping[str, Any], task: Task) -> dict[str, Any]:
        """Return config.json of a new network: as long as the task, with the recipe of the published ones."""
        chronos = {
            "tokenizer_class": "MeanScaleUniformBins",
            "tokenizer_kwargs": {"low_limit": -sizes["limit"], "high_limit": sizes["limit"]},
            "n_tokens": sizes["n_tokens"],
            "n_special_tokens": 2,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "use_eos_token": True,
            "model_type": "seq2seq",
            "context_length": task.context_length,
            "prediction_length": task.prediction_length,
            "num_samples": sizes.get("num_samples", 20),
            "temperature": sizes.get("temperature", 1.0),
            "top_k": sizes.get("top_k", 50),
            "top_p": sizes.get("top_p", 1.0),
        }
        layers = ("d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "dropout_rate")
        return {
            **{key: sizes[key] for key in layers},
            "model_type": "t5",
            "vocab_size": sizes["n_tokens"],
            "pad_token_id": 0,
            "eos_token_id": 1,
            "decoder_start_token_id": 0,
            "initializer_factor": 0.05,
            "architectures": ["T5ForConditionalGeneration"],
            "chronos_config": chronos,
        }

    def classes(self, config: Mapping[str, Any]) -> tuple[Any, type[Any]]:
        """Return the configuration as transformers' object, and the network's class."""
        from transformers import T5Config, T5ForConditionalGeneration

        chronos = config["chronos_config"]
        _tokenizer(chronos)  # it is whole
        if chronos["n_tokens"] > config.get("vocab_size", 0) or chronos["top_p"] > 1:
            said = f"n_tokens {chronos['n_tokens']}, vocab_size {config.get('vocab_size')}, top_p {chronos['top_p']}"
            raise TypeError(said)
        if config["chronos_config"]["model_type"] != "seq2seq" or config.get("model_type", "t5") != "t5":
            raise TypeError(f"{config.get('model_type')}, {config['chronos_config']['model_type']}")
        return T5Config.from_dict(dict(config)), T5ForConditionalGeneration

    def sizes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return what ``model:`` calls the sizes in config.json."""
        chronos = config["chronos_config"]
        limit = chronos.get("tokenizer_kwargs", {}).get("high_limit")
        return {**config, "n_tokens": chronos.get("n_tokens"), "limit": limit}

    def lengthen(self, config: dict[str, Any], task: Task) -> None:
        """Leave it: a network of this kind was made for one context and one horizon."""

    def check(self, config: Mapping[str, Any], section: Any, task: Task, name: str, trains: bool) -> None:
        """Check context and horizon, and that the levels lie within what so few paths can tell."""
        chronos = config["chronos_config"]
        check_lengths(chronos["context_length"], chronos["prediction_length"], task, name, trains)
        paths = section.num_samples or chronos["num_samples"]
        outside = [level for level in task.quantile_levels if not 1 <= level * (paths + 1) <= paths]
        if outside:
            raise CapabilityError(
                f"{paths} sample paths say nothing of the quantile {outside[0]}: on average the lowest lies at "
                f"{1 / (paths + 1):.3g}",
                "raise model.num_samples, or ask for levels further inside",
            )

    def batch_size(self, task: Task, section: Any, config: Mapping[str, Any]) -> int:
        """Return how many windows make a forward pass: each has its sample paths."""
        paths: int = section.num_samples or config["chronos_config"]["num_samples"]
        return max(1, _PATHS // paths)

    def ready(self, network: Any, task: Task) -> Any:
        """Return the network as it is."""
        return network

    def module(self, network: Any, task: Task) -> nn.Module:
        """Return what is trained."""
        return _Module(network)

    def batch(self, network: Any, windows: Windows, rows: Rows) -> dict[str, Tensor]:
        """Gather ``input_ids`` and ``attention_mask [B, C + 1]``; with a truth ``labels``, -100 where missing."""
        tokens = _tokenizer(network.config.chronos_config)
        ids, mask, scale = tokens.context_input_transform(torch.from_numpy(windows.inputs(rows).target))
        batch = {"input_ids": ids, "attention_mask": mask}
        truth = truth_of(windows, rows)
        if truth is None:
            return batch
        longer = np.full((len(truth), tokens.config.prediction_length), np.nan, np.float32)
        longer[:, : truth.shape[1]] = truth
        labels, observed = tokens.label_input_transform(torch.from_numpy(longer), scale)
        return batch | {"labels": torch.where(observed, labels, -100)}

    def loss(self, network: Any, answer: Answer, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the cross-entropy, as the module has it."""
        loss: Tensor = answer
        return loss

    def weight(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the number of labels that were observed."""
        return (batch["labels"] != -100).sum()

    def forecast(self, model: Chronos, windows: Windows, rows: Rows) -> tuple[Floats | None, Floats | None]:
        """Return the mean of the sample paths and their empirical quantiles.

        Each window's draws come from the seed, its item and its cutoff alone. Past its horizon the network goes on from
        the median path: upstream's rule.
        """
        task, section = model.task, model.section
        config = model.network.config.chronos_config
        chosen = {key: getattr(section, key) or config[key] for key in ("num_samples", "temperature", "top_k", "top_p")}
        some = windows.take(rows)
        seeds = [window_seed(model.seed, *one) for one in zip(some.item_id, some.cutoff, strict=True)]
        context = torch.from_numpy(windows.inputs(rows).target)
        paths = draw(model.network, _tokenizer(config), context, task.prediction_length, seeds, **chosen)
        levels = torch.tensor(task.quantile_levels)
        quantiles = torch.quantile(paths, levels, dim=1).transpose(0, 1).numpy() if len(levels) else None
        return paths.mean(dim=1).numpy(), quantiles


class _Module(nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> Answer:
        return self.network(**batch).loss


def _tokenizer(chronos: Mapping[str, Any]) -> Any:
    with quietly():
        return upstream().ChronosConfig(**chronos).create_tokenizer()


FAMILY = T5()
