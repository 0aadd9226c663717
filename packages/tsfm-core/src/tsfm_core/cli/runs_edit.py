"""``tsfm runs``: note, tag, archive, delete, index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tsfm_core.cli.options import EXPERIMENTS, Root, RunName
from tsfm_core.cli.output import note as say

if TYPE_CHECKING:
    from tsfm_core.run import Run

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group."""
    for command in (note, tag, archive, delete, index):
        app.command()(command)


def note(
    run: RunName,
    text: Annotated[str, typer.Argument(help="Replaces the note before it; '' removes it.")],
    root: Root = EXPERIMENTS,
) -> None:
    """Put a note on a run, kept in its run.json."""
    from tsfm_core.annotate import set_note

    found = _find(run, root)
    set_note(found, text)
    say(f"noted: {found.path}" if text.strip() else f"the note is removed: {found.path}")


def tag(
    run: RunName,
    tags: Annotated[list[str], typer.Argument(help="Words to find the run by.", metavar="TAG...")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove these tags.")] = False,
    root: Root = EXPERIMENTS,
) -> None:
    """Add tags to a run, or remove them."""
    from tsfm_core.annotate import set_tags
    from tsfm_core.errors import listing

    found = _find(run, root)
    say(f"{found.path}: {listing(set_tags(found, tags, remove))}")


def archive(
    run: RunName,
    undo: Annotated[bool, typer.Option("--undo", help="Take it out of the archive.")] = False,
    root: Root = EXPERIMENTS,
) -> None:
    """Hide a run from listings and from the choice of the best; nothing is removed."""
    from tsfm_core.annotate import archive as hide

    found = _find(run, root)
    hide(found, undo)
    say(f"{'listed again' if undo else 'archived'}: {found.path}")


def delete(
    run: RunName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also if a run was made from it, or a process elsewhere may write it.")
    ] = False,
    root: Root = EXPERIMENTS,
) -> None:
    """Remove a run's directory with all that is in it; asks first, and refuses a run that is running."""
    from tsfm_core.annotate import delete as remove
    from tsfm_core.annotate import refuse_to_delete

    found = _find(run, root)
    refuse_to_delete(found, force)
    if not yes and not typer.confirm(f"Remove {found.path} and all that is in it?", err=True):
        say("nothing was removed")
        raise typer.Exit(1)
    remove(found, force)
    say(f"removed: {found.path}")


def index(root: Root = EXPERIMENTS) -> None:
    """Make the index of all runs again from their files; clear away what interrupted removals have left."""
    from tsfm_core.annotate import remove_leftovers
    from tsfm_core.catalogue import reindex
    from tsfm_core.errors import RunError
    from tsfm_core.registry import REGISTRY

    if not root.is_dir():
        raise RunError(f"{root} is no folder", "--root names the folder of all experiments")
    left, entries = remove_leftovers(root), reindex(root)
    unreadable = sum(entry.status == "unreadable" for entry in entries)
    say(f"{len(entries):,} runs: {root / REGISTRY}" + (f"; {unreadable:,} of them unreadable" if unreadable else ""))
    if left:
        say(f"{left:,} half-removed runs are gone now")


def _find(run: str, root: Root) -> Run:
    from tsfm_core.run import find_run

    return find_run(run, root)
