"""Sample paths whose draws depend on the window alone, whatever batch it is in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tsfm_chronos.upstream import quietly

__all__ = ["draw", "window_seed"]


def window_seed(seed: int, item_id: str, cutoff: object) -> int:
    """Return the seed of a window's draws."""
    digest = hashlib.blake2b(f"{seed}\0{item_id}\0{cutoff}".encode(), digest_size=7)
    return int.from_bytes(digest.digest(), "big")


def draw(
    network: Any,
    tokenizer: Any,
    context: Tensor,
    prediction_length: int,
    seeds: Sequence[int],
    num_samples: int,
    temperature: float,
    top_k: int,
    top_p: float,
) -> Tensor:
    """Return sample paths ``[B, S, H]``, the same as upstream draws for each window by itself after its seed is set.

    :param context: ``[B, C]``, NaN where nothing was observed.
    :param seeds: of each window, ``[B]``.
    """
    from transformers import GenerationConfig, LogitsProcessorList

    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    processors = LogitsProcessorList([*_warpers(temperature, top_k, top_p), _Draw(generators, num_samples)])
    paths: list[Tensor] = []
    remaining = prediction_length
    while remaining > 0:
        ids, mask, scale = tokenizer.context_input_transform(context)
        steps = min(remaining, tokenizer.config.prediction_length)
        config = GenerationConfig(
            min_new_tokens=steps,
            max_new_tokens=steps,
            do_sample=True,
            num_return_sequences=num_samples,
            num_beams=1,
            eos_token_id=tokenizer.config.eos_token_id,
            pad_token_id=tokenizer.config.pad_token_id,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
        )
        with quietly(), torch.random.fork_rng(devices=[]):  # generate draws once more, from what is certain
            tokens = network.generate(
                input_ids=ids.to(network.device),
                attention_mask=mask.to(network.device),
                generation_config=config,
                logits_processor=processors,
            )
        tokens = tokens[:, 1:].cpu().reshape(len(context), num_samples, -1)  # without the decoder's first token
        paths.append(tokenizer.output_transform(tokens, scale))
        remaining -= steps
        context = torch.cat([context, paths[-1].median(dim=1).values], dim=-1)
    return torch.cat(paths, dim=-1)


def _warpers(temperature: float, top_k: int, top_p: float) -> list[Any]:
    """Return what narrows the distribution before it is drawn from, in the order of ``generate``."""
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    chosen: list[Any] = [] if temperature == 1.0 else [TemperatureLogitsWarper(temperature)]
    chosen.append(TopKLogitsWarper(top_k))
    return chosen if top_p == 1.0 else [*chosen, TopPLogitsWarper(top_p)]


class _Draw:
    """Leaves one token a path, drawn by its window's generator as ``torch.multinomial`` draws on a CPU.

    The token with the highest ``p / e``, e exponential, is a draw from p: a race of exponential clocks.
    """

    def __init__(self, generators: Sequence[torch.Generator], num_samples: int) -> None:
        self._generators, self._num_samples = generators, num_samples

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        shape = (self._num_samples, scores.shape[-1])
        clocks = torch.cat([torch.empty(shape).exponential_(1, generator=one) for one in self._generators])
        drawn = (scores.softmax(dim=-1).cpu() / clocks).argmax(dim=-1, keepdim=True).to(scores.device)
        return torch.full_like(scores, -torch.inf).scatter_(1, drawn, 0.0)
