"""What the index says of a run, read from its files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsfm_core.records import VALIDATION
from tsfm_core.registry import Entry
from tsfm_core.run import Run, facts_of, mark_of

__all__ = ["UNREADABLE", "read_entry"]

#: The status of a run whose run.json cannot be read.
UNREADABLE = "unreadable"


def read_entry(root: Path, path: str) -> Entry:
    """Return what the index says of the run at ``path`` below ``root``."""
    run = Run(root / path)
    (text, mark), (scored, scored_mark) = _read(run.facts_path), _read(run.metrics_path)
    model, experiment, _ = path.split("/")
    plain = Entry(path, f"{mark} {scored_mark}", model, experiment, UNREADABLE)
    try:
        facts = facts_of(text)
        return _entry(plain, facts, _sets(scored))
    except (ValueError, TypeError, AttributeError):  # a hand has been at it
        return plain


def _entry(plain: Entry, facts: Mapping[str, Any], sets: Mapping[str, Any]) -> Entry:
    data, timings = facts.get("data") or {}, facts.get("timings") or {}
    environment = facts.get("environment") or {}
    owner, validation = facts.get("owner"), sets.get(VALIDATION) or {}
    sources = list(data.get("sources") or ([data["source"]] if data.get("source") else []))
    scores: dict[str, dict[str, float]] = {}
    for name, one in sets.items():
        for number, value in (one.get("overall") or {}).items():
            if isinstance(value, int | float):
                scores.setdefault(str(number), {})[name] = float(value)
    return Entry(
        path=plain.path,
        stamp=plain.stamp,
        model=_text(facts.get("model")) or plain.model,
        experiment=_text(facts.get("experiment")) or plain.experiment,
        status=_text(facts["status"]),
        created=_text(facts.get("created")),
        strategy=_text(facts.get("strategy")),
        fingerprint=_text(data.get("fingerprint")),
        archived=bool(facts.get("archived")),
        tags=tuple(map(str, facts.get("tags") or ())),
        sources=tuple(map(str, sources)),
        facts={
            "owner": owner if isinstance(owner, dict) else None,
            "command": facts.get("command"),
            "parent": facts.get("parent"),
            "protocol": facts.get("protocol_digest"),
            "note": facts.get("note"),
            "sets": list(sets),
            "validation": validation.get("digest"),
            "first": next(iter(validation.get("overall") or ()), None),
            "commit": (environment.get("git") or {}).get("commit"),
            "training_seconds": timings.get("train") if facts.get("command") == "train" else None,
            "device": facts.get("device"),
            "gpus": environment.get("gpus"),
        },
        scores=scores,
    )


def _text(value: object) -> str:
    """Return text that a database holds: half a character is none."""
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


def _sets(text: bytes) -> dict[str, Any]:
    """Return the scores of metrics.json; none where it is missing or broken."""
    try:
        found = json.loads(text)["sets"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(path: Path) -> tuple[bytes, str]:
    """Return a file's contents, and what tells just this file from a later one."""
    try:
        with path.open("rb") as file:
            return file.read(), mark_of(os.fstat(file.fileno()))
    except OSError:
        return b"", mark_of(None)
