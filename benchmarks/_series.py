"""One long series and windows over it: what the benchmarks of the models forecast."""

from __future__ import annotations

import numpy as np

from tsfm_core import Panel, TrainingWindows
from tsfm_core.data.windows import WindowRule
from tsfm_core.prepare import Loaded

__all__ = ["make_windows"]

_ROWS = 40_000


def make_windows(loaded: Loaded, count: int) -> TrainingWindows:
    """Return ``count`` windows over one long series, in random order."""
    random = np.random.default_rng(0)
    values = 130 + np.cumsum(random.normal(0, 2, _ROWS)).astype(np.float32)
    start = np.full(1, "2001-01-01", "datetime64[s]")
    panel = Panel(("p",), np.array([0, _ROWS]), start, 300, {"glucose": values}, "mg/dL")
    spans = panel.offsets[:-1], panel.offsets[1:]
    windows = WindowRule(45 * 60, 0.8, 512).cut(panel, loaded.task, lambda part: np.ones(len(part), bool), *spans)[0]
    return windows.take(random.permutation(len(windows))[:count])
