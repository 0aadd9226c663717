"""The runs below a folder, by the index where it is right and by their files where it is not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tsfm_core.best import BEST_RUN, choose, default_number, point_at, points_at
from tsfm_core.entries import read_entry
from tsfm_core.errors import TsfmError
from tsfm_core.files import locked
from tsfm_core.owner import OPEN, true_status
from tsfm_core.registry import REGISTRY, Entry, Query, Registry, is_damage
from tsfm_core.run import RUN_PATTERN, Run, runs_of, stamp_of

__all__ = ["find_entries", "forget", "link_and_best", "record", "reindex"]

T = TypeVar("T")


def find_entries(root: Path, query: Query, numbers: Collection[str] | None = ()) -> list[Entry]:
    """Return the runs of a query with their true status; what changed behind the index is read first.

    :param numbers: the scores to bring along; None brings all.
    """

    def select(registry: Registry) -> list[Entry]:
        _follow(registry, root, query.below)
        return registry.select(query, numbers)

    found = _with_registry(root, select)
    # of a few alone: a run that has ended is what its files say
    return [_true(one) if one.status in OPEN else one for one in found]


def _true(entry: Entry) -> Entry:
    return replace(entry, status=true_status(entry.status, entry.facts.get("owner")))


def reindex(root: Path) -> list[Entry]:
    """Make the index again from every run's files, and every ``best_run``; return what it holds.

    :raises TsfmError: where it cannot be written.
    """

    def renew(registry: Registry) -> list[Entry]:
        entries = [read_entry(root, path) for path in _on_disk(root, None)]
        with registry.changing():
            registry.clear()
            registry.put(entries)
        _follow(registry, root, None)  # what happened meanwhile
        return registry.select(Query())

    try:
        entries = _on_file(root, renew)
    except sqlite3.Error as error:
        raise TsfmError(f"{root / REGISTRY} cannot be written: {error}", "listings do without it, slower") from error
    for below in sorted({entry.path.rpartition("/")[0] for entry in entries}):
        with suppress(OSError, TsfmError), locked(root / below):
            _point_at_best(root, below)
    return entries


def record(run: Run, new: bool = False) -> str | None:
    """Put a run into the index as its files are now, and let ``best_run`` follow.

    :param new: whether the index is made where there is none: a run that was copied somewhere makes no index there.
    :return: why it could not be done; nothing is lost by that, since a listing looks at the files too.
    """
    root, path = _place(run.path)
    if not (new or (root / REGISTRY).exists()):
        return None
    try:
        with closing(Registry(root / REGISTRY)) as registry, registry.changing():
            # read while nobody else can write: the last to write has read the latest
            entry = read_entry(root, path)
            registry.put([entry])
    except (sqlite3.Error, ValueError) as error:
        return f"{REGISTRY} was not written: {error}"
    try:
        _follow_best(root, path, usable=entry.status == "completed" and not entry.archived)
    except (OSError, TsfmError) as error:
        return f"best_run was not moved: {error}"
    return None


def forget(run: Run) -> None:
    """Take a run that is gone out of the index."""
    root, path = _place(run.path)
    if (root / REGISTRY).exists():
        with suppress(sqlite3.Error), closing(Registry(root / REGISTRY)) as registry, registry.changing():
            registry.drop([path])
        with suppress(OSError, TsfmError):
            _follow_best(root, path, usable=False)


def link_and_best(run: Run) -> tuple[str | None, str | None] | None:
    """Return the run that ``best_run`` of a run's experiment names, and the best by their files; nothing is written.

    :return: None where the link is not kept: there is no index, or something else has its name.
    """
    root, path = _place(run.path)
    folder, below = run.path.absolute().parent, path.rpartition("/")[0]
    link = folder / BEST_RUN
    if not (root / REGISTRY).exists() or (link.exists() and not link.is_symlink()):
        return None
    entries = [_true(read_entry(root, f"{below}/{one.path.name}")) for one in runs_of(folder)]
    number = default_number(entries)
    best = choose(entries, number).best if number else None
    return points_at(folder), best.path.rpartition("/")[2] if best else None


def _follow_best(root: Path, path: str, usable: bool) -> None:
    """Point ``best_run`` at the best run of an experiment, if this run has a say in it."""
    below, _, name = path.rpartition("/")
    # one at a time: the last to look sees what all the others did
    if not usable and points_at(root / below) != name:
        return
    with locked(root / below):
        try:
            _point_at_best(root, below)
        except TsfmError:  # the package whose metric would judge is not here
            if not usable and points_at(root / below) == name:
                point_at(root / below, None)
            raise


def _point_at_best(root: Path, below: str) -> None:
    query = Query(below=below)
    number = default_number(find_entries(root, query))
    best = choose(find_entries(root, query, [number]), number).best if number else None
    point_at(root / below, best.path.rpartition("/")[2] if best else None)


def _place(run: Path) -> tuple[Path, str]:
    """Return the folder of all experiments that a run lies in, and its path below."""
    parts = run.absolute().parts
    return Path(*parts[:-3]), "/".join(parts[-3:])


def _with_registry(root: Path, ask: Callable[[Registry], T]) -> T:
    """Return an answer of the index; of one in memory where the file is out of reach."""
    if root.is_dir() and ((root / REGISTRY).exists() or _on_disk(root, None)):
        with suppress(sqlite3.Error):
            return _on_file(root, ask)
    with closing(Registry(None)) as registry, suppress(sqlite3.Error, ValueError):
        registry.take(root / REGISTRY)  # what can be read of it spares reading the runs
        if registry.is_sound():
            return ask(registry)
    with closing(Registry(None)) as registry:
        return ask(registry)


def _on_file(root: Path, ask: Callable[[Registry], T]) -> T:
    """Return an answer of the index on disk; a damaged one is made again first."""
    try:
        with closing(Registry(root / REGISTRY)) as registry:
            return ask(registry)
    except (sqlite3.Error, ValueError, TypeError) as error:
        if not is_damage(error):
            raise
    _discard(root)
    with closing(Registry(root / REGISTRY)) as registry:
        return ask(registry)


def _discard(root: Path) -> None:
    """Remove a damaged index, unless another process has made it again."""
    with locked(root):
        try:
            with closing(Registry(root / REGISTRY)) as registry:
                if registry.is_sound():
                    return
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
        try:
            for name in (f"{REGISTRY}-journal", REGISTRY):
                (root / name).unlink(missing_ok=True)
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error


def _follow(registry: Registry, root: Path, below: str | None) -> None:
    """Bring the index up to what lies on disk."""
    known = registry.stamps(below)  # before the disk: a run that is made meanwhile is not taken for one that is gone
    seen = _on_disk(root, below)
    changed = [path for path, stamp in seen.items() if known.get(path) != stamp]
    gone = known.keys() - seen.keys()
    if not changed and not gone:
        return
    entries = [read_entry(root, path) for path in changed]
    with registry.changing():
        now = registry.stamps(below)
        # what another process has recorded since is newer than what was read here
        registry.drop(path for path in gone if now.get(path) == known[path])
        registry.put(entry for entry in entries if now.get(entry.path) == known.get(entry.path))


def _on_disk(root: Path, below: str | None) -> dict[str, str]:
    """Return the stamp of every run on disk by its path; a link to a run is none."""
    folders = [root / below] if below else [inner for outer in _folders(root) for inner in _folders(outer)]
    stem, found = RUN_PATTERN.rstrip("*"), {}
    for folder in folders:
        prefix = f"{folder.parent.name}/{folder.name}/"
        with suppress(OSError), os.scandir(folder) as inside:
            for one in inside:
                if one.name.startswith(stem) and one.name.isprintable() and one.is_dir(follow_symlinks=False):
                    stamp = stamp_of(one.path)
                    if stamp:
                        found[prefix + one.name] = stamp
    return found


def _folders(above: Path) -> Iterator[Path]:
    with suppress(OSError), os.scandir(above) as inside:
        yield from (Path(one.path) for one in inside if one.name.isprintable() and one.is_dir())
