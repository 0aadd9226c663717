"""Blocks of people, simulated by as many processes as there are cores, given back in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError

__all__ = ["BLOCK", "simulate_blocks"]

#: People at a time: more are hardly quicker, and take memory.
BLOCK = 200


def simulate_blocks(
    count: int, seed: int, days: int, weekday: int, tables: dict[str, Any]
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield what :func:`~tsfm_glucose.population.simulate.simulate_people` returns of people 1 to ``count``.

    A single block is simulated here, more of them by other processes: what they give does not depend on it.

    :param tables: the simulator's ``bodies`` and ``advice``, each a frame by the name of the body.
    :raises DataError: where a process ends without an answer.
    """
    numbers = list(range(1, count + 1))
    blocks = [numbers[start : start + BLOCK] for start in range(0, count, BLOCK)]
    if len(blocks) == 1:
        from tsfm_glucose.population.simulate import simulate_people

        yield simulate_people(numbers, seed, days, weekday, **tables)
        return
    with tempfile.TemporaryDirectory() as folder:
        asked: dict[str, Any] = {"seed": seed, "days": days, "weekday": weekday}
        for name, table in tables.items():
            asked[name] = str(Path(folder) / f"{name}.csv")
            table.to_csv(asked[name])
        waiting, running = deque(enumerate(blocks)), deque[tuple[Path, subprocess.Popen[str]]]()
        try:
            while waiting or running:
                while waiting and len(running) < _cores():
                    at, block = waiting.popleft()
                    running.append(_start(Path(folder) / f"{at}.npy", {**asked, "numbers": block}))
                path, process = running.popleft()
                _, said = process.communicate()
                if process.returncode:
                    why = said.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
                    raise DataError(f"virtual people could not be simulated: {why[0]}")
                yield np.load(path)
                path.unlink()
        finally:
            for _, process in running:
                process.kill()
                process.communicate()


def _start(path: Path, asked: dict[str, Any]) -> tuple[Path, subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tsfm_glucose.population", str(path), json.dumps(asked)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return path, subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _cores() -> int:
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
