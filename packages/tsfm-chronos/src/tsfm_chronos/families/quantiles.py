"""What networks that give quantiles share: levels, units, the pinball loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from tsfm_chronos.families.family import Answer, Floats
from tsfm_chronos.upstream import upstream

__all__ = ["Levels", "give", "in_unit", "interpolated", "median_of", "pinball_sum", "sizes_of"]


Levels = tuple[float, ...]


def interpolated(values: Tensor, given: Levels, asked: Levels) -> Tensor:
    """Return quantiles ``[B, levels, H]`` at ``asked``, linearly between those at ``given``."""
    between = upstream("utils").interpolate_quantiles
    found: Tensor = between(list(asked), list(given), values.transpose(1, 2).contiguous())
    return found.transpose(1, 2)


def give(
    values: Tensor, given: Levels, asked: Levels, between: Callable[[Tensor, Levels, Levels], Tensor] = interpolated
) -> tuple[Floats | None, Floats | None]:
    """Return (mean, quantiles) out of a network's own quantiles ``[B, Q, H]`` at the levels ``given``.

    If it has all levels that are asked for they are passed on as they are, else all come from ``between``. Where the
    median is not among the levels asked for it is the mean: what these models call so.
    """
    median = None if 0.5 in asked else values[:, given.index(0.5)].cpu().numpy()
    if not asked:
        return median, None
    if set(asked) <= set(given):
        return median, values[:, [given.index(level) for level in asked]].cpu().numpy()
    return median, between(values, given, asked).cpu().numpy()


def in_unit(network: Any, answer: Answer) -> Tensor:
    """Return ``[B, Q, H]`` in the target's unit."""
    values, loc, scale = answer
    found: Tensor = network.instance_norm.inverse(values.flatten(1), (loc, scale))
    return found.view_as(values)


def median_of(network: Any, answer: Answer) -> Tensor:
    """Return the median ``[B, H]`` in the target's unit."""
    values, loc, scale = answer
    middle = int((network.quantiles - 0.5).abs().argmin())
    found: Tensor = network.instance_norm.inverse(values[:, middle], (loc, scale))
    return found


def pinball_sum(values: Tensor, truth: Tensor, levels: Tensor) -> Tensor:
    """Return the sum over levels and observed truths of ``max(q e, (q - 1) e)`` (Koenker and Bassett 1978).

    :param values: ``[B, Q, H]``.
    :param truth: ``[B, H]``, NaN where not observed.
    :param levels: ``[Q]``.
    """
    observed = torch.isfinite(truth)[:, None]
    error = truth[:, None].nan_to_num(0.0) - values
    level = levels[:, None]
    return (torch.maximum(level * error, (level - 1) * error) * observed).sum()


def sizes_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``model:`` calls the sizes in config.json, which has been checked."""
    chronos = config["chronos_config"]
    return {**config, "patch_size": chronos["input_patch_size"], "quantiles": tuple(chronos["quantiles"])}
