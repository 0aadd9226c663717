"""Shares of the zones of the error grids, and of dangerous pairs among the lows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, Metric
from tsfm_core.units import thresholds
from tsfm_eval.clarke import clarke_zones
from tsfm_eval.glucose import FLOAT32_SLACK
from tsfm_eval.pairs import Floats, ratio
from tsfm_eval.parkes import LOWER, UPPER, Vertices, parkes_zones

__all__ = ["METRICS", "PAIRS", "zone_metric"]

ZONES = "abcde"

#: How pairs are counted, for the definitions.
PAIRS = "r = truth > 0 and p = max(forecast, 0) in mg/dL, 18.018 of them in 1 mmol/L, never rounded"

Zones = Callable[..., npt.NDArray[np.int8]]


def zone_metric(name: str, zones: Zones, definition: str, source: str, **options: Any) -> Metric:
    """Return the metric of the shares of the five zones: ``<name>_a`` to ``<name>_e`` in percent.

    :param zones: ``zones(reference, prediction, unit, slack=..., **options)``.
    """

    def parts(block: Block) -> Mapping[str, Floats]:
        found = _found(zones, block, options)
        return {zone: (found == at).astype(np.float64) for at, zone in enumerate(ZONES)} | {
            "count": (found >= 0).astype(np.float64)
        }

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        return {f"{name}_{zone}": 100.0 * ratio(sums[zone], sums["count"]) for zone in ZONES}

    return Metric(
        name,
        definition,
        "%",
        "none",  # more of B may come out of A or out of C: neither better nor worse
        "median",
        parts,
        finish,
        needs=("glucose",),
        family="clinical",
        limits={"": (0.0, 100.0)},
        source=source,
        directions={f"{name}_a": "higher", f"{name}_c": "lower", f"{name}_d": "lower", f"{name}_e": "lower"},
    )


def _found(zones: Zones, block: Block, options: Mapping[str, Any]) -> npt.NDArray[np.int8]:
    # panels and forecasts are float32: with a slack of 1e-9 a third of the pairs exactly 20 % apart would leave A
    return zones(block.truth, block.point("median"), block.unit, slack=FLOAT32_SLACK, **options)


def _low_metric(name: str, zones: Zones, grid: str, source: str, **options: Any) -> Metric:
    def parts(block: Block) -> Mapping[str, Floats]:
        found = _found(zones, block, options)
        low = (found >= 0) & (block.truth < thresholds(block.unit).low)
        return {"missed": (low & (found >= 3)).astype(np.float64), "count": low.astype(np.float64)}

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        return {f"{name}_de": 100.0 * ratio(sums["missed"], sums["count"])}

    definition = (
        f"percent in zones D and E of {grid}, among the finite pairs with r < 70 mg/dL or 3.9 mmol/L in the unit "
        f"of the data; {PAIRS}"
    )
    return Metric(
        name,
        definition,
        "%",
        "lower",
        "median",
        parts,
        finish,
        needs=("glucose",),
        family="clinical",
        limits={"": (0.0, 100.0)},
        source=source,
    )


_CLARKE = "Clarke et al. 1987, Diabetes Care 10(5); inequalities of the R package ega 2.0.0"
_PARKES = "Parkes et al. 2000, Diabetes Care 23(8); vertices of Pfützner et al. 2013, J Diabetes Sci Technol 7(5)"

_RULE = (
    "the worst zone whose upper line lies below the pair (p > line(r)) or whose lower line lies above it (r > first r "
    "of the line and p < line(r)), A where there is none; a pair on a line, or within a relative 1e-6 of it, belongs "
    "to the less severe zone; the last segment goes on with its slope"
)


def _lines(lines: tuple[Vertices, ...]) -> str:
    """Return the vertices as ``B 0,50 30,50 ...; C 0,60 ...``."""
    return "; ".join(
        " ".join([zone, *(f"{x},{y}" for x, y in line)]) for zone, line in zip("BCDE", lines, strict=False)
    )


def _parkes(diabetes_type: int) -> Metric:
    definition = (
        f"percent of the finite pairs in each zone of the Parkes grid of type {diabetes_type} diabetes; {PAIRS}; "
        f"{_RULE}; upper lines (r,p) {_lines(UPPER[diabetes_type])}; lower lines {_lines(LOWER[diabetes_type])}"
    )
    return zone_metric(f"parkes_t{diabetes_type}", parkes_zones, definition, _PARKES, diabetes_type=diabetes_type)


METRICS = (
    _parkes(1),
    _parkes(2),
    _low_metric("clarke_low", clarke_zones, "the Clarke grid, convention ega", _CLARKE),
    _low_metric("parkes_t1_low", parkes_zones, "the Parkes grid of type 1 diabetes", _PARKES),
)
