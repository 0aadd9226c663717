"""The command line around fake packages, with a small experiment."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tsfm_core.cli import app, main
from tsfm_core.plugins import host


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def tsfm(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """``tsfm(*arguments)``: the command line in this process, in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    commands, groups = list(app.registered_commands), list(app.registered_groups)

    def run(*arguments: str | Path) -> Done:
        app.registered_commands[:], app.registered_groups[:] = commands, groups
        monkeypatch.setattr(sys, "argv", ["tsfm", *map(str, arguments)])
        host.cache_clear()
        capsys.readouterr()
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        else:
            code = 0
        return Done(code, *capsys.readouterr())

    yield run
    app.registered_commands[:], app.registered_groups[:] = commands, groups


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """Three series of 500 steps of 5 min."""
    path = tmp_path / "cgm.csv"
    start = datetime(2024, 1, 1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "timestamp", "glucose"])
        for item in range(3):
            for step in range(500):
                value = 120 + 40 * math.sin(step / (9 + item)) + (step * 37 % 11)
                writer.writerow([f"p{item}", (start + timedelta(minutes=5 * step)).isoformat(), f"{value:.1f}"])
    return path


@pytest.fixture
def settings(data_file: Path, tmp_path: Path) -> dict[str, Any]:
    """A whole configuration as a mapping: no metric, no baseline, what core alone can run."""
    return {
        "experiment": "small",
        "seed": 3,
        "task": {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 24, "prediction_length": 6},
        "data": {"source": "csv", "path": str(data_file)},
        "split": {"temporal_holdout": 0.2, "patient_holdout": ["p2"], "validation": 0.1},
        "evaluation": {"stride": 6, "metrics": [], "baselines": []},
        "output": {"root": str(tmp_path / "experiments")},
    }


@pytest.fixture
def config(settings: dict[str, Any], tmp_path: Path) -> Path:
    """The same as a file."""
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path
