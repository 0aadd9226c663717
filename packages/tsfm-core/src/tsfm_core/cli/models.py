"""``tsfm models``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from tsfm_core.cli.options import Json
from tsfm_core.cli.output import print_json, print_lines, print_table

if TYPE_CHECKING:
    from pydantic import BaseModel

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
    """Show a model's capabilities, the checkpoints that it is known to serve, and every key of its sections."""
    from tsfm_core.plugins import host

    backend = host().model(name)
    card = backend.card
    schemas = {"model": card.config_schema, "training": card.training_schema}
    apart = ("config_schema", "training_schema", "checkpoints")
    facts: dict[str, Any] = {field.name: getattr(card, field.name) for field in fields(card) if field.name not in apart}
    checkpoints = [asdict(checkpoint) for checkpoint in card.checkpoints]
    keys = [row for section, schema in schemas.items() for row in _keys(section, schema)]
    if as_json:
        who = {"name": name, "package": backend.package, "version": backend.version}
        print_json({**who, **facts, "checkpoints": checkpoints, "keys": keys})
        return
    print_lines(f"{name} · {backend.package} {backend.version}")
    for fact, value in facts.items():
        print_lines(f"  {fact.replace('_', ' ')}: {_in_words(fact, value)}")
    if checkpoints:
        known = [{**one, "parameters": f"{one['parameters'] / 1e6:.3g} million"} for one in checkpoints]
        print_table(known, {"name": "known checkpoint", "parameters": "weights", "licence": "licence"})
        told = [
            f"  {one.name} · {heading}: {text}"
            for one in card.checkpoints
            for heading, text in (*one.notes.items(), ("sha256", one.sha256))
            if text
        ]
        if told:
            print_lines("\n".join(told))
    rows = [{**row, "default": "none" if row["default"] is None else str(row["default"])} for row in keys]
    print_table(rows, {"key": "key", "default": "default", "about": "what it does"})


def _in_words(fact: str, value: Any) -> str:
    """Return a fact of a card as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "no limit" if fact.startswith("longest") else "none"
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def _keys(section: str, schema: type[BaseModel]) -> Iterator[dict[str, Any]]:
    """Yield a row for each key of a section and of the sections inside it."""
    for name, field in schema.model_fields.items():
        default = None if field.is_required() else field.default
        yield {"key": f"{section}.{name}", "default": default, "about": field.description}
        for inner in get_args(field.annotation):
            if isinstance(inner, type) and hasattr(inner, "model_fields"):
                yield from _keys(f"{section}.{name}", inner)
