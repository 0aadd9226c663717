"""``tsfm plugins``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from tsfm_core.cli.options import Json
from tsfm_core.cli.output import print_json, print_lines, print_table

__all__ = ["app"]

app = typer.Typer(name="plugins", no_args_is_help=True)
_KINDS = ("metrics", "intervals", "datasets", "protocols", "trackers")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List every metric, data set, protocol and tracker, and the package that contributes it."""
    from tsfm_core.plugins import host

    rows = [
        {"kind": kind.removesuffix("s"), "name": name, "package": package}
        for kind in _KINDS
        for name, given in host().contributions(kind).items()
        for package, _ in given
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, {"kind": "kind", "name": "name", "package": "package"})


@app.command()
def check(as_json: Json = False) -> None:
    """Load every plugin and say what is wrong with it; exit 1 if anything is."""
    from tsfm_core.plugins import MODELS, PLUGINS, host

    for kind in _KINDS:
        host().contributions(kind)
    rows = [{"group": group, **asdict(row)} for group in (MODELS, PLUGINS) for row in host().rows(group)]
    if as_json:
        print_json(rows)
    else:
        print_table(
            rows, {"group": "group", "name": "name", "package": "package", "version": "version", "status": "status"}
        )
        for row in rows:
            if row["problem"]:
                print_lines(f"{row['name']} ({row['package']} {row['version']}): {row['problem']}")
    if any(row["problem"] for row in rows):
        raise typer.Exit(1)
