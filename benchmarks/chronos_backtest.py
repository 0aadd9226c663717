"""Chronos-2 backtest, windows a second: an opened panel to a written forecasts.parquet, against the package's own.

Imports, loading and making the package's inputs are outside the clock. Both sides forecast the same 512 + 96 steps at
three levels with the same random weights; the package's answers stay in memory, ours are written. The package's
``predict_quantiles`` is given ready arrays, its ``predict_df`` a ready frame, both at their default batch size. Peak
memory (RssAnon) is that of a process of its own for each side, over what it held when all was loaded. Aim: at least 1.0
of ``predict_quantiles``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _memory import anonymous, anonymous_now
from _pairs import machine, pairs, report
from _series import make_windows

from tsfm_core.config.resolve import read_config
from tsfm_core.pipeline import write_forecasts
from tsfm_core.prepare import load
from tsfm_torch import quietly

#: A tiny network, and the shape of autogluon/chronos-2-small.
_SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4},
    "small": {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
}
_LEVELS = (0.1, 0.5, 0.9)
_SIDES = ("ours", "predict_quantiles", "predict_df")


def sides(folder: Path, shape: str, count: int) -> dict[str, Callable[[], object]]:
    """Return what each side does once everything is loaded."""
    from tsfm_chronos.network import save

    fields = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 512, "prediction_length": 96}
    task = fields | {"quantile_levels": list(_LEVELS)}
    fresh = {"task": task, "model": _SHAPES[shape], "training": {"strategy": "from_scratch"}}
    save(load("chronos", read_config(fresh), "train").model.network, folder)
    loaded = load("chronos", read_config({"task": task, "model": {"checkpoint": str(folder)}}), "backtest")
    windows = make_windows(loaded, count)
    pipeline = _pipeline(folder)
    context = windows.inputs(slice(None)).target
    frame = _frame(context)
    levels = list(_LEVELS)

    def ours() -> None:
        write_forecasts(folder / "forecasts.parquet", loaded, loaded.model, {"patient_holdout": windows}, 288, [])

    def predict_quantiles() -> object:
        return pipeline.predict_quantiles(context[:, None], prediction_length=96, quantile_levels=levels)

    def predict_df() -> object:
        return pipeline.predict_df(frame, prediction_length=96, quantile_levels=levels)

    return {"ours": ours, "predict_quantiles": predict_quantiles, "predict_df": predict_df}


def _pipeline(folder: Path) -> Any:
    with quietly():
        from chronos import Chronos2Pipeline

        return Chronos2Pipeline.from_pretrained(str(folder), dtype=torch.float32)


def _frame(context: Any) -> Any:
    """Return the contexts as the package wants them: a series a window."""
    import pandas as pd

    count, length = context.shape
    stamps = pd.date_range("2001-01-01", periods=length, freq="5min")
    ids = np.repeat(np.arange(count), length)
    return pd.DataFrame({"item_id": ids, "timestamp": np.tile(stamps, count), "target": context.reshape(-1)})


def _memory(shape: str, count: int, side: str) -> float:
    command = [sys.executable, __file__, "--shape", shape, "--counts", str(count), "--memory", side]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: float = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the ratios, and the memory of each side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=list(_SHAPES), default="tiny")
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 20_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", choices=_SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory is None:
        print(machine())
    for count in given.counts:
        with tempfile.TemporaryDirectory() as name:
            work = sides(Path(name), given.shape, count)
            if given.memory is not None:
                held, found = anonymous_now(), dict[str, float]()
                with anonymous(found, "peak"):
                    work[given.memory]()
                print(json.dumps(found["peak_anonymous_mb"] - held))
                continue
            for peer in _SIDES[1:]:
                times = pairs(work["ours"], work[peer], given.rounds)
                report(f"Chronos-2 {given.shape}, {count:,} windows", peer, times, count=count)
        print(
            "  peak MB over what was loaded: "
            + ", ".join(f"{side} {_memory(given.shape, count, side):.0f}" for side in _SIDES)
        )


if __name__ == "__main__":
    main()
