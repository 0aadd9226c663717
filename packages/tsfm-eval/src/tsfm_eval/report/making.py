"""The section of how it was made: learning curves, cost, configuration and provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm_eval.pairs import Floats
from tsfm_eval.report.content import Entry
from tsfm_eval.report.layout import Album, Cell, Details, Figures, Heading, Part, Section, Table, Text
from tsfm_eval.report.numbers import number
from tsfm_eval.report.style import SERIES, Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_learning", "making"]

#: Points of a learning curve: more are joined to means.
_POINTS = 300
_PROVENANCE = (
    "folds",
    "environment",
    "data",
    "split",
    "checkpoint",
    "parent",
    "settings",
    "windows",
    "dropped",
    "argv",
)


def making(entries: Sequence[Entry], album: Album) -> Section:
    """Return the section: learning curves of the runs that left losses, one table of cost, and texts to open."""
    parts: list[Part] = []
    learnt = [_learning(one, album) for one in entries if _losses(one.training)[0].size]
    if learnt:
        parts += [Heading("Learning curves"), Figures(learnt)]
    quiet = [one.label for one in entries if not _losses(one.training)[0].size]
    if quiet:
        parts.append(Text(f"No learning curve of {', '.join(quiet)}: no losses were logged.", "quiet"))
    parts += [Heading("Cost"), _cost(entries), Heading("Configuration and provenance")]
    for entry in entries:
        of = f": {entry.label}" if len(entries) > 1 else ""
        if entry.config:
            parts.append(Details(f"Configuration{of}", entry.config))
        facts = {key: entry.facts[key] for key in _PROVENANCE if entry.facts.get(key)}
        if facts:
            parts.append(
                Details(f"Data, split, environment and versions{of}", json.dumps(facts, indent=1, default=str))
            )
    return Section("making", "Training, cost and provenance", parts)


def draw_learning(axes: Axes, training: Sequence[Mapping[str, Any]]) -> None:
    """Draw the training loss over the steps, and the validation loss with a mark at the one that was kept."""
    steps, losses = _thinned(*_losses(training))
    axes.plot(steps, losses, color=SERIES[0], linewidth=1.3, label="training loss")
    judged = _validated(training)
    if judged:
        at, values = [step for step, _, _ in judged], [value for _, value, _ in judged]
        axes.plot(at, values, color=SERIES[1], marker="s", linestyle=(0, (5, 2)), label="validation loss")
        for step, value in [(step, value) for step, value, is_best in judged if is_best][-1:]:
            axes.plot(
                step, value, color=SERIES[1], marker="o", markersize=11, fillstyle="none", linestyle="", label="kept"
            )
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)


def _learning(entry: Entry, album: Album) -> Figure:
    steps, losses = _losses(entry.training)
    kept = [(step, value) for step, value, best in _validated(entry.training) if best][-1:]
    said = f"Training loss {number(losses[0])} at step {steps[0]:,.0f}, {number(losses[-1])} at step {steps[-1]:,.0f}"
    said += "".join(f"; kept: step {step:,}, validation loss {number(value)}" for step, value in kept)
    title = f"Learning curve: {entry.label}"
    return album.draw(f"learning-{entry.label}", title, f"{said}.", lambda axes: draw_learning(axes, entry.training))


def _losses(training: Sequence[Mapping[str, Any]]) -> tuple[Floats, Floats]:
    lines = [(line["step"], line["loss"]) for line in training if "loss" in line and "step" in line]
    steps, losses = np.array(lines, dtype=float).reshape(-1, 2).T
    return steps, losses


def _thinned(steps: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Return at most so many points that can be told apart, each a mean of neighbours."""
    bins = np.arange(len(steps)) * min(_POINTS, len(steps)) // max(len(steps), 1)
    count = np.bincount(bins)
    return np.bincount(bins, steps) / count, np.bincount(bins, losses) / count


def _validated(training: Sequence[Mapping[str, Any]]) -> list[tuple[int, float, bool]]:
    judged = [line for line in training if "loss" in line.get("validation", {})]
    return [(line["step"], float(line["validation"]["loss"]), bool(line.get("best"))) for line in judged]


def _cost(entries: Sequence[Entry]) -> Table:
    timings = [one.facts.get("timings") or {} for one in entries]
    rows = [
        [Cell(f"{stage} (s)"), *(Cell(number(own.get(stage)), own.get(stage)) for own in timings)]
        for stage in dict.fromkeys(stage for own in timings for stage in own)
    ]
    for what, say in (("device", _device), ("trained on (windows)", _trained)):
        rows.append([Cell(what), *(Cell(say(one)) for one in entries)])
    return Table("cost", "Seconds by stage, and where it ran", ("", *(one.label for one in entries)), rows)


def _device(entry: Entry) -> str:
    cpus = entry.facts.get("environment", {}).get("cpus")
    return f"{entry.facts.get('device', '–')}{f', {cpus} CPU cores' if cpus else ''}"


def _trained(entry: Entry) -> str:
    if entry.facts.get("command") != "train":
        return "–"
    return f"{entry.facts.get('windows', {}).get('train', 0):,}"
