"""``tsfm models``."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Annotated, Any

import typer

from tsfm_core.cli.options import Json
from tsfm_core.cli.output import print_json, print_lines, print_table

__all__ = ["app"]

app = typer.Typer(name="models", no_args_is_help=True)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the installed models; a broken one shows why, and how to get others."""
    from tsfm_core.plugins import INSTALL_HINTS, MODELS, host

    rows = host().rows(MODELS)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    columns = {"name": "model", "package": "package", "version": "version", "status": "status", "summary": "what it is"}
    print_table([asdict(row) for row in rows], columns)
    for row in rows:
        if row.problem:
            print_lines(f"{row.name} ({row.package} {row.version}): {row.problem}")
    for name, package in INSTALL_HINTS.items():
        if name not in {row.name for row in rows}:
            print_lines(f"{name} is not installed: pip install {package}")


@app.command()
def show(name: Annotated[str, typer.Argument(help="A model of tsfm models list.")], as_json: Json = False) -> None:
    """Show a model's capabilities and every key of its sections, with defaults."""
    from tsfm_core.plugins import host

    backend = host().model(name)
    card = backend.card
    schemas = {"model": card.config_schema, "training": card.training_schema}
    facts: dict[str, Any] = {
        field.name: getattr(card, field.name) for field in fields(card) if not field.name.endswith("_schema")
    }
    keys = [
        {
            "key": f"{section}.{key}",
            "default": None if field.is_required() else field.default,
            "about": field.description,
        }
        for section, schema in schemas.items()
        for key, field in schema.model_fields.items()
    ]
    if as_json:
        print_json({"name": name, "package": backend.package, "version": backend.version, **facts, "keys": keys})
        return
    print_lines(f"{name} · {backend.package} {backend.version}")
    for fact, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        print_lines(f"  {fact.replace('_', ' ')}: {shown}")
    rows = [{**row, "default": "none" if row["default"] is None else str(row["default"])} for row in keys]
    print_table(rows, {"key": "key", "default": "default", "about": "what it does"})
