"""What run.json says of a run before it starts, and what a run was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tsfm_core.config.resolve import Resolved
from tsfm_core.data.digest import forecasts_hash
from tsfm_core.environment import environment
from tsfm_core.errors import TsfmError
from tsfm_core.files import folder_hash
from tsfm_core.prepare import Loaded, Prepared, local_checkpoint
from tsfm_core.run import Run

__all__ = ["changed_files", "hashes", "refuse_seen_windows", "run_facts"]


def run_facts(
    loaded: Loaded,
    prepared: Prepared,
    resolved: Resolved,
    command: str,
    argv: Sequence[str],
    parent: Run | None,
) -> dict[str, Any]:
    """Return the facts of run.json that are known before anything is trained; the config's variables stay hidden."""
    panel, local = prepared.panel, local_checkpoint(loaded.backend.name, loaded.checkpoint)
    checkpoint = {"name": loaded.checkpoint, "hash": folder_hash(local) if local else None}
    counts = {name: len(windows) for name, windows in prepared.sets.items()}
    with_windows = set(prepared.train.items).union(*(windows.items for windows in prepared.sets.values()))
    facts: dict[str, Any] = {
        "command": command,
        "argv": resolved.hidden(argv),
        "model": loaded.backend.name,
        "experiment": resolved.config.experiment,
        "strategy": loaded.strategy,
        "checkpoint": resolved.hidden(checkpoint) if loaded.checkpoint else None,
        "parent": str(parent.path) if parent else None,
        "seed": resolved.config.seed,
        "settings": resolved.hidden({name: one.model_dump(mode="json") for name, one in loaded.sections.items()}),
        "device": loaded.runtime.device,
        "deterministic": loaded.runtime.deterministic,
        "metrics": list(resolved.config.evaluation.metrics),
        "data": {
            "fingerprint": panel.fingerprint,
            "items": len(panel.item_ids),
            "rows": len(panel),
            **resolved.hidden(panel.provenance),
            "shared_rows": prepared.quality.shared,
            "notes": prepared.quality.notes,
            "changed_since_parent": changed_files(parent, panel.provenance) if parent else [],
        },
        "split": {
            "digest": prepared.split.digest,
            "patient_holdout": list(prepared.split.held_out),
            "notes": list(prepared.split.notes),
        },
        "windows": {"train": len(prepared.train), **counts},
        "dropped": prepared.dropped,
        "items_without_windows": [item for item in panel.item_ids if item not in with_windows],
        "environment": environment(loaded.backend.package),
    }
    if command == "train":
        facts["trained_on"] = _truth_spans(prepared)
    elif parent:
        facts["trained_on"] = parent.facts.get("trained_on")
    return facts


def hashes(run: Run) -> dict[str, str | None]:
    """Return the facts that bind a run to what it left: hashes of its forecasts and of its best checkpoint."""
    best = run.best_checkpoint
    return {
        "forecasts_sha256": forecasts_hash(run.forecasts_path),
        "weights_sha256": folder_hash(best) if best else None,
    }


def changed_files(parent: Run, provenance: Mapping[str, Any]) -> list[str]:
    """Return the files of a run's source that are other now, ``<source>:<file>`` where it has several."""
    was = parent.facts["data"]
    if "sources" not in was or "sources" not in provenance:
        return _changed_in(was, provenance)
    before, after = was["sources"], provenance["sources"]
    both = sorted({*before} & {*after})
    return [f"{name}:{file}" for name in both for file in _changed_in(before[name], after[name])]


def _changed_in(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the files of one source that are other now; none where this is another source."""
    if was.get("source") != now.get("source") or "files" not in was or "files" not in now:
        return []
    if was["files"]["digest"] == now["files"]["digest"]:
        return []
    before, after = was["files"]["digests"], now["files"]["digests"]
    if not (before and after):
        return [str(now["path"])]
    if {*before}.isdisjoint(after) and Path(was["path"]).absolute() != Path(now["path"]).absolute():
        return []
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _truth_spans(prepared: Prepared) -> dict[str, list[str]]:
    """Return the first and the last stamp of each item that training and its choices may have seen."""
    spans = {}
    panel = prepared.panel
    for at, item in enumerate(panel.item_ids):
        stops = [
            int(prepared.split.spans[name].stop[at]) for name in ("train", "validation") if name in prepared.split.spans
        ]
        begin = int(panel.offsets[at])
        stop = max(stops, default=begin)
        if stop > begin:
            first, last = panel.stamps(np.array([begin, stop - 1]))
            spans[item] = [str(first), str(last)]
    return spans


def refuse_seen_windows(parent: Run, prepared: Prepared) -> None:
    """Refuse to test a trained model on what it was trained on.

    :raises TsfmError: naming the set, the item and the number of windows.
    """
    for name, windows in prepared.sets.items():
        if name == "validation":
            continue
        panel, cutoff = windows.panel, windows.cutoff
        item = panel.items_of(windows.cutoffs_at)
        begin = cutoff + np.timedelta64(panel.step, "s")
        end = cutoff + np.timedelta64(panel.step * windows.task.prediction_length, "s")
        spans = parent.facts.get("trained_on") or {}
        never = ["NaT", "NaT"]  # compares as False
        first, last = np.array([spans.get(one, never) for one in panel.item_ids], "datetime64[s]").reshape(-1, 2).T
        seen = (begin <= last[item]) & (end >= first[item])
        if seen.any():
            at = int(item[seen][0])
            raise TsfmError(
                f"{int((seen & (item == at)).sum())} windows of {name} lie in what {parent.path} was trained on (item "
                f"{panel.item_ids[at]!r}, {first[at]} to {last[at]})",
                "hold out other items or a later time",
            )
