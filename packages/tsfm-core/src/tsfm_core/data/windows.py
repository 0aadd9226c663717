"""Windows: (item, cutoff) pairs over a panel. Inputs and truth are apart by type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from tsfm_core.data.cutoffs import Cutoffs
from tsfm_core.data.panel import Panel, Stamps, segments
from tsfm_core.errors import DataError
from tsfm_core.task import Task

__all__ = ["TrainingWindows", "WindowInputs", "WindowRule", "Windows", "fill_context", "forecast_windows"]

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Slice = slice | npt.NDArray[np.integer] | npt.NDArray[np.bool_]

#: Rows that are looked at together when windows are cut.
_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class WindowInputs:
    """What a model sees of B windows. Missing values are NaN; a label is its code in ``panel.categories``.

    :param target: ``[B, C]``.
    :param past_covariates: ``[B, C, P]``.
    :param known_covariates: ``[B, C + H, K]``.
    """

    target: Floats
    past_covariates: Floats
    known_covariates: Floats


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows without their truth: all that ``predict`` is given.

    :param panel: the series that the windows are cut from.
    :param index: where the cutoffs stand.
    """

    panel: Panel
    task: Task
    index: Cutoffs

    def __len__(self) -> int:
        return len(self.index)

    @property
    def cutoffs_at(self) -> Rows:
        """Return the row of the panel that holds each cutoff, ``[N]``."""
        return self.index.at(slice(None))[0]

    @property
    def seen_from(self) -> Rows:
        """Return the first row that each context may show, ``[N]``: nothing before a longer gap or another item."""
        return self.index.at(slice(None))[1]

    @property
    def item_id(self) -> npt.NDArray[np.object_]:
        """Return the item of each window, ``[N]``."""
        return np.asarray(self.panel.item_ids, dtype=object)[self.panel.items_of(self.cutoffs_at)]

    @property
    def items(self) -> tuple[str, ...]:
        """Return the items that have a window."""
        return tuple(self.panel.item_ids[at] for at in np.unique(self.panel.items_of(self.index.first)))

    @property
    def cutoff(self) -> Stamps:
        """Return the last timestamp that each window shows, ``[N]``."""
        return self.panel.stamps(self.cutoffs_at)

    @cached_property
    def _whole(self) -> bool:
        """Whether every context is shown from its first step on: the cutoffs of a run ascend."""
        return bool((self.index.first - self.task.context_length + 1 >= self.index.seen).all())

    def take(self, rows: Slice) -> Self:
        """Return the windows at ``rows``, of the same kind."""
        return replace(self, index=self.index.take(rows))

    def chunks(self, size: int) -> Iterator[Self]:
        """Yield the windows in order, at most ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size))

    def inputs(self, rows: Slice) -> WindowInputs:
        """Return the inputs of the windows at ``rows``, by one gather a channel."""
        cutoffs, seen = self.index.at(rows)
        length = self.task.context_length
        known_length = length + self.task.prediction_length
        return WindowInputs(
            target=self._gather(self.task.target, cutoffs, seen, length),
            past_covariates=self._stack(self.task.past_covariates, cutoffs, seen, length),
            known_covariates=self._stack(self.task.known_covariates, cutoffs, seen, known_length),
        )

    def _stack(self, channels: tuple[str, ...], cutoffs: Rows, seen: Rows, length: int) -> Floats:
        gathered = np.empty((len(cutoffs), length, len(channels)), np.float32)
        for at, channel in enumerate(channels):
            gathered[:, :, at] = self._gather(channel, cutoffs, seen, length)
        return gathered

    def _gather(self, channel: str, cutoffs: Rows, seen: Rows, length: int) -> Floats:
        """Return ``[B, length]``, from the context's first step on; rows before ``seen`` are NaN."""
        column = self.panel.columns[channel]
        first = cutoffs - self.task.context_length + 1
        if len(column) >= length and (self._whole or (first >= seen).all()):
            return self.panel.view(channel, length)[first]
        rows = first[:, None] + np.arange(length)
        within = np.asarray(column[np.clip(rows, 0, len(column) - 1)])
        within[rows < seen[:, None]] = np.nan
        return within


@dataclass(frozen=True, eq=False)
class TrainingWindows(Windows):
    """Windows with their truth: only ``train`` and the scorer get them."""

    def inputs_only(self) -> Windows:
        """Return the same windows without their truth: what ``predict`` may see."""
        return Windows(self.panel, self.task, self.index)

    def truth(self, rows: Slice) -> Floats:
        """Return what was observed after the cutoffs, ``[B, H]``; never interpolated, missing stays NaN."""
        return self.panel.view(self.task.target, self.task.prediction_length)[self.index.at(rows)[0] + 1]


@dataclass(frozen=True)
class WindowRule:
    """What a window must fulfil.

    :param max_gap: seconds; no window straddles a longer gap between readings.
    :param min_observed: share of the truth that must be observed.
    :param min_context: steps of the segment that must precede the truth; more than the context in an ablation.
    :param complete: whether every step of context and truth must have a value: after ``imputation: parity``.
    """

    max_gap: int
    min_observed: float
    min_context: int
    complete: bool = False

    def cut(
        self,
        panel: Panel,
        task: Task,
        allowed: Callable[[Panel], npt.NDArray[np.bool_]],
        truth_from: Rows,
        truth_to: Rows,
    ) -> tuple[TrainingWindows, dict[str, int]]:
        """Return the windows whose truth lies in its item's span, and how many candidates were dropped, by reason.

        :param allowed: of a part of the panel, the rows where a cutoff may stand, ``[rows]``.
        :param truth_from: ``[I]`` first row that each item's truths may use.
        :param truth_to: ``[I]`` the row after the last one.
        """
        found: list[Cutoffs] = []
        dropped: Counter[str] = Counter()
        for at, part in panel.parts(_AT_ONCE):
            begin, items = int(panel.offsets[at]), slice(at, at + len(part.item_ids))
            own_from, own_to = truth_from[items] - begin, truth_to[items] - begin
            if (own_to - own_from >= task.prediction_length).any():
                found.append(self._cut(part, task, allowed(part), own_from, own_to, dropped).shifted(begin))
        return TrainingWindows(panel, task, Cutoffs.joined(found)), dict(dropped)

    def _cut(
        self,
        panel: Panel,
        task: Task,
        allowed: npt.NDArray[np.bool_],
        truth_from: Rows,
        truth_to: Rows,
        dropped: Counter[str],
    ) -> Cutoffs:
        horizon = task.prediction_length
        rows = np.flatnonzero(allowed)
        item = panel.items_of(rows)
        rows = rows[(rows + 1 >= truth_from[item]) & (rows + horizon < truth_to[item])]
        first, last = segments(panel, self.max_gap).bounds(rows)

        def keep(good: npt.NDArray[np.bool_], reason: str) -> None:
            nonlocal rows, first, last
            if not good.all():
                dropped[reason] += int((~good).sum())
                rows, first, last = rows[good], first[good], last[good]

        keep(rows + horizon <= last, "a gap longer than max_gap")
        keep(rows - first + 1 >= self.min_context, "context shorter than min_context")
        longest = max(task.context_length, self.min_context)  # of an ablation, whose windows are the same
        seen = np.concatenate([[0], np.cumsum(np.isfinite(panel.columns[task.target]))])
        keep(seen[rows + 1] > seen[np.maximum(rows - task.context_length + 1, first)], "no reading in the context")
        keep(seen[rows + horizon + 1] - seen[rows + 1] >= self.min_observed * horizon, "truth below min_observed")
        if self.complete:
            whole = np.minimum(rows - first + 1, longest) + horizon
            keep(seen[rows + horizon + 1] - seen[rows + horizon + 1 - whole] == whole, "a reading missing")
        for channel in task.known_covariates:
            known = np.concatenate([[0], np.cumsum(np.isfinite(panel.columns[channel]))])
            start = np.maximum(rows - longest + 1, first)
            complete = known[rows + horizon + 1] - known[start] == rows + horizon + 1 - start
            keep(complete, f"known covariate {channel} missing")
        return Cutoffs.of(rows, first)


def forecast_windows(panel: Panel, task: Task, rule: WindowRule) -> tuple[Windows, dict[str, str]]:
    """Return one window an item, its cutoff at the item's last reading, and the items without one, with the reason."""
    rows, seen, dropped = [], [], {}
    for begin, part in panel.parts(_AT_ONCE):
        parts = segments(part, rule.max_gap)
        at = np.searchsorted(parts.last, part.offsets[1:], side="left") - 1
        for number, item in enumerate(part.item_ids):
            if at[number] < 0 or parts.last[at[number]] < part.offsets[number]:
                dropped[item] = "no reading"
                continue
            cutoff, first = int(parts.last[at[number]]), int(parts.first[at[number]])
            if cutoff - first + 1 < rule.min_context:
                said = f"{cutoff - first + 1} steps since its last longer gap; {rule.min_context} are needed"
                dropped[item] = said
            else:
                rows.append(int(panel.offsets[begin]) + cutoff)
                seen.append(int(panel.offsets[begin]) + first)
                _require_known(panel, task, begin + number, rows[-1])
    index = Cutoffs.of(np.asarray(rows, np.int64), np.asarray(seen, np.int64))
    return Windows(panel, task, index), dropped


def _require_known(panel: Panel, task: Task, item: int, cutoff: int) -> None:
    for channel in task.known_covariates:
        future = panel.columns[channel][cutoff + 1 : min(cutoff + 1 + task.prediction_length, panel.offsets[item + 1])]
        known = int(np.isfinite(future).sum())
        if known < task.prediction_length:
            raise DataError(
                f"known covariate {channel!r} of item {panel.item_ids[item]!r} is given for {known} of the "
                f"{task.prediction_length} steps after its last reading",
                "add rows with its values and an empty target",
            )


def fill_context(target: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Fill the gaps of contexts causally: the last value forward; before the first reading, that reading.

    :param target: ``[B, C]``, NaN where not observed.
    :return: the filled values and the observed mask, both ``[B, C]``. A row without any reading becomes 0.
    """
    observed: npt.NDArray[np.bool_] = np.asarray(np.isfinite(target))
    if observed.all():
        return target, observed
    steps = np.arange(target.shape[1])
    latest = np.maximum.accumulate(np.where(observed, steps, -1), axis=1)
    latest = np.where(latest < 0, np.argmax(observed, axis=1)[:, None], latest)
    filled = np.take_along_axis(target, latest, axis=1)
    filled[np.count_nonzero(observed, axis=1) == 0] = 0
    return filled, observed
