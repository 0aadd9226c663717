"""The section of patients: each one's windows and scores, and the difference to a baseline or to the first run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tsfm_eval.report.content import Entry
from tsfm_eval.report.layout import Cell, Part, Section, Table, Text
from tsfm_eval.report.numbers import headline, noun, number, shown_sets

__all__ = ["patients"]

_Rows = Mapping[tuple[str, str], Mapping[str, Any]]


def patients(entries: Sequence[Entry]) -> Section:
    """Return the section: one table that is sorted and filtered, a row for each patient of each set."""
    title = noun(entries[0]).capitalize()
    rows = {one.label: _by_item(one.items, shown_sets(entries)) for one in entries}
    numbers = headline(
        dict.fromkeys(name for row in rows[entries[0].label].values() for name in row if name not in _KEYS)
    )
    items = list(dict.fromkeys(key for own in rows.values() for key in own))
    if not items or not numbers:
        return Section("patients", title, [Text(f"No scores by {noun(entries[0], 1)} are given.", "quiet")])
    columns = [noun(entries[0], 1), "set", "windows"]
    given: list[list[Cell]] = [[Cell(item, item), Cell(name, name), _windows(rows, name, item)] for name, item in items]
    for entry in entries:
        for name in numbers if len(entries) == 1 else numbers[:1]:
            columns.append(name if len(entries) == 1 else f"{name}, {entry.label}")
            _add(given, items, rows[entry.label], name)
    first, whose, others = numbers[0], entries[0].label, _others(entries, rows)
    for label, own in others.items():
        columns.append(f"{first} − {label}" if len(entries) == 1 else f"{first}, {whose} − {label}")
        _add(given, items, rows[whose], first, own)
    parts: list[Part] = [Table("patients", f"Scores by {noun(entries[0], 1)}, over all steps", columns, given, True)]
    if others:
        parts.append(Text(f"Columns with − are differences of {first}: below 0 the value of {whose} is the lesser."))
    else:
        parts.append(
            Text(f"No difference is shown: there are no scores of a baseline by {noun(entries[0], 1)}.", "quiet")
        )
    return Section("patients", title, parts)


_KEYS = ("set", "item_id", "windows")


def _by_item(rows: Sequence[Mapping[str, Any]], sets: Sequence[str]) -> _Rows:
    return {(row["set"], row["item_id"]): row for row in rows if row["set"] in sets}


def _others(entries: Sequence[Entry], rows: Mapping[str, _Rows]) -> dict[str, _Rows]:
    """Return what the first run is compared with: the other runs, or the baselines of the only one."""
    if len(entries) > 1:
        return {one.label: rows[one.label] for one in entries[1:]}
    sets = shown_sets(entries)
    return {label: _by_item(given, sets) for label, given in entries[0].baseline_items.items()}


def _windows(rows: Mapping[str, _Rows], name: str, item: str) -> Cell:
    count = next(int(own[name, item]["windows"]) for own in rows.values() if (name, item) in own)
    return Cell(f"{count:,}", count)


def _add(
    given: list[list[Cell]],
    items: Sequence[tuple[str, str]],
    own: _Rows,
    name: str,
    other: _Rows | None = None,
) -> None:
    """Append a cell to each row: the number, or its difference to that of another model."""
    for row, key in zip(given, items, strict=True):
        value = _value(own.get(key, {}).get(name))
        if other is not None:
            beside = _value(other.get(key, {}).get(name))
            value = None if value is None or beside is None else value - beside
        row.append(Cell(number(value), value))


def _value(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
