"""The section of errors: by time ahead, by hour of the day, by glycaemic range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tsfm_core.freq import seconds
from tsfm_eval.report.content import Entry
from tsfm_eval.report.curves import Curve, draw_by_group, draw_by_hour, draw_by_time, size_for
from tsfm_eval.report.layout import Album, Figures, Heading, Part, Section, Text
from tsfm_eval.report.numbers import Model, duration, headline, models, shown_sets, unit_of, with_unit
from tsfm_eval.report.style import Figure

__all__ = ["errors"]

_HOURS = [f"{hour:02d}" for hour in range(24)]
_ABSENT = {
    "by_step": "Nothing is shown by time ahead: the scores do not have it.",
    "by_hour": "Nothing is shown by hour of the day: the scores do not have it, as where the time of day is not known.",
    "by_range": "Nothing is shown by glycaemic range: the scores do not have it.",
}


def errors(entries: Sequence[Entry], album: Album) -> Section:
    """Return the section: the first three numbers of the headline by time ahead, the first by hour and by range."""
    parts: list[Part] = []
    for name in shown_sets(entries):
        found = models(entries, name)
        figures = []
        for level, draw in (("by_step", _by_time), ("by_hour", _by_hour), ("by_range", _by_range)):
            given = [one for one in found if one.scores.get(level)]
            numbers = headline({number: 0 for one in given if not one.baseline for number in one.scores[level]}, 3)
            for number in numbers if level == "by_step" else numbers[:1]:
                own = [one for one in given if number in one.scores[level]]
                figures.append(draw(entries[0], name, number, own, album))
        parts += [Heading(name), Figures(figures)] if figures else []
    for level, why in _ABSENT.items():
        if not any(scores.get(level) for one in entries for scores in one.scores.values()):
            parts.append(Text(why, "quiet"))
    return Section("errors", "Errors", parts)


def _by_time(entry: Entry, name: str, number: str, found: Sequence[Model], album: Album) -> Figure:
    step, unit = seconds(entry.task["freq"]), unit_of(number, entry)
    curves = []
    for one in found:
        given = one.scores.get("step_intervals", {}).get(number, ())
        band = [(_value(low), _value(high)) for low, high in given]
        curves.append(Curve(one.label, [_value(at) for at in one.scores["by_step"][number]], band, one.baseline))
    steps = len(curves[0].values)
    ends = f"{duration(step)} and {duration(step * steps)} ahead"
    each = [f"{one.label} {with_unit(one.values[0], unit)} and {with_unit(one.values[-1], unit)}" for one in curves]
    banded = " The band is the interval of the summary." if any(len(one.band) for one in curves) else ""
    finding = f"{number}, {ends}: {'; '.join(each)}.{banded}"
    return album.draw(
        f"{number}-by-time-{name}",
        f"{number} by time ahead",
        finding,
        lambda axes: draw_by_time(axes, curves, step, _label(number, unit)),
        size_for(len(curves)),
    )


def _by_hour(entry: Entry, name: str, number: str, found: Sequence[Model], album: Album) -> Figure:
    curves, unit = _grouped(found, "by_hour", number, _HOURS), unit_of(number, entry)
    finding = f"{number} by the hour of the forecast value: {_span(curves, [f'{one} h' for one in _HOURS], unit)}."
    return album.draw(
        f"{number}-by-hour-{name}",
        f"{number} by hour of the day",
        finding,
        lambda axes: draw_by_hour(axes, curves, _label(number, unit)),
        size_for(len(curves)),
    )


def _by_range(entry: Entry, name: str, number: str, found: Sequence[Model], album: Album) -> Figure:
    groups = list(dict.fromkeys(group for one in found for group in one.scores["by_range"][number]))
    curves, unit = _grouped(found, "by_range", number, groups), unit_of(number, entry)
    finding = f"{number} by the range of the measured value: {_span(curves, groups, unit)}."
    xlabel = f"measured value ({entry.task['unit']})"
    return album.draw(
        f"{number}-by-range-{name}",
        f"{number} by range",
        finding,
        lambda axes: draw_by_group(axes, curves, groups, _label(number, unit), xlabel),
        size_for(len(curves)),
    )


def _grouped(found: Sequence[Model], level: str, number: str, groups: Sequence[str]) -> list[Curve]:
    def values(given: Mapping[object, float]) -> list[float]:
        by_name = {str(group).zfill(2): value for group, value in given.items()}
        return [_value(by_name.get(group.zfill(2))) for group in groups]

    return [Curve(one.label, values(one.scores[level][number]), baseline=one.baseline) for one in found]


def _span(curves: Sequence[Curve], groups: Sequence[str], unit: str) -> str:
    """Return in words where each model's number is least and greatest."""
    said = []
    for one in curves:
        if one.baseline and len(curves) > 3:
            continue
        usable = [(value, group) for value, group in zip(one.values, groups, strict=True) if math.isfinite(value)]
        if usable:
            (least, there), (most, here) = min(usable), max(usable)
            said.append(f"{one.label} from {with_unit(least, unit)} ({there}) to {with_unit(most, unit)} ({here})")
    return "; ".join(said) or "no value"


def _label(number: str, unit: str) -> str:
    return f"{number} ({unit})" if unit else number


def _value(value: float | None) -> float:
    return math.nan if value is None else float(value)
