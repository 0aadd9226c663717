"""What one metric knows of each item: all that a score, and how sure one is of it, is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.records import Metric

__all__ = ["Array", "Parts", "Sample", "by_person", "finished"]

Array = npt.NDArray[Any]
Parts = dict[str, Array]


@dataclass(frozen=True)
class Sample:
    """What one metric knows of each item: all that a score, and how sure one is of it, is computed from.

    :param items: ``[I]``, ascending.
    :param sums: by part ``[I, ...]``; or, with ``rows``, columns ``[N, ...]``.
    :param rows: ``[N]`` the place in ``items`` of each row of the columns, ascending; None: sums.
    """

    metric: Metric
    items: tuple[str, ...]
    sums: Mapping[str, Array]
    rows: npt.NDArray[np.integer] | None = None

    def of(self, items: npt.NDArray[np.intp] | slice) -> dict[str, float]:
        """Return the numbers of some items together, each as often as it is named."""
        if self.rows is None:
            return finished(self.metric, {name: part[items].sum(axis=0) for name, part in self.sums.items()})
        places = np.arange(len(self.items))[items]
        begin, end = np.searchsorted(self.rows, places), np.searchsorted(self.rows, places, side="right")
        at = np.concatenate([np.arange(*pair) for pair in zip(begin, end, strict=True)] or [np.empty(0, np.intp)])
        return finished(self.metric, {name: column[at] for name, column in self.sums.items()})

    def overall(self) -> dict[str, float]:
        """Return the numbers of all items together."""
        return self.of(slice(None))


def by_person(sample: Sample) -> Sample:
    """Return a sample whose sums are what ``per_item`` makes of each item's."""
    metric = sample.metric
    assert metric.per_item is not None
    rows = []
    for at in range(len(sample.items)):
        if sample.rows is None:
            own = {name: part[at] for name, part in sample.sums.items()}
        else:
            own_rows = slice(*np.searchsorted(sample.rows, [at, at + 1]))
            own = {name: column[own_rows] for name, column in sample.sums.items()}
        rows.append(metric.per_item(own))
    names = list(rows[0])
    return Sample(metric, sample.items, {name: np.array([row[name] for row in rows], np.float64) for name in names})


def finished(metric: Metric, sums: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of some sums; NaN where there are no pairs."""
    with np.errstate(divide="ignore", invalid="ignore"):  # no pairs: 0 / 0 is NaN
        return {name: float(number) for name, number in metric.finish(sums).items()}
