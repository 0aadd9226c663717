"""``tsfm data``: what there is, what it is like, and what is prepared."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsfm_core.cli.options import ConfigFile, Json, Settings
from tsfm_core.cli.output import note, print_json, print_lines, print_table
from tsfm_core.cli.quality import print_report
from tsfm_core.cli.split import split_command

if TYPE_CHECKING:
    from tsfm_core.data.panel import Panel
    from tsfm_core.data.quality import Quality

__all__ = ["app"]

app = typer.Typer(name="data", no_args_is_help=True)
SourceName = Annotated[
    str | None,
    typer.Argument(
        help="A csv or parquet file, a folder of parquet files, or a data set's name; default: the config's."
    ),
]
SourcePath = Annotated[
    str | None, typer.Option("--path", help="Overrides data.path: the file or folder.", metavar="PATH")
]
_PREPARED = {
    "key": "key",
    "source": "source",
    "items": "items",
    "rows": "rows",
    "megabytes": "MB",
    "prepared": "prepared",
    "path": "path",
}


@app.command("list")
def list_(
    prepared: Annotated[bool, typer.Option("--prepared", help="List what is prepared instead.")] = False,
    as_json: Json = False,
) -> None:
    """List the sources that data.source may name, or the panels that are prepared."""
    if prepared:
        from tsfm_core.data import cache

        rows, columns = cache.prepared(), _PREPARED
    else:
        rows, columns = _sources(), {"name": "source", "package": "package", "licence": "licence", "synthetic": ""}
        columns |= {"summary": "what it is", "origin": "where its files come from"}
    if as_json:
        print_json(rows)
    else:
        print_table([row | {"synthetic": "synthetic" if row.get("synthetic") else ""} for row in rows], columns)


@app.command()
def check(
    source: SourceName = None,
    path: SourcePath = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the items too, into a .png or .svg file.", metavar="FILE")
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Report what every item's rows are like, and each problem with the way out of it; exit 1 if there is one."""
    if plot:
        from tsfm_core.picture import check_picture

        check_picture(plot)
    panel, quality, _ = _open("check", source, path, config, settings)
    if as_json:
        print_json(_facts(panel) | quality.to_json())
    else:
        print_report(panel, quality)
    if plot:
        from tsfm_core.plot import draw_panel

        draw_panel(panel, quality, plot)
        note(f"plot: {plot}")
    if quality.problems:
        raise typer.Exit(1)


@app.command()
def prepare(
    source: SourceName = None,
    path: SourcePath = None,
    config: ConfigFile = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Build the panel of a source, once for all runs that use it, and report it; exit 1 if it has a problem."""
    panel, quality, seconds = _open("prepare", source, path, config, settings)
    folder = panel.folder
    facts = _facts(panel) | {
        "key": folder.name if folder else None,
        "folder": str(folder),
        "seconds": round(seconds, 3),
    }
    if as_json:
        print_json(facts | quality.to_json())
    else:
        print_report(panel, quality)
        print_lines(f"{len(panel):,} rows of {len(panel.item_ids):,} items in {seconds:.1f} s: {facts['key']}")
        print_lines(f"{folder}")
    if quality.problems:
        raise typer.Exit(1)


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="The key of a prepared panel, or its beginning.")], as_json: Json = False
) -> None:
    """Show a prepared panel: its items, channels and where it came from."""
    from tsfm_core.data import cache
    from tsfm_core.data.saved import open_saved

    panel = open_saved(cache.find(key))
    quality = cache.report_of(panel)
    facts = _facts(panel) | {"folder": str(panel.folder)}
    if as_json:
        print_json(facts | quality.to_json())
        return
    print_report(panel, quality)
    for name in ("source", "path", "unit", "freq", "channels", "clock", "fingerprint", "folder"):
        print_lines(f"{name}: {facts[name]}")


@app.command()
def clear(
    keys: Annotated[list[str] | None, typer.Argument(help="Keys of prepared panels; by default all of them.")] = None,
) -> None:
    """Remove prepared panels; they are built again when they are needed."""
    from tsfm_core.data import cache

    count, size = cache.clear(keys or ())
    print_lines(f"removed {count} prepared panels, {size:,} MB")


app.command("split")(split_command)


def _sources() -> list[dict[str, Any]]:
    from tsfm_core.plugins import host

    return [
        {
            "name": name,
            "package": package,
            "licence": one.licence,
            "synthetic": one.synthetic,
            "summary": one.summary,
            "origin": one.origin,
            "channels": {channel: about.unit for channel, about in one.channels.items()},
            "options": list(one.options_schema.model_fields) if one.options_schema else [],
        }
        for name, given in host().contributions("datasets").items()
        for package, one in given
    ]


def _open(
    command: str, source: str | None, path: str | None, config: Path | None, settings: list[str] | None
) -> tuple[Panel, Quality, float]:
    from tsfm_core.config.resolve import read_config, require
    from tsfm_core.opening import open_panel

    flags = _flags(source, path) if source else {"data.path": path}
    resolved = read_config(config, settings or (), flags)
    if resolved.config.task is None and source:
        resolved = read_config(config, settings or (), _task_of(source, flags) | flags)
    data = require(resolved.config.data, "data", f"tsfm data {command}")
    task = require(resolved.config.task, "task", f"tsfm data {command} {source or ''}".rstrip())
    start = perf_counter()
    return *open_panel(data, task), perf_counter() - start


def _flags(source: str, path: str | None) -> dict[str, Any]:
    """Return what the arguments say of ``data``: a file by its ending, a folder of parquet files, or a name."""
    from tsfm_core.errors import DataError

    endings = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
    found = endings.get(Path(source).suffix.lower())
    if found is None and Path(source).is_dir() and any(Path(source).rglob("*.parquet")):
        found = "parquet"
    if found is None:
        return {"data.source": source, "data.sources": []} | ({"data.path": path} if path else {})
    if path:
        raise DataError(f"{source} and --path {path} both say where the data is", "give one of them")
    return {"data.source": found, "data.sources": [], "data.path": source}


def _task_of(source: str, flags: dict[str, Any]) -> dict[str, Any]:
    """Return the task that a data set fixes by itself, with all its channels; the lengths do not matter here."""
    from tsfm_core.plugins import host

    if flags["data.source"] != source:
        return {}
    dataset = host().dataset(source)
    facts = {"target": dataset.target, "unit": dataset.task_unit or dataset.unit, "freq": dataset.freq}
    if not all(facts.values()):
        return {}
    rest = {"context_length": 1, "prediction_length": 1, "past_covariates": list(dataset.channels)}
    return {f"task.{key}": value for key, value in (facts | rest).items()}


def _facts(panel: Panel) -> dict[str, Any]:
    return {
        "fingerprint": panel.fingerprint,
        "unit": panel.unit,
        "freq": panel.freq,
        "clock": panel.clock,
        "channels": list(panel.columns),
        "categories": dict(panel.categories),
        **panel.provenance,
    }
