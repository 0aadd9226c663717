"""Scores as lines: by time ahead, by hour of the day, by glycaemic range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsfm_eval.pairs import Floats
from tsfm_eval.report.style import GREY, LINES, MARKERS, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Curve", "draw_by_group", "draw_by_hour", "draw_by_time", "size_for", "time_axis", "time_ticks"]

_ROUND = [base * 10**power for power in range(-1, 8) for base in (1, 2, 3, 4, 6)]
_UNITS = (("min", 60, 3 * 3600), ("h", 3600, 3 * 86400), ("days", 86400, float("inf")))


@dataclass(frozen=True)
class Curve:
    """A line of a figure.

    :param values: NaN where there is none.
    :param band: low and high of an interval at each value.
    :param baseline: drawn grey and thin.
    """

    label: str
    values: Sequence[float]
    band: Sequence[tuple[float, float]] = ()
    baseline: bool = False


def time_axis(seconds: float) -> tuple[str, float]:
    """Return the unit of an axis that reaches to ``seconds``, and how many seconds it has."""
    return next((name, size) for name, size, most in _UNITS if seconds <= most)


def time_ticks(least: float, most: float) -> list[float]:
    """Return at most seven round numbers from ``least`` to ``most``, 0 among them."""
    every = next(one for one in _ROUND if (most - least) / one <= 6)
    return [at * every for at in range(math.ceil(least / every), math.floor(most / every) + 1)]


def draw_by_time(axes: Axes, curves: Sequence[Curve], step: int, label: str, fixed: Sequence[float] = ()) -> None:
    """Draw curves over the time ahead.

    :param step: seconds.
    :param fixed: where horizontal lines stand, for what was promised.
    """
    steps = max((len(one.values) for one in curves), default=0)
    unit, size = time_axis(steps * step)
    ahead = np.arange(1.0, steps + 1) * step / size
    for at, curve in enumerate(curves):
        _draw(axes, ahead[: len(curve.values)], curve, at, max(1, len(ahead) // 6))
    for at, value in enumerate(fixed):
        axes.axhline(value, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), label=None if at else "promised")
    end = float(ahead[-1]) if steps else 1.0
    axes.set(xlim=(0, end), xticks=time_ticks(0, end), xlabel=f"time ahead ({unit})", ylabel=label)
    axes.xaxis.set_major_formatter("{x:g}")
    _room(axes, curves)
    _finish(axes, len(curves) + bool(fixed))


def draw_by_hour(axes: Axes, curves: Sequence[Curve], label: str) -> None:
    """Draw curves of 24 values over the hour of the day."""
    for at, curve in enumerate(curves):
        _draw(axes, np.arange(24.0) + 0.5, curve, at, 4)
    axes.axvspan(0, 6, color=GREY, alpha=0.12, linewidth=0)
    axes.set(xlim=(0, 24), xticks=range(0, 25, 4), xlabel="hour of the day (local time; 0 to 6 h shaded)", ylabel=label)
    _room(axes, curves)
    _finish(axes, len(curves))


def draw_by_group(axes: Axes, curves: Sequence[Curve], groups: Sequence[str], label: str, xlabel: str) -> None:
    """Draw a point for each group and curve, side by side: groups have no line between them."""
    places = np.arange(len(groups))
    for at, curve in enumerate(curves):
        shift = (at - (len(curves) - 1) / 2) * 0.7 / max(len(curves), 1)
        colour, fill = _colour(curve, at), "none" if curve.baseline else None
        axes.scatter(
            *(places + shift, curve.values, 30),
            marker=MARKERS[at % len(MARKERS)],
            edgecolors=colour,
            facecolors=fill or colour,
            linewidths=1.2,
            label=curve.label,
        )
    for edge in places[1:] - 0.5:
        axes.axvline(edge, color=GREY, linewidth=0.5, linestyle=(0, (1, 3)))
    axes.set(xlim=(-0.5, len(groups) - 0.5), xlabel=xlabel, ylabel=label)
    axes.set_xticks(places, [group.replace(" ", "\n", 1) for group in groups], fontsize=8.5)
    _room(axes, curves)
    _finish(axes, len(curves))


def _draw(axes: Axes, places: Floats, curve: Curve, at: int, every: int) -> None:
    colour = _colour(curve, at)
    line, marker = LINES[at % len(LINES)], MARKERS[at % len(MARKERS)]
    width, fill = (1.1, "none") if curve.baseline else (1.9, colour)
    axes.plot(
        *(places, curve.values),
        color=colour,
        linestyle=line,
        linewidth=width,
        marker=marker,
        markerfacecolor=fill,
        markevery=(min(at, every - 1), every),
        label=curve.label,
    )
    if len(curve.band):
        low, high = np.array(curve.band, dtype=float).T
        axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)


def _colour(curve: Curve, at: int) -> str:
    return GREY if curve.baseline else SERIES[at % len(SERIES)]


def _room(axes: Axes, curves: Sequence[Curve]) -> None:
    """Begin the axis at 0 where nothing is below it: a small difference must not look large."""
    values = np.concatenate([np.ravel([*one.values, *np.ravel(one.band)]) for one in curves] or [np.zeros(1)])
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() >= 0:
        axes.set_ylim(0, float(finite.max()) * 1.08 or 1)


def size_for(curves: int) -> tuple[float, float]:
    """Return the size in inches that leaves the curves as much room as a long legend takes."""
    return 4.3, 2.8 + 0.2 * (1 if curves <= 3 else -(-curves // 2))


def _finish(axes: Axes, curves: int) -> None:
    axes.grid(axis="y")
    if curves > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2 if curves > 3 else curves, borderaxespad=0.2)
