"""Scoring ten million forecasts: seconds, and anonymous memory, which must stay below 2 GB and not grow.

A forecast is a window: 12 steps with a truth, a mean and 7 quantiles. The rows are made up, 1,000 people. Each size is
scored in a process of its own, by metrics of every kind: point, scaled, probabilistic, clinical, events, detection.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _memory import anonymous, anonymous_now
from _pairs import machine

_STEPS, _LEVELS, _PEOPLE, _GROUP = 12, (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975), 1000, 65_536
_METRICS = ("rmse", "mae", "mase", "pinball", "coverage", "brier_lt70", "clarke", "parkes_t1", "glycaemia", "tir_error")
_METRICS += ("hypo_level1", "hypo_detection")


def write(path: Path, windows: int) -> None:
    """Write made-up forecasts as a run stores them."""
    rng = np.random.default_rng(0)
    task = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 48, "prediction_length": _STEPS}
    facts = {"task": task | {"quantile_levels": _LEVELS}, "lags": [1]}
    writer = None
    for start in range(0, windows, _GROUP):
        n = min(_GROUP, windows - start)
        row = np.arange(start, start + n)
        person, place = row * _PEOPLE // windows, row - (row * _PEOPLE // windows) * (windows // _PEOPLE)
        truth = np.clip((140 + 60 * np.sin(row / 40.0))[:, None] + rng.normal(0, 25, (n, _STEPS)), 40, 400)
        median = truth + rng.normal(0, 20, (n, _STEPS))
        columns = {
            "set": pa.array(["test"] * n).dictionary_encode(),
            "item_id": pa.array([f"p{one:04d}" for one in person]).dictionary_encode(),
            "cutoff": np.datetime64("2024-01-01", "ms") + place * np.timedelta64(300, "s"),
            "minute": (place * 5 % 1440).astype(np.int16),
            "truth": _rows(truth),
            "mean": _rows(median),
        }
        for level in _LEVELS:
            columns[str(level)] = _rows(median + 80 * (level - 0.5))
        columns |= {"context_tail": _rows(rng.normal(140, 40, (n, 48))), "scale_m1": np.full(n, 4.0)}
        columns["scale_squared_m1"] = np.full(n, 25.0)
        table = pa.table(columns).replace_schema_metadata({"tsfm": json.dumps(facts)})
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=["set", "item_id"])
        writer.write_table(table, row_group_size=n)
    if writer:
        writer.close()


def _rows(array: np.ndarray) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(array, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, array.shape[1])


def measure(path: Path) -> dict[str, float]:
    """Return seconds and the peak of anonymous memory over what was loaded before, in MB."""
    from tsfm_core.data.store import ForecastFile
    from tsfm_core.metrics import score
    from tsfm_core.plugins import host

    metrics = [host().metric(name) for name in _METRICS]
    file = ForecastFile(path)
    found = {"loaded": anonymous_now()}
    start = perf_counter()
    with anonymous(found, "peak"):
        scores = score(file.chunks(), file.task, metrics)
    return found | {"seconds": perf_counter() - start, "windows": scores.sets["test"]["windows"]}


def main() -> None:
    """Measure every size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--measure", type=Path)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    print(machine())
    print(f"{len(_METRICS)} metrics, {_STEPS} steps, {len(_LEVELS)} levels, {_PEOPLE:,} people")
    with tempfile.TemporaryDirectory() as folder:
        for windows in arguments.windows:
            path = Path(folder) / "forecasts.parquet"
            write(path, windows)
            command = [sys.executable, __file__, "--measure", str(path)]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            print(
                f"{windows:>12,} forecasts ({path.stat().st_size / 1e9:.2f} GB): {found['seconds']:7.1f} s, peak "
                f"{found['peak_anonymous_mb']:6.0f} MB of anonymous memory, {found['loaded']:.0f} of them loaded before"
            )


if __name__ == "__main__":
    main()
