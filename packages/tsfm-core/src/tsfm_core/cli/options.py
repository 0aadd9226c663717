"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Checkpoint", "ConfigFile", "Json", "Root", "Seed", "Settings"]

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="A YAML configuration.", metavar="FILE")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A key over the configuration, such as task.freq=15min.", metavar="A.B=VALUE"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Root = Annotated[Path, typer.Option("--root", help="The folder of all experiments.", metavar="FOLDER")]
Seed = Annotated[int | None, typer.Option("--seed", help="Over seed.")]
Checkpoint = Annotated[
    str | None, typer.Option("--checkpoint", help="Over model.checkpoint: a directory or a hub name.")
]
