"""``tsfm demo``: TTMs on simulated people, trained, as they ship and trained further, beside the baselines; offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tsfm_core.run import Run

__all__ = ["demo"]

_CONFIGS = Path(__file__).parent / "configs"
_RULES = ("naive", "seasonal_naive", "mean")


def demo(
    root: Annotated[Path, typer.Option(help="Where the runs are written.", metavar="FOLDER")] = Path("experiments"),
) -> None:
    """Compare three TTMs and four baselines on bundled synthetic data, in about 3 minutes, without a network."""
    from tsfm_core.api import backtest, train
    from tsfm_core.cli.output import note, print_lines
    from tsfm_core.progress import bar
    from tsfm_core.report import as_text

    note(
        "the data is SYNTHETIC: ten virtual adults, 14 days each, a reading every 5 min; two of them are held out whole"
    )
    flags = {"output.root": str(root)}
    runs = [backtest(rule, _CONFIGS / "baseline.yaml", (), flags, progress=bar) for rule in _RULES]
    runs.append(train("linear", _CONFIGS / "baseline.yaml", (), flags, progress=bar))
    missing = not _is_installed("ttm")
    if not missing:
        note("training a small TTM from random weights")
        runs.append(train("ttm", _CONFIGS / "ttm.yaml", (), flags, progress=bar))
        note("the TTM that ships with tsfm-ttm: as it is, then trained further")
        runs.append(backtest("ttm", _CONFIGS / "ttm_cgm.yaml", (), flags, progress=bar))
        runs.append(train("ttm", _CONFIGS / "ttm_cgm_tuned.yaml", (), flags, progress=bar))
    print_lines(as_text([*_tables(runs), "", *(f"{_label(run)}: {run.path}" for run in runs), ""]))
    if missing:
        note("the TTMs are left out: pip install tsfm-ttm")
    best = runs[-1].path
    print_lines("What to type next:")
    print_lines(f"  tsfm runs show {best}")
    print_lines(f"  tsfm runs list --root {root}")
    if not missing:
        print_lines("  tsfm predict ttm --data YOUR_CLARITY_EXPORT.csv --output forecasts.csv --plot forecasts.png")
    print_lines(
        f"  tsfm predict {best} --data YOUR.csv --output forecasts.csv    # columns item_id, timestamp, glucose (mg/dL)"
    )


def _is_installed(name: str) -> bool:
    from tsfm_core.plugins import MODELS, host

    return name in {row.name for row in host().rows(MODELS)}


def _label(run: Run) -> str:
    """Return the model, and how it came by its weights where there are several of it."""
    model, strategy = run.facts["model"], run.facts["strategy"]
    return f"{model} {strategy}" if model == "ttm" else str(model)


def _tables(runs: Sequence[Run]) -> list[Any]:
    """Return a table for each test set: RMSE at 30, 60, 120 min and over all steps, Clarke zones A and B."""
    from rich import box
    from rich.table import Table

    from tsfm_core.data.split import TEST_SETS
    from tsfm_core.report import headline_steps

    first = runs[0].metrics
    assert first is not None
    steps = {name: at for name, at in headline_steps(first["task"]).items() if name in ("30 min", "60 min", "120 min")}
    tables = []
    for name in TEST_SETS:
        windows = first["sets"][name]["windows"]
        title = f"{name}: {windows:,} windows of synthetic people, RMSE in mg/dL"
        table = Table(title=title, title_justify="left", box=box.ASCII2, show_edge=False)
        table.add_column("model")
        for column in (*steps, "all steps", "Clarke A+B"):
            table.add_column(column, justify="right")
        for run in runs:
            scores = (run.metrics or {})["sets"][name]
            rmse, overall = scores["by_step"]["rmse"], scores["overall"]
            shares = f"{overall['clarke_a'] + overall['clarke_b']:.1f} %"
            table.add_row(
                _label(run), *(f"{rmse[at - 1]:.1f}" for at in steps.values()), f"{overall['rmse']:.1f}", shares
            )
        tables += [table, ""]
    return tables
