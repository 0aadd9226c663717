"""The entry module: light, as every listing loads it; the metrics are imported when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsfm_core import hookimpl

if TYPE_CHECKING:
    from typing import Any

    from tsfm_core import IntervalMethod, Metric

__all__ = ["commands", "intervals", "metrics"]


@hookimpl
def metrics() -> list[Metric]:
    """Return the point, scaled, quantile and clinical metrics."""
    from tsfm_eval import clinical, interval, point, quantile, scaled

    return [*point.METRICS, *scaled.METRICS, *quantile.METRICS, *interval.METRICS, *clinical.METRICS]


@hookimpl
def intervals() -> list[IntervalMethod]:
    """Return the patient bootstrap."""
    from tsfm_eval.intervals import METHOD

    return [METHOD]


@hookimpl
def commands(app: Any) -> None:
    """Add ``tsfm runs compare``."""
    from tsfm_core.cli.options import group
    from tsfm_eval.commands import compare

    group(app, "runs").command()(compare)
