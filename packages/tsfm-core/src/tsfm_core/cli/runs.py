"""``tsfm runs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsfm_core.cli.options import Json, Root
from tsfm_core.cli.output import note, print_json, print_lines, print_table

if TYPE_CHECKING:
    from tsfm_core.run import Run

__all__ = ["app"]

app = typer.Typer(name="runs", no_args_is_help=True)
_EXPERIMENTS = Path("experiments")


@app.command("list")
def list_(root: Root = _EXPERIMENTS, as_json: Json = False) -> None:
    """List the runs, their true status, and the RMSE on each test set."""
    from tsfm_core.run import list_runs

    rows = [_row(run) for run in list_runs(root)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        note(f"no run below {root}")
        return
    columns = {key: key for key in ("model", "experiment", "run", "strategy", "status")}
    scores = dict.fromkeys(key for row in rows for key in row if key.startswith("rmse "))
    shown = [row | {"run": Path(row["run"]).name, "protocol": (row["protocol"] or "")[:12]} for row in rows]
    print_table(shown, columns | {"protocol": "protocol"} | {key: key for key in scores})


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run's directory, or the end of its path.")],
    root: Root = _EXPERIMENTS,
    as_json: Json = False,
) -> None:
    """Show a run: what it was and its scores beside the baselines'."""
    from tsfm_core.report import as_text, results
    from tsfm_core.run import find_run

    found = find_run(run, root)
    if as_json:
        print_json({"path": str(found.path), **found.facts, "status": found.status, "metrics": found.metrics})
    else:
        print_lines(as_text(results(found)))


def _row(run: Run) -> dict[str, Any]:
    from tsfm_core.errors import RunError

    try:
        facts = run.facts
    except RunError:
        model, experiment = run.path.parts[-3:-1]
        row = dict.fromkeys(("strategy", "created", "protocol"))
        return {"model": model, "experiment": experiment, **row, "run": str(run.path), "status": "unreadable"}
    row = {key: facts.get(key) for key in ("model", "experiment", "strategy", "created")}
    row |= {"run": str(run.path), "status": run.status, "protocol": facts.get("protocol_digest")}
    for name, one in ((run.metrics or {}).get("sets") or {}).items():
        if name != "validation" and "rmse" in one["overall"]:
            row[f"rmse {name}"] = one["overall"]["rmse"]
    return row
