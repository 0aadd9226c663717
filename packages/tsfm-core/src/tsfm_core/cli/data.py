"""``tsfm data``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tsfm_core.cli.options import ConfigFile, Json, Settings
from tsfm_core.cli.output import note, print_json, print_table

__all__ = ["app"]

app = typer.Typer(name="data", no_args_is_help=True)
_COLUMNS = {
    "item_id": "item",
    "first": "first",
    "last": "last",
    "rows": "rows",
    "readings": "readings",
    "coverage": "coverage",
    "cadence": "cadence",
    "gaps": "gaps",
    "longest_gap": "longest",
    "unsorted": "unsorted",
    "off_grid": "off grid",
    "duplicates": "duplicates",
}


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the sources that data.source may name."""
    from tsfm_core.plugins import host

    rows = [
        {"name": name, "package": package, "licence": one.licence, "synthetic": one.synthetic, "summary": one.summary}
        for name, given in host().contributions("datasets").items()
        for package, one in given
    ]
    if as_json:
        print_json(rows)
        return
    shown = [row | {"synthetic": "synthetic" if row["synthetic"] else ""} for row in rows]
    print_table(
        shown, {"name": "source", "package": "package", "licence": "licence", "synthetic": "", "summary": "what it is"}
    )


@app.command()
def check(
    source: Annotated[str, typer.Argument(help="A csv or parquet file, or a data set's name.")],
    config: ConfigFile = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Report what every item's rows are like, and each problem with the way out of it; exit 1 if there is one."""
    from tsfm_core.config.resolve import read_config, require
    from tsfm_core.prepare import open_panel

    resolved = read_config(config, settings or (), _flags(source))
    if resolved.config.task is None:
        resolved = read_config(config, settings or (), _flags(source) | _task_of(source))
    task = require(resolved.config.task, "task", f"tsfm data check {source}")
    data = require(resolved.config.data, "data", "tsfm data check")
    panel, quality = open_panel(data, task)
    if as_json:
        facts = {"fingerprint": panel.fingerprint, "unit": panel.unit, "freq": panel.freq, **panel.provenance}
        print_json(facts | quality.to_json())
    else:
        print_table([asdict(item) for item in quality.items], _COLUMNS)
        if panel.provenance.get("synthetic"):
            note("the data is SYNTHETIC: simulated, no real person")
        for problem, hint in quality.problems:
            note(f"problem: {problem}; {hint}")
    if quality.problems:
        raise typer.Exit(1)


def _flags(source: str) -> dict[str, Any]:
    endings = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
    ending = Path(source).suffix.lower()
    return {"data.source": endings[ending], "data.path": source} if ending in endings else {"data.source": source}


def _task_of(source: str) -> dict[str, Any]:
    """Return the task that a data set fixes by itself: what is checked does not depend on the lengths."""
    from tsfm_core.plugins import host

    if "data.path" in _flags(source):
        return {}
    dataset = host().dataset(source)
    facts = {"target": dataset.target, "unit": dataset.unit, "freq": dataset.freq}
    lengths = {"context_length": 1, "prediction_length": 1}
    return {f"task.{key}": value for key, value in (facts | lengths).items()} if all(facts.values()) else {}
