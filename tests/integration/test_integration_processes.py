"""Two processes by torchrun and gloo train what one process trains; when one dies the run ends, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
import yaml
from smallkit import CHRONOS, COMMON, TTM

from tsfm_core import api
from tsfm_core.run import Run, list_runs

#: Whether a run that has lost a process is gone on with too, and then told to stop: ``nox -s crash`` asks for it.
GOES_ON = int(os.environ.get("TSFM_CRASH_MOMENTS", "2")) > 2
TSFM = (sys.executable, "-c", "from tsfm_core.cli import main; main()")

#: 30 windows a step: 15 each; the last step of the epoch has fewer. Nothing is drawn but the order.
TRAINING = {"strategy": "from_scratch", "max_steps": 12, "save_every": 4, "batch_size": 30, "learning_rate": 1e-3}
AUGMENT = {"amplitude": 0.1, "level": 5.0, "noise": 3.0, "hide": 0.3, "thin": 0.2}
MODELS = {
    "ttm": {**TTM, "dropout": 0.0, "head_dropout": 0.0},
    "chronos": {**CHRONOS, "dropout_rate": 0.0},
}


def settings(model: str, **training: Any) -> dict[str, Any]:
    """Return a configuration; what a training goes on from is kept."""
    data = COMMON["data"] | {"stride": 16, "items": ["sim_01"]}
    evaluation = COMMON["evaluation"] | {"baselines": ["naive", "linear"]}
    given = {
        "data": data,
        "evaluation": evaluation,
        "model": MODELS[model],
        "training": TRAINING | {"keep_optimizer": True} | ({"augment": AUGMENT} if model == "ttm" else {}) | training,
    }
    return COMMON | given


def train(place: Path, model: str, given: dict[str, Any], **runtime: Any) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        run = api.train(model, given | {"runtime": runtime})
    return Run(place / run.path)


def weights(run: Run) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(run.checkpoints / "best" / "model.safetensors")


@pytest.mark.parametrize("model", ["ttm", "chronos"])
def test_two_processes_equal_one(model: str, tmp_path: Path) -> None:
    alone = train(tmp_path, model, settings(model))
    shared = train(tmp_path, model, settings(model), nproc=2, distributed="ddp")
    assert len(list(list_runs(tmp_path / "experiments"))) == 2  # one directory for both processes
    assert shared.facts["windows"] == alone.facts["windows"]
    assert shared.facts["windows"]["train"] % 30 not in (0, 15)  # a last step that is shared unevenly
    of_one, of_two = weights(alone), weights(shared)
    apart = np.concatenate([(of_two[name] - of_one[name]).ravel() for name in of_one])
    whole = np.concatenate([values.ravel() for values in of_one.values()])
    assert np.linalg.norm(apart) < 1e-4 * np.linalg.norm(whole)  # AdamW makes whole steps of what is rounded
    lines = [[json.loads(line) for line in run.training_log.read_text().splitlines()] for run in (alone, shared)]
    steps = [[line["step"] for line in one if "step" in line] for one in lines]
    assert steps[1] == steps[0]  # one writer
    for one, two in zip(*lines, strict=True):
        for key in one.keys() & {"loss", "learning_rate"}:
            np.testing.assert_allclose(two[key], one[key], rtol=1e-4)
        for key, value in one.get("validation", {}).items():
            np.testing.assert_allclose(two["validation"][key], value, rtol=1e-4)
    for name, one in alone.metrics["sets"].items():
        np.testing.assert_allclose(shared.metrics["sets"][name]["overall"]["rmse"], one["overall"]["rmse"], rtol=1e-4)
    assert shared.metrics["baselines"].keys() == {"naive", "linear"}
    assert shared.metrics["baselines"] == alone.metrics["baselines"]
    drawn = [torch.load(shared.checkpoints / "last" / "trainer" / f"generators_{at}.pt")["cpu"] for at in (0, 1)]
    assert not torch.equal(*drawn)  # each process draws a dropout of its own
    states = sorted(path.name for path in shared.checkpoints.iterdir())
    assert states == sorted(path.name for path in alone.checkpoints.iterdir())


def test_a_process_that_is_killed_ends_the_run_which_goes_on(tmp_path: Path) -> None:
    given = settings("ttm", max_steps=2000, save_every=5, num_epochs=1000) | {"runtime": {"nproc": 2}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(given))
    started = subprocess.Popen(
        [*TSFM, "train", "ttm", "--config", "c.yaml"], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    root = tmp_path / "experiments"
    while not list(root.glob("*/*/run_*/checkpoints/last")):
        assert started.poll() is None, started.communicate()
        time.sleep(0.02)
    [run] = list_runs(root)
    os.kill(_process(run, rank=1), signal.SIGKILL)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 1
    assert "tsfm: process 1 of 2 died without a word" in said
    assert f"tsfm train --resume {run.path.relative_to(tmp_path)}" in said.replace(f"{tmp_path}/", "")
    assert run.facts["status"] == "failed"
    if not GOES_ON:
        return  # three processes that load torch once more
    over = json.loads((run.checkpoints / "last" / "trainer" / "trainer_state.json").read_text())["global_step"]
    goes_on = subprocess.Popen(
        [*TSFM, "train", "--resume", str(run.path)], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    while not run.training_log.read_text().count('"validation"') > over // 5 + 2:
        assert goes_on.poll() is None, goes_on.communicate()
        time.sleep(0.02)
    goes_on.send_signal(signal.SIGTERM)
    _, said = goes_on.communicate(timeout=60)
    assert "stopped by SIGTERM" in said
    assert run.facts["status"] == "interrupted"
    lines = [json.loads(line) for line in run.training_log.read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > over
    state = json.loads((run.checkpoints / "last" / "trainer" / "trainer_state.json").read_text())
    assert state["global_step"] == len(steps)  # all of it is saved


def _process(run: Run, rank: int) -> int:
    """Return the number of the process that has this rank in a run."""
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = b"tsfm_core.worker" in words and any(word.endswith(run.path.name.encode()) for word in words)
        if ours and b"torch.distributed.run" not in words and f"RANK={rank}".encode() in variables:
            return int(folder.name)
    raise AssertionError(f"no process {rank}")
