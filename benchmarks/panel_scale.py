"""Panels of 1e6, 1e7 and 1e8 rows, built from parquet on disk: speed, and anonymous memory, which must not grow.

Each size runs in a process of its own, against a bare gather of the same windows from an array in RAM (aim: 0.8). The
rows are synthetic: a random walk a person, a year each, with gaps. ``--train`` trains a TTM for a few steps besides.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _memory import anonymous, anonymous_now
from _pairs import machine, pairs, report

_ITEM, _CONTEXT, _HORIZON, _BATCH, _BATCHES = 100_000, 512, 96, 1024, 40
_SIZES = (1_000_000, 10_000_000, 100_000_000)


def write_rows(folder: Path, rows: int) -> None:
    """Write ``rows`` rows as a folder of parquet files, fifty people in each."""
    random = np.random.default_rng(0)
    stamps = np.datetime64("2001-01-01", "us") + np.arange(_ITEM) * np.timedelta64(300, "s")
    people = rows // _ITEM
    for first in range(0, people, 50):
        writer = None
        for person in range(first, min(first + 50, people)):
            glucose = (140 + np.cumsum(random.normal(0, 2, _ITEM)) % 200).round(1)
            keep = np.ones(_ITEM, bool)
            for gap in random.integers(0, _ITEM - 500, 20):
                keep[gap : gap + random.integers(1, 200)] = False
            table = pa.table(
                {
                    "patient_id": pa.array([f"p{person:05d}"] * int(keep.sum())).dictionary_encode(),
                    "time": stamps[keep],
                    "glucose": glucose[keep],
                }
            )
            writer = writer or pq.ParquetWriter(folder / f"part_{first:05d}.parquet", table.schema)
            writer.write_table(table)
        if writer:
            writer.close()


def measure(folder: Path, train: bool) -> dict[str, float]:
    """Return the figures of one size."""
    from tsfm_core import Task
    from tsfm_core.config.schema import DataConfig
    from tsfm_core.data.windows import WindowRule
    from tsfm_core.opening import open_panel

    task = Task(target="glucose", unit="mg/dL", freq="5min", context_length=_CONTEXT, prediction_length=_HORIZON)
    columns = {"item_id": "patient_id", "timestamp": "time"}
    data = DataConfig(source="parquet", path=str(folder), columns=columns)
    found: dict[str, float] = {"imported_anonymous_mb": round(anonymous_now(), 1)}
    with anonymous(found, "build"):
        start = perf_counter()
        built, _ = open_panel(data, task)
        found["build_s"] = perf_counter() - start
    found["rows"] = len(built)
    start = perf_counter()
    panel, _ = open_panel(data, task)
    found["open_s"] = perf_counter() - start
    with anonymous(found, "windows"):
        start = perf_counter()
        rule = WindowRule(45 * 60, 0.8, _CONTEXT)
        spans = panel.offsets[:-1], panel.offsets[1:]
        windows, _ = rule.cut(panel, task, lambda part: np.ones(len(part), bool), *spans)
        found["cut_s"] = perf_counter() - start
        found["windows"] = len(windows)
        order = np.random.default_rng(1).integers(0, len(windows), _BATCH * _BATCHES)
        start = perf_counter()
        windows.inputs(order[:_BATCH]), windows.truth(order[:_BATCH])
        found["first_batch_s"] = perf_counter() - start
        for at in range(0, len(order), _BATCH):
            windows.inputs(order[at : at + _BATCH]), windows.truth(order[at : at + _BATCH])
    found["ratio"] = _ratio(windows, order)
    if train:
        found |= _train(folder)
    return found


def _ratio(windows: Any, order: Any) -> float:
    """Print and return the speed of ours against fancy indices on the whole column in RAM."""
    in_ram = np.array(windows.panel.columns["glucose"])
    contexts = np.lib.stride_tricks.sliding_window_view(in_ram, _CONTEXT)
    truths = np.lib.stride_tricks.sliding_window_view(in_ram, _HORIZON)
    cutoffs = windows.index.at(order)[0]

    def ours() -> None:
        for at in range(0, len(order), _BATCH):
            windows.inputs(order[at : at + _BATCH]), windows.truth(order[at : at + _BATCH])

    def theirs() -> None:
        for at in range(0, len(order), _BATCH):
            rows = cutoffs[at : at + _BATCH]
            contexts[rows - _CONTEXT + 1], truths[rows + 1]

    return report(f"{len(in_ram):,} rows, windows", "bare gather in RAM", pairs(ours, theirs, 7), len(order))


def _train(folder: Path) -> dict[str, float]:
    """Return the peak memory of forty steps of a small TTM, from the panel that is prepared."""
    import tsfm_core

    config = {
        "task": {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 512, "prediction_length": 96},
        "data": {"source": "parquet", "path": str(folder), "columns": {"item_id": "patient_id", "timestamp": "time"}},
        "split": {"patient_holdout": ["p00003"]},
        "model": {"patch_length": 64, "d_model": 64, "num_layers": 2, "decoder_d_model": 64, "decoder_num_layers": 2},
        "training": {"strategy": "from_scratch", "max_steps": 40, "batch_size": 64},
        "evaluation": {"stride": 5000, "metrics": ["rmse"], "baselines": []},
        "output": {"root": str(folder / "runs")},
    }
    found: dict[str, float] = {}
    with anonymous(found, "train"):
        tsfm_core.train("ttm", config)
    return found


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(_SIZES))
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.train)))
        return
    print(machine())
    for rows in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "archive"
            archive.mkdir()
            write_rows(archive, rows)
            size = sum(file.stat().st_size for file in archive.iterdir()) / 1e6
            command = [sys.executable, __file__, "--one", str(archive), *(["--train"] if given.train else [])]
            environment = os.environ | {"TSFM_CACHE": f"{folder}/cache"}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            *said, last = done.stdout.splitlines()
            found = json.loads(last)
            print(*said, sep="\n")
            rate = found["rows"] / found["build_s"] / 1e6
            print(
                f"  {size:,.0f} MB of parquet: built in {found['build_s']:.1f} s ({rate:.2f} million rows/s), opened "
                f"in {found['open_s'] * 1e3:.0f} ms, {found['windows']:,.0f} windows cut in {found['cut_s']:.2f} s, "
                f"first batch in {found['first_batch_s'] * 1e3:.1f} ms"
            )
            names = ("imported", "build", "windows", *(("train",) if given.train else ()))
            print("  peak anonymous MB: " + ", ".join(f"{name} {found[f'{name}_anonymous_mb']:.0f}" for name in names))


if __name__ == "__main__":
    main()
