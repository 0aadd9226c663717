"""Error grids: the density of the pairs under the lines of the zones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsfm_eval.report.content import ZONES, Entry, PairCounts
from tsfm_eval.report.layout import Album, Cell, Figures, Heading, Part, Section, Table, Text
from tsfm_eval.report.numbers import absences, shown_sets
from tsfm_eval.report.style import INK, PAPER, SERIES, Figure
from tsfm_eval.report.zones import GRIDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_grid", "grid_finding", "grids", "zone_shares"]

#: What the axes reach to: the range of a sensor, or the edge of the published Parkes grid.
SENSOR, EDGE = 400.0, 550.0


def zone_shares(pairs: PairCounts, grid: str) -> dict[str, float]:
    """Return the percent of the pairs in each zone, by letter."""
    counts = pairs.zones[grid]
    return {zone: 100.0 * float(count) / float(counts.sum()) for zone, count in zip(ZONES, counts, strict=True)}


def grid_finding(pairs: PairCounts, grid: str) -> str:
    """Return the shares of the zones in words."""
    shares, total = zone_shares(pairs, grid), int(pairs.zones[grid].sum())
    safe, risky = shares["A"] + shares["B"], shares["C"] + shares["D"] + shares["E"]
    each = ", ".join(f"{zone} {_percent(share)}" for zone, share in shares.items())
    outside = _outside(pairs, _limit(pairs))
    said = f"{_percent(safe)} of {total:,} pairs in A or B, {_percent(risky)} in C to E: {each}."
    return f"{said} {outside:,} of them lie beyond the axes." if outside else said


def draw_grid(axes: Axes, pairs: PairCounts, grid: str) -> None:
    """Draw the density of the pairs, darker for more on a logarithmic scale, with the zones and their letters."""
    from matplotlib.colors import to_rgb

    limit = _limit(pairs)
    side = int(limit / pairs.width)
    counts = pairs.counts[:side, :side].T.astype(float)
    shade = np.empty((side, side, 4))
    shade[..., :3] = to_rgb(SERIES[0])
    with np.errstate(divide="ignore"):
        depth = np.log1p(counts) / np.log1p(max(counts.max(), 1.0))
    shade[..., 3] = np.where(counts > 0, 0.12 + 0.88 * depth, 0.0)
    axes.imshow(shade, extent=(0, limit, 0, limit), origin="lower", interpolation="none", aspect="equal")
    axes.plot([0, limit], [0, limit], color=INK, linewidth=0.6, linestyle=(0, (2, 3)))
    for line in GRIDS[grid].lines:
        axes.plot(*np.array(line).T, color=INK, linewidth=1.0)
    plate = {"boxstyle": "circle,pad=0.12", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.85}
    for letter, truth, forecast in GRIDS[grid].letters:
        axes.text(truth, forecast, letter, ha="center", va="center", fontsize=12, weight="bold", bbox=plate)
    ticks = range(0, int(limit) + 1, 100)
    axes.set(xlim=(0, limit), ylim=(0, limit), xticks=ticks, yticks=ticks)
    axes.set(xlabel="measured glucose (mg/dL)", ylabel="forecast (mg/dL)")


def grids(entries: Sequence[Entry], album: Album) -> Section:
    """Return the section: for each set a panel for each grid and model, and the shares of the zones as a table."""
    parts: list[Part] = []
    for name in shown_sets(entries):
        counted = {one.label: one.pictures[name].pairs for one in entries if name in one.pictures}
        shown = {label: pairs for label, pairs in counted.items() if pairs is not None}
        if shown:
            panels = [[_panel(name, grid, label, pairs, album) for label, pairs in shown.items()] for grid in GRIDS]
            rows = panels if len(shown) > 1 else [[one for row in panels for one in row]]
            parts += [Heading(name), *(Figures(row) for row in rows), _shares(name, shown)]
    if parts:
        parts += [Text(f"{grid.title}: {grid.note}.", "quiet") for grid in GRIDS.values()]
    parts += [Text(why, "quiet") for why in absences(entries, "pairs", "error grid")]
    return Section("grids", "Error grids", parts)


def _panel(name: str, grid: str, label: str, pairs: PairCounts, album: Album) -> Figure:
    title = f"{GRIDS[grid].title}: {label}"
    finding = grid_finding(pairs, grid)
    return album.draw(f"{grid}-{name}-{label}", title, finding, lambda axes: draw_grid(axes, pairs, grid), (4.3, 4.2))


def _shares(name: str, shown: Mapping[str, PairCounts]) -> Table:
    rows = []
    for grid in GRIDS:
        for label, pairs in shown.items():
            shares, count = zone_shares(pairs, grid), int(pairs.zones[grid].sum())
            zones = [Cell(_percent(share), share) for share in (*shares.values(), shares["A"] + shares["B"])]
            rows.append([Cell(GRIDS[grid].title), Cell(label), *zones, Cell(f"{count:,}", count), Cell(pairs.judged)])
    columns = ("grid", "model", *ZONES, "A + B", "pairs", "forecast judged")
    return Table(f"zones-{name}", f"Percent of the pairs of {name} in each zone", columns, rows)


def _limit(pairs: PairCounts) -> float:
    """Return where the axes end: one pair in a hundred beyond the range of a sensor is worth the room it takes."""
    return SENSOR if _outside(pairs, SENSOR) <= 0.01 * pairs.zones["clarke"].sum() else EDGE


def _outside(pairs: PairCounts, limit: float) -> int:
    side = int(limit / pairs.width)
    return int(pairs.beyond + pairs.counts.sum() - pairs.counts[:side, :side].sum())


def _percent(share: float) -> str:
    """Return a percentage that does not hide what is rare: no zone with a pair reads as 0."""
    if 0 < share < 0.01:
        return "< 0.01 %"
    return f"{share:.2f} %" if share < 1 else f"{share:.1f} %"
