"""``tsfm config``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tsfm_core.cli.options import ConfigFile, Settings
from tsfm_core.cli.output import note, print_json, print_lines

__all__ = ["app"]

app = typer.Typer(name="config", no_args_is_help=True)
_Model = Annotated[str | None, typer.Option("--model", help="A model whose sections are included.")]


@app.command()
def show(config: ConfigFile = None, settings: Settings = None, model: _Model = None) -> None:
    """Print the resolved configuration, each value with the file and line, or the flag, that it comes from."""
    import yaml

    from tsfm_core.config.resolve import read_config
    from tsfm_core.plugins import host

    resolved = read_config(config, settings or ())
    values = resolved.stored()
    if model:
        card = host().model(model).card
        for section, schema, without in (
            ("model", card.config_schema, ("checkpoint",)),
            ("training", card.training_schema, ()),
        ):
            dumped = resolved.section(section, schema, without).model_dump(mode="json", exclude_none=True)
            values[section] = dumped | values.get(section, {})
    lines: list[tuple[str, str]] = []

    def walk(value: Any, key: tuple[str, ...]) -> None:
        indent = "  " * (len(key) - 1)
        if isinstance(value, dict) and value:
            if key:
                lines.append((f"{indent}{key[-1]}:", ""))
            for name, below in value.items():
                walk(below, (*key, name))
            return
        text = (
            yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
            .removesuffix("...\n")
            .strip()
        )
        written = resolved.tree.origins.get(key) or next(
            (origin for at, origin in resolved.tree.origins.items() if at[: len(key)] == key), None
        )
        lines.append((f"{indent}{key[-1]}: {text}", str(written or "default")))

    walk(values, ())
    width = max((len(text) for text, origin in lines if origin), default=0)
    width = min(width, 80)
    print_lines("\n".join(f"{text:<{width}}  # {origin}" if origin else text for text, origin in lines))


@app.command()
def schema(model: _Model = None) -> None:
    """Print the JSON Schema of a configuration, for editors."""
    from tsfm_core.config.schema import Config
    from tsfm_core.plugins import host

    whole = Config.model_json_schema()
    if model:
        card = host().model(model).card
        for section, part in (("model", card.config_schema), ("training", card.training_schema)):
            own = part.model_json_schema()
            whole.setdefault("$defs", {}).update(own.pop("$defs", {}))
            if section == "model":
                checkpoint = {"type": "string", "description": "a directory or a hub name"}
                own.setdefault("properties", {})["checkpoint"] = checkpoint
            whole["properties"][section] = own
    print_json(whole)


@app.command()
def migrate(
    old: Annotated[Path, typer.Argument(help="A YAML file of the old TTM layout.", metavar="OLD")],
    output: Annotated[Path | None, typer.Option(help="A YAML file to write.", metavar="FILE")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the target, where its name does not say it.")] = None,
) -> None:
    """Turn a configuration of the old TTM layout into one of tsfm, and name every key that differs or has no place."""
    from tsfm_core.config.loader import load_file
    from tsfm_core.config.migrate import migrate as migrated_from
    from tsfm_core.files import check_new, write_text

    if output:
        check_new(output)
    migrated = migrated_from(load_file(old), unit)
    if output:
        write_text(output, migrated.text())
    else:
        print_lines(migrated.text())
    for sentence in migrated.notes:
        note(sentence)
    if output:
        note(f"the configuration is written: {output}")
