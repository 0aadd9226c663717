"""The section of quantile forecasts: reliability, PIT histogram, coverage and width of the central intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsfm_core.freq import seconds
from tsfm_core.units import CUSTOM
from tsfm_eval.pairs import Floats
from tsfm_eval.report.content import Calibration, Entry
from tsfm_eval.report.curves import Curve, draw_by_time
from tsfm_eval.report.layout import Album, Figures, Heading, Part, Section, Text
from tsfm_eval.report.numbers import absences, number, shown_sets
from tsfm_eval.report.style import GREY, LINES, MARKERS, QUIET, SERIES, Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["calibration", "draw_pit", "draw_reliability"]


def calibration(entries: Sequence[Entry], album: Album) -> Section:
    """Return the section; a run without quantiles is named, with the reason."""
    parts: list[Part] = []
    for name in shown_sets(entries):
        found = {one.label: one.pictures[name].calibration for one in entries if name in one.pictures}
        shown = {label: one for label, one in found.items() if one is not None}
        if shown:
            figures = [_reliability(name, shown, album)]
            for entry in entries:
                if entry.label in shown:
                    of = f" of {entry.label}" if len(entries) > 1 else ""
                    figures += [_pit(name, entry, of, shown[entry.label], album), *_intervals(name, entry, of, album)]
            parts += [Heading(name), Figures(figures)]
    parts += [Text(why, "quiet") for why in absences(entries, "calibration", "calibration")]
    return Section("calibration", "Calibration", parts)


def draw_reliability(axes: Axes, found: Mapping[str, Calibration]) -> None:
    """Draw how often the truth was at or below each quantile, over the level that it was promised for."""
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (2, 2)), label="ideal")
    for at, (label, one) in enumerate(found.items()):
        colour, line, marker = SERIES[at % len(SERIES)], LINES[at % len(LINES)], MARKERS[at % len(MARKERS)]
        axes.plot(one.levels, one.below, color=colour, linestyle=line, marker=marker, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="quantile level", ylabel="share of truths at or below it")
    axes.grid()
    axes.legend(loc="upper left")


def draw_pit(axes: Axes, found: Calibration) -> None:
    """Draw the density of the truths between neighbouring levels; hatched what lies outside of all quantiles."""
    edges, density = _densities(found)
    axes.stairs(density, edges, fill=True, color=SERIES[0], alpha=0.35, linewidth=0)
    axes.stairs(density, edges, color=SERIES[0], linewidth=1.2)
    for end, label in ((slice(0, 1), "outside of all quantiles"), (slice(-1, None), None)):
        sides = edges[:2] if label else edges[-2:]
        axes.stairs(density[end], sides, fill=True, facecolor="none", edgecolor=QUIET, hatch="////", label=label)
    axes.axhline(1, color=GREY, linewidth=1, linestyle=(0, (2, 2)), label="ideal")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    axes.set(xlim=(0, 1), ylim=(0, max(1.15, float(density.max()) * 1.08)))
    axes.set(xlabel="level that the truth was at", ylabel="density")


def _densities(found: Calibration) -> tuple[Floats, Floats]:
    edges = np.array([0.0, *found.levels, 1.0])
    return edges, np.diff([0.0, *found.below, 1.0]) / np.diff(edges)


def _reliability_finding(found: Mapping[str, Calibration]) -> str:
    said = []
    for label, one in found.items():
        gaps = np.array(one.below) - np.array(one.levels)
        at = int(np.abs(gaps).argmax())
        where = f"{100 * one.below[at]:.1f} % of the truths at or below the {one.levels[at]:g} quantile"
        said.append(f"{label}: {one.pairs:,} pairs; furthest from the ideal with {where}")
    return f"{'; '.join(said)}. Above the diagonal quantiles are too high, below it too low."


def _pit_finding(found: Calibration) -> str:
    low, high = found.levels[0], found.levels[-1]
    under, over = 100 * found.below[0], 100 * (1 - found.below[-1])
    below = f"{under:.1f} % of the truths at or below the lowest quantile ({100 * low:.3g} % promised)"
    above = f"{over:.1f} % above the highest ({100 * (1 - high):.3g} % promised)"
    return f"{below}, {above}. A hump means too wide, a U too narrow."


def _reliability(name: str, shown: Mapping[str, Calibration], album: Album) -> Figure:
    finding = _reliability_finding(shown)
    return album.draw(
        f"reliability-{name}", "Reliability", finding, lambda axes: draw_reliability(axes, shown), (4.3, 4.0)
    )


def _pit(name: str, entry: Entry, of: str, found: Calibration, album: Album) -> Figure:
    finding = _pit_finding(found)
    return album.draw(f"pit-{name}-{entry.label}", f"PIT histogram{of}", finding, lambda axes: draw_pit(axes, found))


def _intervals(name: str, entry: Entry, of: str, album: Album) -> list[Figure]:
    """Return coverage and width of the central intervals by time ahead, where the scores have them."""
    by_step = entry.scores.get(name, {}).get("by_step", {})
    percents = [one.removeprefix("coverage_") for one in by_step if one.startswith("coverage_")]
    if not percents:
        return []
    step, unit, whole = seconds(entry.task["freq"]), entry.unit.removeprefix(CUSTOM), entry.scores[name]["overall"]

    def curves(kind: str) -> list[Curve]:
        return [Curve(f"{one} %", [_value(at) for at in by_step[f"{kind}_{one}"]]) for one in percents]

    promised = [int(one) / 100 for one in percents]
    inside = ", ".join(
        f"{number(100 * _value(whole.get(f'coverage_{one}')))} % of the {one} % interval" for one in percents
    )
    wide = ", ".join(f"{number(whole.get(f'sharpness_{one}'))} {unit} of the {one} % interval" for one in percents)
    return [
        album.draw(
            f"coverage-{name}-{entry.label}",
            f"Coverage{of}",
            f"Truths inside, over all steps: {inside}.",
            lambda axes: draw_by_time(axes, curves("coverage"), step, "share of truths inside", promised),
        ),
        album.draw(
            f"sharpness-{name}-{entry.label}",
            f"Width of the intervals{of}",
            f"Mean width, over all steps: {wide}. Less is better only where the coverage is kept.",
            lambda axes: draw_by_time(axes, curves("sharpness"), step, f"mean width ({unit})"),
        ),
    ]


def _value(value: float | None) -> float:
    return float("nan") if value is None else float(value)
