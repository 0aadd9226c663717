"""The entry module: light, as every listing loads it; the metrics are imported when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsfm_core import hookimpl

if TYPE_CHECKING:
    from tsfm_core import Metric

__all__ = ["metrics"]


@hookimpl
def metrics() -> list[Metric]:
    """Return the point, scaled, quantile and clinical metrics."""
    from tsfm_eval import clinical, interval, point, quantile, scaled

    return [*point.METRICS, *scaled.METRICS, *quantile.METRICS, *interval.METRICS, *clinical.METRICS]
