"""Checks that need the data: it is opened again and cut again, as the stored configuration says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tsfm_core.audit.evidence import Evidence, Failed, NotApplicable
from tsfm_core.config.resolve import require
from tsfm_core.data.panel import Panel
from tsfm_core.data.split import TEST_SETS
from tsfm_core.data.windows import TrainingWindows
from tsfm_core.errors import listing
from tsfm_core.pipeline import CHUNK
from tsfm_core.prepare import Prepared, window_rule
from tsfm_core.provenance import changed_files

__all__ = ["altered", "data", "disjoint", "scaler", "split", "training_windows", "windows"]

Rows = npt.NDArray[np.int64]

#: Training windows whose values are compared; where they stand is compared of all.
_COMPARED = 4096


def data(evidence: Evidence) -> str:
    """The configuration gives the data that the run had: the fingerprint of every value, stamp and id is the same."""
    was, panel = evidence.facts["data"]["fingerprint"], evidence.opened.panel
    if panel.fingerprint != was:
        changed = changed_files(evidence.run, panel.provenance)
        files = f" (changed: {listing(changed)})" if changed else ""
        raise Failed(f"its fingerprint was {was[:12]} and is {panel.fingerprint[:12]}{files}")
    return f"fingerprint {was[:12]}, {len(panel.item_ids):,} items, {len(panel):,} rows"


def split(evidence: Evidence) -> str:
    """The split is the one that is noted: the same moments, the same people held out."""
    noted, now = evidence.facts["split"], evidence.prepared.split
    if noted["digest"] != now.digest:
        raise Failed(f"digest {noted['digest'][:12]} is noted, and the data is split to {now.digest[:12]}")
    if noted["patient_holdout"] != list(now.held_out):
        raise Failed(f"held out: {listing(noted['patient_holdout'])} noted, {listing(now.held_out)} by the split")
    return f"digest {now.digest[:12]}, people held out whole: {len(now.held_out)}"


def windows(evidence: Evidence) -> str:
    """The stored windows and their truths are those that the configuration cuts from the data."""
    sets, at = evidence.prepared.sets, dict.fromkeys(evidence.prepared.sets, 0)
    for chunk in evidence.file.chunks():
        if chunk.set not in sets:
            raise Failed(f"forecasts of a set {chunk.set!r} are stored, and the split has none")
        begin, count = at[chunk.set], len(chunk.cutoff)
        own = sets[chunk.set].take(slice(begin, begin + count))
        at[chunk.set] += count
        same = len(own) == count and (own.item_id == chunk.item_id).all() and (own.cutoff == chunk.cutoff).all()
        if not same:
            raise Failed(f"{chunk.set}: other windows are stored than the data gives, from number {begin + 1:,} on")
        differs = ~np.isclose(own.truth(slice(None)), chunk.truth, rtol=0, atol=0, equal_nan=True).all(axis=1)
        if differs.any():
            where = int(np.flatnonzero(differs)[0])
            raise Failed(
                f"{chunk.set}: another truth is stored of item {chunk.item_id[where]!r} at {chunk.cutoff[where]}"
            )
    cut = {name: len(one) for name, one in sets.items()}
    if at != cut:
        raise Failed(f"stored: {_counts(at)}; the data gives {_counts(cut)}")
    noted, whole = evidence.facts["windows"], {"train": len(evidence.prepared.train), **cut}
    if noted != whole:
        raise Failed(f"noted: {_counts(noted)}; the data gives {_counts(whole)}")
    return _counts(whole)


def disjoint(evidence: Evidence) -> str:
    """No row of a stored test window's truth lies inside a window that was learnt or chosen from."""
    prepared = _own_training(evidence)
    panel, task = prepared.panel, evidence.task
    learnt = [one for one in (prepared.train, prepared.validation) if one is not None]
    inside = np.concatenate([[0], np.cumsum(_rows_in(learnt, len(panel)))])
    trained, items, count = set(prepared.train.items), {item: at for at, item in enumerate(panel.item_ids)}, 0
    for chunk in evidence.file.chunks():
        if chunk.set not in TEST_SETS:
            continue
        count += len(chunk.cutoff)
        unknown = [item for item in chunk.item_id if item not in items]
        if unknown:
            raise Failed(f"{chunk.set}: item {unknown[0]!r} is not in the data")
        both = trained.intersection(chunk.item_id) if chunk.set == "patient_holdout" else ()
        if both:
            raise Failed(f"patient_holdout: item {min(both)!r} has training windows")
        of = np.array([items[item] for item in chunk.item_id], np.int64)
        cutoff = (
            panel.offsets[of] + (chunk.cutoff - panel.starts[of]).astype("timedelta64[s]").astype(int) // panel.step
        )
        first = np.clip(cutoff + 1, 0, len(panel))
        stop = np.clip(cutoff + 1 + task.prediction_length, 0, len(panel))
        met = np.flatnonzero(inside[stop] > inside[first])
        if len(met):
            at = int(met[0])
            raise Failed(
                f"{chunk.set}: the truth of item {chunk.item_id[at]!r} at {chunk.cutoff[at]} lies in a training window"
            )
    return f"{count:,} test windows, {int(inside[-1]):,} rows learnt or chosen from"


def training_windows(evidence: Evidence) -> str:
    """The training windows hold the same values when every value behind their part of the split is another."""
    prepared = _own_training(evidence)
    panel, span, task = prepared.panel, prepared.split.spans["train"], evidence.task
    behind = np.ones(len(panel), bool)
    for first, stop in zip(span.first, span.stop, strict=True):
        behind[first:stop] = False
    columns = {name: altered(panel, name, column, behind) for name, column in panel.columns.items()}
    config = require(evidence.resolved.config.data, "data", "tsfm audit")
    other = replace(panel, columns=columns, stored_fingerprint=None, folder=None)
    again, _ = window_rule(config, task).cut(
        other, task, lambda part: part.slots() % config.stride == 0, span.first, span.stop
    )
    own = prepared.train
    if len(again) != len(own) or not _same_places(own, again):
        raise Failed(f"{len(own):,} windows become {len(again):,} others: where they stand depends on later values")
    rows = np.unique(np.linspace(0, len(own) - 1, min(len(own), _COMPARED)).astype(np.int64))
    for part in np.array_split(rows, max(1, len(rows) // 256)):
        one, two = own.inputs(part), again.inputs(part)
        pairs = [(getattr(one, name), getattr(two, name)) for name in vars(one)]
        pairs.append((own.truth(part), again.truth(part)))
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in pairs):
            raise Failed("a training window holds a value from behind its part of the split")
    return f"{len(own):,} windows, {int(behind.sum()):,} rows behind them altered"


def scaler(evidence: Evidence) -> str:
    """The statistics that the checkpoint stores are those of the training windows alone."""
    prepared, loaded = _own_training(evidence), evidence.loaded
    if not loaded.backend.shows_statistics:
        raise NotApplicable(f"{loaded.backend.name} shows no statistics that it learns beside its weights")
    learnt = loaded.backend.prepare_data(loaded.model, prepared.train, loaded.task)
    found = loaded.backend.statistics(loaded.model, learnt, loaded.runtime)
    for name, (stored, again) in found.items():
        if len(stored) != len(again):
            raise Failed(f"{name}: {len(stored)} numbers are stored, and training gives {len(again)}")
        if not np.allclose(stored, again, rtol=1e-6, atol=0):
            at = int(np.argmax(np.abs(np.subtract(stored, again))))
            raise Failed(f"{name} number {at + 1} is stored as {stored[at]:.8g}, and training gives {again[at]:.8g}")
    return f"{listing(found)} of {len(prepared.train):,} training windows"


def altered(
    panel: Panel, channel: str, column: npt.NDArray[np.float32], at: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Return a channel with other values where ``at`` says so; what is missing stays missing."""
    changed = np.array(column)
    labels = panel.categories.get(channel)
    changed[at] = len(labels) - 1 - changed[at] if labels else 50 - 2 * changed[at]
    return changed


def _own_training(evidence: Evidence) -> Prepared:
    """Return the windows that this run trained on."""
    if evidence.trained:
        return evidence.prepared
    if evidence.facts["parent"]:
        raise NotApplicable(f"the model was trained by {evidence.facts['parent']}: audit that run")
    raise NotApplicable("nothing was trained")


def _rows_in(windows: list[TrainingWindows], rows: int) -> npt.NDArray[np.bool_]:
    """Return which rows of the panel some window shows or has as its truth, ``[rows]``."""
    edges = np.zeros(rows + 1, np.int64)
    for one in windows:
        for chunk in one.chunks(CHUNK):
            cutoff = chunk.cutoffs_at
            first = np.maximum(cutoff - one.task.context_length + 1, chunk.seen_from)
            edges += np.bincount(first, minlength=rows + 1)
            edges -= np.bincount(cutoff + 1 + one.task.prediction_length, minlength=rows + 1)
    return np.asarray(np.cumsum(edges[:-1]) > 0)


def _same_places(one: TrainingWindows, other: TrainingWindows) -> bool:
    pairs = zip(one.chunks(CHUNK), other.chunks(CHUNK), strict=True)
    return all(
        np.array_equal(a.cutoffs_at, b.cutoffs_at) and np.array_equal(a.seen_from, b.seen_from) for a, b in pairs
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
