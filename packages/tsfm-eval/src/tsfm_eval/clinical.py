"""The shares of the Clarke zones, in both readings of the grid."""

from __future__ import annotations

from tsfm_core import Metric
from tsfm_eval.clarke import Convention, clarke_zones
from tsfm_eval.grids import PAIRS, zone_metric

__all__ = ["METRICS"]


def _clarke(name: str, convention: Convention, zones: str, source: str) -> Metric:
    definition = (
        f"percent of the finite pairs in each Clarke zone, convention {convention}; {PAIRS}; first match wins: {zones}"
    )
    return zone_metric(name, clarke_zones, definition, source, convention=convention)


METRICS = (
    _clarke(
        "clarke",
        "ega",
        "A abs(p - r) <= 0.2 r (1 + 1e-6) or (r < 70 and p < 70); "
        "E (r <= 70 and p >= 180) or (r >= 180 and p <= 70); "
        "C (r > 70 and p > 180 and p > r + 110) or (130 <= r <= 180 and p < 1.4 (r - 130)); "
        "D (r < 70 or r > 240) and 70 <= p < 180; "
        "B everything else",
        "Clarke et al. 1987, Diabetes Care 10(5); inequalities of the R package ega 2.0.0",
    ),
    _clarke(
        "clarke_matlab",
        "matlab",
        "A abs(p - r) <= 0.2 r (1 + 1e-6) or (r <= 70 and p <= 70); "
        "E (r <= 70 and p >= 180) or (r >= 180 and p <= 70); "
        "C (70 <= r <= 290 and p >= r + 110) or (130 <= r <= 180 and p <= 1.4 (r - 130)); "
        "D (r >= 240 and 70 <= p <= 180) or (r <= 175/3 and 70 <= p <= 180) or (175/3 <= r <= 70 and p >= 1.2 r); "
        "B everything else",
        "Clarke et al. 1987, Diabetes Care 10(5); inequalities of the widely copied MATLAB script",
    ),
)
