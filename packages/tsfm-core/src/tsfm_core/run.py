"""The run directory: the only module that knows its file names."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from tsfm_core.checkpoints import BEST
from tsfm_core.errors import RunError, did_you_mean, listing
from tsfm_core.files import locked, write_json, write_text
from tsfm_core.owner import this_process, true_status

__all__ = ["RUN_PATTERN", "Run", "facts_of", "find_run", "is_run", "list_runs", "mark_of", "runs_of", "stamp_of"]

#: How the directory of a run is called.
RUN_PATTERN = "run_*"


@dataclass(frozen=True)
class Run:
    """One execution and its directory."""

    path: Path

    @classmethod
    def create(
        cls, root: Path, model: str, experiment: str, facts: Mapping[str, Any], config: Mapping[str, Any]
    ) -> Run:
        """Make the directory of a new run; two that start in the same second get two."""
        parent = root / model / experiment
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{parent} cannot be made: {error.strerror}", "check output.root") from error
        stamp = datetime.now()
        name = f"run_{stamp:%Y-%m-%d_%H-%M-%S}"
        # whole under its name or not there: a run that is killed while it is made leaves nothing that lies
        run = cls(parent / f".{name}.{uuid4().hex}")
        (run.path / "logs").mkdir(parents=True)
        created = stamp.isoformat(timespec="seconds")
        write_text(run.config_path, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
        write_json(run.path / "run.json", {"status": "created", "created": created, "owner": this_process(), **facts})
        made = cls(_rename(run.path, parent / name))
        made._record(new=True)
        return made

    def __str__(self) -> str:
        return str(self.path)

    @property
    def config_path(self) -> Path:
        """Return config.yaml: resolved, runs again as it is."""
        return self.path / "config.yaml"

    def settings(self) -> dict[str, Any]:
        """Return what config.yaml holds, by dotted key; ``${NAME}`` stays as it is written there."""
        return dict(_flat(yaml.safe_load(self.config_path.read_text(encoding="utf-8")), ()))

    @property
    def facts_path(self) -> Path:
        """Return run.json."""
        return self.path / "run.json"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path | None:
        """Return the best checkpoint's directory, or None for a run that trained nothing."""
        best = self.checkpoints / BEST
        return best if best.exists() else None

    @property
    def forecasts_path(self) -> Path:
        """Return forecasts.parquet."""
        return self.path / "forecasts.parquet"

    @property
    def training_log(self) -> Path:
        """Return logs/training.jsonl."""
        return self.path / "logs" / "training.jsonl"

    @property
    def ranks(self) -> Path:
        """Return logs/ranks: what each process of a training in several has ended with."""
        return self.path / "logs" / "ranks"

    @property
    def launcher_log(self) -> Path:
        """Return logs/launcher.txt: what these processes have printed."""
        return self.path / "logs" / "launcher.txt"

    @property
    def weights(self) -> dict[str, int] | None:
        """Return how many weights were ``trainable`` of how many ``parameters``, where the training log says so."""
        if self.training_log.exists():
            with self.training_log.open(encoding="utf-8") as lines:
                for line in lines:
                    said = json.loads(line)
                    if "parameters" in said:
                        return {key: int(said[key]) for key in ("trainable", "parameters")}
                    if "step" in said:
                        break
        return None

    @property
    def tracked_path(self) -> Path:
        """Return logs/tracked.json: how far the trackers were told."""
        return self.path / "logs" / "tracked.json"

    @property
    def results_path(self) -> Path:
        """Return results.txt: what a person reads first."""
        return self.path / "results.txt"

    @property
    def items_path(self) -> Path:
        """Return metrics_by_item.csv."""
        return self.path / "metrics_by_item.csv"

    @property
    def metrics_path(self) -> Path:
        """Return metrics.json."""
        return self.path / "metrics.json"

    @property
    def facts(self) -> dict[str, Any]:
        """Return run.json as it is now.

        :raises RunError: where it is not readable.
        """
        try:
            return facts_of(self.facts_path.read_bytes())
        except (OSError, ValueError) as error:
            raise RunError(f"{self.facts_path} cannot be read: {error}") from error

    @property
    def status(self) -> str:
        """Return the status, truthfully: a run whose process is gone was interrupted."""
        facts = self.facts
        return true_status(facts["status"], facts.get("owner"))

    @cached_property
    def metrics(self) -> dict[str, Any] | None:
        """Return metrics.json, or None for a run that was not scored."""
        if not self.metrics_path.is_file():
            return None
        try:
            metrics: dict[str, Any] = json.loads(self.metrics_path.read_text())
        except (OSError, ValueError) as error:
            raise RunError(f"{self.metrics_path} cannot be read: {error}") from error
        return metrics

    @contextmanager
    def claimed(self) -> Iterator[int]:
        """Hold this run inside: one process at a time carries it out, and the kernel lets go when it dies.

        :return: the file descriptor that holds it; a process that inherits it holds the run too.
        :raises RunError: where another process holds it.
        """
        handle = os.open(self.path / "logs", os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(f"{self.path} is being carried out by another process", "wait for it") from error
            yield handle
        finally:
            os.close(handle)

    def update(self, **facts: Any) -> None:
        """Change some facts of run.json."""
        self.edit(lambda was: was | facts)

    def edit(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Replace the facts of run.json by what ``change`` makes of them; two processes at once both take effect."""
        with self.locked():
            write_json(self.facts_path, change(self.facts))
        self._record()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold what other processes change of this run, briefly."""
        # config.yaml is never replaced; without it somebody took the run apart, and what reads it next says so
        with locked(self.config_path) if self.config_path.exists() else nullcontext():
            yield

    def log(self, line: str) -> None:
        """Append a line to logs/log.txt."""
        with (self.path / "logs" / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')} {line}\n")

    def _record(self, new: bool = False) -> None:
        """Let the index know; it heals by itself where it cannot be written, and no run fails for it."""
        from tsfm_core.catalogue import record

        problem = record(self, new)
        if problem:
            with suppress(OSError):
                self.log(f"registry: {problem}")


def is_run(path: Path) -> bool:
    """Return whether ``path`` is the directory of a run."""
    return (path / "run.json").is_file()


def list_runs(root: Path) -> Iterator[Run]:
    """Yield the runs below ``root``, oldest first within an experiment."""
    for file in sorted(root.glob(f"*/*/{RUN_PATTERN}/run.json")):
        yield Run(file.parent)


def runs_of(experiment: Path) -> tuple[Run, ...]:
    """Return the runs in the folder of one experiment, oldest first."""
    return tuple(Run(file.parent) for file in sorted(experiment.glob(f"{RUN_PATTERN}/run.json")))


def find_run(name: str, root: Path) -> Run:
    """Return the run that ``name`` means: a directory, or the end of the path of exactly one run below ``root``."""
    path = Path(name)
    for one in (path, *([] if ".." in path.parts else [root / path])):
        if one.is_symlink() and is_run(one):
            return Run(one.parent / _target(one))
    if is_run(path):
        return Run(path)
    runs = list(list_runs(root))
    matching = [run for run in runs if run.path.parts[-len(path.parts) :] == path.parts]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise RunError(f"{name!r} means {len(matching)} runs: {listing(matching)}", "give more of the path")
    hint = did_you_mean(name, [run.path.name for run in runs]) or "tsfm runs list shows the runs"
    raise RunError(f"there is no run {name!r} here or below {root}", hint)


def facts_of(text: bytes) -> dict[str, Any]:
    """Return the facts that run.json holds.

    :raises ValueError: where it is not whole.
    """
    facts = json.loads(text)
    if not isinstance(facts, dict) or not isinstance(facts.get("status"), str):
        raise ValueError("it holds no status")
    return facts


def stamp_of(folder: str) -> str | None:
    """Return what tells the files of the run in a folder from later ones of theirs; None where there is no run.

    Plain text and no paths: it is asked of every run whenever they are listed.
    """
    try:
        facts = mark_of(os.stat(f"{folder}/run.json"))  # noqa: PTH116
    except OSError:
        return None
    try:
        return f"{facts} {mark_of(os.stat(f'{folder}/metrics.json'))}"  # noqa: PTH116
    except OSError:
        return f"{facts} {mark_of(None)}"


def mark_of(state: os.stat_result | None) -> str:
    """Return what tells a file from one that was renamed over it; None stands for no file."""
    return f"{state.st_ino}.{state.st_size}.{state.st_mtime_ns}" if state else "-"


def _target(link: Path) -> str:
    """Return which run of its own folder a link means.

    :raises RunError: where it leads out of there.
    """
    target = str(link.readlink())
    if Path(target).name != target or target == "..":
        raise RunError(f"{link} leads to {target}, out of its folder", "name the run itself")
    return target


def _rename(aside: Path, wanted: Path) -> Path:
    """Give a directory the name ``wanted``, or the first of ``wanted-2``, ``wanted-3`` ... that is free."""
    path, number = wanted, 1
    while True:
        try:
            return aside.rename(path)
        except OSError:
            if not path.exists():
                raise
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")


def _flat(values: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, (*above, str(key)))
        else:
            yield ".".join((*above, str(key))), value
