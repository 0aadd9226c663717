"""``tsfm audit``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tsfm_core.cli.options import Json, Root
from tsfm_core.cli.output import print_json, print_lines, print_table

__all__ = ["audit"]


def audit(
    run: Annotated[str, typer.Argument(help="A run's directory, or the end of its path.")],
    root: Root = Path("experiments"),
    as_json: Json = False,
) -> None:
    """Check what a run says of itself against its files, data and model; exit 1 if a check fails or cannot be made."""
    from collections import Counter

    from tsfm_core.audit import audit as findings_of
    from tsfm_core.run import find_run

    found = find_run(run, root)
    findings = findings_of(found)
    sound = all(one.result in ("ok", "not applicable") for one in findings)
    if as_json:
        print_json({"run": str(found.path), "sound": sound, "checks": [asdict(one) for one in findings]})
    else:
        print_table([asdict(one) for one in findings], {"check": "check", "result": "result", "said": "what was found"})
        counts = Counter(one.result for one in findings)
        print_lines(f"{found.path}: " + ", ".join(f"{count} {result}" for result, count in counts.items()))
    if not sound:
        raise typer.Exit(1)
