"""Training that is killed with SIGKILL at random moments, and goes on to the bits that it would have had.

Two moments a model; ``nox -s crash`` tries twenty. The moments differ from run to run: what failed prints its own.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from crashkit import process
from smallkit import CHRONOS, COMMON, TTM

from tsfm_core import load_run
from tsfm_core.run import Run, list_runs

MOMENTS = int(os.environ.get("TSFM_CRASH_MOMENTS", "2"))
DRAWN = random.Random(os.environ.get("TSFM_CRASH_SEED", time.time_ns()))

TRAINING = {"max_steps": 24, "save_every": 4, "batch_size": 32, "learning_rate": 3e-3, "schedule": "cosine"}
AUGMENT = {"amplitude": 0.1, "noise": 3.0, "shorten": 0.3, "hide": 0.3}
STOPPING = {"early_stopping": {"patience": 6, "metric": "loss"}}


@dataclass(frozen=True)
class Story:
    """A model and how it is trained."""

    model: str
    config: Mapping[str, Any]


def story(name: str, base: Path) -> Story:
    """Return one of the trainings; ``base`` is a checkpoint of a small TTM."""
    scratch = TRAINING | STOPPING | {"strategy": "from_scratch"}
    if name == "ttm_full":
        training = scratch | {"strategy": "full", "augment": AUGMENT}
        given = {"model": {"checkpoint": str(base)}, "training": training}
    elif name == "ttm_lora":
        given = {
            "model": {"checkpoint": str(base)},
            "training": scratch | {"strategy": "lora", "lora": {"dropout": 0.1}},
        }
    else:
        given = {"model": CHRONOS | {"dropout_rate": 0.1}, "training": scratch}
    return Story("chronos" if name == "chronos_2" else "ttm", COMMON | given)


def finish(place: Path, told: Story, **more: Any) -> None:
    """Run a process to its end, which must be a good one."""
    started = process(place=place, model=told.model, config=told.config, **more)
    started.start()
    started.join(300)
    error = place / "error.txt"
    assert started.exitcode == 0, error.read_text() if error.exists() else started.exitcode


def only_run(place: Path) -> Run:
    (run,) = list_runs(place / "experiments")
    return run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small TTM to go on from."""
    place = tmp_path_factory.mktemp("base")
    training = {"strategy": "from_scratch", "max_steps": 5, "batch_size": 32}
    finish(place, Story("ttm", COMMON | {"model": TTM, "training": training}))
    return (only_run(place).checkpoints / "best").resolve()


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function: the run of a story that nothing has interrupted, and how long its training took."""

    @cache
    def run_of(name: str) -> tuple[Run, float]:
        place = tmp_path_factory.mktemp(name)
        finish(place, story(name, base))
        run = only_run(place)
        return run, float(run.facts["timings"]["train"])

    return run_of


def kill(place: Path, told: Story, seconds: float, how: str, **more: Any) -> str:
    """Start a process and kill it at a random moment of its training; return what it was at."""
    if how == "evaluation":
        more["die_in_evaluation"] = DRAWN.randint(1, 5), DRAWN.uniform(0, 0.03)
    started = process(place=place, model=told.model, config=told.config, **more)
    started.start()
    root = place / "experiments"
    if how == "checkpoint":
        left = DRAWN.randint(1, 5)
        seen: set[str] = set()
        while started.is_alive() and len(seen) < left:
            seen |= {path.name for path in _there(root, "step_*.tmp")}
        time.sleep(DRAWN.uniform(0, 0.01))
    elif how == "step":
        while started.is_alive() and not [run for run in list_runs(root) if run.facts["status"] == "running"]:
            time.sleep(0.002)
        time.sleep(DRAWN.uniform(0, seconds))
    if how != "evaluation":
        started.kill()
    started.join(300)
    at = "a checkpoint's write" if _there(root, "step_*.tmp") else f"its {how}" if how == "evaluation" else "its steps"
    return at if started.exitcode == -9 else f"nothing: it had ended ({started.exitcode})"


def _there(root: Path, pattern: str) -> list[Path]:
    try:
        return [path for path in root.glob(f"*/*/run_*/checkpoints/.{pattern}") if path.exists()]
    except OSError:  # gone while we looked
        return []


def weights(run: Run, link: str) -> dict[str, bytes]:
    folder = run.checkpoints / link
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def log(run: Run) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in run.training_log.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("name", ["ttm_full", "ttm_lora", "chronos_2"])
def test_a_killed_run_ends_with_the_same_bits(
    name: str, moment: int, whole: Any, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, (expected, seconds) = story(name, base), whole(name)
    how = ("step", "checkpoint", "evaluation")[DRAWN.randrange(3) if MOMENTS < 3 else moment % 3]
    at = [kill(tmp_path, told, seconds, how)]
    runs = list(list_runs(tmp_path / "experiments"))
    if runs and DRAWN.random() < 0.3:  # a second time, soon after it went on
        at.append(kill(tmp_path, told, seconds / 2, "step", resume=runs[0].path, noise=1))
    with capsys.disabled():
        if MOMENTS > 2:
            print(f"\n{name}, moment {moment + 1}: killed in {' and in '.join(at)}", end=" ")
    assert [run.status for run in runs] in ([], ["interrupted"], ["completed"])
    if not runs:
        finish(tmp_path, told)
    elif runs[0].status != "completed":
        finish(tmp_path, told, resume=runs[0].path, noise=2)
    run = only_run(tmp_path)
    assert run.status == "completed"
    for link in ("last", "best"):
        assert weights(run, link) == weights(expected, link), at
    assert run.forecasts_path.read_bytes() == expected.forecasts_path.read_bytes(), at
    assert run.metrics == expected.metrics, at
    assert log(run) == log(expected), at
    names = [sorted(path.name for path in one.checkpoints.iterdir()) for one in (run, expected)]
    assert names[0] == names[1], at
    assert load_run(run.path).facts["protocol_digest"] == expected.facts["protocol_digest"]
