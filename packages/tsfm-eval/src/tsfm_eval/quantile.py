"""The pinball loss of quantile forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError, Metric
from tsfm_eval.pairs import Floats, quantile_pairs, ratio

__all__ = ["METRICS", "pinball"]


def pinball(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> Floats:
    """Return the pinball loss of each quantile forecast f at level q: ``q max(y - f, 0) + (1 - q) max(f - y, 0)``.

    Each forecast is judged as it is given. A run's quantiles are sorted before they are scored; sort crossing ones
    (``np.sort(quantiles, axis=-1)``) for the same numbers.

    :param y: truths ``[...]``.
    :param quantiles: forecasts ``[..., Q]`` in the unit of ``y``.
    :param levels: ``[Q]``, each between 0 and 1.
    :return: ``[..., Q]`` in the unit of ``y``; NaN where the truth or the forecast is NaN.
    :raises DataError: for shapes that do not fit or a level that is not between 0 and 1.
    """
    truth, forecast, level = (np.asarray(values, dtype=np.float64) for values in (y, quantiles, levels))
    if level.ndim != 1 or forecast.shape != (*truth.shape, *level.shape):
        shapes = f"y {list(truth.shape)}, quantiles {list(forecast.shape)}, levels {list(level.shape)}"
        raise DataError(f"shapes do not fit: {shapes}", "quantiles need the shape of y and a last axis for the levels")
    wrong = level[~((level > 0) & (level < 1))]
    if wrong.size:
        raise DataError(f"{wrong[0]:g} is no quantile level", "a level lies between 0 and 1")
    return _loss(truth[..., None] - forecast, level)


def _loss(error: Floats, level: float | Floats) -> Floats:
    loss: Floats = np.maximum(level * error, (level - 1.0) * error)
    return loss


def _parts(block: Block) -> Mapping[str, Floats]:
    quantiles, both = quantile_pairs(block)
    total = np.zeros(block.truth.shape)
    for at, level in enumerate(block.levels):  # one level at a time takes a Q-th of the memory
        total += _loss(block.truth - quantiles[:, at], level)
    return {"loss": np.where(both, total / len(block.levels), 0.0), "count": both.astype(np.float64)}


def _finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"pinball": ratio(sums["loss"], sums["count"])}


METRICS = (
    Metric(
        name="pinball",
        definition=(
            "mean(q max(y - f, 0) + (1 - q) max(f - y, 0)) over all levels q and all finite pairs, "
            "f the forecasts of a step sorted"
        ),
        unit="target",
        direction="lower",
        point="quantiles",
        parts=_parts,
        finish=_finish,
        needs=("quantiles",),
    ),
)
