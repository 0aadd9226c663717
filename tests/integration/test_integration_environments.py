"""Models in one environment and in two: installing one lists it, and runs of both stand under one protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tsfm_core.config.resolve import read_config
from tsfm_core.prepare import load

ROOT = Path(__file__).parents[2]
TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 48, "prediction_length": 12}
SMALL = {
    "ttm": {"patch_length": 8, "d_model": 16, "num_layers": 1, "decoder_d_model": 16, "decoder_num_layers": 1}
    | {"adaptive_patching_levels": 0},
    "chronos": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2},
}
CONFIG = """
experiment: two_environments
task: {target: glucose, unit: mg/dL, freq: 5min, context_length: 48, prediction_length: 12}
data: {source: simglucose_adult, items: [sim_01, sim_02, sim_09]}
split: {patient_holdout: [sim_09], temporal_holdout: 0.2}
evaluation: {stride: 24, metrics: [rmse, clarke], baselines: [naive]}
"""
Tsfm = Callable[..., "subprocess.CompletedProcess[str]"]


def packages(*names: str) -> list[str]:
    return [str(ROOT / "packages" / f"tsfm-{name}") for name in names]


class Environment:
    """An environment that holds what is installed into it."""

    def __init__(self, folder: Path, work: Path) -> None:
        self._folder, self._work = folder, work
        self._uv = str(Path(sys.executable).with_name("uv")) if _beside() else str(shutil.which("uv"))
        self._run([self._uv, "venv", "--quiet", "--python", sys.executable, str(folder)])

    def install(self, *names: str) -> None:
        python = str(self._folder / "bin" / "python")
        self._run([self._uv, "pip", "install", "--quiet", "--python", python, *packages(*names)])

    def tsfm(self, *arguments: str) -> str:
        """Return what the command printed; it must succeed."""
        return self._run([str(self._folder / "bin" / "tsfm"), *arguments])

    def python(self, code: str) -> str:
        """Return what a program printed; it must succeed."""
        return self._run([str(self._folder / "bin" / "python"), "-c", code])

    def _run(self, command: list[str]) -> str:
        plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._work, env=plain)
        assert not done.returncode, done.stderr
        return done.stdout


def _beside() -> bool:
    return Path(sys.executable).with_name("uv").exists()


@pytest.fixture
def checkpoints(tmp_path: Path) -> dict[str, str]:
    """A small checkpoint with random weights of each model."""
    from tsfm_chronos.network import save as save_chronos
    from tsfm_ttm.network import save as save_ttm

    found = {}
    for name, save in (("ttm", save_ttm), ("chronos", save_chronos)):
        folder = tmp_path / f"{name}_weights"
        folder.mkdir()
        config = {"task": TASK, "model": SMALL[name], "training": {"strategy": "from_scratch"}}
        save(load(name, read_config(config), "train").model.network, folder)
        found[name] = str(folder)
    return found


def test_one_environment_and_two(tmp_path: Path, checkpoints: dict[str, str]) -> None:
    if not _beside() and not shutil.which("uv"):
        pytest.skip("uv is not there: it makes the environments")
    (tmp_path / "config.yaml").write_text(CONFIG)

    def backtest(environment: Environment, name: str) -> dict[str, Any]:
        arguments = ("--config", "config.yaml", "--checkpoint", checkpoints[name], "--json")
        found: dict[str, Any] = json.loads(environment.tsfm("backtest", name, *arguments))
        return found

    one = Environment(tmp_path / "one", tmp_path)
    one.install("core", "eval", "glucose")
    listed = one.tsfm("models", "list")
    for name in ("chronos", "chronos_bolt", "chronos_t5"):
        assert f"{name} is not installed: pip install tsfm-chronos" in listed
    one.install("core", "eval", "glucose", "torch", "chronos")
    rows = {row["name"]: row for row in json.loads(one.tsfm("models", "list", "--json"))}
    for name in ("chronos", "chronos_bolt", "chronos_t5"):
        assert (rows[name]["status"], rows[name]["package"]) == ("ok", "tsfm-chronos")
    assert "ttm" not in rows
    runs = {"chronos, apart": backtest(one, "chronos")}

    two = Environment(tmp_path / "two", tmp_path)
    two.install("core", "eval", "glucose", "torch", "ttm")
    runs["ttm, apart"] = backtest(two, "ttm")
    assert "chronos" not in {row["name"] for row in json.loads(two.tsfm("models", "list", "--json"))}
    two.install("core", "eval", "glucose", "torch", "ttm", "chronos")
    runs["ttm"], runs["chronos"] = backtest(two, "ttm"), backtest(two, "chronos")

    for name in ("ttm", "chronos"):
        assert runs[f"{name}, apart"]["sets"] == runs[name]["sets"], "an environment made a difference"
    listed_runs = json.loads(one.tsfm("runs", "list", "--json"))
    assert len(listed_runs) == 4
    assert len({run["protocol"] for run in listed_runs}) == 1
    again = json.loads(one.tsfm("evaluate", runs["ttm, apart"]["run"], "--json"))
    assert again["sets"] == runs["ttm"]["sets"], "scoring needs no model"

    three = Environment(tmp_path / "three", tmp_path)
    three.install("core", "eval")
    assert three.python("import importlib.util; print(importlib.util.find_spec('torch'))") == "None\n"
    scored = json.loads(three.tsfm("evaluate", runs["chronos"]["run"], "--json"))
    assert scored["sets"] == runs["chronos"]["sets"], "nor torch"
    compared = json.loads(three.tsfm("runs", "compare", runs["ttm"]["run"], runs["chronos"]["run"], "--json"))
    assert [model["label"] for model in compared["models"]] == ["ttm", "chronos"]
