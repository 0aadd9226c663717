"""The section of single forecasts: the best, a middling and the worst window, and the worst nights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsfm_core.freq import seconds
from tsfm_core.units import CUSTOM, KNOWN_UNITS, thresholds
from tsfm_eval.report.content import Entry, Window
from tsfm_eval.report.curves import time_axis, time_ticks
from tsfm_eval.report.layout import Album, Figures, Heading, Part, Section, Text
from tsfm_eval.report.numbers import absences, noun, number, shown_sets
from tsfm_eval.report.style import GREY, INK, SERIES, Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["central_intervals", "draw_window", "windows"]

_TITLES = ("Best window", "Window in the middle", "Worst window")
_NIGHTS = (
    "Nights: those whose low was missed by most, by how far the forecast was above a truth below {low} {unit} at any "
    "step. The cutoff of a night is from 22:00 to before 04:00, under a nocturnal protocol at any time; of a {who}'s "
    "night the worst window counts."
)


def windows(entries: Sequence[Entry], album: Album) -> Section:
    """Return the section: of each set and run the three windows, then the nights."""
    parts: list[Part] = []
    for name in shown_sets(entries):
        for entry in entries:
            found = entry.pictures.get(name)
            if found is None:
                continue
            own = f"{name}-{entry.label}"
            three = zip(_TITLES, (found.best, found.median, found.worst), strict=True)
            figures = [_figure(entry, f"{title}-{own}", title, "RMSE", one, album) for title, one in three if one]
            nights = [
                _figure(entry, f"night-{at}-{own}", f"Night {at}", "a true low over-estimated by", one, album)
                for at, one in enumerate(found.nights, 1)
            ]
            parts.append(Heading(f"{name}: {entry.label}" if len(entries) > 1 else name))
            parts += [Figures(figures)] if figures else []
            parts += [Figures(nights)] if nights else []
    if any(one.nights for entry in entries for one in entry.pictures.values()):
        unit = str(entries[0].task["unit"])
        parts.insert(0, Text(_NIGHTS.format(low=thresholds(unit).low, unit=unit, who=noun(entries[0], 1))))
    for key, what in (("best", "window"), ("nights", "night")):
        parts += [Text(why, "quiet") for why in absences(entries, key, what)]
    return Section("windows", "Single forecasts", parts)


def central_intervals(levels: Sequence[float]) -> list[tuple[int, int, float]]:
    """Return the pairs of levels that lie alike around 0.5, widest first, with the percent between them."""
    found = []
    for low, level in enumerate(levels):
        for high, other in enumerate(levels):
            if level < other and abs(level + other - 1) < 1e-9:
                found.append((low, high, 100 * (other - level)))
    return sorted(found, key=lambda one: -one[2])


def draw_window(axes: Axes, window: Window, levels: Sequence[float], step: int, unit: str) -> None:
    """Draw the end of the context, the truth, the forecast and its central intervals, and the bounds of the range."""
    steps, seen = len(window.truth), len(window.context)
    said, size = time_axis(max(steps, seen) * step)
    ahead, behind = np.arange(1, steps + 1) * step / size, np.arange(1 - seen, 1) * step / size
    intervals = central_intervals(levels)[:3] if window.quantiles is not None else []
    for at, (low, high, _) in enumerate(intervals):
        assert window.quantiles is not None
        lower, upper = window.quantiles[low], window.quantiles[high]
        label = f"{', '.join(f'{percent:.3g}' for _, _, percent in reversed(intervals))} %"
        axes.fill_between(
            *(ahead, lower, upper), color=SERIES[0], alpha=0.2, linewidth=0, label=label if not at else None
        )
    if unit in KNOWN_UNITS:
        _, low_bound, high_bound, _ = thresholds(unit)
        for bound in (low_bound, high_bound):
            axes.axhline(bound, color=GREY, linewidth=0.8, linestyle=(0, (5, 3)))
            axes.annotate(f"{bound:g}", (1.01, bound), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.axvline(0, color=GREY, linewidth=0.8)
    measured, places = np.concatenate([window.context, window.truth]), np.concatenate([behind, ahead])
    axes.plot(places, measured, color=INK, linewidth=1.3, label="measured")
    there = np.isfinite(measured)
    alone = there & ~np.append(False, there[:-1]) & ~np.append(there[1:], False)  # between two gaps there is no line
    axes.scatter(places[alone], measured[alone], 6, color=INK, linewidths=0)
    axes.plot(ahead, window.point, color=SERIES[0], linewidth=1.9, linestyle=(0, (5, 1.5)), label="forecast")
    ends = (-seen * step / size, steps * step / size)
    axes.set(
        xlim=ends, xticks=time_ticks(*ends), xlabel=f"time from the cutoff ({said})", ylabel=unit.removeprefix(CUSTOM)
    )
    axes.grid(axis="y")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        fontsize=8.5,
        columnspacing=1,
        handlelength=1.6,
        borderaxespad=0.2,
    )


def _figure(entry: Entry, name: str, title: str, finding: str, window: Window, album: Album) -> Figure:
    step, levels, unit = seconds(entry.task["freq"]), entry.task["quantile_levels"], entry.task["unit"]
    when = np.datetime_as_string(window.cutoff, unit="m").replace("T", " ")
    return album.draw(
        name,
        title,
        f"{window.item_id}, {when}: {finding} {number(window.score)} {unit.removeprefix(CUSTOM)}.",
        lambda axes: draw_window(axes, window, levels, step, unit),
    )
