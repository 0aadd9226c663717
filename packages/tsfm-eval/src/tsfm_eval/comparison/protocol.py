"""Whether models were tested on the same: every window's item, cutoff and truth, the target, its unit and the grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError, Task
from tsfm_core.data.store import ForecastFile, StoredChunk
from tsfm_core.run import Run

__all__ = ["Protocol", "check_same", "listed_levels"]

#: What a task must agree in; context, covariates and quantile levels are what one compares.
_TASK = ("target", "unit", "freq", "prediction_length")

Stamps = npt.NDArray[np.datetime64]


@dataclass
class Protocol:
    """The test windows of one entry.

    :param windows: by set and item, in pieces: the cutoffs and a hash of each window's truth.
    """

    task: Task | None = None
    windows: dict[str, dict[str, list[tuple[Stamps, npt.NDArray[np.uint64]]]]] = field(default_factory=dict)

    def watch(self, run: Run, on: str | None) -> Iterator[StoredChunk]:
        """Yield a run's windows, noting those that are tested on.

        :param on: the only test set that matters; None: all.
        :raises DataError: where the run was trained on a window that it is tested on, or its task is another one.
        """
        file = ForecastFile(run.forecasts_path)
        self.task = self.task or file.task
        _check_tasks(self.task, file.task, f"the runs of {run.path.parent}")
        if file.task.quantile_levels != self.task.quantile_levels:
            both = f"{listed_levels(self.task)} and {listed_levels(file.task)}"
            raise DataError(
                f"the runs of {run.path.parent} have other quantile levels: {both}",
                "folds that are scored together forecast the same; name the runs one by one",
            )
        spans = run.facts.get("trained_on") or {}
        for chunk in file.chunks():
            if on and chunk.set not in (on, "validation"):
                continue
            if chunk.set != "validation":
                self._note(chunk)
                _refuse_seen(run, chunk, spans, file.task)
            yield chunk

    def _note(self, chunk: StoredChunk) -> None:
        own = self.windows.setdefault(chunk.set, {})
        hashes = _hashes(chunk.truth)
        starts = np.concatenate([[0], np.flatnonzero(chunk.item_id[1:] != chunk.item_id[:-1]) + 1])
        for begin, end in zip(starts, [*starts[1:], len(chunk.item_id)], strict=True):
            pieces = own.setdefault(str(chunk.item_id[begin]), [])
            pieces.append((chunk.cutoff[begin:end], hashes[begin:end]))

    def of(self, name: str, item: str) -> tuple[Stamps, npt.NDArray[np.uint64]]:
        """Return the cutoffs of an item and the hashes of its truths, by cutoff.

        :raises DataError: for a window that is there twice: two runs of an entry were tested on the same.
        """
        pieces = self.windows[name][item]
        cutoffs, hashes = (np.concatenate([piece[at] for piece in pieces]) for at in (0, 1))
        order = np.argsort(cutoffs, kind="stable")
        cutoffs = cutoffs[order]
        twice = np.flatnonzero(cutoffs[1:] == cutoffs[:-1])
        if twice.size:
            raise DataError(
                f"item {item!r} is tested twice at {cutoffs[twice[0]]} in {name}",
                "runs that are scored together must hold out different items or times: name the runs one by one",
            )
        return cutoffs, hashes[order]

    def refuse_doubles(self) -> None:
        """Refuse a window that is there twice; see :meth:`of`."""
        for name, items in self.windows.items():
            for item in items:
                self.of(name, item)


def check_same(label: str, one: Protocol, other_label: str, other: Protocol) -> None:
    """Refuse two entries that were not tested on the same.

    :raises DataError: naming the first part that differs.
    """
    assert one.task is not None
    assert other.task is not None
    both = f"{label} and {other_label}"
    _check_tasks(one.task, other.task, both)
    _check_names("test sets", list(one.windows), list(other.windows), label, other_label)
    for name in one.windows:
        _check_names(f"items in {name}", list(one.windows[name]), list(other.windows[name]), label, other_label)
        for item in sorted(one.windows[name]):
            (cutoffs, truths), (other_cutoffs, other_truths) = one.of(name, item), other.of(name, item)
            if not np.array_equal(cutoffs, other_cutoffs):
                alone = np.setxor1d(cutoffs, other_cutoffs)
                who = label if alone[0] in cutoffs else other_label
                raise DataError(
                    f"{both} were not tested on the same windows: {len(cutoffs):,} and {len(other_cutoffs):,} of item "
                    f"{item!r} in {name}; only {who} has the cutoff {alone[0]}",
                    "test both with one data, split and evaluation section",
                )
            if not np.array_equal(truths, other_truths):
                at = cutoffs[np.flatnonzero(truths != other_truths)[0]]
                raise DataError(
                    f"{both} were tested against other truths: item {item!r} in {name}, after {at}",
                    "read both from the same files with one data section",
                )


def _check_tasks(one: Task, other: Task, who: str) -> None:
    for key in _TASK:
        a, b = getattr(one, key), getattr(other, key)
        if a != b:
            raise DataError(f"{who} have another task.{key}: {a} and {b}", "only scores of one task can be compared")


def listed_levels(task: Task) -> str:
    """Return the quantile levels of a task as text."""
    return ", ".join(f"{level:g}" for level in task.quantile_levels) or "none"


def _check_names(what: str, one: list[str], other: list[str], label: str, other_label: str) -> None:
    said = [
        f"only {who} has {', '.join(sorted(set(own) - set(rest)))}"
        for who, own, rest in ((label, one, other), (other_label, other, one))
        if set(own) - set(rest)
    ]
    if said:
        hint = "--on SET compares one test set" if what == "test sets" else "hold out the same items"
        raise DataError(f"the {what} differ: {'; '.join(said)}", hint)


def _refuse_seen(run: Run, chunk: StoredChunk, spans: dict[str, list[str]], task: Task) -> None:
    for item in dict.fromkeys(chunk.item_id):
        if item not in spans:
            continue
        first, last = np.array(spans[item], "datetime64[s]")
        cutoff = chunk.cutoff[chunk.item_id == item]
        begin = cutoff + np.timedelta64(task.step_seconds, "s")
        end = cutoff + np.timedelta64(task.step_seconds * task.prediction_length, "s")
        seen = (begin <= last) & (end >= first)
        if seen.any():
            raise DataError(
                f"{run.path} was trained on windows that it is tested on: item {item!r}, {int(seen.sum())} windows of "
                f"{chunk.set} from {cutoff[seen][0]} on",
                "its scores say nothing; train again with these items or times held out",
            )


def _hashes(truth: npt.NDArray[np.floating]) -> npt.NDArray[np.uint64]:
    """Return a number for each row ``[n]`` that another row shares by chance alone; every NaN is the same."""
    bits = np.where(np.isnan(truth), np.float32(np.nan), truth).astype(np.float32).view(np.uint32).astype(np.uint64)
    weights = np.random.default_rng(0).integers(1, 1 << 63, bits.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes: npt.NDArray[np.uint64] = (bits * weights).sum(axis=1, dtype=np.uint64)
    return hashes
