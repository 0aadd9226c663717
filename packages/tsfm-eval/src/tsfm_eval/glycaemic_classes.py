"""Low, in range, or high: whether a forecast names the right one of the three."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, Metric
from tsfm_core.units import thresholds
from tsfm_eval.glucose import glucose_pairs, limits_of
from tsfm_eval.pairs import Floats, ratio

__all__ = ["METRICS", "Glycaemia", "glycaemia"]

CLASSES = ("hypo", "range", "hyper")
PAIRS = [f"{truth}_as_{forecast}" for truth in CLASSES for forecast in CLASSES]


@dataclass(frozen=True)
class Glycaemia:
    """The confusion of three classes and what is read off it.

    :param counts: ``[3, 3]``: truth hypo, in range, hyper by forecast hypo, in range, hyper.
    :param g_mean: geometric mean of the three recalls.
    :param mcc_hypo: Matthews coefficient of hypo against the rest.
    :param mcc_hyper: of hyper against the rest.
    :param recalls: share found of the true hypo, in range and hyper.
    """

    counts: npt.NDArray[np.int64]
    g_mean: float
    mcc_hypo: float
    mcc_hyper: float
    recalls: tuple[float, float, float]


def glycaemia(reference: npt.ArrayLike, prediction: npt.ArrayLike, unit: str = "mg/dL") -> Glycaemia:
    """Return the confusion of hypo (< 70 mg/dL or 3.9 mmol/L), in range and hyper (> 180 or 10.0) over finite pairs.

    Values are judged in their own unit. A recall is NaN where the truth never has the class, and with it the geometric
    mean. A Matthews coefficient is NaN where the truth has only one of the two, and 0 where only the forecast has.

    Unit: 1. Higher is better, of counts neither. Give the median. Source: international consensus on time in range
    (Battelino et al. 2019) for the limits; Matthews 1975.

    :param reference: measured glucose, any shape, above 0.
    :param prediction: forecast glucose, the same shape.
    :param unit: of both.
    :raises DataError: for a reference of 0 or less, shapes that differ, an unknown unit, or what holds no numbers.
    """
    limits_of(unit)
    r, p = glucose_pairs(reference, prediction, unit)
    sums = {name: int(part.sum()) for name, part in _confusion(r, p, unit).items()}
    scores = {name: float(score) for name, score in _scores(sums).items()}
    return Glycaemia(
        np.array([sums[pair] for pair in PAIRS], dtype=np.int64).reshape(3, 3),
        scores["g_mean"],
        scores["mcc_hypo"],
        scores["mcc_hyper"],
        (scores["recall_hypo"], scores["recall_range"], scores["recall_hyper"]),
    )


def _confusion(r: npt.NDArray[Any], p: npt.NDArray[Any], unit: str) -> dict[str, npt.NDArray[np.bool_]]:
    limits = thresholds(unit)
    both = np.isfinite(r) & np.isfinite(p)
    truths, forecasts = ((g < limits.low, (g >= limits.low) & (g <= limits.high), g > limits.high) for g in (r, p))
    return {
        f"{truth}_as_{forecast}": both & is_truth & is_forecast
        for truth, is_truth in zip(CLASSES, truths, strict=True)
        for forecast, is_forecast in zip(CLASSES, forecasts, strict=True)
    }


def _scores(sums: Mapping[str, Any]) -> dict[str, Any]:
    true = {one: sum(sums[f"{one}_as_{other}"] for other in CLASSES) for one in CLASSES}
    said = {one: sum(sums[f"{other}_as_{one}"] for other in CLASSES) for one in CLASSES}
    total = sum(true.values())
    recalls = {one: ratio(sums[f"{one}_as_{one}"], true[one]) for one in CLASSES}
    scores = {"g_mean": np.cbrt(recalls["hypo"] * recalls["range"] * recalls["hyper"])}
    for one in ("hypo", "hyper"):
        counts = sums[f"{one}_as_{one}"], true[one], said[one]
        hits, truths, forecasts = (np.asarray(count, dtype=np.float64) for count in counts)
        # square roots first: the product of four counts of 1e8 is beyond a float's whole numbers
        spread = np.sqrt(truths * (total - truths)) * np.sqrt(forecasts * (total - forecasts))
        matthews = np.where(spread > 0, (total * hits - truths * forecasts) / np.where(spread > 0, spread, 1.0), 0.0)
        matthews = np.clip(matthews, -1.0, 1.0)  # the last digit of two roots
        scores[f"mcc_{one}"] = np.where((truths > 0) & (truths < total), matthews, np.nan)[()]
    return scores | {f"recall_{one}": recall for one, recall in recalls.items()}


def _parts(block: Block) -> Mapping[str, Floats]:
    r, p = block.truth, block.point("median")
    found = _confusion(r, p, block.unit) | {"count": np.isfinite(r) & np.isfinite(p)}
    return {name: part.astype(np.float64) for name, part in found.items()}


def _finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    return _scores(sums) | {pair: 100.0 * ratio(sums[pair], sums["count"]) for pair in PAIRS}


METRICS = (
    Metric(
        name="glycaemia",
        definition=(
            "hypo: g < 70 mg/dL or 3.9 mmol/L; range: up to and with 180 or 10.0; hyper: above, in the data's unit; "
            "<truth>_as_<forecast> = percent of all finite pairs; recall_<class> = share found of its truths, "
            "NaN where there is none; g_mean = (recall_hypo recall_range recall_hyper)^(1/3); mcc_<class> = Matthews "
            "coefficient of the class against the other two, NaN where all or none of the truths are of the class, 0 "
            "where all or none of the forecasts are"
        ),
        unit="1",
        direction="higher",
        point="median",
        parts=_parts,
        finish=_finish,
        needs=("glucose",),
        family="clinical",
        limits={"": (0.0, 1.0), "mcc_hypo": (-1.0, 1.0), "mcc_hyper": (-1.0, 1.0)} | dict.fromkeys(PAIRS, (0.0, 100.0)),
        source="international consensus on time in range (Battelino et al. 2019) for the limits; Matthews 1975",
        units=dict.fromkeys(PAIRS, "%"),
        directions=dict.fromkeys(PAIRS, "none"),
    ),
)
