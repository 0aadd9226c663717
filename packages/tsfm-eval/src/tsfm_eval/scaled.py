"""Errors as multiples of the seasonal change within the context: mase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsfm_core import Block, Metric
from tsfm_eval.pairs import Floats, complete, ratio

__all__ = ["METRICS"]


def _parts(block: Block) -> Mapping[str, Floats]:
    y, f, count = complete(block.truth, block.point("median"))
    parts = {}
    for m, scale in block.scale.items():
        usable = (scale > 0)[:, None]  # not where it is NaN
        parts[f"loss_m{m}"] = np.where(usable, np.abs(y - f) / np.where(usable, scale[:, None], 1.0), 0.0)
        parts[f"count_m{m}"] = np.where(usable, count, 0.0)
        parts[f"left_out_m{m}"] = np.where(usable, 0.0, count)
    return parts


def _finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    scores = {}
    for m in [name.removeprefix("loss_") for name in sums if name.startswith("loss_")]:
        count, left_out = sums[f"count_{m}"], sums[f"left_out_{m}"]
        scores[f"mase_{m}"] = ratio(sums[f"loss_{m}"], count)
        scores[f"mase_{m}_left_out"] = ratio(left_out, count + left_out)
    return scores


METRICS = (
    Metric(
        name="mase",
        definition=(
            "mase_m<m> = mean(abs(y - f) / S) over all finite pairs of windows with S > 0, where "
            "S = mean(abs(x_t - x_(t-m))) over the window's context; "
            "mase_m<m>_left_out = share of finite pairs in windows whose S is 0 or missing"
        ),
        unit="1",
        direction="lower",
        point="median",
        parts=_parts,
        finish=_finish,
        needs=("scale",),
    ),
)
