"""Checks that need the model: it forecasts some of the stored windows again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tsfm_core.audit.evidence import Evidence, Failed
from tsfm_core.audit.of_data import altered
from tsfm_core.data.cutoffs import Cutoffs
from tsfm_core.data.windows import Windows
from tsfm_core.errors import listing
from tsfm_core.pipeline import forecast_windows_of

__all__ = ["forecast_again", "leak_probe"]

Floats = npt.NDArray[np.floating]

#: At most so many cutoffs of each set are forecast again, and about so many windows.
_CUTOFFS, _ENOUGH = 16, 64
#: Another batch or another machine may round otherwise: a share of the largest value.
_ROUNDING = 1e-5


def forecast_again(evidence: Evidence) -> str:
    """The model forecasts a sample of the stored windows as they are stored."""
    largest, count = 0.0, 0
    for name, rows, windows in _sampled(evidence):
        stored, again = _stored(evidence, name, rows), _answers(evidence, windows)
        if stored.keys() != again.keys():
            raise Failed(f"stored are {', '.join(stored)}, and the model gives {', '.join(again)}")
        for column, values in stored.items():
            if values.shape != again[column].shape:
                raise Failed(
                    f"{name}: stored are {list(values.shape)}, and the model gives {list(again[column].shape)}"
                )
            gap = np.abs(values.astype(np.float64) - again[column])
            if not gap.max() <= _ROUNDING * np.abs(values).max():
                at = int(np.argmax(gap.reshape(len(gap), -1).max(axis=1)))
                raise Failed(
                    f"{name}: the {column} of item {windows.item_id[at]!r} at {windows.cutoff[at]} is stored "
                    f"{gap.max():.6g} away from what the model forecasts"
                )
            largest = max(largest, float(gap.max()))
        count += len(rows)
    return f"{count} windows, " + ("the same bits" if largest == 0 else f"at most {largest:.3g} apart by rounding")


def leak_probe(evidence: Evidence) -> str:
    """Another future of the target and of what is known up to the cutoff alone moves no forecast by one bit."""
    count = 0
    for name, _, windows in _sampled(evidence):
        before, after = _answers(evidence, windows), _answers(evidence, _other_future(windows))
        for column, values in before.items():
            moved = (values != after[column]).reshape(len(values), -1).any(axis=1)
            if moved.any():
                at = int(np.flatnonzero(moved)[0])
                raise Failed(
                    f"{name}: {int(moved.sum())} of {len(moved)} forecasts move with what comes after their cutoff, "
                    f"first that of item {windows.item_id[at]!r} at {windows.cutoff[at]}"
                )
        count += len(windows)
    task = evidence.task
    return f"{count} windows, altered after their cutoff: {listing([task.target, *task.past_covariates])}"


def _sampled(evidence: Evidence) -> Iterator[tuple[str, npt.NDArray[np.int64], Windows]]:
    """Yield a set, places in it, and the windows there, each on rows of its own.

    They are all windows of some cutoffs that are spread evenly: those of one cutoff may inform each other.
    """
    for name, windows in evidence.prepared.sets.items():
        cutoff = windows.cutoff
        moments, count = np.unique(cutoff, return_counts=True)
        most = max(1, min(_CUTOFFS, _ENOUGH // int(count.max())))
        spread = np.unique(np.linspace(0, len(moments) - 1, most).astype(np.int64))
        rows = np.flatnonzero(np.isin(cutoff, moments[spread]))
        yield name, rows, _apart(windows.inputs_only().take(rows))


def _apart(windows: Windows) -> Windows:
    """Return the same windows over a small panel: a window's future can be altered, and no other's context is."""
    panel, task = windows.panel, windows.task
    cutoff, item = windows.cutoffs_at, panel.items_of(windows.cutoffs_at)
    begin = np.maximum(panel.offsets[item], cutoff - 2 * task.context_length + 1)
    stop = np.minimum(panel.offsets[item + 1], cutoff + 1 + 4 * task.prediction_length)
    offsets = np.concatenate([[0], np.cumsum(stop - begin)])
    small = replace(
        panel,
        item_ids=tuple(panel.item_ids[at] for at in item),
        offsets=offsets,
        starts=panel.stamps(begin),
        columns={
            name: np.concatenate([column[a:b] for a, b in zip(begin, stop, strict=True)])
            for name, column in panel.columns.items()
        },
        zones=tuple(panel.zones[at] for at in item) if panel.zones else (),
        stored_fingerprint=None,
        folder=None,
    )
    moved = offsets[:-1] - begin
    return Windows(small, task, Cutoffs.of(cutoff + moved, np.maximum(windows.seen_from, begin) + moved))


def _other_future(windows: Windows) -> Windows:
    """Return the windows with other values after each cutoff, but for what is known in advance."""
    panel = windows.panel
    after = np.ones(len(panel), bool)
    for begin, cutoff in zip(panel.offsets[:-1], windows.cutoffs_at, strict=True):
        after[begin : cutoff + 1] = False
    columns = {
        name: column if name in windows.task.known_covariates else altered(panel, name, column, after)
        for name, column in panel.columns.items()
    }
    return replace(windows, panel=replace(panel, columns=columns))


def _answers(evidence: Evidence, windows: Windows) -> dict[str, Floats]:
    forecasts = forecast_windows_of(evidence.loaded, evidence.loaded.model, windows)
    given = {"mean": forecasts.mean, "quantiles": forecasts.quantiles}
    return {name: array for name, array in given.items() if array is not None}


def _stored(evidence: Evidence, name: str, rows: npt.NDArray[np.int64]) -> dict[str, Floats]:
    """Return the stored forecasts of the windows of a set at ``rows``."""
    found: dict[str, list[Floats]] = {}
    begin = 0
    for chunk in evidence.file.chunks():
        if chunk.set != name:
            continue
        here = rows[(rows >= begin) & (rows < begin + len(chunk.cutoff))] - begin
        begin += len(chunk.cutoff)
        for column, array in (("mean", chunk.mean), ("quantiles", chunk.quantiles)):
            if array is not None:
                found.setdefault(column, []).append(array[here])
    return {column: np.concatenate(parts) for column, parts in found.items()}
