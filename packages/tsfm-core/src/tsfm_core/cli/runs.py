"""``tsfm runs``: list, best, show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsfm_core.cli import runs_edit
from tsfm_core.cli.options import EXPERIMENTS, Json, Root, RunName
from tsfm_core.cli.output import note, print_json, print_lines, print_rows, print_table, style_of
from tsfm_core.cli.runs_rows import kept, moment, numbers_of, rows_of, table_of

if TYPE_CHECKING:
    from tsfm_core.best import Choice
    from tsfm_core.registry import Entry

__all__ = ["app"]

app = typer.Typer(name="runs", no_args_is_help=True)

#: Runs of a table for people: a terminal takes seconds to draw thousands of rows.
_SHOWN = 100
_STATUSES = ("created", "running", "completed", "failed", "interrupted", "unreadable")


@app.command("list")
def list_(
    model: Annotated[
        str | None, typer.Option(help="Runs of this model, or of those a pattern such as 't*' fits.")
    ] = None,
    experiment: Annotated[str | None, typer.Option(help="Runs of this experiment, or pattern.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Runs of this training strategy, or pattern.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Runs on this source, or pattern, or fingerprint's beginning.")
    ] = None,
    status: Annotated[str | None, typer.Option(help="Runs with this true status.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Runs created then or later: 2026-11-22, or 2026-11-22T14:30.", metavar="DATE")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Runs with this tag.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Archived runs too.")] = False,
    metric: Annotated[str, typer.Option(help="The number to show of each test set.")] = "rmse",
    sort: Annotated[
        str | None,
        typer.Option(
            help="A column's heading, created (newest first), or a number: its validation score, the best first.",
            metavar="KEY",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Show so many at most; 0 shows all.", min=0)] = None,
    root: Root = EXPERIMENTS,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a sheet of all scores, comma-separated.")] = False,
) -> None:
    """List the runs, their true status, and the RMSE on each test set."""
    from tsfm_core.catalogue import find_entries
    from tsfm_core.errors import ConfigError, did_you_mean
    from tsfm_core.registry import Query

    style = style_of(as_json, as_csv, False)
    if status is not None and status not in _STATUSES:
        raise ConfigError(f"no status is called {status!r}", did_you_mean(status, _STATUSES) or ", ".join(_STATUSES))
    query = Query(model, experiment, strategy, data, moment(since), tuple(tag or ()), archived)
    numbers = None if style == "csv" else numbers_of(metric, sort)
    found = [one for one in find_entries(root, query, numbers) if status in (None, one.status)]
    shown = kept(found, sort, (_SHOWN if style == "table" else 0) if limit is None else limit)
    if style == "csv":
        _print_sheet(root, shown)
    elif style == "json":
        print_json(rows_of(root, shown, metric, sort))
    elif shown:
        print_table(*table_of(rows_of(root, shown, metric, sort)))
    if not found and style == "table":
        note(f"no run below {root}{' is like that' if query != Query(archived=False) or status else ''}")
    elif style == "table" and limit is None and len(shown) < len(found):
        note(f"{len(shown)} of {len(found):,} runs, the {'first' if sort else 'newest'}; --limit 0 shows all")


@app.command()
def best(
    model: Annotated[str | None, typer.Argument(help="A model, or a pattern; by default all are set beside.")] = None,
    experiment: Annotated[str | None, typer.Argument(help="An experiment, or a pattern.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="The number to choose by; by default the newest run's first.")
    ] = None,
    root: Root = EXPERIMENTS,
    as_json: Json = False,
) -> None:
    """Print the best run by its validation score, never by a test set, among those validated on the same windows."""
    from tsfm_core.best import choose, default_number
    from tsfm_core.catalogue import find_entries
    from tsfm_core.errors import RunError
    from tsfm_core.registry import Query

    query = Query(model, experiment)
    number = metric or default_number(find_entries(root, query))
    if number is None:
        raise RunError(f"no such run below {root} has validation scores", "set split.validation, and a metric")
    choice = choose(find_entries(root, query, [number]), number)
    if choice.best is None:
        raise RunError(f"no run below {root} can be chosen: {_left_out(choice)}", "--metric names another number")
    if as_json:
        print_json(_choice(root, choice, choice.best))
        return
    print_lines(str(root / choice.best.path))
    score = choice.best.scores[number]["validation"]
    note(f"chosen by {number} on validation ({score:.4g}, {choice.direction} is better) among {len(choice.among)} runs")
    if choice.left_out:
        note(f"not considered: {_left_out(choice)}")


@app.command()
def show(run: RunName, root: Root = EXPERIMENTS, as_json: Json = False) -> None:
    """Show a run: what it was and its scores beside the baselines'."""
    from tsfm_core.report import as_text, results
    from tsfm_core.run import find_run

    found = find_run(run, root)
    if as_json:
        print_json({"path": str(found.path), **found.facts, "status": found.status, "metrics": found.metrics})
        return
    print_lines(as_text(results(found)))
    facts = found.facts
    for name, said in (("note", facts.get("note")), ("tags", ", ".join(facts.get("tags") or ()))):
        if said:
            print_lines(f"{name}: {said}")


def _print_sheet(root: Path, entries: Sequence[Entry]) -> None:
    from tsfm_core.export import COLUMNS, sheet

    if entries:
        print_rows(sheet(root, entries), "csv")
    else:
        print_lines(",".join(COLUMNS))


def _choice(root: Path, choice: Choice, best: Entry) -> dict[str, Any]:
    return {
        "run": str(root / best.path),
        "metric": choice.number,
        "direction": choice.direction,
        "validation": best.scores[choice.number]["validation"],
        "among": [str(root / entry.path) for entry in choice.among],
        "left_out": choice.left_out,
    }


def _left_out(choice: Choice) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in choice.left_out.items()) or "there is none"


runs_edit.add_to(app)
