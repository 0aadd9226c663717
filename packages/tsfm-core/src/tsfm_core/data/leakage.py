"""Leakage is asserted, not assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tsfm_core.data.windows import TrainingWindows

__all__ = ["assert_no_leakage"]


def assert_no_leakage(learnt: Sequence[TrainingWindows], tested: Mapping[str, TrainingWindows]) -> None:
    """Check that no row is both inside a window that was learnt from and inside a test window's truth.

    :raises AssertionError: never for windows that a split bounds; a bug otherwise.
    """
    for name, windows in tested.items():
        truth_first, truth_last = windows.index.spans(1, windows.task.prediction_length)
        order = np.argsort(truth_first)
        # stretches may overlap one another: how far those up to each one reach
        truth_first, reach = truth_first[order], np.maximum.accumulate(truth_last[order])
        for learnt_from in learnt:
            task = learnt_from.task
            first, last = learnt_from.index.spans(1 - task.context_length, task.prediction_length, only_seen=True)
            before = np.searchsorted(truth_first, last, side="right") - 1
            if not len(reach):
                continue
            inside = np.flatnonzero((before >= 0) & (reach[np.maximum(before, 0)] >= first))
            if len(inside):
                row = int(truth_first[before[inside[0]]])
                item = windows.panel.item_ids[int(windows.panel.items_of(np.array([row]))[0])]
                raise AssertionError(f"a truth of {name} (item {item!r}) lies inside a training window")
