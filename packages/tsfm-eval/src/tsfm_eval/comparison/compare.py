"""One table of several models: scores with intervals, differences to a reference, tests over people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tsfm_core import DataError, Metric
from tsfm_core.metrics import VALIDATION
from tsfm_core.report import headline_steps
from tsfm_core.sample import Sample
from tsfm_core.units import CUSTOM
from tsfm_eval.comparison.entries import Entry
from tsfm_eval.comparison.protocol import listed_levels
from tsfm_eval.comparison.scored import Scored, score_entries
from tsfm_eval.intervals import differences, intervals
from tsfm_eval.statistics.bootstrap import Interval
from tsfm_eval.statistics.paired_tests import PairTest, wilcoxon_holm
from tsfm_eval.statistics.ranks import Ranking, friedman_nemenyi
from tsfm_eval.statistics.skill import skill_score, win_rate
from tsfm_eval.statistics.sums import check_patients

__all__ = ["Cell", "Comparison", "Row", "SetComparison", "compare"]


@dataclass(frozen=True)
class Cell:
    """One score of one entry.

    :param interval: over people; None where there is none.
    :param difference: to the reference, with its interval; None for the reference itself.
    """

    value: float
    interval: Interval | None = None
    difference: Interval | None = None


@dataclass(frozen=True)
class Row:
    """One score of all entries.

    :param ahead: the time ahead, such as ``60 min``; None: over all steps.
    :param cells: by label; an entry that cannot give the score has none.
    """

    number: str
    unit: str
    direction: str
    ahead: str | None
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class SetComparison:
    """One test set.

    :param number: what the tests are of: the first that every entry gives.
    :param tests: Wilcoxon's over each pair of entries, corrected by Holm.
    :param ranking: Friedman's test and Nemenyi's critical difference, of three or more entries.
    :param skill: against the reference, by label; ``wins`` the win rates.
    :param notes: what could not be had, and why.
    """

    windows: int
    patients: int
    rows: Sequence[Row]
    number: str | None = None
    tests: Sequence[PairTest] = ()
    ranking: Ranking | None = None
    skill: Mapping[str, float] = field(default_factory=dict)
    wins: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Comparison:
    """Several entries on the same windows."""

    scored: Sequence[Scored]
    reference: str
    unit: str
    sets: Mapping[str, SetComparison]


def compare(
    entries: Sequence[Entry],
    metrics: Sequence[str] = (),
    unit: str | None = None,
    on: str | None = None,
    reference: str | None = None,
    seed: int = 0,
) -> Comparison:
    """Score every entry on the same windows, with intervals over people and differences to one of them.

    :param reference: the label of the entry that the others are set against; by default the first.
    :raises DataError: as :func:`score_entries`, and for a reference that is not there.
    """
    labels = [entry.label for entry in entries]
    against = reference or labels[0]
    if against not in labels:
        raise DataError(f"no entry is called {against!r}", f"there are {', '.join(labels)}")
    scored = score_entries(entries, metrics, unit, on)
    names = [name for name in scored[0].scores.sets if name != VALIDATION]
    sets = {name: _set(scored, name, against, seed) for name in names}
    return Comparison(scored, against, scored[0].scoring.unit, sets)


def _set(scored: Sequence[Scored], name: str, against: str, seed: int) -> SetComparison:
    metrics = scored[0].scoring.metrics  # the same for all
    rows: list[Row] = []
    notes: dict[str, list[str]] = {}
    apart = _levels_differ(scored)
    for metric in metrics:
        samples = {
            one.entry.label: one.scores.samples[name][metric.name]
            for one in scored
            if metric.name in one.scores.samples[name]
        }
        against_it = None if apart and metric.point == "quantiles" else against
        if samples and not rows:
            rows += _ahead_rows(scored, name, metric, against_it, seed, notes)
        rows += _rows(metric, samples, against_it, scored[0].scoring.unit, None, seed, notes)
    one = scored[0].scores.sets[name]
    patients = len(scored[0].scores.items_of(name))
    said = [_said(reason, names, metrics) for reason, names in notes.items()]
    if _levels_differ(scored) and any(metric.point == "quantiles" for metric in metrics):
        said.append(
            "the quantile levels differ ("
            + "; ".join(f"{one.entry.label}: {listed_levels(one.scoring.task)}" for one in scored)
            + "): scores of quantiles depend on them and are not set against each other"
        )
    return SetComparison(one["windows"], patients, rows, **_tests(scored, name, metrics, against, said))


def _said(reason: str, names: Sequence[str], metrics: Sequence[Metric]) -> str:
    whose = "" if {*names} >= {metric.name for metric in metrics} else f" of {', '.join(names)}"
    return f"no intervals{whose}: {reason}"


def _levels_differ(scored: Sequence[Scored]) -> bool:
    return len({one.scoring.task.quantile_levels for one in scored if one.scoring.task.quantile_levels}) > 1


def _unit(said: str, target: str) -> str:
    target = target.removeprefix(CUSTOM)
    return {"target": target, "target^2": f"({target})^2"}.get(said, said)


def _direction(metric: Metric, number: str) -> Literal["lower", "higher", "none"]:
    # what was left out is named by season, which no metric knows beforehand
    return metric.directions.get(number, "none" if number.endswith("_left_out") else metric.direction)


def _ahead_rows(
    scored: Sequence[Scored], name: str, metric: Metric, against: str | None, seed: int, notes: dict[str, list[str]]
) -> list[Row]:
    """Return the rows of the first metric by time ahead."""
    rows: list[Row] = []
    if not (metric.steps and metric.additive and metric.per_item is None):
        return rows
    task = scored[0].scoring.task.model_dump(mode="json")
    for ahead, step in headline_steps(task).items():
        samples = {}
        for one in scored:
            if metric.name in one.scores.samples[name]:
                whole = one.scoring.sets[name].sample(metric, steps=True)
                if any(part.ndim < 2 for part in whole.sums.values()):
                    return rows
                at_step = {key: part[:, step - 1] for key, part in whole.sums.items()}
                samples[one.entry.label] = Sample(metric, whole.items, at_step)
        rows += _rows(metric, samples, against, scored[0].scoring.unit, ahead, seed, notes)
    return rows


def _rows(
    metric: Metric,
    samples: Mapping[str, Sample],
    against: str | None,
    unit: str,
    ahead: str | None,
    seed: int,
    notes: dict[str, list[str]],
) -> list[Row]:
    cells: dict[str, dict[str, Cell]] = {}
    for label, sample in samples.items():
        found: Mapping[str, Interval] = {}
        apart: Mapping[str, Interval] = {}
        try:
            found = intervals(sample, seed)
            if against is not None and label != against and against in samples:
                apart = differences(sample, samples[against], seed)
        except DataError as error:
            named = notes.setdefault(error.message, [])
            named += [] if metric.name in named else [metric.name]
        for number, value in sample.overall().items():
            cells.setdefault(number, {})[label] = Cell(value, found.get(number), apart.get(number))
    return [
        Row(
            number,
            _unit(metric.units.get(number, metric.unit), unit),
            _direction(metric, number),
            ahead,
            own,
        )
        for number, own in cells.items()
    ]


def _tests(
    scored: Sequence[Scored], name: str, metrics: Sequence[Metric], against: str, notes: list[str]
) -> dict[str, Any]:
    """Return what is tested over people: of the first number that every entry gives."""
    rows = {one.entry.label: one.scores.items_of(name) for one in scored}
    apart = _levels_differ(scored)
    shared = [
        (metric, number)
        for metric in metrics
        if all(metric.name in one.scores.samples[name] for one in scored)
        and not (apart and metric.point == "quantiles")
        for number in scored[0].scores.samples[name][metric.name].overall()
        if all(number in own[0] for own in rows.values())
    ]
    if len(scored) < 2 or not shared:
        return {"notes": notes}
    metric, number = shared[0]
    values = np.array([[row[number] for row in own] for own in rows.values()])
    kept = np.isfinite(values).all(axis=0)
    if not kept.all():
        notes.append(f"{int((~kept).sum())} of {kept.size} people have no {number} and are left out of the tests")
    values = values[:, kept]
    table = dict(zip(rows, values, strict=True))
    try:
        check_patients(values.shape[1])
    except DataError as error:
        return {"number": number, "notes": [*notes, f"no tests: {error.message}"]}
    direction = _direction(metric, number)
    found: dict[str, Any] = {"number": number, "tests": wilcoxon_holm(table)}
    if direction != "none" and len(scored) > 2:
        found["ranking"] = friedman_nemenyi(table, direction)
    if direction == "lower" and (values >= 0).all():
        found["skill"] = {label: skill_score(own, table[against]).score for label, own in table.items()}
        found["wins"] = dict(win_rate(table).rates)
    return found | {"notes": notes}
