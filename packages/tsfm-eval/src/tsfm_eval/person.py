"""Errors of a number that belongs to a person: what the forecasts say of it less what the truth says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tsfm_core import Block, Metric
from tsfm_eval.pairs import Floats, ratio

__all__ = ["person_error"]


def person_error(
    name: str,
    of_truth: Callable[[Floats, str], Floats],
    of_forecast: Callable[[Floats, str], Floats],
    number: str,
    unit: str,
    source: str,
) -> Metric:
    """Return the metric ``<name>_bias`` and ``<name>_mae``: mean and mean absolute error of a person's number.

    :param of_truth: ``of_truth(glucose, unit)``: what each reading adds to the number, the mean over the readings.
    :param of_forecast: the same of each forecast.
    :param number: what it is, to the last inequality.
    """

    def parts(block: Block) -> Mapping[str, Floats]:
        truth, forecast = block.truth, block.point("median")
        both = np.isfinite(truth) & np.isfinite(forecast)
        inert = np.where(both, truth, 1e2), np.where(both, forecast, 1e2)
        return {
            "truth": np.where(both, of_truth(inert[0], block.unit), 0.0),
            "forecast": np.where(both, of_forecast(inert[1], block.unit), 0.0),
            "count": both.astype(np.float64),
        }

    def per_item(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        seen = np.asarray(sums["count"]) > 0
        error = np.where(seen, ratio(sums["forecast"] - sums["truth"], sums["count"]), 0.0)
        items = seen.astype(np.float64)
        return {"error": error[()], "absolute": np.abs(error)[()], "items": items[()], "count": sums["count"]}

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            f"{name}_bias": ratio(sums["error"], sums["items"]),
            f"{name}_mae": ratio(sums["absolute"], sums["items"]),
        }

    definition = (
        f"mean over items of the error (_bias) and of its size (_mae); error of an item = {number}, of the forecasts "
        "less that of the truths, over its finite pairs; a truth counts once for each window that holds it"
    )
    return Metric(
        name,
        definition,
        unit,
        "lower",
        "median",
        parts,
        finish,
        needs=("glucose",),
        per_item=per_item,
        family="clinical",
        source=source,
        directions={f"{name}_bias": "none"},
        limits={f"{name}_mae": (0.0, float("inf"))},
    )
