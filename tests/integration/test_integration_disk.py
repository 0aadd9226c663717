"""A disk that is full in the middle of a training: nothing is lost, and what is left goes on to the same bits."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from smallkit import COMMON, TTM

from tsfm_core import api, pipeline
from tsfm_core.errors import RunError
from tsfm_core.run import Run, list_runs
from tsfm_torch import trainer

#: A disk of so many bytes.
SIZE = 2**24

CONFIG = COMMON | {
    "model": TTM,
    "training": {"strategy": "from_scratch", "max_steps": 6, "save_every": 2, "batch_size": 32},
    "evaluation": COMMON["evaluation"] | {"stride": 48},
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return the root of a small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def bits(run: Run) -> dict[str, Any]:
    """Return all that a training leaves, but for when it was."""
    lines = [json.loads(line) for line in run.training_log.read_text().splitlines()]
    files = {file.relative_to(run.checkpoints): file.read_bytes() for file in run.checkpoints.glob("step_*/*.*")}
    return {
        "files": files,
        "links": {link: (run.checkpoints / link).readlink() for link in ("last", "best")},
        "forecasts": run.forecasts_path.read_bytes(),
        "metrics": run.metrics,
        "log": [{key: value for key, value in line.items() if key != "seconds"} for line in lines],
    }


def fill(place: Path, leave: int) -> None:
    """Leave so many bytes free."""
    with (place / "ballast").open("wb") as ballast:
        ballast.write(bytes(shutil.disk_usage(place).free - leave))
    assert shutil.disk_usage(place).free == leave


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the run that had room."""
    return api.train("ttm", CONFIG | {"output": {"root": str(tmp_path_factory.mktemp("whole"))}})


def filling(call: Callable[..., Any], number: int, place: Path, leave: int) -> Callable[..., Any]:
    """Return a function whose so many-th call leaves so many bytes of the disk, before it does what it does."""
    calls = iter(range(1, 1_000_000))

    def filled(*arguments: Any) -> Any:
        if next(calls) == number:
            fill(place, leave)
        return call(*arguments)

    return filled


def gone(step: int) -> str:
    return f"checkpoints/step_{step} could not be written: the disk is full; "


@pytest.mark.parametrize(
    ("module", "name", "number", "leave", "said", "last_whole"),
    [
        (trainer, "evaluate", 2, 3 * 4096, gone(4) + "step_2, the checkpoint before it, is whole", "step_2"),
        (trainer, "evaluate", 2, 0, gone(4) + "step_2, the checkpoint before it, is whole", "step_2"),
        (pipeline, "write_forecasts", 1, 0, "could not be written: the disk is full", "step_6"),
    ],
    ids=["second", "not a byte", "forecasts"],
)
def test_a_full_disk_costs_nothing(
    disk: Path, whole: Run, module: ModuleType, name: str, number: int, leave: int, said: str, last_whole: str | None
) -> None:
    """The run fails in a sentence, says so itself, and goes on to the same bits when there is room."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, filling(getattr(module, name), number, disk, leave))
        with pytest.raises(RunError) as raised:
            api.train("ttm", CONFIG | {"output": {"root": str(disk)}})
    (run,) = list_runs(disk)
    assert said in raised.value.message
    assert raised.value.hint == "make room, then tsfm train --resume goes on from there"
    assert (run.facts["status"], run.status) == ("failed", "failed")
    assert said in run.facts["error"]
    last = run.checkpoints / "last"
    assert (last.resolve().name if last.exists() else None) == last_whole
    assert not list(run.path.rglob("*.tmp"))
    (disk / "ballast").unlink()
    api.resume(run.path)
    assert run.status == "completed"
    assert bits(run) == bits(whole)
