"""From rows to slots: what is irregular is counted, and several rows of one slot become one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tsfm_core.data.source import Table
from tsfm_core.errors import DataError

__all__ = ["Cells", "Counts", "combine", "combine_rules", "slots_of"]

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cells:
    """One row for each slot of an item.

    :param codes: ``[n]``, ascending; ``slots`` ascending within each.
    :param values: ``[n, C]``.
    """

    codes: Rows
    slots: Rows
    values: npt.NDArray[np.float64]


class Counts:
    """Counts by item that grow with the items."""

    def __init__(self) -> None:
        self._counts: dict[str, Rows] = {}

    def add(self, what: str, codes: Rows) -> None:
        """Count one for each of ``codes``."""
        if not len(codes):
            return
        new = np.bincount(codes)
        old = self._counts.get(what, np.zeros(0, np.int64))
        total = np.zeros(max(len(old), len(new)), np.int64)
        total[: len(old)] += old
        total[: len(new)] += new
        self._counts[what] = total

    def of(self, what: str, code: int) -> int:
        """Return the count of an item."""
        counts = self._counts.get(what, ())
        return int(counts[code]) if code < len(counts) else 0


def slots_of(stamps: Rows, step_us: int, rule: str) -> Rows:
    """Return the slot of each stamp: the one that it lies in, or by ``round`` the nearest."""
    return np.asarray((stamps + (step_us // 2 if rule == "round" else 0)) // step_us)


def combine_rules(
    channels: Sequence[str], kinds: Mapping[str, str], duplicates: str | Mapping[str, str]
) -> tuple[str, ...]:
    """Return how each channel joins several values of one slot: median, mean, sum or last."""
    rules = []
    for channel in channels:
        kind = kinds.get(channel, "reading")
        if kind != "reading":
            rules.append("sum" if kind == "amount" else "last")
        elif isinstance(duplicates, str):
            rules.append("median" if duplicates == "refuse" else duplicates)
        elif channel in duplicates:
            rules.append(duplicates[channel])
        else:
            raise DataError(f"data.duplicates says nothing of {channel}", f"add {channel}: median, mean or sum")
    return tuple(rules)


def combine(table: Table, slots: Rows, rules: Sequence[str], streams: bool, counts: Counts) -> Cells:
    """Return one row for each slot, and count the rows that share one.

    A median and a mean are taken over distinct readings: an exact repeat (same stamp, same value) counts once. A sum of
    nothing is nothing.

    :param rules: of each channel, by :func:`combine_rules`.
    :param streams: whether a row holds one stream, so that only rows with a target count as doubles of each other.
    """
    order = np.lexsort((table.stamps, table.codes))
    table, slots = table.take(order), slots[order]
    opens = np.ones(len(slots), bool)
    opens[1:] = (np.diff(slots) != 0) | (np.diff(table.codes) != 0)
    group = np.cumsum(opens) - 1
    _count_doubles(table, slots, streams, counts)
    values = table.values[opens]
    crowded = np.flatnonzero(np.bincount(group) > 1)
    if len(crowded):
        rows = np.flatnonzero(np.isin(group, crowded))
        for at, rule in enumerate(rules):
            part = pd.DataFrame({"group": group[rows], "stamp": table.stamps[rows], "value": table.values[rows, at]})
            values[crowded, at] = _joined(part, rule).reindex(crowded).to_numpy(np.float64)
    return Cells(table.codes[opens], slots[opens], values)


def _joined(part: pd.DataFrame, rule: str) -> pd.Series[float]:
    part = part[part.value.notna()]
    if rule in ("median", "mean"):
        part = part.drop_duplicates()
    grouped = part.groupby("group").value
    with np.errstate(over="ignore"):  # refused where it is laid
        joined: pd.Series[float] = grouped.agg(rule)
    return joined


def _count_doubles(table: Table, slots: Rows, streams: bool, counts: Counts) -> None:
    """Count rows that share their slot with an earlier one, and among them exact repeats of a reading."""
    target = table.values[:, 0]
    rows = np.flatnonzero(np.isfinite(target)) if streams else np.arange(len(slots))
    codes, own, stamps = table.codes[rows], slots[rows], table.stamps[rows]
    doubled = (np.diff(own) == 0) & (np.diff(codes) == 0)
    counts.add("duplicates", codes[1:][doubled])
    order = np.lexsort((target[rows], stamps, codes))
    codes, stamps, readings = codes[order], stamps[order], target[rows][order]
    repeated = (np.diff(codes) == 0) & (np.diff(stamps) == 0) & (np.diff(readings) == 0)
    counts.add("repeats", codes[1:][repeated])
