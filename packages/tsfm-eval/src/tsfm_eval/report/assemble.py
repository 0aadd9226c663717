"""A report of what was compared: scores with intervals and tests over people, beside what is drawn of the forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tsfm_core import DataError
from tsfm_eval.comparison.compare import Comparison, SetComparison
from tsfm_eval.comparison.scored import Scored
from tsfm_eval.intervals import step_intervals
from tsfm_eval.report.content import Drawing, Entry, MetricFact, PairRow, Statistics
from tsfm_eval.report.gather import gather
from tsfm_eval.statistics.critical_difference import critical_difference_height, draw_critical_difference
from tsfm_eval.statistics.ranks import Ranking

__all__ = ["assemble"]


def assemble(comparison: Comparison) -> tuple[list[Entry], Statistics]:
    """Return the entries of a report, the reference first, and what is said of their differences.

    :raises RunError: for a run without scores or forecasts.
    """
    entries = [
        gather(
            one.entry.runs,
            one.entry.label,
            scores={name: _scores(one, name, own) for name, own in comparison.sets.items()},
            items=one.scores.items,
            metrics=_facts(one),
            unit=comparison.unit,
            missing=one.scores.missing,
            checked=True,
        )
        for one in sorted(comparison.scored, key=lambda one: one.entry.label != comparison.reference)
    ]
    return entries, _statistics(comparison)


def _scores(one: Scored, name: str, compared: SetComparison) -> dict[str, Any]:
    label = one.entry.label
    cells = {row.number: row.cells[label] for row in compared.rows if row.ahead is None and label in row.cells}
    bounds = {number: cell.interval for number, cell in cells.items() if cell.interval}
    found = dict(one.scores.sets[name])
    found["intervals"] = {number: (own.low, own.high) for number, own in bounds.items()}
    found["step_intervals"] = _steps(one, name)
    return found


def _steps(one: Scored, name: str) -> dict[str, list[tuple[float, float]]]:
    """Return the intervals by step of the first number that has steps; none with fewer than 5 people."""
    tally = one.scoring.sets[name]
    for metric in one.scoring.metrics:
        if metric.name in one.scores.samples[name] and metric.additive and tally.steps(metric):
            number = next(iter(tally.steps(metric)))
            try:
                found = step_intervals(tally.sample(metric, steps=True), number)
            except DataError:
                return {}
            return {number: [(interval.low, interval.high) for interval in found]}
    return {}


def _facts(one: Scored) -> list[MetricFact]:
    return [
        MetricFact(
            *(metric.name, metric.unit, metric.direction, metric.definition, metric.units, metric.directions),
            point=one.scores.points[metric.name],
        )
        for metric in one.scoring.metrics
        if metric.name in one.scores.points
    ]


def _statistics(comparison: Comparison) -> Statistics:
    rows: list[PairRow] = []
    drawings: list[Drawing] = []
    notes: list[str] = []
    for name, one in comparison.sets.items():
        notes += [f"{name}: {note}." for note in one.notes]
        rows += _pairs(name, one, comparison.reference)
        if one.ranking and one.number:
            drawings.append(_drawing(name, one.number, one.ranking))
    return Statistics(rows, drawings, notes)


def _pairs(name: str, one: SetComparison, reference: str) -> list[PairRow]:
    """Return a row for each pair of entries; the difference and its interval are known against the reference."""
    if one.number is None:
        return []
    cells: Mapping[str, Any] = next(
        (row.cells for row in one.rows if row.number == one.number and row.ahead is None), {}
    )
    rows = []
    for test in one.tests:
        # the difference is that of the pooled scores, the test that of the people's own
        first, second = (test.b, test.a) if test.a == reference else (test.a, test.b)
        sign = -1.0 if test.a == reference else 1.0
        apart = cells[first].difference if second == reference else None
        rows.append(
            PairRow(
                *(name, one.number, first, second, test.patients),
                difference=cells[first].value - cells[second].value,
                low=apart.low if apart else None,
                high=apart.high if apart else None,
                p_holm=test.p_holm,
                effect=sign * test.effect,
            )
        )
    return rows


def _drawing(name: str, number: str, ranking: Ranking) -> Drawing:
    groups: Sequence[Sequence[str]] = ranking.groups
    same = "; ".join(" and ".join(group) for group in groups)
    finding = (
        f"Mean ranks of {number} over {ranking.patients} people: "
        + ", ".join(f"{label} {rank:.2f}" for label, rank in zip(ranking.models, ranking.mean_ranks, strict=True))
        + (f". Not told apart: {same}." if same else ". All differ.")
    )
    return Drawing(
        f"ranks_{name}",
        f"Ranks of {number}, {name}",
        finding,
        lambda axes: draw_critical_difference(ranking, axes),
        (7.0, critical_difference_height(ranking)),
    )
