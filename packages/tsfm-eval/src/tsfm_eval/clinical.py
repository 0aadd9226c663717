"""Clinical scores of glucose forecasts: the shares of the Clarke zones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsfm_core import Block, Metric
from tsfm_eval.clarke import FLOAT32_SLACK, Convention, clarke_zones
from tsfm_eval.pairs import Floats, ratio

__all__ = ["METRICS"]

ZONES = "abcde"


def _clarke(name: str, convention: Convention, zones: str) -> Metric:
    def parts(block: Block) -> Mapping[str, Floats]:
        # panels and forecasts are float32: with a slack of 1e-9 a third of the pairs exactly 20 % apart would leave A
        found = clarke_zones(block.truth, block.point("median"), block.unit, convention, FLOAT32_SLACK)
        return {zone: (found == at).astype(np.float64) for at, zone in enumerate(ZONES)}

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        pairs = sum(sums[zone] for zone in ZONES)
        return {f"{name}_{zone}": 100.0 * ratio(sums[zone], pairs) for zone in ZONES}

    definition = (
        f"percent of the finite pairs in each Clarke zone, convention {convention}; r = truth > 0 and "
        f"p = max(forecast, 0) in mg/dL, 18.018 of them in 1 mmol/L, never rounded; first match wins: {zones}"
    )
    return Metric(name, definition, "%", "none", "median", parts, finish, needs=("glucose",))


METRICS = (
    _clarke(
        "clarke",
        "ega",
        "A abs(p - r) <= 0.2 r (1 + 1e-6) or (r < 70 and p < 70); "
        "E (r <= 70 and p >= 180) or (r >= 180 and p <= 70); "
        "C (r > 70 and p > 180 and p > r + 110) or (130 <= r <= 180 and p < 1.4 (r - 130)); "
        "D (r < 70 or r > 240) and 70 <= p < 180; "
        "B everything else",
    ),
    _clarke(
        "clarke_matlab",
        "matlab",
        "A abs(p - r) <= 0.2 r (1 + 1e-6) or (r <= 70 and p <= 70); "
        "E (r <= 70 and p >= 180) or (r >= 180 and p <= 70); "
        "C (70 <= r <= 290 and p >= r + 110) or (130 <= r <= 180 and p <= 1.4 (r - 130)); "
        "D (r >= 240 and 70 <= p <= 180) or (r <= 175/3 and 70 <= p <= 180) or (175/3 <= r <= 70 and p >= 1.2 r); "
        "B everything else",
    ),
)
