"""Groups of items, such as sex or pump, from a table with a row for each item."""

from __future__ import annotations

import csv
from pathlib import Path

from tsfm_core.errors import DataError, listing

__all__ = ["Groups", "read_groups"]

#: The group of each item, by the name of the grouping.
Groups = dict[str, dict[str, str]]


def read_groups(path: Path) -> Groups:
    """Return every column of a csv file beside ``item_id`` as a grouping; an empty cell belongs to no group.

    :raises DataError: for a file that is not there or no such table, and for an item with two rows.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}", "give a csv file with the column item_id") from error
    columns = [name for name in (rows[0] if rows else {}) if name]
    if "item_id" not in columns:
        found = f"its columns are {listing(columns)}" if columns else "it has no row"
        raise DataError(f"{path} has no column item_id: {found}", "name the column of the items item_id")
    groups: Groups = {name: {} for name in columns if name != "item_id"}
    seen: set[str] = set()
    for row in rows:
        item = (row["item_id"] or "").strip()
        if item in seen:
            raise DataError(f"{path} has two rows for item {item!r}", "give each item one row")
        seen.add(item)
        for name, of in groups.items():
            label = (row[name] or "").strip()
            if label:
                of[item] = label
    return groups
