"""The registry: listing 10,000 runs by the index against reading every run's files. Aim: well under a second."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from time import process_time
from typing import Any

from _pairs import machine, pairs, report

from tsfm_core.catalogue import find_entries, reindex
from tsfm_core.registry import REGISTRY, Query
from tsfm_core.run import list_runs

_NUMBERS = ("rmse", "mae", "mape", "pinball", *(f"clarke_{zone}" for zone in "abcde"), "coverage_80", "sharpness_80")


def main() -> None:
    """Print the seconds and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    count = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "experiments"
        fill(root, count)
        print(machine())
        report(
            f"make the index again, {count:,} runs",
            "read every run",
            pairs(lambda: reindex(root), lambda: read_all(root), 2),
        )
        report(f"ask the index, {count:,} runs", "read every run", pairs(lambda: ask(root), lambda: read_all(root), 5))
        for work in (ask, read_all, reindex):
            start = process_time()
            work(root)
            print(f"{work.__name__}: {process_time() - start:.2f} s of CPU time")
        print(f"{REGISTRY}: {(root / REGISTRY).stat().st_size / 1e6:.1f} MB")
        tsfm = str(Path(sys.executable).with_name("tsfm"))
        for asked in ([], ["--json"], ["--sort", "rmse", "--limit", "20"]):
            times = pairs(
                lambda asked=asked: quiet([tsfm, "runs", "list", "--root", str(root), *asked]),  # type: ignore[misc]
                lambda: quiet([tsfm, "runs", "list", "--help"]),
                rounds=5,
            )
            report(f"tsfm {' '.join(['runs list', *asked])}", "its --help", times)


def fill(root: Path, count: int) -> None:
    """Write the files of completed runs, 100 an experiment, as large as those of a small experiment."""
    task = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "prediction_length": 12}
    for at in range(count):
        experiment = f"experiment_{at // 100}"
        folder = root / ("ttm", "chronos")[at % 2] / experiment / f"run_2026-11-22_00-00-{at}"
        folder.mkdir(parents=True)
        sets = {
            name: {
                "windows": 500,
                "digest": experiment,
                "overall": {number: place + at / count for place, number in enumerate(_NUMBERS)},
                "by_step": {number: [at / count] * 12 for number in _NUMBERS},
            }
            for name in ("validation", "temporal_holdout", "patient_holdout")
        }
        facts: dict[str, Any] = {
            "status": "completed",
            "created": f"2026-11-{1 + at % 28:02}T12:00:00",
            "owner": {"pid": os.getpid(), "host": "elsewhere", "started": "1"},
            "command": "train",
            "model": folder.parts[-3],
            "experiment": experiment,
            "strategy": "full",
            "protocol_digest": experiment,
            "data": {"source": "t1d_uom", "fingerprint": uuid.uuid4().hex},
            "trained_on": {f"p{item}": ["2024-01-01T00:00:00", "2024-02-01T00:00:00"] for item in range(10)},
        }
        (folder / "config.yaml").write_text(f"experiment: {experiment}\n")
        (folder / "run.json").write_text(json.dumps(facts, indent=1))
        (folder / "metrics.json").write_text(json.dumps({"task": task, "sets": sets}, indent=1))


def ask(root: Path) -> int:
    """List all runs with one score, by the index."""
    return len(find_entries(root, Query(archived=False), {"rmse"}))


def read_all(root: Path) -> int:
    """List all runs with one score, by their files."""
    rows = []
    for run in list_runs(root):
        sets = (run.metrics or {}).get("sets", {})
        rows.append((run.facts, run.status, [one["overall"]["rmse"] for one in sets.values()]))
    return len(rows)


def quiet(command: list[str]) -> None:
    """Run a command and throw away what it prints."""
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
