"""The picture of ``tsfm data check --plot``: each item's target over time, its coverage by day and its typical day."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tsfm_core.data.outline import daily_coverage, first_second, thinned, typical_day
from tsfm_core.data.panel import Panel
from tsfm_core.data.quality import Quality
from tsfm_core.errors import DataError
from tsfm_core.picture import ALERT, BLUE, GREY, NARROW, QUIET, WIDE, plain, write_picture
from tsfm_core.units import CUSTOM

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_panel", "panel_figure"]

Floats = npt.NDArray[np.float64]

#: The most items of a picture.
MOST_ITEMS = 30

#: The range that glucose should be in, and what a sensor can report: the least that the axis shows.
_TARGET_RANGE = {"mg/dL": (70, 180), "mmol/L": (3.9, 10.0)}
_SENSOR_RANGE = {"mg/dL": (40.0, 400.0), "mmol/L": (2.2, 22.2)}
#: What the horizontal axis holds, by the panel's clock.
_DATES = {
    "local": "date (local time)",
    "utc": "date (UTC)",
    "time_of_day": "placeholder date (true time of day)",
    "none": "placeholder date and time",
}
_LENGTHS = {"days": 86400, "hours": 3600, "min": 60}

# inches: the sheet, and one item's row from its top down
_SHEET, _HEAD, _FOOT, _ROW, _HEIGHT, _STRIP = 14.0, 0.75, 0.1, 2.35, 1.45, 0.11
_LEFT, _WIDTH, _DAY, _DAY_WIDTH = 1.0, 9.2, 10.9, 2.95


def draw_panel(panel: Panel, quality: Quality, path: Path) -> None:
    """Write the picture of a panel.

    :param path: as :func:`tsfm_core.picture.check_picture` asks for.
    """
    write_picture(path, lambda: panel_figure(panel, quality))


def panel_figure(panel: Panel, quality: Quality) -> Figure:
    """Return a figure with three axes per item: target, coverage and typical day."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    coverage = {item.item_id: item.coverage for item in quality.items}
    every = range(len(panel.item_ids))
    shown = sorted(sorted(every, key=lambda at: coverage[panel.item_ids[at]])[:MOST_ITEMS])
    height = _HEAD + _ROW * len(shown) + _FOOT
    figure = Figure((_SHEET, height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)

    def axes(left: float, top: float, width: float, tall: float, **shared: Any) -> Axes:
        return figure.add_axes((left / _SHEET, 1 - (top + tall) / height, width / _SHEET, tall / height), **shared)

    _head(figure, panel, len(shown), height)
    for row, at in enumerate(shown):
        top = _HEAD + row * _ROW + 0.25
        one = panel.part(at, at + 1)
        target = axes(_LEFT, top, _WIDTH, _HEIGHT)
        strip = axes(_LEFT, top + _HEIGHT + 0.05, _WIDTH, _STRIP, sharex=target)
        day = axes(_DAY, top, _DAY_WIDTH, _HEIGHT + 0.05 + _STRIP)
        _draw_target(target, one, coverage[panel.item_ids[at]])
        _draw_coverage(strip, one)
        _draw_day(day, one, target.get_ylim())
    return figure


def _head(figure: Figure, panel: Panel, shown: int, height: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    facts = panel.provenance
    source = str(facts.get("source") or "data") + (f" ({Path(str(facts['path'])).name})" if facts.get("path") else "")
    items = f"{len(panel.item_ids):,} item{'s' if len(panel.item_ids) != 1 else ''}"
    if shown < len(panel.item_ids):
        items = f"the {shown} items with the lowest coverage of {items}"
    left, right, top = _LEFT / _SHEET, (_DAY + _DAY_WIDTH) / _SHEET, 1 - 0.17 / height
    figure.text(left, top, f"{plain(source)} · {items} · every {panel.freq}", size=12, va="top")
    if facts.get("synthetic"):
        said = "SYNTHETIC: simulated, no real person"
        figure.text(right, top, said, size=12, weight="bold", color=ALERT, va="top", ha="right")
    keys: list[Line2D | Patch] = [
        Line2D([], [], color=BLUE, label=f"{plain(panel.target)} (left), median (right)"),
        Patch(color=NARROW, label="25-75 %"),
        Patch(color=WIDE, label="10-90 %"),
        Patch(facecolor="white", edgecolor=GREY, linewidth=0.6, label="day without a reading"),
        Patch(facecolor=BLUE, edgecolor=GREY, linewidth=0.6, label="day with every reading"),
    ]
    if panel.unit in _TARGET_RANGE:
        low, high = _TARGET_RANGE[panel.unit]
        keys.insert(1, Patch(color=QUIET, label=f"target range {low}-{high} {panel.unit}"))
    where = (left, 1 - 0.4 / height)
    figure.legend(handles=keys, loc="upper left", bbox_to_anchor=where, ncols=len(keys), frameon=False, borderpad=0)


def _draw_target(axes: Axes, panel: Panel, coverage: float) -> None:
    column, start = panel.columns[panel.target], first_second(panel)
    rows, places = thinned(column)
    days, readings = (start + places * panel.step) / 86400, np.asarray(column[rows], np.float64)
    if len(rows):
        # a slot without a reading ends a line; a bin's bar from least to greatest crosses none of the time
        parted = (np.diff(np.cumsum(~np.isfinite(column))[rows]) != 0) & (np.diff(places) != 0)
        breaks = np.flatnonzero(parted) + 1
        axes.plot(np.insert(days, breaks, np.nan), np.insert(readings, breaks, np.nan), color=BLUE, linewidth=0.7)
        alone = np.append(True, parted) & np.append(parted, True)  # no line shows a reading between two gaps
        size = 25 if alone.sum() < 50 else 4
        axes.scatter(days[alone], readings[alone], size, BLUE, marker=".", linewidths=0, clip_on=False)
    else:
        axes.text(0.5, 0.5, "no reading", transform=axes.transAxes, ha="center", va="center")
    ends = (start / 86400, (start + len(column) * panel.step) / 86400)
    axes.set(xlim=ends, ylim=_limits(readings, panel.unit))
    name, unit = plain(panel.target, 18), plain(panel.unit.removeprefix(CUSTOM), 16)
    axes.set_ylabel(f"{name}{' ' if len(name + unit) < 16 else chr(10)}({unit})")
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    title = f"{plain(panel.item_ids[0])} · {_span(panel)} · coverage {coverage:.1%}"
    axes.set_title(title, loc="left", size=10)
    _finish(axes, panel.unit)


def _draw_coverage(axes: Axes, panel: Panel) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    edges, share = daily_coverage(panel)
    shades = LinearSegmentedColormap.from_list("coverage", ["white", BLUE])
    span, extent = axes.get_xlim(), (float(edges[0]), float(edges[-1]), 0.0, 1.0)
    axes.imshow(share[None], extent=extent, aspect="auto", cmap=shades, vmin=0, vmax=1)
    axes.set(xlim=span, yticks=[])
    axes.set_ylabel("coverage", size=8, rotation=0, ha="right", va="center")
    axes.set_xlabel(_DATES[panel.clock], labelpad=1)
    axes.xaxis_date("UTC")


def _draw_day(axes: Axes, panel: Panel, limits: tuple[float, float]) -> None:
    try:
        edges, (lowest, low, median, high, highest) = typical_day(panel)
    except DataError as error:
        said = f"no typical day:\n{error.message}"
        axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="center")
        axes.set(xticks=[], yticks=[])
        return
    axes.set(xlim=(0, 24), xticks=range(0, 25, 3), ylim=limits)
    axes.set_xlabel(f"hour of the day ({panel.zones[0] if panel.zones else 'local time'})", labelpad=1)
    axes.stairs(highest, edges, baseline=lowest, fill=True, color=WIDE)
    axes.stairs(high, edges, baseline=low, fill=True, color=NARROW)
    axes.stairs(median, edges, baseline=None, color=BLUE, linewidth=1.4)
    _finish(axes, panel.unit)


def _finish(axes: Axes, unit: str) -> None:
    axes.yaxis.set_major_formatter("{x:.6g}")  # short, and no factor above the axis
    if unit in _TARGET_RANGE:
        axes.axhspan(*_TARGET_RANGE[unit], color=QUIET, linewidth=0, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)


def _limits(readings: Floats, unit: str) -> tuple[float, float]:
    """Return the ends of the vertical axis: of glucose at least what a sensor can report, so that rows compare."""
    shown = np.append(readings, _SENSOR_RANGE.get(unit, () if len(readings) else (0, 1)))
    room = (shown.max() - shown.min()) * 0.04 or abs(shown[0]) * 0.04 or 1.0
    return float(shown.min() - room), float(shown.max() + room)


def _span(panel: Panel) -> str:
    length = len(panel) * panel.step
    unit, size = next((one for one in _LENGTHS.items() if length >= 2 * one[1]), ("s", 1))
    shown = f"{round(length / size, 1 if length < 10 * size else 0):,g} {unit}"
    if panel.clock not in ("local", "utc"):
        return shown
    days = np.datetime_as_string(panel.stamps(np.array([0, len(panel) - 1])), unit="D")
    return f"{' to '.join(dict.fromkeys(days))} ({shown})"
