"""``tsfm runs compare`` and ``tsfm report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tsfm_core.cli.options import Csv, Json, Latex, Root
from tsfm_core.cli.output import note, print_json, print_lines, print_rows, style_of

__all__ = ["compare", "report"]

Names = Annotated[
    list[str],
    typer.Argument(help="Runs, or folders of runs: the folds of one experiment, scored together.", metavar="RUN..."),
]
MetricNames = Annotated[list[str] | None, typer.Option("--metric", help="A metric; by default those of the runs.")]
Unit = Annotated[str | None, typer.Option(help="Score in this unit.")]
On = Annotated[str | None, typer.Option(help="The only test set to look at, such as patient_holdout.")]
Reference = Annotated[
    str | None, typer.Option(help="What the others are set against, by its heading; by default the first.")
]


def compare(
    runs: Names,
    metric: MetricNames = None,
    unit: Unit = None,
    on: On = None,
    reference: Reference = None,
    root: Root = Path("experiments"),
    as_json: Json = False,
    as_csv: Csv = False,
    as_latex: Latex = False,
) -> None:
    """Set runs side by side that were tested on the same windows: scores, intervals over people, tests."""
    from tsfm_eval.comparison.compare import compare as compare_entries
    from tsfm_eval.comparison.entries import find_entries
    from tsfm_eval.comparison.tables import as_plain, as_rows, as_text_rows, legend, statistics_lines

    style = style_of(as_json, as_csv, as_latex)
    comparison = compare_entries(find_entries(runs, root), metric or (), unit, on, reference)
    if style == "json":
        print_json(as_plain(comparison))
    elif style == "csv":
        print_rows(list(as_rows(comparison)), style)
    elif style == "latex":
        print_rows([row for name, one in comparison.sets.items() for row in as_text_rows(one, name)], style)
    else:
        for name, one in comparison.sets.items():
            print_lines(f"{name}: {one.windows:,} windows of {one.patients} people, in {comparison.unit}")
            print_rows(as_text_rows(one), style)
            said = [*legend(one, comparison.reference), *statistics_lines(one, comparison.reference), ""]
            print_lines("\n".join(said))
    for one_scored in comparison.scored:
        for metric_name, reason in one_scored.scores.missing.items():
            note(f"{metric_name} of {one_scored.entry.label} is not given: {reason}")


def report(
    runs: Names,
    output: Annotated[Path, typer.Option(help="The HTML file to write.", metavar="FILE")] = Path("report.html"),
    figures: Annotated[
        Path | None, typer.Option(help="A folder that gets every figure as SVG and PNG.", metavar="FOLDER")
    ] = None,
    metric: MetricNames = None,
    unit: Unit = None,
    on: On = None,
    reference: Reference = None,
    root: Root = Path("experiments"),
) -> None:
    """Write one file that opens anywhere: scores, error grids, calibration, forecasts, people, tests, provenance."""
    from tsfm_eval.comparison.compare import compare as compare_entries
    from tsfm_eval.comparison.entries import find_entries
    from tsfm_eval.report.assemble import assemble
    from tsfm_eval.report.page import check_output, write_report

    check_output(output, figures)
    comparison = compare_entries(find_entries(runs, root), metric or (), unit, on, reference)
    entries, statistics = assemble(comparison)
    write_report(entries, output, figures, statistics)
    note(f"{output}: {output.stat().st_size / 1e6:.1f} MB" + (f"; figures in {figures}" if figures else ""))
