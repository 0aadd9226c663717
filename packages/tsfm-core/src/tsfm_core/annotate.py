"""What a person says of a run, kept in its run.json; and removing one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

from tsfm_core.catalogue import find_entries, forget
from tsfm_core.errors import RunError, listing
from tsfm_core.owner import OPEN, is_elsewhere
from tsfm_core.registry import Query
from tsfm_core.run import Run

__all__ = ["archive", "delete", "remove_leftovers", "set_note", "set_tags"]

#: How a run is called while it is removed: no listing looks there.
_ASIDE = ".deleted-"


def set_note(run: Run, text: str) -> None:
    """Put a note on a run in the place of the one before; an empty one removes it."""
    run.edit(lambda facts: _with(facts, note=text.strip() or None))


def set_tags(run: Run, tags: Iterable[str], remove: bool = False) -> tuple[str, ...]:
    """Add tags to a run or remove them, and return those that it has.

    :raises RunError: for a tag that is no word, or one to remove that is not there.
    """
    given, found = list(tags), list[str]()
    for tag in given:
        if not re.fullmatch(r"[\w.:+-]+", tag):
            raise RunError(f"{tag!r} is no tag", "a tag is one word of letters, digits and _.:+-")

    def change(facts: dict[str, Any]) -> dict[str, Any]:
        has = facts.get("tags") or []
        missing = [tag for tag in given if tag not in has]
        if remove and missing:
            raise RunError(f"{run.path} has no tag {listing(missing)}", f"it has {listing(has)}")
        found[:] = [tag for tag in has if tag not in given] if remove else list(dict.fromkeys([*has, *given]))
        return _with(facts, tags=list(found) or None)

    run.edit(change)
    return tuple(found)


def archive(run: Run, undo: bool = False) -> None:
    """Hide a run from listings and from the choice of the best, or show it again."""
    run.edit(lambda facts: _with(facts, archived=None if undo else True))


def delete(run: Run, force: bool = False) -> None:
    """Remove a run's directory.

    :param force: also where another run was made from it, or a process of another machine may be writing it.
    :raises RunError: where it may not be removed.
    """
    with run.locked():
        refuse_to_delete(run, force)
        aside = run.path.with_name(f"{_ASIDE}{run.path.name}-{uuid4().hex}")
        try:
            run.path.rename(aside)  # gone at once: a removal that is killed leaves no half of a run
        except OSError as error:
            raise RunError(f"{run.path} cannot be removed: {error.strerror}") from error
    forget(run)
    shutil.rmtree(aside, ignore_errors=True)


def refuse_to_delete(run: Run, force: bool = False) -> None:
    """Refuse to remove a run that runs, from which another was made, or that is no directory of a run.

    :raises RunError: with the reason.
    """
    if run.path.is_symlink() or not run.path.name.startswith("run_"):
        raise RunError(
            f"{run.path} is not the directory of a run", "a run's directory is called run_... and is no link"
        )
    try:
        status, owner = run.status, run.facts.get("owner")
    except RunError:
        return  # what cannot be read can be removed
    if status in OPEN and not is_elsewhere(owner):
        raise RunError(f"{run.path} is {status}", "stop it first")
    if status in OPEN and not force:
        raise RunError(f"{run.path} is {status} on another machine", "give --force if it no longer is")
    made = [] if force else _made_from(run)
    if made:
        raise RunError(f"{listing(made)} was made from {run.path}", "remove that first, or give --force")


def remove_leftovers(root: Path) -> int:
    """Remove what removals that were killed have left, and return how many."""
    left = list(root.glob(f"*/*/{_ASIDE}*"))
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return len(left)


def _made_from(run: Run) -> list[str]:
    """Return the runs that name this one as their parent."""
    *above, model, experiment, name = run.path.absolute().parts
    entries = find_entries(Path(*above), Query())
    own = (model, experiment, name)
    return [one.path for one in entries if Path(one.facts.get("parent") or "").parts[-3:] == own]


def _with(facts: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return facts with some changed; None takes one out."""
    return {name: value for name, value in (facts | changed).items() if name not in changed or value is not None}
