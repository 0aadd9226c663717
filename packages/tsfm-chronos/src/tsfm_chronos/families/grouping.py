"""Group attention of Chronos-2 within windows: its answer without comparing every row of a batch with every other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tsfm_chronos.upstream import upstream

__all__ = ["any_groups", "attend_within_windows", "freeze_comparisons"]

_MASK = "_construct_and_invert_group_time_mask"


def attend_within_windows(network: Any, variates: int) -> Any:
    """Return ``network`` with group attention between each ``variates`` rows side by side; weights keep their names.

    Rows of other windows are masked in upstream's attention: what is left is a small attention a window and patch.
    """
    for block in network.encoder.block:
        block.layer[1] = _WithinWindows(block.layer[1])

    def mask(group_ids: Tensor, attention_mask: Tensor, floating_type: torch.dtype) -> Tensor:
        """Return ``[T * windows, 1, 1, variates]`` in place of ``[T, 1, B, B]``."""
        seen = attention_mask.reshape(-1, variates, attention_mask.shape[1]).permute(2, 0, 1).flatten(0, 1)
        inverted: Tensor = (1.0 - seen[:, None, None]) * torch.finfo(seen.dtype).min
        return inverted

    setattr(network.encoder, _MASK, mask)
    return network


def freeze_comparisons(network: Any) -> None:
    """Keep the queries and keys of group attention as they are: windows of one variate have nothing to compare.

    Their gradient is 0 but for rounding, which AdamW would blow up to whole steps.
    """
    for block in network.encoder.block:
        attention = block.layer[1].self_attention
        attention.q.requires_grad_(False)
        attention.k.requires_grad_(False)


@contextmanager
def any_groups(network: Any) -> Iterator[None]:
    """Use upstream's own mask inside: for groups of several windows, or that do not lie side by side."""
    within = network.encoder.__dict__.pop(_MASK)
    try:
        yield
    finally:
        setattr(network.encoder, _MASK, within)


class _WithinWindows(nn.Module):
    """Upstream's ``GroupSelfAttention``, over as many rows at once as the mask speaks of."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.self_attention, self.layer_norm, self.dropout = layer.self_attention, layer.layer_norm, layer.dropout

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, output_attentions: bool = False) -> Any:
        normed, attention = self.layer_norm(hidden_states), self.self_attention
        if attention_mask.shape[-1] == 1 and not (self.training and attention.dropout):
            # a row that sees itself alone: the softmax is 1, whatever query and key are
            mixed = attention.o(attention.v(normed))
        else:
            batch, time, width = normed.shape
            groups = attention_mask.shape[0] // time
            rows = normed.reshape(groups, -1, time, width).permute(2, 0, 1, 3).flatten(0, 1)
            mixed = attention(rows, mask=attention_mask)[0]
            mixed = mixed.reshape(time, groups, -1, width).permute(1, 2, 0, 3).reshape(batch, time, width)
        output = upstream("chronos2.layers").AttentionOutput
        return output(hidden_states=hidden_states + self.dropout(mixed))
