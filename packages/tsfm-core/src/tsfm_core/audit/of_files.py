"""Checks that need the files of the run alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np

from tsfm_core.api import evaluate
from tsfm_core.audit.evidence import Evidence, Failed, NotApplicable
from tsfm_core.catalogue import link_and_best
from tsfm_core.checkpoints import LAST
from tsfm_core.config.loader import load_file
from tsfm_core.data.digest import ProtocolDigest, forecasts_hash
from tsfm_core.data.split import TEST_SETS
from tsfm_core.errors import RunError, TsfmError
from tsfm_core.files import finite, folder_hash
from tsfm_core.outcomes import flat
from tsfm_core.plugins import host
from tsfm_core.prepare import local_checkpoint
from tsfm_core.unchanged import started_from

__all__ = ["forecasts", "protocol", "run", "scores", "seen", "selection", "strategy", "weights"]

#: Sums of another machine may differ in their last bits.
_ROUNDING = 1e-9


def run(evidence: Evidence) -> str:
    """The run is completed, and all of its files are there and can be read."""
    of = evidence.run
    try:
        if of.status != "completed":
            raise Failed(f"it is {of.status}")
        rows = sum(len(chunk.cutoff) for chunk in evidence.file.chunks())
        load_file(of.config_path)  # read, not resolved: a variable that is not set here is no fault of the run
        scored = of.metrics is not None
    except TsfmError as error:
        raise Failed(str(error)) from error
    missing = [path.name for path in (of.metrics_path, of.items_path, of.results_path) if not path.is_file()]
    missing += ["the best checkpoint"] if evidence.trained and of.best_checkpoint is None else []
    if missing or not scored:
        raise Failed(f"not there: {', '.join(missing)}")
    return f"completed, {rows:,} windows forecast"


def strategy(evidence: Evidence) -> str:
    """What run.json says was done is what config.yaml asked for, and what was left."""
    facts, config = evidence.facts, evidence.resolved.config
    asked = config.training.get("strategy", facts["settings"]["training"].get("strategy", "zero_shot"))
    said = {
        "strategy": (asked, facts["strategy"]),
        "seed": (config.seed, facts["seed"]),
        "experiment": (config.experiment, facts["experiment"]),
        "metrics": (list(config.evaluation.metrics), facts["metrics"]),
    }
    for name, (wanted, noted) in said.items():
        if wanted != noted:
            raise Failed(f"{name}: the configuration asks for {wanted!r}, and {noted!r} is noted")
    left = evidence.run.best_checkpoint is not None
    if evidence.trained and (not left or facts["strategy"] == "zero_shot"):
        raise Failed(f"it is noted as trained ({facts['strategy']}), and there is {'a' if left else 'no'} checkpoint")
    if not evidence.trained and left:
        raise Failed("it is noted as a test without training, and there is a checkpoint")
    return f"{facts['command']} {facts['model']}, {facts['strategy']}, seed {facts['seed']}"


def seen(evidence: Evidence) -> str:
    """No test window's truth lies in the stretch that the model was trained and chosen on, as run.json notes it."""
    spans = evidence.facts.get("trained_on")
    if not spans:
        raise NotApplicable("the run notes no training of its model on this data")
    task, count = evidence.task, 0
    step = np.timedelta64(task.step_seconds, "s")
    for chunk in evidence.file.chunks():
        if chunk.set not in TEST_SETS:
            continue
        count += len(chunk.cutoff)
        first, last = np.array([spans.get(item, ["NaT", "NaT"]) for item in chunk.item_id], "datetime64[s]").T
        inside = (chunk.cutoff + step <= last) & (chunk.cutoff + step * task.prediction_length >= first)
        if chunk.set == "patient_holdout":  # held out whole
            inside |= ~np.isnat(first)
        if inside.any():
            at = int(np.flatnonzero(inside)[0])
            raise Failed(
                f"{chunk.set}: item {chunk.item_id[at]!r} at {chunk.cutoff[at]} lies in what was trained on, "
                f"{first[at]} to {last[at]}"
            )
    return f"{count:,} test windows, {len(spans)} items trained on"


def selection(evidence: Evidence) -> str:
    """Validation chose the best checkpoint (the last where nothing chose) and the run of best_run; no test set did."""
    linked = link_and_best(evidence.run) if evidence.facts else None  # of a run that cannot be read nothing is said
    if linked and linked[0] != linked[1]:
        link, chosen_run = (one or "no run" for one in linked)
        raise Failed(f"best_run names {link}, and validation chooses {chosen_run} (tsfm runs index moves the link)")
    best = evidence.run.best_checkpoint
    if best is None:
        raise NotApplicable("nothing was trained")
    chosen, last = best.resolve().name, (evidence.run.checkpoints / LAST).resolve().name
    evaluations = {line["step"]: line for line in _lines(evidence.run.training_log) if "validation" in line}
    if not evaluations:
        if chosen != last:
            raise Failed(f"no evaluation is in the training log, and best is {chosen} where last is {last}")
        return f"nothing chose: best is the last, {last}"
    if not evidence.facts["windows"].get("validation"):
        raise Failed(f"{len(evaluations)} evaluations are in the training log, and the split has no validation windows")
    stopping = evidence.facts["settings"]["training"].get("early_stopping") or {}
    names = [stopping["metric"]] if "metric" in stopping else sorted(next(iter(evaluations.values()))["validation"])
    lowest = {name: _lowest(evaluations, name) for name in names}
    by = [name for name, step in lowest.items() if chosen == f"step_{step}"]
    if not by:
        found = ", ".join(f"step {step} by {name}" for name, step in lowest.items())
        raise Failed(f"best is {chosen}, and of {len(evaluations)} evaluations the lowest is {found}")
    return f"{chosen} has the lowest validation {' and '.join(by)} of {len(evaluations)} evaluations"


def weights(evidence: Evidence) -> str:
    """The weights are those that the run left, and it started from the checkpoint that it notes."""
    facts, best, said = evidence.facts, evidence.run.best_checkpoint, []
    was = (facts["checkpoint"] or {}).get("hash")
    local = local_checkpoint(facts["model"], started_from(facts, evidence.resolved)) if was else None
    if was and local:
        _same_hash("the checkpoint it started from", was, folder_hash(local))
        said.append(f"started from {was[:12]}")
    if best is not None:
        if not facts.get("weights_sha256"):
            raise RunError("the run noted no hash of its weights")
        _same_hash("the best checkpoint", facts["weights_sha256"], folder_hash(best))
        said.append(f"left {facts['weights_sha256'][:12]}")
    if was and not local:
        raise RunError("the checkpoint that it started from is not there")
    if not said:
        raise NotApplicable("the model has no weights in a directory")
    return ", ".join(said)


def forecasts(evidence: Evidence) -> str:
    """The stored forecasts are, to the bit, those that the run wrote."""
    was = evidence.facts.get("forecasts_sha256")
    if not was:
        raise RunError("the run noted no hash of its forecasts")
    _same_hash("the forecasts", was, forecasts_hash(evidence.run.forecasts_path))
    return f"hash {was[:12]}"


def protocol(evidence: Evidence) -> str:
    """The protocol digest is that of the stored windows, their truths and the metrics' definitions."""
    digest = ProtocolDigest()
    for chunk in evidence.file.chunks():
        digest.add(chunk.set, chunk.item_id, chunk.cutoff, chunk.truth)
    metrics = [host().metric(name) for name in evidence.facts["metrics"]]
    now = digest.of(evidence.task, [f"{metric.name}: {metric.definition}" for metric in metrics])
    _same_hash("the protocol", evidence.facts["protocol_digest"], now)
    return f"digest {now[:12]}, {len(metrics)} metrics"


def scores(evidence: Evidence) -> str:
    """The stored scores are those of the stored forecasts, of every set, step, hour and item."""
    stored = evidence.run.metrics
    if stored is None:
        raise Failed("there are no scores")
    found = evaluate(evidence.run)
    again = {"sets": found.sets, "points": found.points, "missing": found.missing, "chosen": found.chosen}
    plain = json.loads(json.dumps(finite(again)))
    count = _compare({name: stored.get(name) for name in again}, plain)
    with evidence.run.items_path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    own = [{name: str(value) for name, value in row.items()} for row in found.items]
    return f"{count + _compare({'items': rows}, {'items': own}):,} values"


def _lowest(evaluations: Mapping[int, Mapping[str, Any]], name: str) -> int:
    """Return the first step at which a validation score was lowest."""
    return min(evaluations, key=lambda step: evaluations[step]["validation"][name])


def _compare(stored: Mapping[str, Any], again: Mapping[str, Any]) -> int:
    was, now = dict(flat(stored)), dict(flat(again))
    for name in {**was, **now}:
        if not (name in was and name in now and _equal(was[name], now[name])):
            raise Failed(f"{name} is stored as {was.get(name)}, and the forecasts give {now.get(name)}")
    return len(now)


def _equal(one: object, other: object) -> bool:
    if one == other:
        return True
    try:
        return isclose(float(str(one)), float(str(other)), rel_tol=_ROUNDING, abs_tol=1e-12)
    except ValueError:
        return False


def _same_hash(what: str, was: str, now: str) -> None:
    if was != now:
        raise Failed(f"{what}: {was[:12]} is noted, and the files give {now[:12]}")


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a training log; a model need not keep one."""
    if not log.is_file():
        return
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError as error:
            raise Failed(f"the training log has a line that cannot be read: {line[:40]!r}") from error
