"""The shape of a forecast: the jump at the cutoff, and DILATE, which tells a wrong form from a right one too late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError, Metric, conversion_factor
from tsfm_eval.pairs import Floats, check_shapes, floats, ratio

__all__ = ["METRICS", "Dilate", "dilate", "discontinuity"]

ALPHA, GAMMA = 0.5, 0.01

#: Windows at a time: the diagonals of so many stay in the processor's cache.
CHUNK = 128

#: The exponent of a weight that counts for nothing; below -700 exp takes ten times as long.
NOTHING = -600.0


@dataclass(frozen=True)
class Dilate:
    """DILATE of each window, ``[...]``, NaN for a window with a gap.

    :param value: alpha shape + (1 - alpha) temporal.
    :param shape: soft-DTW with squared cost, in the square of the unit; it can be below 0.
    :param temporal: the mean of (i - j)^2 / H^2 summed along the alignments, weighted by how well they fit.
    """

    value: Floats
    shape: Floats
    temporal: Floats


def discontinuity(context: npt.ArrayLike, forecast: npt.ArrayLike) -> float:
    """Return the mean over windows of abs(last context value - first forecast); NaN where no window has both.

    Unit: that of the values. Lower is better. Give the median. Source: the jump between what was last read and what is
    forecast first; no publication defines it.

    :param context: ``[..., T]``, its last column at the cutoff.
    :param forecast: ``[..., H]`` in the unit of ``context``.
    :raises DataError: for numbers of windows that differ, or no step.
    """
    x, f = floats("context", context), floats("forecast", forecast)
    for name, array in (("context", x), ("forecast", f)):
        if array.ndim == 0 or array.shape[-1] == 0:
            raise DataError(f"{name} has shape {list(array.shape)}", "give an axis of steps, one step at least")
    if x.shape[:-1] != f.shape[:-1]:
        shapes = f"context {list(x.shape)}, forecast {list(f.shape)}"
        raise DataError(f"shapes do not fit: {shapes}", "a window has a context and a forecast")
    parts = _jump(x[..., -1], f[..., 0])
    return float(ratio(parts["loss"].sum(), parts["count"].sum()))


def dilate(truth: npt.ArrayLike, forecast: npt.ArrayLike, alpha: float = ALPHA, gamma: float = GAMMA) -> Dilate:
    """Return DILATE of each window and its two terms, in the unit given.

    Shape is R_HH of R_ij = (y_i - f_j)^2 + softmin(R_(i-1)(j-1), R_(i-1)j, R_i(j-1)) with
    softmin(v) = -gamma log sum exp(-v / gamma). Temporal is sum A_ij (i - j)^2 / H^2, A the gradient of shape by the
    costs, that is the probability that an alignment drawn with weight exp(-cost / gamma) passes through (i, j).

    The scale matters: at 0.01 glucose in mg/dL gives plain time warping, in mmol/L a soft one. Values of different
    units, gammas or H do not compare.

    Unit: 1, though shape is in the square of that of the values. Lower is better. Give the mean. Source: Le Guen and
    Thome (2019).

    :param truth: ``[..., H]``.
    :param forecast: the same shape.
    :param alpha: the weight of shape, 0 to 1.
    :param gamma: above 0, in the square of the unit; 1e-6 and below is the best alignment alone.
    :raises DataError: for shapes that differ, no step, or such parameters.
    """
    y, f = floats("truth", truth), floats("forecast", forecast)
    check_shapes(truth=y, forecast=f)
    if y.ndim == 0 or y.shape[-1] == 0:
        raise DataError(f"truth has shape {list(y.shape)}", "give an axis of steps, one step at least")
    a, g = floats("alpha", alpha), floats("gamma", gamma)
    if a.ndim or not 0 <= a <= 1:
        raise DataError(f"alpha is {alpha}", "the weight of shape lies in 0 to 1")
    if g.ndim or not 0 < g < np.inf:
        raise DataError(f"gamma is {gamma}", "give a number above 0, such as 0.01")
    windows = (int(np.prod(y.shape[:-1])), y.shape[-1])
    shape, temporal = (
        part.reshape(y.shape[:-1])[()] for part in _terms(y.reshape(windows), f.reshape(windows), float(g))
    )
    return Dilate(float(a) * shape + (1.0 - float(a)) * temporal, shape, temporal)


def _terms(y: Floats, f: Floats, gamma: float) -> tuple[Floats, Floats]:
    """Return shape and temporal ``[n]`` of windows ``[n, H]``."""
    shape, temporal = np.full((2, len(y)), np.nan)
    complete = np.flatnonzero(np.isfinite(y).all(axis=1) & np.isfinite(f).all(axis=1))
    for start in range(0, len(complete), CHUNK):
        rows = complete[start : start + CHUNK]
        shape[rows], temporal[rows] = _warp(np.ascontiguousarray(y[rows].T), np.ascontiguousarray(f[rows].T), gamma)
    return shape, temporal


def _warp(y: Floats, f: Floats, gamma: float) -> tuple[Floats, Floats]:
    """Run over the anti-diagonals of the costs, windows ``[H, n]`` side by side.

    Going back from (i, j), an alignment takes each predecessor with the softmin's own weight. So the expected temporal
    cost up to (i, j) is that of its predecessors, weighted, and one pass gives both terms: nothing is kept but the last
    two diagonals. Row i + 1 of a diagonal holds the cell (i, d - i).
    """
    steps, n = y.shape
    empty = np.full((steps + 1, n), np.inf)
    cost, delay = [empty.copy() for _ in range(3)], [np.zeros((steps + 1, n)) for _ in range(3)]
    cost[0][0] = 0.0  # where every alignment starts: two diagonals before the first
    lag_unit = 1.0 / steps**2
    for d in range(2 * steps - 1):
        first, last = max(0, d - steps + 1), min(d, steps - 1)
        here, before = slice(first + 1, last + 2), slice(first, last + 1)
        i = np.arange(first, last + 1)
        from_each = (cost[0][before], cost[1][before], cost[1][here])
        least = np.minimum(np.minimum(from_each[0], from_each[1]), from_each[2])
        with np.errstate(over="ignore"):  # next to no gamma
            weights = [np.exp(np.maximum((least - one) / gamma, NOTHING)) for one in from_each]
        total = weights[0] + weights[1] + weights[2]
        square = np.square(y[first : last + 1] - f[d - last : d - first + 1][::-1])
        arriving = weights[0] * delay[0][before] + weights[1] * delay[1][before] + weights[2] * delay[1][here]
        cost[2].fill(np.inf)
        cost[2][here] = square + least - gamma * np.log(total)
        delay[2][here] = (np.square(2 * i - d) * lag_unit)[:, None] + arriving / total
        cost, delay = [cost[1], cost[2], cost[0]], [delay[1], delay[2], delay[0]]
    return cost[1][-1], delay[1][-1]


def _jump(last: Floats, first: Floats) -> dict[str, Floats]:
    both = np.isfinite(last) & np.isfinite(first)
    return {
        "loss": np.abs(np.where(both, last, 0.0) - np.where(both, first, 0.0)),
        "count": both.astype(np.float64),
    }


def _discontinuity_parts(block: Block) -> Mapping[str, Floats]:
    assert block.context is not None, "why_not refuses a block without context"
    parts = _jump(block.context[:, -1], block.point("median")[:, 0])
    return parts | {"left_out": 1.0 - parts["count"]}


def _finish_discontinuity(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "discontinuity": ratio(sums["loss"], sums["count"]),
        "discontinuity_left_out": ratio(sums["left_out"], sums["count"] + sums["left_out"]),
    }


def _dilate_parts(block: Block) -> Mapping[str, Floats]:
    factor = conversion_factor(block.unit, "mmol/L") if block.unit in ("mg/dL", "mmol/L") else 1.0
    shape, temporal = _terms(block.truth * factor, block.point("mean") * factor, GAMMA)
    usable = np.isfinite(shape)
    return {
        "shape": np.where(usable, shape, 0.0),
        "temporal": np.where(usable, temporal, 0.0),
        "count": usable.astype(np.float64),
        "left_out": (~usable).astype(np.float64),
    }


def _finish_dilate(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    shape, temporal = (ratio(sums[name], sums["count"]) for name in ("shape", "temporal"))
    return {
        "dilate": ALPHA * shape + (1.0 - ALPHA) * temporal,
        "dilate_shape": shape,
        "dilate_temporal": temporal,
        "dilate_left_out": ratio(sums["left_out"], sums["count"] + sums["left_out"]),
    }


METRICS = (
    Metric(
        name="discontinuity",
        definition=(
            "mean of abs(x - f_1) over windows with an observed value at the cutoff, x that value, f_1 the first "
            "forecast, finite; discontinuity_left_out = share of windows without one of the two"
        ),
        unit="target",
        direction="lower",
        point="median",
        parts=_discontinuity_parts,
        finish=_finish_discontinuity,
        family="point",
        source="the jump between what was last read and what is forecast first; no publication defines it",
        why_not=lambda block: "the context of the windows is not at hand" if block.context is None else None,
        units={"discontinuity_left_out": "1"},
        directions={"discontinuity_left_out": "none"},
    ),
    Metric(
        name="dilate",
        definition=(
            f"mean over windows without a gap of {ALPHA:g} shape + {1 - ALPHA:g} temporal. shape (dilate_shape) = "
            "R_HH, R_ij = (y_i - f_j)^2 + softmin(R_(i-1)(j-1), R_(i-1)j, R_i(j-1)), softmin(v) = "
            f"-g log(sum(exp(-v / g))), g = {GAMMA:g}; temporal (dilate_temporal) = sum(A_ij (i - j)^2) / H^2, "
            "A = d shape / d (y_i - f_j)^2. y and f in mmol/L where the unit is mg/dL (18.018 of them in 1) or mmol/L, "
            "as they are in any other. dilate_left_out = share of windows with a gap"
        ),
        unit="1",
        direction="lower",
        point="mean",
        parts=_dilate_parts,
        finish=_finish_dilate,
        family="point",
        source="Le Guen and Thome (2019), NeurIPS 32",
        directions={"dilate_left_out": "none"},
    ),
)
