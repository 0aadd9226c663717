"""Whether forecasts tell the windows, such as nights, that bring hypoglycaemia: the metrics hypo_detection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, Metric
from tsfm_eval.detection import auprc, auroc, choose_threshold, operating_point
from tsfm_eval.glucose import low_limit
from tsfm_eval.hypo import ENOUGH
from tsfm_eval.pairs import Floats
from tsfm_eval.tail import LOWEST_LEVEL, level_below

__all__ = ["METRICS"]

RULES: dict[str, float | Literal["youden"]] = {"sens90": 0.9, "sens80": 0.8, "youden": "youden"}

#: Windows at a time: the probabilities of all their steps are kept until their largest is found.
CHUNK = 1024

Score = Callable[[Block, float], Floats]


def _of_point(block: Block, threshold: float) -> Floats:
    forecast = block.point("median")
    return np.asarray(-np.where(np.isfinite(forecast), forecast, np.inf).min(axis=1, initial=np.inf))


def _of_quantiles(block: Block, threshold: float) -> Floats:
    assert block.quantiles is not None
    highest = np.empty(len(block.truth))
    for start in range(0, len(highest), CHUNK):
        quantiles = np.moveaxis(block.quantiles[start : start + CHUNK], 1, 0)
        below = level_below(quantiles, block.levels, threshold)
        known = np.isfinite(quantiles).all(axis=0)
        highest[start : start + CHUNK] = np.where(known, below, -np.inf).max(axis=1, initial=-np.inf)
    return highest


def _no_tail(block: Block) -> str | None:
    if min(block.levels) <= LOWEST_LEVEL:
        return None
    return f"no level lies at {LOWEST_LEVEL:g} or below, so that no low could be rarer than {min(block.levels):g}"


def _labels(block: Block, threshold: float) -> npt.NDArray[np.int8]:
    """Return 1 where a low was seen, 0 where enough was and no low, -1 where the window says neither."""
    seen = np.isfinite(block.truth)
    low = (seen & (block.truth < threshold)).any(axis=1)
    enough = seen.mean(axis=1) >= ENOUGH
    return np.where(low, 1, np.where(enough, 0, -1)).astype(np.int8)


def _metric(level: int, of: Literal["point", "quantiles"], any_levels: bool = False) -> Metric:
    name = "hypo_detection" + "_p" * (of == "quantiles") + "_level2" * (level == 2) + "_any_levels" * any_levels
    score = _of_quantiles if of == "quantiles" else _of_point

    def parts(block: Block) -> Mapping[str, npt.NDArray[Any]]:
        threshold = low_limit(block.unit, level)
        found = score(block, threshold)
        label = np.where(np.isfinite(found), _labels(block, threshold), -1).astype(np.int8)
        return {
            "label": label,
            "score": np.where(np.isfinite(found), found, 0.0),
            "count": (label >= 0).astype(np.int8),
        }

    def finish(columns: Mapping[str, Any]) -> Mapping[str, Any]:
        known = columns["label"] >= 0
        label, given = columns["label"][known], columns["score"][known]
        scores = {
            "auroc": auroc(label, given),
            "auprc": auprc(label, given),
            "base_rate": float(label.mean()) if label.size else float("nan"),
            "windows": float(label.size),
            "left_out": float(np.count_nonzero(~known)),
        }
        for rule in RULES:
            if f"threshold_{rule}" in columns:
                # of each window the one that its own run chose; NaN where that run had nothing to choose on
                chosen = np.broadcast_to(columns[f"threshold_{rule}"], known.shape)[known]
                usable = np.isfinite(chosen)
                chosen = chosen[usable]
                at = operating_point(label[usable], given[usable] - chosen, 0.0 if chosen.size else float("nan"))
                one = chosen.size and (chosen == chosen[0]).all()
                scores |= {
                    f"{rule}_threshold": float(chosen[0]) if one else float("nan"),
                    f"{rule}_sensitivity": at.sensitivity,
                    f"{rule}_specificity": at.specificity,
                    f"{rule}_ppv": at.ppv,
                }
        return {f"{name}_{number}": value for number, value in scores.items()}

    limit = {1: "70 mg/dL or 3.9 mmol/L", 2: "54 mg/dL or 3.0 mmol/L"}[level]
    told = {
        "point": "score = - lowest forecast of the window",
        "quantiles": "score = largest P(y < limit) over the steps of the window, P linear between the sorted quantiles "
        "and the first or the last level outside them",
    }[of]
    asked = f"; a level of {LOWEST_LEVEL:g} or lower is asked for" if of == "quantiles" and not any_levels else ""
    unjudged = ("base_rate", "windows", "left_out", *(f"{rule}_threshold" for rule in RULES))
    return Metric(
        name=name,
        definition=(
            f"label of a window: 1 if any truth < {limit}, in the unit of the data; 0 if none is and at least 80 % of "
            f"its truths were observed; else left out and counted; {told}; auroc by ranks, ties 0.5; auprc = sum (R_n "
            "- R_(n-1)) P_n over the distinct scores; base_rate = share of windows with label 1; at score >= threshold "
            "sensitivity, specificity, ppv, the thresholds chosen on the validation windows: the highest that reaches "
            "90 % (sens90) or 80 % sensitivity (sens80), the one of the largest sensitivity + specificity (youden); "
            "of folds each with its own, and without the windows of one that could choose none; threshold is NaN where "
            f"they differ{asked}"
        ),
        unit="1",
        direction="higher",
        point="median" if of == "point" else "quantiles",
        parts=parts,
        finish=finish,
        needs=("glucose", "quantiles") if of == "quantiles" else ("glucose",),
        additive=False,
        steps=False,
        family="event",
        limits={f"{name}_{number}": (0.0, 1.0) for number in ("auroc", "auprc", "base_rate")}
        | {f"{name}_{rule}_{number}": (0.0, 1.0) for rule in RULES for number in ("sensitivity", "specificity", "ppv")},
        source="Hanley and McNeil 1982, Radiology 143; Youden 1950, Cancer 3",
        why_not=_no_tail if asked else None,
        choose=_choose,
        units={f"{name}_{rule}_threshold": "target" for rule in RULES} if of == "point" else {},
        directions=dict.fromkeys((f"{name}_{number}" for number in unjudged), "none"),
    )


def _choose(columns: Mapping[str, Any]) -> Mapping[str, float]:
    known = columns["label"] >= 0
    label, score = columns["label"][known], columns["score"][known]
    return {f"threshold_{name}": choose_threshold(label, score, rule) for name, rule in RULES.items()}


METRICS = (
    *(_metric(level, "point") for level in (1, 2)),
    *(_metric(level, "quantiles") for level in (1, 2)),
    *(_metric(level, "quantiles", any_levels=True) for level in (1, 2)),
)
