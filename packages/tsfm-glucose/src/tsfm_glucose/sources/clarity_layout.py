"""How a Dexcom Clarity export is laid out: its columns, its unit, and whether it is named after its person."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tsfm_core import DataError

__all__ = ["Layout", "layout_of", "unit_of"]

#: Rows in which the person and the devices are described.
_HEAD = 60
_BEGINS = {
    "stamp": "Timestamp",
    "kind": "Event Type",
    "subtype": "Event Subtype",
    "glucose": "Glucose Value",
    "insulin": "Insulin Value",
    "carbs": "Carb Value",
}
_NEEDED = ("stamp", "kind", "glucose")
_PERSON = ("FirstName", "LastName")


class Layout(NamedTuple):
    """How a file is laid out.

    :param unit: of its glucose.
    :param names: what it calls ``stamp``, ``kind``, ``subtype``, ``glucose``, ``insulin`` and ``carbs``, as far as it
        has them.
    """

    separator: str
    unit: str
    names: Mapping[str, str]


def layout_of(path: Path, item: str) -> Layout:
    """Return how a file is laid out.

    :raises DataError: for another kind of file, or one whose name or id is that of its person.
    """
    layout, rows = _layout(path)
    header = [_bare(name) for name in rows[0]]
    _refuse_names(path, item, rows, header.index(layout.names["kind"]))
    return layout


def unit_of(path: Path) -> str | None:
    """Return the unit of glucose in a Clarity export, or None for any other file."""
    try:
        return _layout(path)[0].unit
    except (DataError, OSError):
        return None


def _layout(path: Path) -> tuple[Layout, Sequence[Sequence[str]]]:
    """Return how a file is laid out, and its first rows."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = [line for _, line in zip(range(_HEAD), file, strict=False)]
        first = head[0] if head else ""
        separator = ";" if first.count(";") > first.count(",") else ","
        rows = list(csv.reader(head, delimiter=separator))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error.reason}", "write it again as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path} is no table: {error}", "take the file as Clarity exports it") from error
    header = [_bare(name) for name in rows[0]] if rows else []
    found = {key: [name for name in header if name.startswith(begin)][:1] for key, begin in _BEGINS.items()}
    names = {key: name[0] for key, name in found.items() if name}
    for key in _NEEDED:
        if key not in names:  # the first row is not shown: where the header is missing it may hold a name
            raise DataError(
                f"{path} has no column {_BEGINS[key]!r} in its first row", "export it from Clarity in English"
            )
    unit = next((unit for unit in ("mg/dL", "mmol/L") if f"({unit})".casefold() in names["glucose"].casefold()), "")
    if not unit:
        raise DataError(f"{path}: the column of glucose names no unit", "expected (mg/dL) or (mmol/L) in its name")
    return Layout(separator, unit, names), rows


def _bare(name: str) -> str:
    return name.strip().strip("\ufeff").strip()


def _refuse_names(path: Path, item: str, rows: Sequence[Sequence[str]], at: int) -> None:
    """Refuse a file or an id with a name of the rows that hold the person's."""
    cells = [cell for row in rows if len(row) > at and row[at].strip() in _PERSON for cell in row]
    words = {word for cell in cells if cell.strip() not in _PERSON for word in _words(cell)}
    if words & {*_words(path.stem), *_words(item)}:
        raise DataError(
            f"a file in {path.parent}, or its item_id, bears the name of its person",
            "name it otherwise, such as p01.csv",
        )


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]{2,}", text.casefold())
