"""Entries of a report without a run: stored chunks of made-up glucose, scored by core as a run is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tsfm_core import Task
from tsfm_core.data.store import StoredChunk
from tsfm_core.metrics import score
from tsfm_eval.plugin import metrics
from tsfm_eval.report import Entry, MetricFact
from tsfm_eval.report.forecasts import pictures

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
SCORED = ("rmse", "mae", "mape", "pinball", "coverage", "clarke")


def task(**changes: Any) -> Task:
    fields = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 48, "prediction_length": 12}
    return Task(**({**fields, "quantile_levels": LEVELS} | changes))


def chunk(truth: Any, mean: Any = None, quantiles: Any = None, **changes: Any) -> StoredChunk:
    """Return a chunk of windows of one set, one item, a cutoff a day at midnight, with what is given changed."""
    truth = np.asarray(truth, np.float32)
    n = len(truth)
    fields = {
        "set": "temporal_holdout",
        "item_id": np.array(["a"] * n, object),
        "cutoff": np.datetime64("2024-01-01T00:00:00", "s") + np.arange(n) * np.timedelta64(86400, "s"),
        "truth": truth,
        "mean": None if mean is None else np.asarray(mean, np.float32),
        "quantiles": None if quantiles is None else np.asarray(quantiles, np.float32),
        "scale": {1: np.ones(n)},
        "scale_squared": {1: np.ones(n)},
        "context": np.full((n, 4), 100, np.float32),
        "minute": np.zeros(n, np.int16),
    }
    return StoredChunk(**(fields | changes))


def made_up(
    name: str = "temporal_holdout", items: int = 6, windows: int = 20, width: float = 20.0, seed: int = 0
) -> StoredChunk:
    """Return windows of several people with lows and highs; a greater ``width`` is a worse and less sure forecast."""
    random, n, (steps, seen) = np.random.default_rng(seed), items * windows, (12, 24)
    walk = 120 + np.cumsum(random.normal(0, 9, (n, seen + steps)), axis=1)
    walk = np.clip(walk, 41, 390)
    truth, context = walk[:, seen:].copy(), walk[:, :seen].copy()
    truth[random.random(truth.shape) < 0.1] = np.nan
    point = context[:, -1:] + random.normal(0, width / 2, (n, steps))
    spread = width * np.sqrt(np.arange(1, steps + 1)) / 2
    quantiles = np.stack([point + spread * z for z in (-1.645, -0.674, 0, 0.674, 1.645)], axis=1)
    hours = np.tile(np.arange(windows), items)
    cutoff = np.datetime64("2024-03-01T00:00:00", "s") + hours * np.timedelta64(3600, "s")
    return chunk(
        truth,
        point + 1,
        quantiles,
        set=name,
        item_id=np.repeat([f"p{at:02d}" for at in range(items)], windows).astype(object),
        cutoff=cutoff,
        context=context.astype(np.float32),
        minute=(hours * 60 % 1440).astype(np.int16),
    )


def entry(
    label: str = "model",
    chunks: list[StoredChunk] | None = None,
    baselines: tuple[str, ...] = ("naive", "mean"),
    given: Task | None = None,
    facts: dict[str, Any] | None = None,
    **changes: Any,
) -> Entry:
    """Return the entry of chunks as core scores them; its baselines are forecasts that are worse."""
    given, chunks = given or task(), [made_up()] if chunks is None else chunks
    scored = [one for one in metrics() if one.name in SCORED]
    scores = score(chunks, given, scored)
    sets = {name: {**one, **_intervals(one)} for name, one in scores.sets.items()}
    beside = {name: score([made_up(width=40 + 10 * at, seed=0)], given, scored) for at, name in enumerate(baselines)}
    known = {"model": label, "experiment": "made_up", "strategy": "zero_shot", "seed": 7, "protocol_digest": "d" * 64}
    known |= {"created": "2026-01-02T03:04:05", "timings": {"predict": 1.5, "score": 0.25}, "device": "cpu"}
    known |= {"data": {"source": "table", "items": 6, "fingerprint": "f" * 64}, "environment": {"cpus": 2}}
    fields = {
        "label": label,
        "facts": known | (facts or {}),
        "task": given.model_dump(mode="json"),
        "unit": given.unit,
        "scores": sets,
        "items": scores.items,
        "metrics": [
            MetricFact(one.name, one.unit, one.direction, one.definition, one.units, one.directions, one.point)
            for one in scored
        ],
        "baselines": {name: one.sets for name, one in beside.items()},
        "baseline_items": {name: one.items for name, one in beside.items()},
        "missing": dict(scores.missing),
        "pictures": pictures(chunks, given),
        "config": "experiment: made_up\n",
    }
    return Entry(**(fields | changes))


def plain(label: str = "model", **changes: Any) -> Entry:
    """Return an entry without anything to draw."""
    whole = entry(label, **changes)
    scores = {
        name: {key: one[key] for key in ("windows", "overall", "intervals")} for name, one in whole.scores.items()
    }
    return replace(whole, scores=scores, pictures={}, baselines={})


def few(whole: Entry) -> Entry:
    """Return an entry with fewer figures: one window and one night of each set."""
    pictures = {
        name: replace(one, median=None, worst=None, nights=one.nights[:1]) for name, one in whole.pictures.items()
    }
    return replace(whole, pictures=pictures)


def _intervals(scores: dict[str, Any]) -> dict[str, Any]:
    around = {name: (0.9 * value, 1.1 * value) for name, value in scores["overall"].items()}
    rmse = scores["by_step"].get("rmse", [])
    return {"intervals": around, "step_intervals": {"rmse": [(0.9 * value, 1.1 * value) for value in rmse]}}
