"""The entry module: light, as every listing loads it; the metrics are imported when they are asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tsfm_core import hookimpl

if TYPE_CHECKING:
    from tsfm_core import IntervalMethod, Metric

__all__ = ["commands", "intervals", "metrics"]


#: The modules of the metrics; each holds its ``METRICS``.
_METRICS = (
    "point",
    "scaled",
    "shape",
    "gain",
    "quantile",
    "crps",
    "interval",
    "calibration",
    "tail",
    "clinical",
    "grids",
    "weighted",
    "glycaemic_classes",
    "ranges",
    "risk",
    "hypo",
    "windows_at_risk",
)


@hookimpl
def metrics() -> list[Metric]:
    """Return every metric of this package."""
    modules = (importlib.import_module(f"tsfm_eval.{name}") for name in _METRICS)
    return [metric for module in modules for metric in module.METRICS]


@hookimpl
def intervals() -> list[IntervalMethod]:
    """Return the patient bootstrap."""
    from tsfm_eval.intervals import METHOD

    return [METHOD]


@hookimpl
def commands(app: Any) -> None:
    """Add ``tsfm runs compare`` and ``tsfm report``."""
    from tsfm_core.cli.options import group
    from tsfm_eval.commands import compare, report

    group(app, "runs").command()(compare)
    app.command()(report)
