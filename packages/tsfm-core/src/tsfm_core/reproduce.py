"""A completed run again, from what it stored: first whether that can be, then what comes out otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsfm_core.config.resolve import Resolved, read_config
from tsfm_core.environment import environment
from tsfm_core.errors import RunError, listing
from tsfm_core.outcomes import Compared, compare_outcomes, flat
from tsfm_core.pipeline import execute
from tsfm_core.prepare import load, prepare
from tsfm_core.progress import Progress, quiet
from tsfm_core.provenance import hashes
from tsfm_core.run import Run, is_run
from tsfm_core.unchanged import refuse_other_checkpoint, refuse_other_data

__all__ = ["Reproduction", "reproduce"]


@dataclass(frozen=True)
class Reproduction:
    """A run and the one that repeats it.

    :param before: what the repetition was made with, beside what the run was made with.
    :param after: what came out.
    """

    original: Run
    run: Run
    before: Sequence[Compared]
    after: Sequence[Compared]

    @property
    def identical(self) -> bool:
        """Return whether everything came out the same, to the bit."""
        return all(one.same for one in self.after)


def reproduce(run: Run, argv: Sequence[str] = (), progress: Progress = quiet) -> Reproduction:
    """Execute a completed run again, as a new run beside it, and compare what came out.

    Other versions, another commit or another machine are reported; what they change is seen in what comes out.

    :raises RunError: before anything is written, where the run is not completed, or where its data, its split, its
        checkpoint or its parent are not what they were.
    """
    if run.status != "completed":
        raise RunError(f"{run.path} is {run.status}", "only a completed run has something to reproduce")
    facts = run.facts
    resolved = _resolved(run, facts)
    parent = _parent(run, facts)
    refuse_other_checkpoint(run, facts, resolved)
    command = facts["command"]
    loaded = load(facts["model"], resolved, command, from_run=parent is not None)
    refuse_other_data(run, facts, prepare(resolved.config, loaded.task, command))
    before = [*_own_files(run, facts), *_circumstances(facts["environment"], environment(loaded.backend.package))]
    again = execute(facts["model"], resolved, command, argv, parent=parent, progress=progress)
    found = Reproduction(run, again, before, compare_outcomes(run, again))
    differs = {one.what: one.said for one in (*before, *found.after) if not one.same}
    again.update(reproduces=str(run.path), reproduction={"identical": found.identical, "differs": differs})
    return found


def _resolved(run: Run, facts: Mapping[str, Any]) -> Resolved:
    """Return the stored configuration; the new run goes where the run is, wherever that was moved to."""
    above = (run.path if len(run.path.parts) > 3 else run.path.absolute()).parents
    if len(above) > 2 and (above[1].name, above[0].name) == (facts["model"], facts["experiment"]):
        return read_config(run.config_path, (), {"output.root": str(above[2])})
    return read_config(run.config_path)


def _parent(run: Run, facts: Mapping[str, Any]) -> Run | None:
    """Return the run whose model was tested, if it was one."""
    if not facts["parent"]:
        return None
    # the path of the run may be relative to a folder that is not this one; that of its checkpoint is not
    for path in (Path(facts["parent"]), *Path(facts["checkpoint"]["name"]).parents[1:2]):
        if is_run(path):
            return Run(path)
    raise RunError(f"{run.path} tests the model of {facts['parent']}, and that run is not there", "put it back")


def _own_files(run: Run, facts: Mapping[str, Any]) -> Iterator[Compared]:
    """Compare what the run left with the hashes that it noted of it."""
    for name, now in hashes(run).items():
        what = f"stored {name.removesuffix('_sha256')}"
        if name not in facts:
            yield Compared(what, None, "the run noted no hash of it")
        elif now is not None or facts[name] is not None:
            same = now == facts[name]
            yield Compared(what, same, "as the run left it" if same else "changed since the run left it")


def _circumstances(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Compared]:
    """Compare versions, machine, threads and the state of the code."""
    for name in ("python", "platform", "cpu", "cpus", "threads", "versions"):
        yield _beside(name, was.get(name), now.get(name))
    yield _commits(was.get("git"), now.get("git"))


def _commits(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Compared:
    if was is None or now is None:
        return Compared("git", None, f"no commit is known {'of the run' if was is None else 'here'}")
    first, second = str(was["commit"])[:12], str(now["commit"])[:12]
    if first != second:
        return Compared("git", False, f"{first} -> {second}", {"commit": [was["commit"], now["commit"]]})
    if was["dirty"] or now["dirty"]:
        when = "then" if was["dirty"] else "now"
        return Compared("git", None, f"{first}, with changes {when} that are in no commit")
    return Compared("git", True, first)


def _beside(name: str, was: Any, now: Any) -> Compared:
    if was is None:
        return Compared(name, None, "the run did not note it")
    first, second = dict(flat(was, name)), dict(flat(now, name))
    details = {
        key: [first.get(key), second.get(key)] for key in {**first, **second} if first.get(key) != second.get(key)
    }
    if details:
        return Compared(name, False, listing(f"{key} {a} -> {b}" for key, (a, b) in details.items()), details)
    return Compared(name, True, f"{len(first)} values" if isinstance(was, Mapping) else str(was))
