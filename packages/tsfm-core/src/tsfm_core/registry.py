"""registry.db: an index over the runs below one folder. Their files are the truth, and it is made from them again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["REGISTRY", "Entry", "Query", "Registry", "is_damage"]

#: The name of the index below the folder of all experiments.
REGISTRY = "registry.db"

#: Grows with every change of the tables: an index of another layout is emptied and filled again.
_LAYOUT = 1

#: Seconds to wait for another process that is writing.
_PATIENCE = 5.0

_TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, stamp TEXT NOT NULL, model TEXT NOT NULL,
    experiment TEXT NOT NULL, status TEXT NOT NULL, created TEXT NOT NULL, strategy TEXT NOT NULL,
    fingerprint TEXT NOT NULL, archived INTEGER NOT NULL, tags TEXT NOT NULL, sources TEXT NOT NULL, facts TEXT NOT NULL
);
CREATE TABLE scores (
    number TEXT NOT NULL, run INTEGER NOT NULL, by_set TEXT NOT NULL, PRIMARY KEY (number, run)
) WITHOUT ROWID;
CREATE INDEX scores_of ON scores (run);
"""


@dataclass(frozen=True)
class Entry:
    """A run as the index knows it.

    :param path: below the folder of all experiments, with ``/``.
    :param stamp: which files it was read from; other files have another.
    :param status: as its owner left it; whether the owner still runs is asked when it is shown.
    :param tags: what a person called it.
    :param sources: the data sets that it was made of.
    :param facts: whatever else is shown of a run, plain data.
    :param scores: by number and set, such as ``{"rmse": {"validation": 1.0}}``; of a query those that it asked for.
    """

    path: str
    stamp: str
    model: str
    experiment: str
    status: str
    created: str = ""
    strategy: str = ""
    fingerprint: str = ""
    archived: bool = False
    tags: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


_COLUMNS = tuple(one.name for one in fields(Entry) if one.name != "scores")
_JSON = ("tags", "sources", "facts")


@dataclass(frozen=True)
class Query:
    """Which runs are asked for; names are shell patterns.

    :param data: a source's name, or how the data's fingerprint begins.
    :param since: the earliest moment of creation, as ``created`` is written.
    :param tags: all of them.
    :param archived: whether archived runs are among them.
    :param below: a folder's path below the root: ``<model>/<experiment>``.
    """

    model: str | None = None
    experiment: str | None = None
    strategy: str | None = None
    data: str | None = None
    since: str | None = None
    tags: tuple[str, ...] = ()
    archived: bool = True
    below: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Return the condition in SQL and its values."""
        parts: list[tuple[str, list[Any]]] = []
        for name in ("model", "experiment", "strategy"):
            if getattr(self, name) is not None:
                parts.append((f"{name} GLOB ?", [getattr(self, name)]))
        if self.data is not None:
            among = "EXISTS (SELECT 1 FROM json_each(sources) WHERE value GLOB ?)"
            parts.append((f"({among} OR substr(fingerprint, 1, length(?)) = ?)", [self.data] * 3))
        if self.since is not None:
            parts.append(("created >= ?", [self.since]))
        parts += [("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", [tag]) for tag in self.tags]
        if not self.archived:
            parts.append(("NOT archived", []))
        if self.below is not None:
            parts.append(("path > ? AND path < ?", [f"{self.below}/", f"{self.below}0"]))  # 0 follows /
        return " AND ".join(part for part, _ in parts) or "1", [value for _, values in parts for value in values]


class Registry:
    """An open index.

    :param path: of its file, made where it is not there; None keeps it in memory.
    :raises sqlite3.Error: here and from every method, where the file cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        # no write-ahead log: it needs shared memory, which a network's file system lacks, and leaves files beside it
        self._db = sqlite3.connect(path or ":memory:", timeout=_PATIENCE, isolation_level=None)
        try:
            if self._layout() != _LAYOUT:
                self._lay_out()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change all that is changed inside, or nothing; one process at a time."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def stamps(self, below: str | None = None) -> dict[str, str]:
        """Return the stamp of every run by its path."""
        where, values = Query(below=below).where()
        return dict(self._db.execute(f"SELECT path, stamp FROM runs WHERE {where}", values).fetchall())

    def select(self, query: Query, numbers: Collection[str] | None = ()) -> list[Entry]:
        """Return the runs of a query by path.

        :param numbers: the scores to bring along; None brings all.
        """
        where, values = query.where()
        with self._one_moment():
            runs = self._db.execute(f"SELECT id, {', '.join(_COLUMNS)} FROM runs WHERE {where} ORDER BY path", values)
            rows = runs.fetchall()
            scores = self._scores(query, numbers) if numbers is None or numbers else {}
        return [_entry(row[1:], scores.get(row[0], {})) for row in rows]

    def put(self, entries: Iterable[Entry]) -> None:
        """Add runs, or replace what is known of them; inside :meth:`changing`."""
        marks = ", ".join("?" * len(_COLUMNS))
        for entry in entries:
            self.drop([entry.path])
            made = self._db.execute(f"INSERT INTO runs ({', '.join(_COLUMNS)}) VALUES ({marks})", _row(entry))
            rows = [(number, made.lastrowid, json.dumps(by_set)) for number, by_set in entry.scores.items()]
            self._db.executemany("INSERT INTO scores VALUES (?, ?, ?)", rows)

    def drop(self, paths: Iterable[str]) -> None:
        """Forget runs; inside :meth:`changing`."""
        for path in paths:
            self._db.execute("DELETE FROM scores WHERE run = (SELECT id FROM runs WHERE path = ?)", (path,))
            self._db.execute("DELETE FROM runs WHERE path = ?", (path,))

    def clear(self) -> None:
        """Forget all runs; inside :meth:`changing`."""
        for table in ("scores", "runs"):
            self._db.execute(f"DELETE FROM {table}")

    def take(self, path: Path) -> None:
        """Take over what the index in another file holds."""
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)) as other:
            other.backup(self._db, progress=_refuse_to_wait)
        if self._layout() != _LAYOUT:
            self._lay_out()

    def is_sound(self) -> bool:
        """Return whether all of it can be read."""
        try:
            if self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return False
            self.select(Query(), None)
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            return not is_damage(error)
        return True

    def _layout(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _lay_out(self) -> None:
        with self.changing():
            if self._layout() == _LAYOUT:  # another process was faster
                return
            tables = self._db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            for (name,) in tables.fetchall():
                quoted = name.replace('"', '""')
                self._db.execute(f'DROP TABLE "{quoted}"')
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {_LAYOUT}")

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """Let all that is read inside be of one moment, whatever other processes write meanwhile."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("COMMIT")

    def _scores(self, query: Query, numbers: Collection[str] | None) -> dict[int, dict[str, Any]]:
        where, values = query.where()
        asked = "1" if numbers is None else f"number IN ({', '.join('?' * len(numbers))})"
        rows = self._db.execute(
            f"SELECT run, number, by_set FROM scores WHERE {asked} AND run IN (SELECT id FROM runs WHERE {where})",
            [*(numbers or ()), *values],
        )
        found: dict[int, dict[str, Any]] = {}
        for run, number, by_set in rows:
            found.setdefault(run, {})[number] = json.loads(by_set)
        return found


def _refuse_to_wait(status: int, remaining: int, total: int) -> None:
    """Stop a copy of what another process has locked: it would try again for ever."""
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise sqlite3.OperationalError("database is locked")


def is_damage(error: BaseException) -> bool:
    """Return whether an error says that the file is no index, or a broken one, rather than out of reach."""
    if not isinstance(error, sqlite3.DatabaseError):
        return isinstance(error, ValueError | TypeError)
    if not isinstance(error, sqlite3.OperationalError):
        return True
    # a query that fails by itself: the tables are not ours
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR


def _row(entry: Entry) -> list[Any]:
    return [json.dumps(getattr(entry, name)) if name in _JSON else getattr(entry, name) for name in _COLUMNS]


def _entry(row: Sequence[Any], scores: Mapping[str, Mapping[str, float]]) -> Entry:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in ("tags", "sources"):
        values[name] = tuple(json.loads(values[name])) if values[name] != "[]" else ()
    values["facts"], values["archived"] = json.loads(values["facts"]), bool(values["archived"])
    return Entry(**values, scores=scores)
