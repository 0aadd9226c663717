"""``tsfm evaluate``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsfm_core.cli.options import Csv, Json, Latex, Root
from tsfm_core.cli.output import note, print_json, print_lines, print_rows, style_of

if TYPE_CHECKING:
    from tsfm_core.metrics import Scores

__all__ = ["add_to"]

_LEVELS = ("item", "step", "hour", "range", "source")


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(evaluate)


def evaluate(
    run: Annotated[str, typer.Argument(help="A run.", metavar="RUN")],
    metric: Annotated[list[str] | None, typer.Option(help="A metric; by default those of the run's config.")] = None,
    unit: Annotated[str | None, typer.Option(help="Score in this unit.")] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Score apart by item, step, hour (of the day), range (of the truth), source or a group."),
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(help="A csv file: item_id, and a column for each grouping.", metavar="FILE")
    ] = None,
    root: Root = Path("experiments"),
    as_json: Json = False,
    as_csv: Csv = False,
    as_latex: Latex = False,
) -> None:
    """Score stored forecasts again, with intervals over people where tsfm-eval is there; needs no model."""
    from tsfm_core.api import evaluate as run_evaluate
    from tsfm_core.api import load_run
    from tsfm_core.data.store import ForecastFile
    from tsfm_core.groups import read_groups
    from tsfm_core.report import as_text, score_tables

    style = style_of(as_json, as_csv, as_latex)
    given = read_groups(groups) if groups else None
    if by:
        _check_level(by, given)
    found = load_run(run, root)
    scores = run_evaluate(found, metric or (), unit, given, intervals=not by)
    stored = ForecastFile(found.forecasts_path).task.model_dump(mode="json")
    if as_json:
        names = ("points", "sets", "intervals", "notes", "chosen", "missing")
        print_json(
            {"run": str(found.path), "unit": unit or stored["unit"], **{name: getattr(scores, name) for name in names}}
        )
        return
    rows = {name: list(_level_rows(scores, name, by) if by else _rows(scores, name)) for name in scores.sets}
    if by and not any(rows.values()):
        _refuse_empty(scores, by, given)
    if style == "table":
        print_lines(f"{found.path}, in {unit or stored['unit']}\n")
        for name, own in rows.items():
            heading: list[Any] = [f"{name}: {scores.sets[name]['windows']:,} windows"]
            if not by:
                heading = score_tables(stored, {found.facts["model"]: scores.sets}, name, whole=False)
            print_lines(as_text(heading).rstrip("\n"))
            print_rows(own, style)
    else:
        print_rows([{"set": name, **row} for name, own in rows.items() for row in own], style)
    if by == "range" and unit not in (None, stored["unit"]):
        note(f"the ranges are in {stored['unit']}, the unit of the data")
    for metric_name, reason in scores.missing.items():
        note(f"{metric_name} is not given: {reason}")
    for name, reason in scores.notes.items():
        note(f"{name} has no intervals: {reason}")


def _check_level(by: str, groups: dict[str, Any] | None) -> None:
    from tsfm_core.errors import DataError, did_you_mean, listing

    known = [*_LEVELS, *(groups or {})]
    taken = [name for name in groups or {} if name in _LEVELS]
    if taken:
        raise DataError(f"the column {taken[0]!r} of --groups is the name of a level", "give the column another name")
    if by not in known:
        hint = did_you_mean(by, known) or f"there are {listing(known)}; --groups FILE brings further ones"
        raise DataError(f"{by!r} is no level", hint)


def _refuse_empty(scores: Scores, by: str, groups: dict[str, Any] | None) -> None:
    from tsfm_core.errors import DataError, listing

    if groups and by in groups:
        items = listing(list(dict.fromkeys(row["item_id"] for row in scores.items))[:3])
        raise DataError(
            f"no item of the run is in the column {by!r} of --groups", f"the run's items are called {items}"
        )
    why = {
        "hour": "the time of day is not known, or no metric is of single pairs",
        "range": "the ranges are those of glucose, and of metrics of single pairs",
        "source": "the run has one source",
        "step": "no metric has steps",
    }
    raise DataError(f"nothing is scored by {by}", why.get(by))


def _rows(scores: Scores, name: str) -> Iterator[dict[str, Any]]:
    """Yield a row for each number over all windows of a set."""
    one, intervals = scores.sets[name], scores.intervals.get(name, {})
    for number, value in one["overall"].items():
        low, high = intervals.get(number, (None, None))
        row = {"score": number, "all windows": value}
        if intervals:
            row |= {"low": low, "high": high}
        yield row | {"mean of items": one["macro"][number]}


def _level_rows(scores: Scores, name: str, by: str) -> Iterator[dict[str, Any]]:
    """Yield a row for each name of a level, with every number that has it."""
    one = scores.sets[name]
    if by == "item":
        yield from ({key: value for key, value in row.items() if key != "set"} for row in scores.items_of(name))
    elif by == "step":
        for at in range(max(map(len, one["by_step"].values()), default=0)):
            yield {"step": at + 1, **{number: values[at] for number, values in one["by_step"].items()}}
    elif by in ("hour", "range"):
        for label in dict.fromkeys(label for values in one[f"by_{by}"].values() for label in values):
            yield {by: label, **{number: values.get(label) for number, values in one[f"by_{by}"].items()}}
    else:
        found = one.get("by_source", {}) if by == "source" else one["by_group"][by]
        for label, facts in found.items():
            yield {by: label, "windows": facts["windows"], "items": facts["items"], **facts["overall"]}
