"""Training on a few windows: which of them stay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tsfm_core.data.cutoffs import Cutoffs
from tsfm_core.data.windows import TrainingWindows
from tsfm_core.errors import DataError

__all__ = ["last_windows"]


def last_windows(
    windows: TrainingWindows, dropped: Mapping[str, int], percent: float
) -> tuple[TrainingWindows, dict[str, int]]:
    """Return the last ``percent`` of each item's windows, rounded down, and what was dropped before and here.

    :raises DataError: where no item keeps a window, with the numbers.
    """
    index = windows.index
    item = windows.panel.items_of(index.first)  # of each run, ascending: no run spans two items
    of_item = np.bincount(item, index.count, len(windows.panel.item_ids)).astype(np.int64)
    kept = np.floor(of_item * percent / 100 + 1e-9).astype(np.int64)  # 29 % of 100 are 29, whatever 0.29 * 100 is
    if len(windows) and not kept.any():
        raise DataError(
            f"data.fewshot_percent {percent:g} keeps none of the {len(windows):,} training windows: "
            f"the item with the most has {of_item.max():,}",
            f"raise it to {math.ceil(1000 / of_item.max()) / 10:g} or more",
        )
    before = np.cumsum(index.count) - index.count
    skipped = np.clip((np.cumsum(of_item) - kept)[item] - before, 0, index.count).astype(np.int64)
    left = skipped < index.count
    first, count = index.first + skipped * index.step, index.count - skipped
    few = replace(windows, index=Cutoffs(first[left], index.step[left], count[left], index.seen[left]))
    reason = f"earlier than the last {percent:g} % of the item, which data.fewshot_percent keeps"
    return few, {**dropped, reason: len(windows) - len(few)}
