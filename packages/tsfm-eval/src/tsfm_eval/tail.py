"""The lower tail: how likely low glucose is by a set of quantiles, and how well that probability was judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError, Metric
from tsfm_eval.pairs import Floats, check_shapes, floats, quantile_arrays, quantile_pairs, ratio

__all__ = ["LOW", "METRICS", "brier", "checked_threshold", "clamped_share", "level_below", "probability_below"]

#: The thresholds of low glucose, strict, each in both units: data are judged in their own.
LOW = {"lt70": {"mg/dL": 70.0, "mmol/L": 3.9}, "lt54": {"mg/dL": 54.0, "mmol/L": 3.0}}

#: A Brier score of quantiles asks for a level this low at least.
LOWEST_LEVEL = 0.05


def probability_below(quantiles: npt.ArrayLike, levels: npt.ArrayLike, threshold: float) -> Floats:
    """Return P(y < threshold) by linear interpolation between quantiles, clamped to the first and the last level.

    Where several quantiles equal the threshold, their mass lies on it and not below: the least of their levels holds.

    :param quantiles: ``[..., Q]`` in the unit of ``threshold``; sorted before use.
    :param levels: ``[Q]``, each between 0 and 1.
    :return: ``[...]``, NaN where a quantile is not finite.
    :raises DataError: for shapes that do not fit, levels that are not distinct numbers between 0 and 1, or a threshold
        that is not finite.
    """
    by_level, given = quantile_arrays(quantiles, levels)
    found = level_below(by_level, given, checked_threshold(threshold))
    probability: Floats = np.where(np.isfinite(by_level).all(axis=0), found, np.nan)[()]
    return probability


def clamped_share(quantiles: npt.ArrayLike, threshold: float) -> float:
    """Return the share of forecasts whose quantiles all lie on one side of the threshold: their probability is a bound.

    Unit: 1. Neither lower nor higher is better. Give quantiles. Source: Brier (1950), of whose score it tells how far
    it can be trusted.

    :param quantiles: ``[..., Q]`` in the unit of ``threshold``; forecasts that are not finite do not count.
    :raises DataError: for a threshold that is not finite, or no quantiles.
    """
    forecast = floats("quantiles", quantiles)
    if forecast.ndim == 0 or forecast.shape[-1] == 0:
        raise DataError(f"quantiles have shape {list(forecast.shape)}", "give an axis of levels, one level at least")
    finite = np.isfinite(forecast).all(axis=-1)
    return float(
        ratio((_clamped(np.moveaxis(forecast, -1, 0), checked_threshold(threshold)) & finite).sum(), finite.sum())
    )


def brier(below: npt.ArrayLike, probability: npt.ArrayLike) -> float:
    """Return the Brier score mean((p - b)^2), b = 1 where the truth was below the threshold; NaN where nothing counts.

    For one of two outcomes: from 0, and 0.25 for p = 0.5 throughout.

    Unit: 1. Lower is better. Give the probability, such as :func:`probability_below` of quantiles. Source: Brier
    (1950).

    :param below: booleans, or 0, 1 and NaN for what is not known, any shape.
    :param probability: of being below, the same shape; NaN does not count.
    :raises DataError: for shapes that differ, probabilities outside 0 to 1, or other values of ``below``.
    """
    b, p = floats("below", below), floats("probability", probability)
    check_shapes(below=b, probability=p)
    for name, wrong in (("below", ~np.isin(b, (0, 1)) & ~np.isnan(b)), ("probability", (p < 0) | (p > 1))):
        if wrong.any():
            value = (b if name == "below" else p)[wrong][0]
            raise DataError(f"{name} is {value:g}", "it must lie in 0 to 1" if name == "probability" else "give 0 or 1")
    both = np.isfinite(b) & np.isfinite(p)
    return float(ratio(np.square(p[both] - b[both]).sum(), both.sum()))


def level_below(quantiles: Floats, levels: Sequence[float], value: Floats | float, strict: bool = True) -> Floats:
    """Return P(y < value), or P(y <= value), by sorted quantiles ``[Q, ...]``: the levels come first here.

    The two differ only where several quantiles equal ``value``: the least and the last of their levels. Outside the
    quantiles it is the first or the last level.
    """
    at = np.zeros(quantiles.shape[1:], dtype=np.intp)  # quantiles on the lower side
    for forecast in quantiles:
        at += forecast < value if strict else forecast <= value
    lower, upper = np.maximum(at - 1, 0), np.minimum(at, len(levels) - 1)
    low, high = (np.take_along_axis(quantiles, side[None], axis=0)[0] for side in (lower, upper))
    level = np.asarray(levels)
    with np.errstate(invalid="ignore", divide="ignore"):  # outside the quantiles, infinite ones
        share = (value - low) / (high - low)
        between = (1.0 - share) * level[lower] + share * level[upper]  # on a quantile its level, to the last digit
    return np.where(lower == upper, level[lower], between)


def _clamped(quantiles: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    outside: npt.NDArray[np.bool_] = (quantiles.min(axis=0) > threshold) | (quantiles.max(axis=0) < threshold)
    return outside


def checked_threshold(threshold: float) -> float:
    """Return ``threshold`` as a float.

    :raises DataError: where it is not one finite number.
    """
    value = floats("threshold", threshold)
    if value.ndim or not np.isfinite(value):
        raise DataError(f"{threshold} is no threshold", "give one finite number in the unit of the quantiles")
    return float(value)


def _no_tail(block: Block) -> str | None:
    if min(block.levels) <= LOWEST_LEVEL:
        return None
    return f"no level lies at {LOWEST_LEVEL:g} or below, so that no low could be rarer than {min(block.levels):g}"


def _brier(low: str, suffix: str = "", why_not: Callable[[Block], str | None] | None = None) -> Metric:
    name, limit = f"brier_{low}{suffix}", LOW[low]

    def parts(block: Block) -> Mapping[str, Floats]:
        quantiles, both = quantile_pairs(block)
        by_level, threshold = np.moveaxis(quantiles, 1, 0), limit[block.unit]
        missed = level_below(by_level, block.levels, threshold) - (block.truth < threshold)
        return {
            "count": both.astype(np.float64),
            "loss": np.where(both, np.square(missed), 0.0),
            "clamped": (both & _clamped(by_level, threshold)).astype(np.float64),
        }

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            name: ratio(sums["loss"], sums["count"]),
            f"{name}_clamped": ratio(sums["clamped"], sums["count"]),
        }

    at = f"{limit['mg/dL']:g} mg/dL, or {limit['mmol/L']:g} where the data are in mmol/L"
    least = f"a level of {LOWEST_LEVEL:g} or lower is asked for" if why_not else "whatever the levels"
    return Metric(
        name=name,
        definition=(
            f"mean((P(y < t) - [y < t])^2) over all finite pairs, t = {at}; P by linear interpolation between the "
            "sorted quantiles, the least of the levels whose quantiles equal t, and the first or the last level where "
            f"t lies outside them; {name}_clamped = share of pairs where it does; {least}"
        ),
        unit="1",
        direction="lower",
        point="quantiles",
        parts=parts,
        finish=finish,
        needs=("quantiles", "glucose"),
        family="probabilistic",
        limits={"": (0.0, 1.0)},
        source="Brier (1950), Monthly Weather Review 78",
        why_not=why_not,
        directions={f"{name}_clamped": "none"},
    )


METRICS = tuple(metric for low in LOW for metric in (_brier(low, why_not=_no_tail), _brier(low, suffix="_any_levels")))
