"""Training windows a second, 512 in, 96 out: our gather against granite's ForecastDFDataset. Aim: 40 times.

Both feed batches of 64 in a shuffled order; the peer as its recipe does, in a DataLoader of the main process.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import torch
from _pairs import machine, pairs, report
from torch.utils.data import DataLoader, Subset, default_collate
from tsfm_public.toolkit.dataset import ForecastDFDataset

from tsfm_core import Panel, Task, TrainingWindows
from tsfm_core.data.windows import WindowRule

_ROWS, _ITEMS, _BATCH, _COUNT = 20_000, 5, 64, 64 * 300


def _panel() -> Panel:
    values = np.random.default_rng(0).normal(120, 30, _ROWS * _ITEMS).astype(np.float32)
    return Panel(
        item_ids=tuple(f"p{at}" for at in range(_ITEMS)),
        offsets=np.arange(_ITEMS + 1, dtype=np.int64) * _ROWS,
        starts=np.full(_ITEMS, "2001-01-01", "datetime64[s]"),
        step=300,
        columns={"glucose": values},
        unit="mg/dL",
    )


def _windows(panel: Panel) -> TrainingWindows:
    task = Task(target="glucose", unit="mg/dL", freq="5min", context_length=512, prediction_length=96)
    spans = panel.offsets[:-1], panel.offsets[1:]
    return WindowRule(45 * 60, 0.8, 512).cut(panel, task, lambda part: np.ones(len(part), bool), *spans)[0]


def _collate(rows: list[dict[str, Any]]) -> Any:
    # the stamps and ids that Trainer drops before it joins a batch
    return default_collate([{key: value for key, value in row.items() if torch.is_tensor(value)} for row in rows])


def main() -> None:
    """Print the ratio."""
    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(1)
    panel = _panel()
    windows = _windows(panel)
    order = np.random.default_rng(1).permutation(len(windows))[:_COUNT]

    def ours() -> None:
        for start in range(0, _COUNT, _BATCH):
            rows = order[start : start + _BATCH]
            torch.from_numpy(windows.inputs(rows).target), torch.from_numpy(windows.truth(rows))

    stamps = pd.date_range("2001-01-01", periods=_ROWS, freq="5min")
    frame = pd.DataFrame(
        {"id": np.repeat(panel.item_ids, _ROWS), "time": np.tile(stamps, _ITEMS), "glucose": panel.columns["glucose"]}
    )
    peer = ForecastDFDataset(
        frame,
        id_columns=["id"],
        timestamp_column="time",
        target_columns=["glucose"],
        context_length=512,
        prediction_length=96,
    )
    loader = DataLoader(Subset(peer, (order % len(peer)).tolist()), batch_size=_BATCH, collate_fn=_collate)

    def theirs() -> None:
        for _ in loader:
            pass

    print(machine())
    report("training windows", "ForecastDFDataset", pairs(ours, theirs, rounds=5), count=_COUNT)


if __name__ == "__main__":
    main()
