"""The report on a source: what every item's rows are like, and each problem with the way out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.config.schema import DataConfig
from tsfm_core.data.panel import Panel
from tsfm_core.errors import DataError, listing
from tsfm_core.freq import format_seconds, seconds
from tsfm_core.task import Task

__all__ = ["ItemReport", "Quality", "max_gap_seconds", "report_quality"]


@dataclass(frozen=True)
class ItemReport:
    """What the rows of one item were like.

    :param coverage: observed share of the slots between the first and the last row.
    :param cadence: most frequent time between readings; None with fewer than two.
    :param gaps: stretches without a reading that are longer than ``max_gap``.
    """

    item_id: str
    rows: int
    first: str
    last: str
    readings: int
    coverage: float
    cadence: str | None
    gaps: int
    longest_gap: str
    unsorted: int
    off_grid: int
    duplicates: int


@dataclass
class Quality:
    """The report on a source: every item, and every problem with the way out of it."""

    items: list[ItemReport] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        problems = [{"problem": problem, "hint": hint} for problem, hint in self.problems]
        return {"items": [asdict(item) for item in self.items], "problems": problems}


def max_gap_seconds(data: DataConfig, task: Task) -> int:
    """Return ``data.max_gap`` in seconds.

    :raises DataError: for a gap shorter than one step: no window would be left.
    """
    step = task.step_seconds
    if data.max_gap is None:
        return max(45 * 60, step)
    if seconds(data.max_gap) < step:
        raise DataError(
            f"data.max_gap {data.max_gap} is shorter than one step of {task.freq}", "give at least one step"
        )
    return seconds(data.max_gap)


def report_quality(panel: Panel, counts: Mapping[str, npt.NDArray[np.int64]], data: DataConfig, task: Task) -> Quality:
    """Return the report on a panel.

    :param counts: ``rows``, ``unsorted``, ``off_grid`` and ``duplicates`` of the source's rows, each ``[items]``.
    """
    quality = Quality([_item(panel, at, counts, max_gap_seconds(data, task)) for at in range(len(panel.item_ids))])
    _refuse(quality, "unsorted", data.unsorted, "go back in time", "set data.unsorted: sort")
    _refuse(quality, "off_grid", data.off_grid, f"have stamps off the {task.freq} grid", "set data.off_grid: floor")
    combine = "set data.duplicates: median, mean or sum"
    _refuse(quality, "duplicates", data.duplicates, "share their slot with another", combine)
    mixed = [item for item in quality.items if item.cadence and item.cadence != panel.freq]
    if mixed and data.mixed_freq == "refuse":
        named = listing(f"{item.item_id} ({item.cadence})" for item in mixed)
        said = f"task.freq is {task.freq}, but the readings come at another step in {named}"
        quality.problems.append((said, "leave them out with data.exclude, or set data.mixed_freq: keep"))
    return quality


def _item(panel: Panel, at: int, counts: Mapping[str, npt.NDArray[np.int64]], max_gap: int) -> ItemReport:
    begin, end = int(panel.offsets[at]), int(panel.offsets[at + 1])
    observed = np.flatnonzero(np.isfinite(panel.columns[panel.target][begin:end]))
    between = np.diff(observed) * panel.step
    lengths, times = np.unique(between, return_counts=True)
    first, last = panel.stamps(np.array([begin, end - 1]))
    return ItemReport(
        item_id=panel.item_ids[at],
        first=str(first),
        last=str(last),
        readings=len(observed),
        coverage=round(len(observed) / (end - begin), 4),
        cadence=format_seconds(int(lengths[times.argmax()])) if len(between) else None,
        gaps=int((between > max_gap).sum()),
        longest_gap=format_seconds(int(between.max())) if len(between) else "0s",
        **{name: int(count[at]) for name, count in counts.items()},
    )


def _refuse(quality: Quality, count: str, rule: object, what: str, hint: str) -> None:
    affected = [item for item in quality.items if getattr(item, count)]
    if affected and rule == "refuse":
        total = sum(getattr(item, count) for item in affected)
        named = listing(f"{item.item_id} ({getattr(item, count)})" for item in affected)
        quality.problems.append((f"{total} rows {what}: {named}", hint))
