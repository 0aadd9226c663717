"""Trackers are told of a run from its files: the training log while it grows, scores and files at the end."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tsfm_core.errors import RunError, TsfmError
from tsfm_core.files import write_json
from tsfm_core.plugins import host
from tsfm_core.records import TrackedRun, Tracker, TrackerSession
from tsfm_core.run import Run

__all__ = ["chosen_trackers", "tracked"]

_SECONDS_BETWEEN_READS = 1.0


def chosen_trackers(names: Sequence[str]) -> list[Tracker]:
    """Return the trackers of these names, each of which can be used.

    :raises PluginError: for a name that no package gives.
    :raises CapabilityError: for one whose own package is not installed.
    """
    trackers = [host().tracker(name) for name in dict.fromkeys(names)]
    for tracker in trackers:
        tracker.check()
    return trackers


@contextmanager
def tracked(run: Run, trackers: Sequence[Tracker]) -> Iterator[None]:
    """Tell ``trackers`` what happens to ``run`` inside; their names for it are kept in run.json.

    One that cannot be opened ends the run before it begins. One that fails later is noted in run.json and the log, and
    the run goes on: what it measures is in its own files.

    :raises RunError: for a tracker that cannot be opened.
    """
    if not trackers:
        yield
        return
    before = run.facts.get("tracking", {})
    follower = _Follower(run, trackers, {name: one["id"] for name, one in before.items()})
    follower.start()
    follower.opened.wait()
    if follower.refused:
        run.update(status="failed", error=str(follower.refused))
        raise follower.refused
    try:
        run.update(tracking=follower.facts)
        yield
    finally:
        follower.ended.set()
        follower.join()
        run.update(tracking=follower.facts)
        for name, one in follower.facts.items():
            if one["error"]:
                run.log(f"{name} was not told everything: {one['error']}")


class _Follower(threading.Thread):
    """Reads a run's files and tells its trackers; all that is theirs happens in this thread.

    :ivar facts: by tracker, its name for the run and why it was not told everything.
    :ivar refused: why a tracker could not be opened.
    """

    def __init__(self, run: Run, trackers: Sequence[Tracker], ids: Mapping[str, str | None]) -> None:
        super().__init__(name="trackers", daemon=True)
        self.opened, self.ended = threading.Event(), threading.Event()
        self.facts: dict[str, dict[str, str | None]] = {}
        self.refused: TsfmError | None = None
        self._run, self._trackers, self._ids = run, trackers, ids
        self._sessions: dict[str, TrackerSession] = {}
        self._told = _last_told(run.tracked_path)
        self._file, self._read = 0, 0

    def run(self) -> None:
        """Open, follow until the run ends, and close."""
        try:
            for tracker in self._trackers:
                self._open(tracker)
        except Exception as error:
            said = str(error) or type(error).__name__
            self.refused = RunError(
                f"{tracker.name} cannot be opened: {said}", "leave it out of tracking, or set it up"
            )
            self._end("failed", {}, ())
            return
        finally:
            self.opened.set()
        try:
            while not self.ended.wait(_SECONDS_BETWEEN_READS):
                self._pass_on()
            self._pass_on()
        except Exception as error:  # of our own files, such as a full disk
            for one in self.facts.values():
                one["error"] = f"{type(error).__name__}: {error}"
        self._close()

    def _close(self) -> None:
        status = self._run.status
        if status == "completed":
            files = [self._run.config_path, self._run.facts_path, self._run.metrics_path, self._run.results_path]
            self._end(status, _scores(self._run), files)
        else:
            self._end("failed" if status == "failed" else "interrupted", {}, ())

    def _open(self, tracker: Tracker) -> None:
        path = self._run.path.absolute()
        described = TrackedRun(
            name=path.name,
            group="/".join(path.parts[-3:-1]),
            folder=self._run.training_log.parent,
            root=path.parents[2],
            settings=self._run.settings(),
            id=self._ids.get(tracker.name),
        )
        session = tracker.open(described)
        self._sessions[tracker.name] = session
        self.facts[tracker.name] = {"id": session.id, "error": None}

    def _pass_on(self) -> None:
        """Tell what was written to the training log since the last time, each step once."""
        for line in self._new_lines():
            at = (line["step"], "validation" in line)
            if at <= self._told:
                continue  # a training that goes on does some steps again, with the same outcome
            for name in self._sessions:
                self._tell(name, "log", line["step"], _values(line))
            self._told = at
        if self._told[0]:
            write_json(self._run.tracked_path, {"step": self._told[0], "evaluated": self._told[1]})

    def _new_lines(self) -> list[dict[str, Any]]:
        path = self._run.training_log
        if not path.is_file():
            return []
        with path.open("rb") as file:
            if (which := os.fstat(file.fileno()).st_ino) != self._file:  # cut back to a checkpoint it is another one
                self._file, self._read = which, 0
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        self._read += len(whole) + 1 if whole else 0
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line for line in lines if "step" in line]

    def _end(self, status: str, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        for name in self._sessions:
            self._tell(name, "end", status, scores, files)

    def _tell(self, name: str, what: str, *given: Any) -> None:
        try:
            getattr(self._sessions[name], what)(*given)
        except Exception as error:
            self.facts[name]["error"] = f"{type(error).__name__}: {error}"


def _last_told(path: Path) -> tuple[int, bool]:
    """Return the last step that was told of, and whether its evaluation was."""
    if not path.is_file():
        return 0, False
    told = json.loads(path.read_text())
    return told["step"], told["evaluated"]


def _values(line: Mapping[str, Any]) -> dict[str, float]:
    """Return what a line of the training log says, by the names that transformers gives it."""
    if "validation" in line:
        return {f"eval_{name}": score for name, score in line["validation"].items()} | {"epoch": line["epoch"]}
    return {name: line[name] for name in ("loss", "learning_rate", "epoch")}


def _scores(run: Run) -> dict[str, float]:
    """Return every score over all steps that is a number, by ``<set>/<metric>``."""
    sets = (run.metrics or {"sets": {}})["sets"]
    pairs = ((f"{name}/{metric}", score) for name, one in sets.items() for metric, score in one["overall"].items())
    return {name: score for name, score in pairs if isinstance(score, int | float)}
