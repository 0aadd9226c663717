"""The section of statistics: the figures that were prepared, and every pair of models."""

from __future__ import annotations

from collections.abc import Sequence

from tsfm_eval.report.content import Entry, PairRow, Statistics
from tsfm_eval.report.layout import Album, Cell, Figures, Part, Section, Table, Text
from tsfm_eval.report.numbers import noun, number

__all__ = ["LEAST", "comparison"]

#: Fewer patients than this are not compared.
LEAST = 5


def comparison(entries: Sequence[Entry], statistics: Statistics, album: Album) -> Section:
    """Return the section, or one sentence that says why there is nothing to compare."""
    parts: list[Part] = []
    drawn = [album.draw(one.name, one.title, one.finding, one.draw, one.size) for one in statistics.drawings]
    if drawn:
        parts.append(Figures(drawn))
    usable = [row for row in statistics.rows if row.patients >= LEAST]
    if usable:
        who = noun(entries[0])
        columns = ("pair", "set", "number", who, "difference", "p (Holm)", "effect")
        caption = f"Differences between two models over the same {who}: the first minus the second"
        parts.append(Table("pairs", caption, columns, [_row(one) for one in usable], True))
        parts.append(
            Text(
                f"The unit is the {noun(entries[0], 1)}, never the window. p is of Wilcoxon's signed-rank test, "
                "corrected by Holm; the effect is the rank-biserial correlation, −1 to 1."
            )
        )
    parts += [Text(note, "quiet") for note in statistics.notes]
    few = len(statistics.rows) - len(usable)
    if few:
        parts.append(Text(f"Pairs left out, with fewer than {LEAST} {noun(entries[0])}: {few}.", "quiet"))
    if not parts:
        parts.append(Text(_why_not(entries), "quiet"))
    return Section("statistics", "Statistics", parts)


def _why_not(entries: Sequence[Entry]) -> str:
    if len(entries) == 1 and not entries[0].baselines:
        return "There is nothing to compare: the report holds one model."
    return f"No statistics are given; they need at least {LEAST} {noun(entries[0])}."


def _row(one: PairRow) -> list[Cell]:
    interval = f"({number(one.low)} to {number(one.high)})" if one.low is not None and one.high is not None else ""
    p = "–" if one.p_holm is None else "< 0.001" if one.p_holm < 0.001 else f"{one.p_holm:.3f}"
    pair = f"{one.first} − {one.second}"
    return [
        *(Cell(pair, pair), Cell(one.set, one.set), Cell(one.number, one.number)),
        Cell(f"{one.patients:,}", one.patients),
        Cell(number(one.difference), one.difference, interval),
        Cell(p, one.p_holm),
        Cell(number(one.effect), one.effect),
    ]
