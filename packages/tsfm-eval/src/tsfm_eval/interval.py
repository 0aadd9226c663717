"""Central intervals: how often they hold the truth, and how wide they are. The one says little without the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsfm_core import Block, Metric
from tsfm_eval.pairs import Floats, quantile_pairs, ratio

__all__ = ["METRICS"]

#: The levels of both bounds, by the share in percent that an interval promises.
BOUNDS = {50: (0.25, 0.75), 80: (0.1, 0.9), 90: (0.05, 0.95), 95: (0.025, 0.975)}

#: Levels nearer than this are one level: 0.1 + 0.2 is 0.30000000000000004.
SAME = 1e-9


def _bound(quantiles: Floats, levels: tuple[float, ...], wanted: float) -> Floats | None:
    """Return the quantile ``[n, H]`` at ``wanted``, linear between two levels; None outside them."""
    at = int(np.searchsorted(levels, wanted - SAME))
    if at < len(levels) and levels[at] <= wanted + SAME:
        given: Floats = quantiles[:, at]  # as it is: a truth on the bound lies inside
        return given
    if at in (0, len(levels)):
        return None
    share = (wanted - levels[at - 1]) / (levels[at] - levels[at - 1])
    between: Floats = (1.0 - share) * quantiles[:, at - 1] + share * quantiles[:, at]
    return between


def _parts(block: Block) -> Mapping[str, Floats]:
    quantiles, both = quantile_pairs(block)
    parts = {"count": both.astype(np.float64)}
    for percent, (low, high) in BOUNDS.items():
        lower, upper = _bound(quantiles, block.levels, low), _bound(quantiles, block.levels, high)
        if lower is not None and upper is not None:
            inside = both & (lower <= block.truth) & (block.truth <= upper)
            parts[f"inside_{percent}"] = inside.astype(np.float64)
            parts[f"width_{percent}"] = np.where(both, upper - lower, 0.0)
    return parts


def _finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    scores = {}
    for percent in BOUNDS:
        if f"inside_{percent}" in sums:
            scores[f"coverage_{percent}"] = ratio(sums[f"inside_{percent}"], sums["count"])
            scores[f"sharpness_{percent}"] = ratio(sums[f"width_{percent}"], sums["count"])
    return scores


METRICS = (
    Metric(
        name="coverage",
        definition=(
            "for L in 50, 80, 90, 95: coverage_L = share, 0 to 1, of the finite pairs with "
            "f((1 - L/100)/2) <= y <= f((1 + L/100)/2); sharpness_L = mean(f((1 + L/100)/2) - f((1 - L/100)/2)) over "
            "the same pairs, in the unit of the target; f(q) the forecasts of a step sorted, linear between levels; "
            "an L with a bound outside the levels is left out"
        ),
        unit="1",
        direction="none",
        point="quantiles",
        parts=_parts,
        finish=_finish,
        needs=("quantiles",),
    ),
)
