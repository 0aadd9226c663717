"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "EXPERIMENTS",
    "Checkpoint",
    "ConfigFile",
    "Csv",
    "Json",
    "Latex",
    "Root",
    "RunName",
    "Seed",
    "Settings",
    "group",
]

#: Where runs are, unless --root says otherwise.
EXPERIMENTS = Path("experiments")

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="A YAML configuration.", metavar="FILE")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A key over the configuration, such as task.freq=15min.", metavar="A.B=VALUE"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")]
Latex = Annotated[bool, typer.Option("--latex", help="Print LaTeX tables, for booktabs.")]
Root = Annotated[Path, typer.Option("--root", help="The folder of all experiments.", metavar="FOLDER")]
RunName = Annotated[str, typer.Argument(help="A run's directory, or the end of its path.", metavar="RUN")]
Seed = Annotated[int | None, typer.Option("--seed", help="Overrides seed.")]
Checkpoint = Annotated[
    str | None, typer.Option("--checkpoint", help="Overrides model.checkpoint: a directory or a hub name.")
]


def group(app: typer.Typer, name: str) -> typer.Typer:
    """Return the group of commands ``name`` of an application, made if it is not there: a plugin adds to it."""
    for one in app.registered_groups:
        below = one.typer_instance
        if below is not None and name in (one.name, below.info.name):
            return below
    made = typer.Typer(name=name)
    app.add_typer(made)
    return made
