"""Leakage is asserted, not assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tsfm_core.data.windows import TrainingWindows

__all__ = ["assert_no_leakage"]

Rows = npt.NDArray[np.int64]


def assert_no_leakage(learnt: Sequence[TrainingWindows], tested: Mapping[str, TrainingWindows]) -> None:
    """Check that no row is both inside a window that was learnt from and inside a test window's truth.

    :raises AssertionError: never for windows that :func:`make_split` bounds; a bug otherwise.
    """
    for name, windows in tested.items():
        truth = _covered(windows, 1, windows.task.prediction_length)
        for learnt_from in learnt:
            task = learnt_from.task
            seen = _covered(learnt_from, 1 - task.context_length, task.prediction_length, learnt_from.seen_from)
            if (truth & seen).any():
                row = int(np.flatnonzero(truth & seen)[0])
                item = windows.panel.item_ids[int(windows.panel.items_of(np.array([row]))[0])]
                raise AssertionError(f"a truth of {name} (item {item!r}) lies inside a training window")


def _covered(windows: TrainingWindows, start: int, stop: int, not_before: Rows | None = None) -> npt.NDArray[np.bool_]:
    """Return which rows of the panel lie ``start..stop`` steps from some cutoff, ``[rows]``."""
    first = windows.cutoffs_at + start
    first = first if not_before is None else np.maximum(first, not_before)
    size = len(windows.panel) + 1
    opened = np.bincount(first, minlength=size)
    closed = np.bincount(windows.cutoffs_at + stop + 1, minlength=size)
    return np.cumsum(opened - closed)[:-1] > 0
