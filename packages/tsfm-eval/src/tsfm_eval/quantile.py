"""Losses of quantile forecasts: pinball, mqloss, wql, and how often quantiles cross."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError, Metric
from tsfm_eval.pairs import Floats, floats, level_array, quantile_arrays, quantile_pairs, ratio

__all__ = [
    "METRICS",
    "crossing_rate",
    "mean_pinball",
    "mqloss",
    "pinball",
    "pinball_parts",
    "quantile_truths",
    "wql",
]


def pinball(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> Floats:
    """Return the pinball loss of each quantile forecast f at level q: ``q max(y - f, 0) + (1 - q) max(f - y, 0)``.

    Each forecast is judged as it is given. A run's quantiles are sorted before they are scored; sort crossing ones
    (``np.sort(quantiles, axis=-1)``) for the same numbers.

    Unit: that of the values. Lower is better. Give quantiles. Source: Koenker and Bassett (1978).

    :param y: truths ``[...]``.
    :param quantiles: forecasts ``[..., Q]`` in the unit of ``y``.
    :param levels: ``[Q]``, each between 0 and 1.
    :return: ``[..., Q]`` in the unit of ``y``; NaN where the truth or the forecast is not finite.
    :raises DataError: for shapes that do not fit or a level that is not between 0 and 1.
    """
    truth, forecast, level = floats("y", y), floats("quantiles", quantiles), level_array(levels)
    _check_truths(truth, forecast.shape, level.size)
    with np.errstate(invalid="ignore"):  # inf - inf
        error = truth[..., None] - forecast
    return _loss(np.where(np.isfinite(error), error, np.nan), level) + 0.0  # no loss is 0.0, not -0.0


def mqloss(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> float:
    """Return 2 mean(pinball), the mean of :func:`pinball` over levels and pairs twice; NaN where no pair counts.

    This is the "mean quantile loss" of GluonTS and fev; others leave the 2 out.

    Unit: that of the values. Lower is better. Give quantiles. Source: GluonTS, fev: quantile loss.

    :param y: truths ``[...]``; a pair counts if the truth and all its quantiles are finite.
    :param quantiles: ``[..., Q]``, sorted before they are scored.
    :param levels: ``[Q]``, distinct and between 0 and 1.
    :raises DataError: for shapes that do not fit, or for such levels.
    """
    truth, by_level, given, both = quantile_truths(y, quantiles, levels)
    return float(2.0 * ratio(mean_pinball(truth, by_level, given)[both].sum(), both.sum()))


def wql(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> float:
    """Return the weighted quantile loss: the mean over levels of sum(2 pinball) / sum(abs(y)), sums over all pairs.

    Arguments, pairs and errors as for :func:`mqloss`. It is what GluonTS, fev and GIFT-Eval compute under this name or
    as "CRPS". NaN where no pair counts or every truth is 0.

    Unit: 1. Lower is better. Give quantiles. Source: GluonTS: mean_weighted_sum_quantile_loss.
    """
    truth, by_level, given, both = quantile_truths(y, quantiles, levels)
    return float(2.0 * ratio(mean_pinball(truth, by_level, given)[both].sum(), np.abs(truth[both]).sum()))


def crossing_rate(quantiles: npt.ArrayLike) -> float:
    """Return the share of neighbouring levels of which the upper one has the lower forecast; NaN where there are none.

    Unit: 1. Lower is better. Give quantiles, as they were forecast. Source: Chernozhukov et al. (2010).

    :param quantiles: ``[..., Q]``, levels ascending; a pair counts if both are finite.
    :raises DataError: for a single number.
    """
    forecast = floats("quantiles", quantiles)
    if forecast.ndim == 0:
        raise DataError("quantiles is a single number", "give an axis of levels")
    lower, upper = forecast[..., :-1], forecast[..., 1:]
    both = np.isfinite(lower) & np.isfinite(upper)
    return float(ratio((both & (upper < lower)).sum(), both.sum()))


def quantile_truths(
    y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike
) -> tuple[Floats, Floats, tuple[float, ...], npt.NDArray[np.bool_]]:
    """Return truths ``[...]``, sorted quantiles ``[Q, ...]``, ascending levels, and where a pair counts ``[...]``.

    :raises DataError: as for :func:`mqloss`.
    """
    truth, (by_level, given) = floats("y", y), quantile_arrays(quantiles, levels)
    _check_truths(truth, (*by_level.shape[1:], len(given)), len(given))
    return truth, by_level, given, np.isfinite(truth) & np.isfinite(by_level).all(axis=0)


def mean_pinball(truth: Floats, by_level: Iterable[Floats], levels: Sequence[float]) -> Floats:
    """Return the mean over levels of the pinball loss, ``[...]``, of quantiles ``[Q, ...]``: the levels come first."""
    total = np.zeros(truth.shape)
    with np.errstate(invalid="ignore"):  # inf - inf
        for forecast, level in zip(by_level, levels, strict=True):  # one at a time takes a Q-th of the memory
            total += _loss(truth - forecast, level)
    return total / len(levels)


def _loss(error: Floats, level: float | Floats) -> Floats:
    loss: Floats = np.maximum(level * error, (level - 1.0) * error)
    return loss


def _check_truths(truth: Floats, quantiles: tuple[int, ...], levels: int) -> None:
    if quantiles != (*truth.shape, levels):
        shapes = f"y {list(truth.shape)}, quantiles {list(quantiles)}, levels [{levels}]"
        raise DataError(f"shapes do not fit: {shapes}", "quantiles need the shape of y and a last axis for the levels")


def pinball_parts(block: Block) -> Mapping[str, Floats]:
    """Return the mean over levels of the pinball loss, ``loss [n, H]``, and ``count``."""
    quantiles, both = quantile_pairs(block)
    loss = mean_pinball(block.truth, np.moveaxis(quantiles, 1, 0), block.levels)
    return {"loss": np.where(both, loss, 0.0), "count": both.astype(np.float64)}


def _wql_parts(block: Block) -> Mapping[str, Floats]:
    parts = pinball_parts(block)
    return {**parts, "size": np.where(parts["count"] > 0, np.abs(block.truth), 0.0)}


def _metric(name: str, definition: str, unit: str, source: str, factor: float, over: str = "count") -> Metric:
    return Metric(
        name=name,
        definition=f"{definition} all finite pairs, f the forecasts of a step sorted",
        unit=unit,
        direction="lower",
        point="quantiles",
        parts=pinball_parts if over == "count" else _wql_parts,
        finish=lambda sums: {name: factor * ratio(sums["loss"], sums[over])},
        needs=("quantiles",),
        family="probabilistic",
        limits={"": (0.0, float("inf"))},
        source=source,
    )


def _crossing_parts(block: Block) -> Mapping[str, Floats]:
    _, both = quantile_pairs(block)
    count = both.astype(np.float64)
    crossed = np.zeros_like(count) if block.crossed is None else block.crossed
    return {"crossed": np.where(both, crossed, 0.0), "neighbours": count * (len(block.levels) - 1), "count": count}


METRICS = (
    _metric(
        "pinball",
        "mean(q max(y - f, 0) + (1 - q) max(f - y, 0)) over all levels q and",
        "target",
        "Koenker and Bassett (1978), Econometrica 46",
        1.0,
    ),
    _metric(
        "mqloss",
        "2 mean(q max(y - f, 0) + (1 - q) max(f - y, 0)) over all levels q and",
        "target",
        "GluonTS, fev: quantile loss",
        2.0,
    ),
    _metric(
        "wql",
        "mean over all levels q of sum(2 (q max(y - f, 0) + (1 - q) max(f - y, 0))) / sum(abs(y)), both sums over",
        "1",
        "GluonTS: mean_weighted_sum_quantile_loss",
        2.0,
        over="size",
    ),
    Metric(
        name="crossing_rate",
        definition=(
            "share of neighbouring levels of which the upper one has the lower forecast, over all pairs of a step's "
            "quantiles whose truth is there; scores sort the quantiles first"
        ),
        unit="1",
        direction="lower",
        point="quantiles",
        parts=_crossing_parts,
        finish=lambda sums: {"crossing_rate": ratio(sums["crossed"], sums["neighbours"])},
        needs=("quantiles",),
        family="calibration",
        source="Chernozhukov et al. (2010), Econometrica 78",
        limits={"": (0.0, 1.0)},
    ),
)
