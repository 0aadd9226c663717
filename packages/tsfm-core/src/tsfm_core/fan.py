"""The picture of ``tsfm predict --plot``: of each item the last hours of readings and the fan of its forecast."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tsfm_core.ahead import Ahead
from tsfm_core.data.panel import Panel
from tsfm_core.picture import ALERT, BLUE, INK, plain, write_picture
from tsfm_core.units import CUSTOM, KNOWN_UNITS, thresholds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["bands_of", "draw_fan", "fan_figure"]

Floats = npt.NDArray[np.float64]

#: The most items of a picture, and the readings that it shows, in seconds.
MOST_ITEMS, BEFORE = 12, 12 * 3600
#: The shares of outcomes that the bands are to hold, and their colours, the widest first.
_SHARES = {95: "#DCEBF5", 80: "#B3D4EA", 50: "#7FB8D8"}
_CLOCKS = {"local": "local time", "utc": "UTC", "time_of_day": "time of day", "none": "hours from the last reading"}
_LEGEND: dict[str, Any] = {"fontsize": 8, "handlelength": 1.8, "columnspacing": 1.6}
# inches: one panel, by the number of panels in a row; and what stands above and below all of them
_PANEL = {1: (6.8, 3.3), 2: (4.4, 2.5), 3: (3.5, 2.1)}
_HEAD, _FOOT = 0.55, 0.35


def draw_fan(ahead: Ahead, path: Path) -> None:
    """Write the picture of forecasts.

    :param path: as :func:`tsfm_core.picture.check_picture` asks for, of any kind that it knows.
    """
    write_picture(path, lambda: fan_figure(ahead))


def bands_of(levels: tuple[float, ...]) -> dict[int, tuple[float, float]]:
    """Return the lower and upper level of each band that the levels hold, by its share in percent, the widest first.

    Bands of 95, 80 and 50 %; where there are none of these, the widest that there is.
    """
    pairs = {
        round(100 * (1 - 2 * low)): (low, high) for low, high in zip(levels, levels[::-1], strict=True) if low < 0.5
    }
    pairs = {share: (low, high) for share, (low, high) in pairs.items() if abs(low + high - 1) < 1e-9}
    held = {share: pairs[share] for share in _SHARES if share in pairs}
    widest = max(pairs, default=None)
    return held or ({widest: pairs[widest]} if widest is not None else {})


def fan_figure(ahead: Ahead) -> Figure:
    """Return a figure with one axes an item, the first twelve of them; all have the same vertical axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = min(len(ahead.windows), MOST_ITEMS)
    columns = 1 if count == 1 else 2 if count <= 4 else 3
    rows = -(-count // columns)
    wide, tall = _PANEL[columns]
    size = (wide * columns, tall * rows + _HEAD + _FOOT)
    figure = Figure(size, dpi=200, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.remove()
    for at, axes in enumerate(grid[:count]):
        _draw_item(axes, ahead, at)
    _set_limits(grid[0], ahead.task.unit)
    for axes in grid[:count]:
        _draw_thresholds(axes, ahead.task.unit)
    _label(figure, ahead, grid[0], count)
    return figure


def _draw_item(axes: Axes, ahead: Ahead, at: int) -> None:
    task, panel = ahead.task, ahead.windows.panel
    row = int(ahead.windows.cutoffs_at[at])
    item = int(panel.items_of(np.array([row]))[0])
    first = max(int(panel.offsets[item]), row - BEFORE // panel.step)
    past, readings = (
        _times(panel, item, row, np.arange(first, row + 1) - row),
        panel.columns[task.target][first : row + 1],
    )
    steps = slice(at * task.prediction_length, (at + 1) * task.prediction_length)
    forecast, ahead_of = ahead.frame.iloc[steps], _times(panel, item, row, np.arange(1, task.prediction_length + 1))
    for share, (low, high) in bands_of(task.quantile_levels).items():
        colour = _SHARES.get(share, _SHARES[80])
        lower, upper = (forecast[str(one)].to_numpy(float) for one in (low, high))
        axes.fill_between(ahead_of, lower, upper, color=colour, linewidth=0, label=f"{share} %")
    middle = "0.5" if "0.5" in forecast else "mean"
    if middle in forecast:
        name = "median forecast" if middle == "0.5" else "mean forecast"
        axes.plot(ahead_of, forecast[middle].to_numpy(float), color=BLUE, linewidth=1.5, label=name)
    # a slot without a reading ends the line; the dot shows one that stands alone
    line: dict[str, Any] = {"color": INK, "linewidth": 0.8, "marker": ".", "markersize": 2.5}
    axes.plot(past, readings.astype(float), label="readings", **line)
    axes.axvline(past[-1], color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label="last reading")
    axes.set_xlim(_times(panel, item, row, np.array([-BEFORE // panel.step]))[0], ahead_of[-1])
    axes.set_title(_title(panel, item, past[-1]), loc="left", size=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_formatter("{x:.6g}")
    _set_clock(axes, panel.clock)


def _title(panel: Panel, item: int, cutoff: float) -> str:
    """Return whose forecast it is and, as far as the clock is true, when it was made."""
    forms = {"none": "", "time_of_day": " · %H:%M"}
    moment = datetime(1970, 1, 1) + timedelta(days=cutoff) if panel.clock != "none" else datetime(1970, 1, 1)
    rounded = moment + timedelta(milliseconds=500)  # a day's fraction is not a whole second
    return plain(panel.item_ids[item], 28) + rounded.strftime(forms.get(panel.clock, " · %Y-%m-%d %H:%M"))


def _times(panel: Panel, item: int, row: int, steps: npt.NDArray[np.int64]) -> Floats:
    """Return where ``steps`` from ``row`` stand: in days since 1970 by the item's own clock, or in hours where none."""
    if panel.clock == "none":
        return np.asarray(steps * panel.step / 3600, float)
    cutoff = panel.stamps(np.array([row]))[0]
    stamps = cutoff + (steps * panel.step).astype("timedelta64[s]")
    zone = panel.zones[item] if panel.zones else ""
    if zone:
        import pandas as pd

        # the offset at the last reading stands for all: no hour is shown twice
        local = pd.Timestamp(cutoff).tz_localize("UTC").tz_convert(zone).tz_localize(None)
        stamps = stamps + (local.to_datetime64().astype("datetime64[s]") - cutoff.astype("datetime64[s]"))
    return np.asarray(stamps.astype("datetime64[s]").astype(np.int64) / 86400, float)


def _set_clock(axes: Axes, clock: str) -> None:
    from matplotlib import dates as untyped

    dates: Any = untyped
    if clock == "none":
        return
    places = dates.AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(places)
    if clock == "time_of_day":  # its date is a placeholder
        axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    else:
        form = dates.ConciseDateFormatter(places, show_offset=False)
        axes.xaxis.set_major_formatter(form)


def _set_limits(axes: Axes, unit: str) -> None:
    """Show what is drawn, and of glucose both thresholds and nothing below 0."""
    low, high = axes.get_ylim()
    if unit in KNOWN_UNITS:
        of_unit = thresholds(unit)
        low, high = max(0.0, min(low, of_unit.very_low)), max(high, 1.1 * of_unit.high)
    axes.set_ylim(low, high)


def _draw_thresholds(axes: Axes, unit: str) -> None:
    if unit in KNOWN_UNITS:
        low, high = thresholds(unit).low, thresholds(unit).high
        for at in (low, high):
            axes.axhline(
                at, color=ALERT, linewidth=0.9, linestyle=":", zorder=1.5, label=f"{low:g} and {high:g} {unit}"
            )


def _label(figure: Figure, ahead: Ahead, axes: Axes, shown: int) -> None:
    panel, task = ahead.windows.panel, ahead.task
    figure.supylabel(f"{plain(task.target, 30)} ({plain(task.unit.removeprefix(CUSTOM), 20)})", size=9)
    said = [_CLOCKS["local" if any(panel.zones) else panel.clock]]
    if shown < len(ahead.windows):
        said.append(f"{shown} of {len(ahead.windows):,} items")
    if panel.provenance.get("synthetic"):
        said.append("SYNTHETIC: simulated, no real person")
    figure.supxlabel(" · ".join(said), size=9)
    handles, names = axes.get_legend_handles_labels()
    keys = dict(zip(names, handles, strict=True))
    order = sorted(keys, key=_rank)
    columns = len(keys) if figure.get_figwidth() > _PANEL[1][0] else 4
    legend = figure.legend([keys[name] for name in order], order, loc="outside upper left", ncols=columns, **_LEGEND)
    legend.set_frame_on(False)


def _rank(name: str) -> tuple[int, float]:
    """Return where a name stands in the legend: what was seen, the forecast, its bands from the narrowest, the rest."""
    if name.endswith(" %"):
        return 3, float(name.removesuffix(" %"))
    return {"readings": 0, "last reading": 1, "median forecast": 2, "mean forecast": 2}.get(name, 4), 0.0
