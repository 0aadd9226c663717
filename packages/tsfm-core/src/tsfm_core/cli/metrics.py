"""``tsfm metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsfm_core.cli.options import Json
from tsfm_core.cli.output import print_json, print_lines, print_table

if TYPE_CHECKING:
    from tsfm_core.records import Metric

__all__ = ["app"]

app = typer.Typer(name="metrics", no_args_is_help=True)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List every metric: its kind, unit, direction, and the point of a forecast that it judges."""
    from tsfm_core.plugins import host

    found = host().contributions("metrics")
    rows = [_row(metric, package) for given in found.values() for package, metric in given]
    rows.sort(key=lambda row: (row["family"], row["metric"]))
    if as_json:
        print_json(rows)
        return
    columns = ("family", "metric", "unit", "direction", "point", "package")
    print_table(rows, {"family": "kind"} | {name: name for name in columns[1:]} | {"point": "judges"})


@app.command()
def show(name: Annotated[str, typer.Argument(help="A metric of tsfm metrics list.")], as_json: Json = False) -> None:
    """Show a metric's formula, unit, direction and source."""
    from tsfm_core.plugins import host

    metric = host().metric(name)
    (package, _), *_ = host().contributions("metrics")[name]
    row = _row(metric, package)
    if as_json:
        print_json(row)
        return
    print_lines(f"{name} · {package}\n")
    print_lines(f"{metric.definition}\n")
    for key in ("family", "unit", "direction", "point", "needs", "source"):
        if row[key]:
            shown = ", ".join(row[key]) if isinstance(row[key], list) else row[key]
            print_lines(f"  {key}: {shown}")
    for number in dict.fromkeys([*metric.units, *metric.directions]):
        unit, direction = metric.units.get(number, metric.unit), metric.directions.get(number, metric.direction)
        print_lines(f"  {number}: unit {unit}, direction {direction}")


def _row(metric: Metric, package: str) -> dict[str, Any]:
    names = ("family", "unit", "direction", "point", "definition", "source", "additive")
    row = {"metric": metric.name, "package": package} | {name: getattr(metric, name) for name in names}
    row |= {"needs": list(metric.needs), "units": dict(metric.units), "directions": dict(metric.directions)}
    return row
