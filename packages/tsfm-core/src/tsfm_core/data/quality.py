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

__all__ = ["GAPS", "ItemReport", "Quality", "find_problems", "gaps_of", "max_gap_seconds", "read_report"]

#: Gaps are counted by length: those longer than each of these.
GAPS = ("45min", "2h", "6h", "1D")
#: Glucose above it is no mmol/L, and a median below it is no mg/dL.
_BETWEEN_UNITS = 35.0
_ENOUGH = 288


@dataclass(frozen=True)
class ItemReport:
    """What the rows of one item were like.

    :param rows: of the source that hold the target's stream.
    :param first: stamp of the first row on the grid; ``last`` of the last.
    :param readings: slots with a reading.
    :param coverage: observed share of the slots between the first and the last row.
    :param cadence: most frequent time between readings as they were stamped; None with fewer than two.
    :param gaps: stretches without a reading, by the length that they exceed.
    :param unsorted: rows that go back in time; ``off_grid``: with a stamp between two slots; ``duplicates``: in a slot
        that has one already, ``repeats`` of them with the same stamp and value; ``shared``: another item's;
        ``impossible``: outside ``data.valid_range``.
    :param mean: of the readings, in the panel's unit; None without one.
    :param channels: of each covariate, its recorded slots and their total, mean, or how many labels they hold.
    """

    item_id: str
    rows: int
    first: str
    last: str
    slots: int
    readings: int
    coverage: float
    cadence: str | None
    gaps: dict[str, int]
    longest_gap: str
    unsorted: int
    off_grid: int
    duplicates: int
    repeats: int
    shared: int
    impossible: int
    mean: float | None
    median: float | None
    zone: str | None = None
    channels: dict[str, dict[str, float | None]] = field(default_factory=dict)


@dataclass
class Quality:
    """The report on a source: every item, and every problem with the way out of it.

    :param shared: pairs of items that share rows: ``{"owner", "other", "rows"}``.
    :param notes: what the reader left out or met: ``{"item_id", "what", "rows"}``.
    """

    items: list[ItemReport] = field(default_factory=list)
    shared: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        problems = [{"problem": problem, "hint": hint} for problem, hint in self.problems]
        items = [asdict(item) for item in self.items]
        return {"items": items, "shared": self.shared, "notes": self.notes, "problems": problems}


def read_report(plain: Mapping[str, Any]) -> Quality:
    """Return the report that :meth:`Quality.to_json` wrote, without problems: those depend on the config."""
    return Quality([ItemReport(**item) for item in plain["items"]], list(plain["shared"]), list(plain["notes"]))


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


def gaps_of(panel: Panel, at: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the seconds between neighbouring readings of item ``at``, and the readings."""
    column = panel.columns[panel.target][int(panel.offsets[at]) : int(panel.offsets[at + 1])]
    observed = np.flatnonzero(np.isfinite(column))
    return np.diff(observed) * panel.step, np.asarray(column[observed])


def find_problems(quality: Quality, panel: Panel, data: DataConfig, task: Task) -> None:
    """Put into the report each thing that ``data``, its rules said, does not allow."""
    quality.problems.clear()
    for pair in quality.shared:
        if data.shared_rows == "refuse":
            said = f"{pair['owner']} and {pair['other']} share {pair['rows']:,} rows (same stamp, same value)"
            quality.problems.append(
                (said, "one person in two items leaks: set data.shared_rows: drop or keep, or exclude")
            )
    _refuse(quality, "unsorted", data.unsorted, "go back in time", "set data.unsorted: sort")
    _refuse(quality, "off_grid", data.off_grid, f"have stamps off the {task.freq} grid", "set data.off_grid: floor")
    combine = "set data.duplicates: median, mean or sum"
    _refuse(quality, "duplicates", data.duplicates, "share their slot with another", combine)
    mixed = [item for item in quality.items if item.cadence and seconds(item.cadence) > panel.step]
    if mixed and data.mixed_freq == "refuse":
        named = listing(f"{item.item_id} ({item.cadence})" for item in mixed)
        said = f"task.freq is {task.freq}, but the readings come at another step in {named}"
        quality.problems.append((said, "leave them out with data.exclude, or set data.mixed_freq: keep"))
    suspects = [item for item in quality.items if _suspect(item, panel.unit)]
    if suspects and data.suspect_unit == "refuse":
        named = listing(f"{item.item_id} (median {item.median:g} {panel.unit})" for item in suspects)
        other = "mmol/L" if panel.unit == "mg/dL" else "mg/dL"
        said = f"the readings look like {other}: {named}"
        quality.problems.append((said, f"set data.unit: {other}, or data.suspect_unit: keep"))


def _suspect(item: ItemReport, unit: str) -> bool:
    if item.median is None or item.readings < _ENOUGH:
        return False
    return (unit == "mg/dL" and item.median < _BETWEEN_UNITS) or (unit == "mmol/L" and item.median > _BETWEEN_UNITS)


def _refuse(quality: Quality, count: str, rule: object, what: str, hint: str) -> None:
    affected = [item for item in quality.items if getattr(item, count)]
    if affected and rule == "refuse":
        total = sum(getattr(item, count) for item in affected)
        named = listing(f"{item.item_id} ({getattr(item, count)})" for item in affected)
        quality.problems.append((f"{total} rows {what}: {named}", hint))


def format_gap(length: int) -> str:
    """Return the longest gap as an alias; ``0s`` where there is none."""
    return format_seconds(length) if length else "0s"
