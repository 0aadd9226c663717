"""The picture of virtual people beside real ones; of the real ones it shows statistics alone, no readings in time."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from _likeness import DAY, autocorrelation, changes, gaps
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["draw"]

# of Okabe and Ito's palette, and tints of its blue; the dashes tell them apart without colour
_VIRTUAL, _BAND, _REAL = "#0072B2", "#BBD9EA", "#D55E00"
_INK, _GREY, _RANGE = "#1A1A1A", "#9A9A9A", "#EFEFEF"
_STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.linewidth": 0.6,
    "axes.edgecolor": _GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 2.4,
}
_BIN = 9.009  # mg/dL, 0.5 mmol/L: of sensors that show 0.1 mmol/L each bin then holds five values
_LEAST = 0.01  # % of changes that is still shown
_EXAMPLE = 10  # the day of the examples


def draw(path: Path, virtual: Sequence[np.ndarray], eaten: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> None:
    """Write the picture, a png.

    :param virtual: glucose of each person in mg/dL, a value each 5 min from midnight on, NaN where there is none.
    :param eaten: g of carbohydrate of each virtual person, likewise.
    :param real: glucose of real people, as ``virtual``.
    """
    with rc_context(_STYLE):
        figure = Figure((7.2, 7.4), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.06, h_pad=0.05)  # type: ignore[union-attr]
        rows = figure.add_gridspec(3, 1, height_ratios=(1, 1, 0.8))
        (first, second), (third, fourth), below = (
            [figure.add_subplot(place) for place in row.subgridspec(1, count)]
            for row, count in zip(rows, (2, 2, 3), strict=True)
        )
        _autocorrelations(first, virtual, real)
        _levels(second, virtual, real)
        _changes(third, virtual, real)
        _days(fourth, virtual, real)
        for axes, letter, person in zip(below, "EFG", _examples(virtual), strict=True):
            _example(axes, virtual[person], eaten[person], letter)
        _key(figure, first, len(virtual), len(real))
        drawn = BytesIO()
        figure.savefig(drawn, dpi=200)
    Image.open(drawn).convert("RGB").quantize(64).save(path, "png", optimize=True)


def _autocorrelations(axes: Any, virtual: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> None:
    lags = np.arange(0, DAY + 1, 3)  # some sensors read every 15 min
    curves = ([[autocorrelation(one, lag) for lag in lags] for one in people] for people in (virtual, real))
    _both(axes, lags / 12, *curves)
    axes.axhline(0, color=_GREY, linewidth=0.6)
    axes.set(
        title="A  Autocorrelation",
        xlabel="lag, h",
        ylabel="correlation",
        xlim=(0, 24),
        xticks=range(0, 25, 4),
        ylim=(-0.2, 1),
    )


def _levels(axes: Any, virtual: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> None:
    edges = _BIN * (4.3 + np.arange(42))  # from 2.15 mmol/L
    _both(axes, edges[:-1] + _BIN / 2, *([_shares(one, edges) for one in people] for people in (virtual, real)))
    axes.axvspan(70, 180, color=_RANGE, zorder=-2)
    axes.set(title="B  Glucose", xlabel="mg/dL", ylabel="% of readings in 9 mg/dL", xlim=(36, 404), ylim=(0, None))
    axes.set_xticks([40, 70, 120, 180, 250, 300, 350, 400])


def _changes(axes: Any, virtual: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> None:
    edges = 2 * _BIN * (np.arange(-8, 10) - 0.5)
    _both(axes, edges[:-1] + _BIN, *([_shares(changes(one, 6), edges) for one in people] for people in (virtual, real)))
    axes.set(title="C  Change in 30 min", xlabel="mg/dL", ylabel="% of changes in 18 mg/dL", yscale="log")
    axes.set(xlim=(-132, 132), ylim=(_LEAST, 70), xticks=range(-120, 121, 60))
    axes.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])


def _days(axes: Any, virtual: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> None:
    """Draw quartiles of each person by hour, and of both groups their mean."""
    axes.axhspan(70, 180, color=_RANGE, zorder=-2)
    hours = np.arange(24) + 0.5
    for people, colour, dashes in ((virtual, _VIRTUAL, "-"), (real, _REAL, (0, (4, 1.5)))):
        if len(people) == 0:
            continue
        low, middle, high = np.mean([_quartiles(one) for one in people], axis=0)
        if colour == _VIRTUAL:
            axes.fill_between(hours, low, high, color=_BAND, linewidth=0)
        else:
            axes.plot(hours, np.stack([low, high], 1), color=colour, linewidth=0.8, linestyle=dashes)
        axes.plot(hours, middle, color=colour, linewidth=1.6, linestyle=dashes)
    axes.set(title="D  Mean of people's median and quartiles", xlabel="time of day, h", ylabel="mg/dL")
    axes.set(xlim=(0, 24), xticks=range(0, 25, 4), ylim=(60, 235), yticks=[70, 100, 140, 180, 220])


def _example(axes: Any, glucose: np.ndarray, eaten: np.ndarray, letter: str) -> None:
    day = slice(_EXAMPLE * DAY, (_EXAMPLE + 1) * DAY)
    hours, seen = np.arange(DAY) / 12, glucose[day]
    axes.axhspan(70, 180, color=_RANGE, zorder=-2)
    axes.plot(hours, seen, ".", color=_VIRTUAL, markersize=2.2)
    meals = eaten[day] > 0
    axes.scatter(hours[meals], np.full(meals.sum(), 22), s=0.5 * eaten[day][meals], marker="^", color=_INK, linewidth=0)
    axes.set(title=f"{letter}  Virtual person, SD {np.nanstd(glucose):.0f}", xlabel="time of day, h", ylabel="mg/dL")
    axes.set(xlim=(0, 24), xticks=range(0, 25, 6), ylim=(0, 410), yticks=[40, 70, 180, 250, 400])


def _key(figure: Figure, drawn: Any, virtual: int, real: int) -> None:
    handles, names = [*drawn.lines[:1], *drawn.collections[:1]], [f"{virtual} virtual people, median", "10 % to 90 %"]
    if real:
        handles.append(drawn.lines[1])
        names.append(f"{real} real people, each")
    figure.legend(handles, names, ncols=3, loc="outside upper center", columnspacing=2.5)


def _both(axes: Any, at: np.ndarray, virtual: Sequence[Any], real: Sequence[Any]) -> None:
    """Draw curves: of virtual people the median and a band of 10 % to 90 %, of real people each."""
    low, middle, high = np.percentile(virtual, [10, 50, 90], axis=0)
    axes.fill_between(at, low, high, color=_BAND, linewidth=0)
    axes.plot(at, middle, color=_VIRTUAL, linewidth=1.8)
    for one in real:
        axes.plot(at, one, color=_REAL, linewidth=0.9, linestyle=(0, (4, 1.5)))


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return % of the values in each bin; what lies beyond the last edges counts, but is not shown."""
    seen = values[np.isfinite(values)]
    return np.asarray(100 * np.histogram(seen, edges)[0] / len(seen))


def _quartiles(glucose: np.ndarray) -> np.ndarray:
    """Return ``[3, 24]``: the quartiles of the readings of each hour."""
    hour = np.arange(len(glucose)) // 12 % 24
    return np.stack([np.nanpercentile(glucose[hour == one], [25, 50, 75]) for one in range(24)], axis=1)


def _examples(virtual: Sequence[np.ndarray]) -> list[int]:
    """Return three people with sensors of 5 min: at 10, 50 and 90 % of their standard deviations."""
    quick = [at for at, one in enumerate(virtual) if gaps(one)[1] == 1]
    ranked = sorted(quick, key=lambda at: float(np.nanstd(virtual[at])))
    return [ranked[round(share * (len(ranked) - 1))] for share in (0.1, 0.5, 0.9)]
