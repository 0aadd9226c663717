"""Small runs of core's own models, scored by this package, and the command line."""

import csv
import math
import sys
from datetime import datetime, timedelta

import pytest

import tsfm_core
from tsfm_core.cli import main


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Eight people of 700 steps of 5 min, a reading missing now and then."""
    path = tmp_path_factory.mktemp("people") / "cgm.csv"
    start = datetime(2024, 1, 1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "timestamp", "glucose"])
        for item in range(8):
            for step in range(700):
                value = 130 + (40 + 6 * item) * math.sin(step / (17 + 2 * item)) + (step * 37 % 23)
                if (step * 7 + item) % 41:
                    writer.writerow([f"p{item}", (start + timedelta(minutes=5 * step)).isoformat(), f"{value:.0f}"])
    return path


@pytest.fixture(scope="session")
def settings(people, tmp_path_factory):
    levels = [0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975]
    return {
        "experiment": "small",
        "task": {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 48, "prediction_length": 12}
        | {"quantile_levels": levels},
        "data": {"source": "csv", "path": str(people)},
        "split": {"temporal_holdout": 0.4, "validation": 0.1},
        "evaluation": {"stride": 3, "metrics": ["rmse", "mae", "clarke", "pinball"], "baselines": []},
        "output": {"root": str(tmp_path_factory.mktemp("experiments"))},
    }


@pytest.fixture(scope="session")
def runs(settings):
    """One run each of naive, mean and linear on the same windows."""
    made = {name: tsfm_core.backtest(name, settings) for name in ("naive", "mean")}
    return made | {"linear": tsfm_core.train("linear", settings)}


@pytest.fixture(scope="session")
def folds(settings):
    """Four folds of two people each, of naive and of linear."""
    made = {}
    for fold in range(4):
        given = settings | {"experiment": "folds", "split": {"folds": 4, "fold": fold, "validation": 0.1}}
        made.setdefault("naive", []).append(tsfm_core.backtest("naive", given))
        made.setdefault("linear", []).append(tsfm_core.train("linear", given))
    return made


@pytest.fixture
def tsfm(monkeypatch, capsys):
    """``tsfm(*arguments)``: the command line in this process; its exit code and what it printed."""
    monkeypatch.setenv("COLUMNS", "250")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tsfm", *map(str, arguments)])
        try:
            main()
        except SystemExit as left:
            return int(left.code or 0), *capsys.readouterr()
        return 0, *capsys.readouterr()

    return run
