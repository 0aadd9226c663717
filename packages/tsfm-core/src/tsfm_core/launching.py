"""A run whose training several processes share: started, watched and judged from here."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from typing import Any

from tsfm_core.errors import RunError, Stopped
from tsfm_core.records import Launcher
from tsfm_core.run import Run

__all__ = ["launch"]

#: How long the processes may take to write a checkpoint when they are told to stop.
_GRACE = 60.0


def launch(run: Run, launcher: Launcher, count: int, claim: int, resume: bool) -> None:
    """Carry out a run in ``count`` processes, of which the first writes.

    :param claim: what :meth:`Run.claimed` gave: the processes hold the run too, should this one die.
    :raises RunError: with what the process that failed said, or which one died without a word.
    :raises Stopped: where a signal has ended it.
    """
    shutil.rmtree(run.ranks, ignore_errors=True)
    run.ranks.mkdir()
    words = [*launcher.command(count), "-m", "tsfm_core.worker", str(run.path), *(["resume"] if resume else [])]
    run.log(f"launched by {launcher.name} in {count} processes")
    with run.launcher_log.open("a") as log:
        started = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **launcher.environment},
            pass_fds=[claim],
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        try:
            code = started.wait()
        except BaseException:
            _end(started)
            raise
    ends = {rank: _end_of(run, rank) for rank in range(count)}
    if any(end and end["ended"] == "failed" for end in ends.values()) or code or None in ends.values():
        _refuse(run, ends)


def _refuse(run: Run, ends: dict[int, dict[str, Any] | None]) -> None:
    """Raise for the process that ended first: what the others say follows from it."""
    goes_on = f"tsfm train --resume {run.path} goes on from the last checkpoint"
    lost = [rank for rank, end in ends.items() if end is None]
    stopped = [end for end in ends.values() if end and end["ended"] == "stopped"]
    failed = [(rank, end) for rank, end in ends.items() if end and end["ended"] == "failed"]
    own = [(rank, end) for rank, end in failed if end["own"]]
    if own:
        rank, end = own[0]
        raise RunError(f"process {rank} of {len(ends)}: {end['message']}", end["hint"])
    if lost:
        rank = lost[0]
        raise RunError(
            f"process {rank} of {len(ends)} died without a word ({run.launcher_log} has its output)", goes_on
        )
    if failed:
        rank, end = failed[0]
        raise RunError(f"process {rank} of {len(ends)}: {end['message']} (see {run.launcher_log})", goes_on)
    if stopped:
        raise Stopped(stopped[0]["message"])
    raise RunError(f"the launcher failed (see {run.launcher_log})", goes_on)


def _end(started: subprocess.Popen[bytes]) -> None:
    """Tell the processes to stop, and see to it that they do."""
    started.send_signal(signal.SIGTERM)
    try:
        started.wait(_GRACE)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()


def _end_of(run: Run, rank: int) -> dict[str, Any] | None:
    try:
        end: dict[str, Any] = json.loads((run.ranks / f"{rank}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return end


def _end_with_parent() -> None:
    """Ask the kernel to send SIGTERM to this process when the one that has started it dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
