"""``tsfm runs reproduce``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsfm_core.cli.options import Json, Root
from tsfm_core.cli.output import note, print_json, print_lines, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tsfm_core.outcomes import Compared
    from tsfm_core.reproduce import Reproduction

__all__ = ["reproduce"]


def reproduce(
    run: Annotated[str, typer.Argument(help="A completed run's directory, or the end of its path.")],
    root: Root = Path("experiments"),
    as_json: Json = False,
) -> None:
    """Run a completed run again from what it stored, and say what comes out otherwise; exit 1 if anything does."""
    from tsfm_core.progress import bar
    from tsfm_core.reproduce import reproduce as again
    from tsfm_core.run import find_run

    found = again(find_run(run, root), sys.argv, bar)
    if as_json:
        print_json(_plain(found))
    else:
        _show(found)
    if not found.identical:
        raise typer.Exit(1)


def _plain(found: Reproduction) -> dict[str, object]:
    def rows(compared: Sequence[Compared]) -> list[dict[str, object]]:
        return [
            {"what": one.what, "same": one.same, "said": one.said, "details": dict(one.details)} for one in compared
        ]

    return {
        "reproduces": str(found.original.path),
        "run": str(found.run.path),
        "identical": found.identical,
        "before": rows(found.before),
        "after": rows(found.after),
    }


def _show(found: Reproduction) -> None:
    words = {True: "same", False: "DIFFERS", None: "not known"}
    parts = (("made with", found.before), ("came out", found.after))
    rows = [
        {"when": when, "what": one.what, "is": words[one.same], "said": one.said} for when, of in parts for one in of
    ]
    print_table(rows, {"when": "", "what": "what", "is": "is", "said": "how"})
    print_lines(f"run: {found.run.path}")
    if found.identical:
        print_lines(f"identical to {found.original.path}")
    else:
        print_lines(f"not identical to {found.original.path}: {', '.join(o.what for o in found.after if not o.same)}")
        note("every number that differs: tsfm runs reproduce RUN --json")
