"""Calibration: whether truths fall below each quantile as often as its level says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, Metric
from tsfm_eval.pairs import Floats, quantile_pairs, ratio
from tsfm_eval.quantile import quantile_truths
from tsfm_eval.tail import level_below

__all__ = ["METRICS", "ece", "mace", "pit", "reliability"]

BINS = 10


def pit(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> Floats:
    """Return the probability integral transform: the level at y, by linear interpolation between the quantiles.

    Calibrated forecasts give values spread evenly over 0 to 1. Below the first quantile it is 0, above the last 1;
    where several quantiles equal y, the middle of their levels.

    Unit: 1. Neither lower nor higher is better. Give quantiles. Source: Dawid (1984); Gneiting et al. (2007).

    :param y: truths ``[...]``.
    :param quantiles: ``[..., Q]`` in the unit of ``y``, sorted before use.
    :param levels: ``[Q]``, distinct and between 0 and 1.
    :return: ``[...]``, NaN where the truth or one of the quantiles is not finite.
    :raises DataError: for shapes that do not fit, or such levels.
    """
    truth, by_level, given, both = quantile_truths(y, quantiles, levels)
    found: Floats = np.where(both, _pit(truth, by_level, given), np.nan)[()]
    return found


def reliability(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> Floats:
    """Return the share of truths at or below the quantile of each level, ``[Q]``, levels ascending; NaN without pairs.

    Arguments and errors as for :func:`pit`; a pair counts if the truth and all its quantiles are finite.

    Unit: 1. Neither lower nor higher is better: best is the level. Give quantiles. Source: Dawid (1984); Gneiting et
    al. (2007).
    """
    return _shares(y, quantiles, levels)[0]


def mace(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> float:
    """Return the mean absolute calibration error: the mean over levels q of abs(P(y <= f_q) - q), from 0.

    Arguments and errors as for :func:`pit`, P as :func:`reliability` gives it.

    Unit: 1. Lower is better. Give quantiles. Source: Dawid (1984); Gneiting et al. (2007).
    """
    return float(_mean_gap(*_shares(y, quantiles, levels)))


def ece(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> float:
    """Return the expected calibration error: the trapezoid integral over q of abs(P(y <= f_q) - q), from 0.

    Arguments and errors as for :func:`pit`, P as :func:`reliability` gives it. It reaches from the first to the last
    level; from a single one it is 0 wide, and NaN.

    Unit: 1. Lower is better. Give quantiles. Source: Dawid (1984); Gneiting et al. (2007).
    """
    return float(_area(*_shares(y, quantiles, levels)))


def _pit(truth: Floats, by_level: Floats, levels: Sequence[float]) -> Floats:
    below, up_to = (level_below(by_level, levels, truth, strict) for strict in (True, False))
    found = np.where(truth < by_level[0], 0.0, (below + up_to) / 2.0)
    return np.where(truth > by_level[-1], 1.0, found)


def _shares(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> tuple[Floats, tuple[float, ...]]:
    truth, by_level, given, both = quantile_truths(y, quantiles, levels)
    return np.array([ratio((both & (truth <= forecast)).sum(), both.sum()) for forecast in by_level]), given


def _mean_gap(shares: Sequence[Any] | Floats, levels: Sequence[float]) -> Any:
    return sum(np.abs(share - level) for share, level in zip(shares, levels, strict=True)) / len(levels)


def _area(shares: Sequence[Any] | Floats, levels: Sequence[float]) -> Any:
    gaps = [np.abs(share - level) for share, level in zip(shares, levels, strict=True)]
    if len(gaps) == 1:
        return gaps[0] * np.nan
    return sum((levels[at + 1] - levels[at]) * (gaps[at] + gaps[at + 1]) / 2.0 for at in range(len(gaps) - 1))


def _pit_parts(block: Block) -> Mapping[str, Floats]:
    quantiles, both = quantile_pairs(block)
    by_level = np.moveaxis(quantiles, 1, 0)
    level = np.where(both, _pit(block.truth, by_level, block.levels), 0.0)
    at = np.minimum(BINS * level, BINS - 1).astype(np.int64)
    marks = {str(number): at == number for number in range(BINS)}
    marks |= {"below": block.truth < by_level[0], "above": block.truth > by_level[-1]}
    return {"count": both.astype(np.float64)} | {name: (both & mark).astype(np.float64) for name, mark in marks.items()}


def _finish_pit(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    return {f"pit_{name}": ratio(total, sums["count"]) for name, total in sums.items() if name != "count"}


def _share_parts(block: Block) -> Mapping[str, Floats]:
    quantiles, both = quantile_pairs(block)
    parts = {"count": both.astype(np.float64)}
    for at, level in enumerate(block.levels):
        parts[repr(float(level))] = (both & (block.truth <= quantiles[:, at])).astype(np.float64)
    return parts


def _metric(
    name: str, definition: str, direction: Literal["lower", "none"], numbers: Callable[[list[Any], list[float]], Any]
) -> Metric:
    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        at = [part for part in sums if part != "count"]
        found: Mapping[str, Any] = numbers(
            [ratio(sums[part], sums["count"]) for part in at], [float(part) for part in at]
        )
        return found

    return Metric(
        name=name,
        definition=f"{definition}, P the share of the finite pairs, f_q the forecast at level q, sorted",
        unit="1",
        direction=direction,
        point="quantiles",
        parts=_share_parts,
        finish=finish,
        needs=("quantiles",),
        family="calibration",
        limits={"": (0.0, 1.0)},
        source="Dawid (1984); Gneiting et al. (2007)",
    )


METRICS = (
    Metric(
        name="pit",
        definition=(
            "pit_k = share of the finite pairs with k / 10 <= u < (k + 1) / 10, k = 0 to 9, and u <= 1 for the last; "
            "u the level at y by linear interpolation between the sorted quantiles, where several equal y the middle "
            "of their levels, 0 below the first and 1 above the last; pit_below, pit_above = the shares of these, "
            "which pit_0 and pit_9 contain"
        ),
        unit="1",
        direction="none",
        point="quantiles",
        parts=_pit_parts,
        finish=_finish_pit,
        needs=("quantiles",),
        family="calibration",
        limits={"": (0.0, 1.0)},
        source="Dawid (1984); Gneiting et al. (2007)",
    ),
    _metric(
        "mace",
        "mean over levels q of abs(P(y <= f_q) - q)",
        "lower",
        lambda shares, levels: {"mace": _mean_gap(shares, levels)},
    ),
    _metric(
        "ece",
        "trapezoid integral over q, from the first level to the last, of abs(P(y <= f_q) - q); of one level NaN",
        "lower",
        lambda shares, levels: {"ece": _area(shares, levels)},
    ),
    _metric(
        "reliability",
        "reliability_<q> = P(y <= f_q) for each level q",
        "none",
        lambda shares, levels: {f"reliability_{q:g}": share for share, q in zip(shares, levels, strict=True)},
    ),
)
