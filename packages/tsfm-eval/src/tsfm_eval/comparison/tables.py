"""A comparison as a table for people, as rows and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tsfm_eval.comparison.compare import Cell, Comparison, Row, SetComparison
from tsfm_eval.statistics.bootstrap import RELIABLE, Interval

__all__ = ["as_plain", "as_rows", "as_text_rows", "legend", "statistics_lines"]


def as_text_rows(one: SetComparison, name: str | None = None) -> list[dict[str, str]]:
    """Return a row for each score, with a cell ``value (low to high)`` for each entry.

    ``*``: the difference to the reference is beyond what chance would explain; ``+`` and ``-`` say better and worse
    where the score has a direction.

    :param name: of the set, for a column of its own.
    """
    labels = list(dict.fromkeys(label for row in one.rows for label in row.cells))
    return [
        ({} if name is None else {"set": name})
        | {"score": _name(row), "unit": row.unit}
        | {label: _text(row, row.cells[label]) if label in row.cells else "" for label in labels}
        for row in one.rows
    ]


def as_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Yield a row for each set, score and entry: for programs."""
    for name, one in comparison.sets.items():
        for row in one.rows:
            for label, cell in row.cells.items():
                yield {
                    "set": name,
                    "score": row.number,
                    "ahead": row.ahead,
                    "unit": row.unit,
                    "direction": row.direction,
                    "model": label,
                    **_cell(cell),
                }


def as_plain(comparison: Comparison) -> dict[str, Any]:
    """Return everything as plain data."""
    entries = [
        {
            "label": one.entry.label,
            "runs": [str(run.path) for run in one.entry.runs],
            "strategy": one.entry.runs[0].facts["strategy"],
            "context_length": one.scoring.task.context_length,
            "covariates": [*one.scoring.task.past_covariates, *one.scoring.task.known_covariates],
            "quantile_levels": list(one.scoring.task.quantile_levels),
            "missing": one.scores.missing,
            "chosen": one.scores.chosen,
        }
        for one in comparison.scored
    ]
    sets = {}
    for name, one in comparison.sets.items():
        rows = [
            {"score": row.number, "ahead": row.ahead, "unit": row.unit, "direction": row.direction}
            | {"models": {label: _cell(cell) for label, cell in row.cells.items()}}
            for row in one.rows
        ]
        sets[name] = {"windows": one.windows, "patients": one.patients, "rows": rows, "statistics": _statistics(one)}
    return {"reference": comparison.reference, "unit": comparison.unit, "models": entries, "sets": sets}


def legend(one: SetComparison, reference: str) -> Iterator[str]:
    """Yield what brackets and signs mean, where there are any."""
    cells = [cell for row in one.rows for cell in row.cells.values()]
    intervals = [cell.interval for cell in cells if cell.interval]
    if intervals:
        yield "(a to b): 95 % interval over people: what other people like these would give"
    if intervals and one.patients < RELIABLE:
        yield f"of {one.patients} people no interval is reliable: read it as a rough size"
    if any(cell.difference for cell in cells):
        yield f"+ better, - worse, * other than {reference}: the 95 % interval of the paired difference excludes 0"


def statistics_lines(one: SetComparison, reference: str) -> Iterator[str]:
    """Yield what the tests over people say, a sentence a line."""
    for test in one.tests:
        sign = "lower" if test.effect < 0 else "higher"
        said = "no one differs" if test.effect != test.effect else f"{test.a} {sign}, effect {test.effect:+.2f}"
        yield (
            f"{one.number}, {test.a} against {test.b}: {said}, p = {test.p_holm:.3g} "
            f"(Wilcoxon over {test.patients} people, Holm)"
        )
    if one.ranking:
        ranks = ", ".join(
            f"{label} {rank:.2f}" for label, rank in zip(one.ranking.models, one.ranking.mean_ranks, strict=True)
        )
        yield (
            f"mean ranks: {ranks}; Friedman p = {one.ranking.f_p:.3g} (Iman and Davenport's F); two differ from "
            f"{one.ranking.critical_difference:.2f} on (Nemenyi, 5 %)"
        )
    if one.skill:
        skills = ", ".join(f"{label} {score:+.3f}" for label, score in one.skill.items() if label != reference)
        wins = ", ".join(f"{label} {rate:.2f}" for label, rate in one.wins.items())
        yield f"skill against {reference}: {skills}; win rates: {wins}"
    yield from one.notes


def _statistics(one: SetComparison) -> dict[str, Any]:
    found: dict[str, Any] = {"number": one.number, "notes": list(one.notes), "skill": dict(one.skill)}
    found |= {"win_rate": dict(one.wins), "pairs": [vars(test) for test in one.tests]}
    if one.ranking:
        ranking = one.ranking
        found["ranking"] = {
            "mean_ranks": dict(zip(ranking.models, map(float, ranking.mean_ranks), strict=True)),
            "p": ranking.p,
            "f_p": ranking.f_p,
            "critical_difference": ranking.critical_difference,
            "groups": [list(group) for group in ranking.groups],
        }
    return found


def _name(row: Row) -> str:
    return f"{row.number} at {row.ahead}" if row.ahead else row.number


def _text(row: Row, cell: Cell) -> str:
    text = _number(cell.value)
    if cell.interval and cell.interval.low == cell.interval.low:
        text += f" ({_number(cell.interval.low)} to {_number(cell.interval.high)})"
    if cell.difference and cell.difference.excludes_zero:
        smaller = cell.difference.high < 0
        text += {"lower": "+" if smaller else "-", "higher": "-" if smaller else "+"}.get(row.direction, "*")
    return text


def _number(value: float) -> str:
    if value != value:
        return ""
    if abs(value) >= 1000 or (value == int(value) and abs(value) >= 10):
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.0005:
        return f"{value:.1g}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def _cell(cell: Cell) -> dict[str, Any]:
    def bounds(interval: Interval | None, prefix: str) -> Mapping[str, Any]:
        low, high = (interval.low, interval.high) if interval else (None, None)
        return {f"{prefix}low": low, f"{prefix}high": high}

    difference = cell.difference.estimate if cell.difference else None
    row: dict[str, Any] = {"value": cell.value, **bounds(cell.interval, ""), "difference": difference}
    row |= bounds(cell.difference, "difference_")
    row["differs"] = cell.difference.excludes_zero if cell.difference else None
    return row | {"reliable": cell.interval.reliable if cell.interval else None}
