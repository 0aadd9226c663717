"""Runs as the rows of a sheet, with the columns that research groups keep of their trainings."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tsfm_core.registry import Entry
from tsfm_core.run import Run

__all__ = ["COLUMNS", "sheet"]

COLUMNS = (
    "model_id",
    "model_type",
    "training_strategy",
    "dataset",
    "timestamp",
    "artifact_path",
    "config_hash",
    "git_commit",
    "performance_metrics",
    "training_time_hours",
    "gpu_config",
)


def sheet(root: Path, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return a row for each run.

    :param entries: with all their scores.
    """
    return [_row(Run(root / entry.path), entry) for entry in entries]


def _row(run: Run, entry: Entry) -> dict[str, Any]:
    scores: dict[str, dict[str, float]] = {}
    for number, by_set in entry.scores.items():
        for name, value in by_set.items():
            scores.setdefault(name, {})[number] = value
    seconds = entry.facts.get("training_seconds")
    values = (
        entry.path,
        entry.model,
        entry.strategy,
        "+".join(entry.sources),
        entry.created,
        str(run.best_checkpoint or ""),
        _hash(run.config_path),
        entry.facts.get("commit"),
        json.dumps(scores, sort_keys=True),
        None if seconds is None else round(seconds / 3600, 6),
        _devices(entry.facts),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _hash(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _devices(facts: Mapping[str, Any]) -> str | None:
    """Return the GPUs of a run, such as ``2 x NVIDIA A100``, ``cpu`` without any; None where it does not say."""
    if facts.get("gpus") is None:
        return None
    if not facts["gpus"] or facts.get("device") == "cpu":
        return "cpu"
    return ", ".join(f"{count} x {name}" for name, count in Counter(facts["gpus"]).items())
