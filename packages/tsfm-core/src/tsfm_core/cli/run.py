"""``tsfm train``, ``backtest`` and ``predict``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsfm_core.cli.options import Checkpoint, ConfigFile, Json, Seed, Settings
from tsfm_core.cli.output import note, print_json, print_lines

if TYPE_CHECKING:
    from tsfm_core.run import Run

__all__ = ["add_to"]

_BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="Overrides runtime.batch_size: windows per forward pass.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (train, backtest, predict):
        app.command()(command)


def train(
    model: Annotated[str | None, typer.Argument(help="A model of tsfm models list; with --resume the run's.")] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    batch_size: Annotated[int | None, typer.Option(help="Overrides training.batch_size.")] = None,
    num_epochs: Annotated[int | None, typer.Option(help="Overrides training.num_epochs.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Overrides training.learning_rate.")] = None,
    seed: Seed = None,
    checkpoint: Checkpoint = None,
    nproc: Annotated[
        int | None, typer.Option(help="Overrides runtime.nproc: processes that share the training.")
    ] = None,
    distributed: Annotated[
        str | None, typer.Option(help="Overrides runtime.distributed: how they are launched, such as ddp.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with this run, which was killed, stopped or failed.", metavar="RUN")
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="With --resume: also a run that another machine seems to be at.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model, then forecast and score the windows that were held out."""
    from tsfm_core.api import resume as run_resume
    from tsfm_core.api import train as run_train
    from tsfm_core.progress import bar

    training = {"batch_size": batch_size, "num_epochs": num_epochs, "learning_rate": learning_rate}
    flags = {f"training.{key}": value for key, value in training.items()} | {
        "seed": seed,
        "model.checkpoint": checkpoint,
        "runtime.nproc": nproc,
        "runtime.distributed": distributed,
    }
    if resume is not None:
        run = run_resume(resume, model, config, settings or (), flags, sys.argv, take_over, bar)
    elif take_over:
        raise typer.BadParameter("--take-over says how --resume goes on: add --resume RUN")
    elif model is None:
        raise typer.BadParameter("name a MODEL, or --resume RUN")
    else:
        run = run_train(model, config, settings or (), flags, sys.argv, bar)
    _show(run, as_json)


def backtest(
    model: Annotated[str, typer.Argument(help="A model, or the run whose model is tested.", metavar="MODEL|RUN")],
    config: ConfigFile = None,
    settings: Settings = None,
    batch_size: _BatchSize = None,
    seed: Seed = None,
    checkpoint: Checkpoint = None,
    as_json: Json = False,
) -> None:
    """Forecast and score the windows that are held out, without training."""
    from tsfm_core.api import backtest as run_backtest
    from tsfm_core.progress import bar

    flags = {"runtime.batch_size": batch_size, "seed": seed, "model.checkpoint": checkpoint}
    _show(run_backtest(model, config, settings or (), flags, sys.argv, bar), as_json)


def predict(
    model: Annotated[str, typer.Argument(help="A model, or the run whose model forecasts.", metavar="MODEL|RUN")],
    data: Annotated[Path, typer.Option(help="A csv or parquet file, or one that --source reads.", metavar="FILE")],
    output: Annotated[Path, typer.Option(help="A csv or parquet file to write.", metavar="FILE")],
    unit: Annotated[
        str | None, typer.Option(help="Unit of the readings, and of the forecasts where no task says it.")
    ] = None,
    item_id: Annotated[str | None, typer.Option(help="Column that says whose a row is.", metavar="COLUMN")] = None,
    timestamp: Annotated[str | None, typer.Option(help="Column of the stamps.", metavar="COLUMN")] = None,
    target: Annotated[str | None, typer.Option(help="Column of what is forecast.", metavar="COLUMN")] = None,
    source: Annotated[
        str | None, typer.Option(help="Format of the file, a name of tsfm data list.", metavar="NAME")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the forecasts too, into a .png, .svg or .pdf file.", metavar="FILE"),
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    batch_size: _BatchSize = None,
    checkpoint: Checkpoint = None,
) -> None:
    """Forecast past each item's last reading; without a task, what the model's checkpoint was trained for."""
    from tsfm_core.ahead import look_ahead
    from tsfm_core.files import check_output, write_frame
    from tsfm_core.progress import bar
    from tsfm_core.units import CUSTOM

    check_output(output, data)
    if plot:
        from tsfm_core.picture import check_picture

        check_picture(plot, ("png", "svg", "pdf"))
    columns = {"item_id": item_id, "timestamp": timestamp, "target": target}
    flags: dict[str, Any] = {
        "runtime.batch_size": batch_size,
        "model.checkpoint": checkpoint,
        "data.unit": unit,
        "data.source": source,
        **{f"data.columns.{role}": column for role, column in columns.items()},
    }
    ahead = look_ahead(model, data, config, settings or (), flags, bar)
    write_frame(output, ahead.frame)
    if plot:
        from tsfm_core.fan import draw_fan

        draw_fan(ahead, plot)
    for said in ahead.notes:
        note(said)
    for item, reason in ahead.without.items():
        note(f"no forecast for {item}: {reason}")
    items, rows = ahead.frame["item_id"].nunique(), len(ahead.frame)
    note(f"{items:,} items forecast, {rows:,} rows in {ahead.task.unit.removeprefix(CUSTOM)}: {output}")
    if plot:
        note(f"plot: {plot}")


def _show(run: Run, as_json: bool) -> None:
    from tsfm_core.report import as_text, results

    if as_json:
        print_json({"run": str(run.path), "protocol_digest": run.facts["protocol_digest"], **(run.metrics or {})})
    else:
        print_lines(as_text(results(run)))
