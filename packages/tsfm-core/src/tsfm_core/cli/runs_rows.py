"""The rows of ``tsfm runs list``: which of the runs, in which order, with which columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsfm_core.registry import Entry

__all__ = ["kept", "moment", "numbers_of", "rows_of", "table_of"]

_VALIDATION = "validation"


def moment(text: str | None) -> str | None:
    """Return a date or a time as runs write theirs: of this machine's clock, to the second.

    :raises ConfigError: for what is neither.
    """
    from datetime import datetime

    from tsfm_core.errors import ConfigError

    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--since {text} is no date", "write 2026-11-22, or 2026-11-22T14:30") from error
    if found.tzinfo:
        found = found.astimezone().replace(tzinfo=None)
    return found.isoformat(timespec="seconds")


def numbers_of(metric: str, sort: str | None) -> set[str]:
    """Return the scores that a listing needs."""
    return {metric, *(sort.split(" ")[:1] if sort else ())}


def kept(entries: Sequence[Entry], sort: str | None, most: int) -> list[Entry]:
    """Return the runs to show: sorted, the first ``most`` of them; else by path, the newest ``most``; 0 keeps all.

    :raises ConfigError: for a key that no run has.
    """
    if sort:
        return _sorted(entries, sort)[: most or None]
    if not most or len(entries) <= most:
        return list(entries)
    newest = sorted(entries, key=lambda one: (one.created, one.path))[-most:]
    return sorted(newest, key=lambda one: one.path)


def rows_of(root: Path, entries: Sequence[Entry], metric: str, sort: str | None) -> list[dict[str, Any]]:
    """Return a row for each run, with the number ``metric`` on each test set, and what it is sorted by."""
    heading = _heading(sort) if sort else None
    return [_row(root, entry, metric, heading) for entry in entries]


def table_of(rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return rows and columns for people: tags and the archive where a run has any."""
    columns = ["model", "experiment", "run", "strategy", "status", "protocol"]
    columns += [name for name in ("tags", "archived") if any(row[name] for row in rows)]
    columns += dict.fromkeys(key for row in rows for key in row if " " in key)
    shown: dict[str, Callable[[Any], Any]] = {
        "run": lambda text: Path(text).name,
        "protocol": lambda text: (text or "")[:12],
    }
    shown |= {"tags": ", ".join, "archived": lambda yes: "yes" if yes else ""}
    made = [{key: shown[key](row[key]) if key in shown else row.get(key) for key in columns} for row in rows]
    return made, {key: key for key in columns}


def _row(root: Path, entry: Entry, metric: str, heading: tuple[str, str] | None) -> dict[str, Any]:
    row = {
        "model": entry.model,
        "experiment": entry.experiment,
        "strategy": entry.strategy or None,
        "created": entry.created or None,
        "run": str(root / entry.path),
        "status": entry.status,
        "protocol": entry.facts.get("protocol"),
        "data": list(entry.sources),
        "tags": list(entry.tags),
        "note": entry.facts.get("note"),
        "archived": entry.archived,
    }
    if heading:
        number, name = heading
        row[f"{number} {name}"] = entry.scores.get(number, {}).get(name)
    for name, value in entry.scores.get(metric, {}).items():
        if name != _VALIDATION:
            row[f"{metric} {name}"] = value
    return row


def _heading(sort: str) -> tuple[str, str] | None:
    """Return the number and the set of a key, None of a column; a number alone is that of the validation windows."""
    number, _, name = sort.partition(" ")
    return None if sort in _COLUMNS else (number, name or _VALIDATION)


_COLUMNS = ("created", "model", "experiment", "run", "strategy", "status", "data")


def _sorted(entries: Sequence[Entry], sort: str) -> list[Entry]:
    from tsfm_core.best import direction_of
    from tsfm_core.errors import ConfigError, listing

    heading = _heading(sort)
    if heading is None:
        by = {"run": lambda one: one.path.rpartition("/")[2], "data": lambda one: one.sources}
        return sorted(entries, key=by.get(sort, lambda one: getattr(one, sort)), reverse=sort == "created")
    number, name = heading
    with_score = [one for one in entries if name in one.scores.get(number, {})]
    if entries and not with_score:
        raise ConfigError(f"no run has {sort!r} to sort by", f"the columns are {listing(_COLUMNS)}, and scores")
    sign = -1 if direction_of(number) == "higher" else 1
    ranked = sorted(with_score, key=lambda one: sign * one.scores[number][name])
    return ranked + [one for one in entries if name not in one.scores.get(number, {})]
