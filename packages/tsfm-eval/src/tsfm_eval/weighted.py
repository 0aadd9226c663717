"""Errors of a glucose forecast relative to the truth (mard), or weighed by what acting on them would do (grmse)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, Metric, conversion_factor
from tsfm_eval import point
from tsfm_eval.glucose import check_number, glucose_pairs, mgdl_factor
from tsfm_eval.pairs import Floats, complete, ratio

__all__ = ["METRICS", "grmse", "mard"]


def mard(reference: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Return the mean absolute relative difference in percent: :func:`tsfm_eval.mape` by its name in diabetes.

    ``100 mean(abs(p - r) / r)`` over the pairs that are finite, the reference in the denominator; NaN where there is
    none. The unit does not matter.

    Unit: %. Lower is better. Give the median. Source: the accuracy of glucose meters and sensors is stated so.

    :param reference: measured glucose, any shape, above 0.
    :param prediction: forecast glucose, the same shape.
    :raises DataError: for a reference of 0 or less, or shapes that differ.
    """
    return point.mape(*glucose_pairs(reference, prediction, "mg/dL or mmol/L"))


def grmse(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    unit: str = "mg/dL",
    low: float = 85.0,
    high: float = 155.0,
) -> float:
    """Return the glucose-weighted root mean squared error: errors with their danger as weight.

    ``sqrt(mean(pen (r - p)^2))`` over the pairs that are finite, in ``unit``; NaN where there is none. With r and p in
    mg/dL, ``pen = 1 + 1.5 s((low - 15 - r)/15) s((p - r - 5)/5) + s((r - high - 50)/50) s((r - p - 10)/10)``, where s
    rises smoothly from 0 at -1 to 1 at 1: to overestimate a low counts up to 2.5 times, to underestimate a high twice.

    Unit: that of the values. Lower is better. Give the mean. Source: Del Favero, Facchinetti, Cobelli 2012, IEEE Trans
    Biomed Eng 59(5).

    :param reference: measured glucose, any shape, above 0.
    :param prediction: forecast glucose, the same shape.
    :param unit: of both, ``mg/dL`` or ``mmol/L``.
    :param low: full weight at ``low - 30`` and below, in mg/dL whatever the unit; none at ``low`` and above.
    :param high: full weight at ``high + 100`` and above, in mg/dL; none at ``high`` and below.
    :raises DataError: for a reference of 0 or less, shapes that differ, an unknown unit, limits that are not finite.
    """
    check_number("low", low)
    check_number("high", high)
    factor = mgdl_factor(unit)
    r, p = (array.astype(np.float64) for array in glucose_pairs(reference, prediction, unit))
    r, p, count = complete(r, p)
    return float(np.sqrt(ratio(_weighted(r * factor, p * factor, low, high).sum(), count.sum())) / factor)


def _weighted(r: Floats, p: Floats, low: float, high: float) -> Floats:
    too_high = _rise((low - 15.0 - r) / 15.0) * _rise((p - r - 5.0) / 5.0)
    too_low = _rise((r - high - 50.0) / 50.0) * _rise((r - p - 10.0) / 10.0)
    weighted: Floats = (1.0 + 1.5 * too_high + too_low) * np.square(r - p)
    return weighted


def _rise(x: Floats) -> Floats:
    x = np.clip(x, -1.0, 1.0)
    rise: Floats = 0.5 + x * (1.0 - x * x * (1.0 - 0.5 * np.abs(x)))  # both halves in one
    return rise


def _grmse(name: str, low: float, high: float, source: str) -> Metric:
    def parts(block: Block) -> Mapping[str, Floats]:
        factor = conversion_factor(block.unit, "mg/dL")
        r, p, count = complete(block.truth, block.point("mean"))
        return {"loss": _weighted(r * factor, p * factor, low, high) / factor**2, "count": count}

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: np.sqrt(ratio(sums["loss"], sums["count"]))}

    definition = (
        "sqrt(mean(pen (r - p)^2)) over all finite pairs, the mean; with r = truth and p = forecast in mg/dL, 18.018 "
        f"of them in 1 mmol/L: pen = 1 + 1.5 s(({low:g} - 15 - r)/15) s((p - r - 5)/5) + s((r - {high:g} - 50)/50) "
        "s((r - p - 10)/10); s(x) = 0 for x <= -1, (1 + 2x - 2x^3 - x^4)/2 on [-1, 0], (1 + 2x - 2x^3 + x^4)/2 on "
        "[0, 1], 1 for x >= 1"
    )
    return Metric(
        name,
        definition,
        "target",
        "lower",
        "mean",
        parts,
        finish,
        needs=("glucose",),
        family="clinical",
        limits={"": (0.0, float("inf"))},
        source=source,
    )


(_MAPE,) = (metric for metric in point.METRICS if metric.name == "mape")
_DEL_FAVERO = "Del Favero, Facchinetti, Cobelli 2012, IEEE Trans Biomed Eng 59(5)"

METRICS = (
    replace(
        _MAPE,
        name="mard",
        definition="100 mean(abs(y - f) / y), y > 0, over all finite pairs of glucose: mape by another name",
        finish=lambda sums: {"mard": _MAPE.finish(sums)["mape"]},
        needs=("glucose",),
        family="clinical",
        limits={"": (0.0, float("inf"))},
        source="the accuracy of glucose meters and sensors is stated so",
    ),
    _grmse("grmse", 85.0, 155.0, _DEL_FAVERO),
    _grmse("grmse_agata", 80.0, 250.0, f"{_DEL_FAVERO}; limits as in AGATA"),
)
