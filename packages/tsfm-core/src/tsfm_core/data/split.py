"""Splits: which rows of each item a set's truths may use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from tsfm_core.config.schema import SplitConfig
from tsfm_core.data.holdout import read_holdout
from tsfm_core.data.panel import Panel
from tsfm_core.errors import ConfigError, DataError, did_you_mean, listing

__all__ = ["TEST_SETS", "Span", "Split", "check_split", "fold_items", "make_split", "split_panel"]

Rows = npt.NDArray[np.int64]

#: A share of rows, one moment for all items, or moments by item.
Rule = float | datetime | Mapping[str, datetime]

#: The sets that are scored and never learnt from.
TEST_SETS = ("temporal_holdout", "patient_holdout")


@dataclass(frozen=True)
class Span:
    """The rows that the truths of one set may use: ``first[i]:stop[i]`` of item i; empty where they are equal."""

    first: Rows
    stop: Rows


@dataclass(frozen=True)
class Split:
    """The spans of ``train``, ``validation`` and the test sets; a set without a row is left out.

    :param held_out: the items of ``patient_holdout``, frozen here even where a share chose them.
    :param notes: what is not as one would expect from the configuration, in sentences.
    """

    spans: Mapping[str, Span]
    held_out: tuple[str, ...] = ()
    digest: str = field(default="")
    notes: tuple[str, ...] = ()

    @property
    def test_sets(self) -> tuple[str, ...]:
        """Return the names of the test sets that this split has."""
        return tuple(name for name in TEST_SETS if name in self.spans)


def check_split(wanted: SplitConfig) -> None:
    """Refuse, before any data is read, a split that holds nothing out or whose holdout file is not as it should be.

    :raises ConfigError: saying what is missing.
    """
    if not (wanted.temporal_holdout or wanted.patient_holdout or wanted.holdout or wanted.folds):
        raise ConfigError("the split holds nothing out", "give split.temporal_holdout or split.patient_holdout")
    if wanted.holdout:
        read_holdout(wanted.holdout)


def split_panel(panel: Panel, wanted: SplitConfig, seed: int) -> Split:
    """Split a panel as the section ``split`` says.

    :raises DataError: for items that the data does not hold, too few of them, or another digest than ``split.digest``.
    """
    temporal: Rule | None = wanted.temporal_holdout
    patients = wanted.patient_holdout
    notes: tuple[str, ...] = ()
    if wanted.holdout:
        holdout = read_holdout(wanted.holdout)
        patients = holdout.patient_holdout(panel.item_ids)
        temporal, notes = holdout.temporal_holdout(panel, patients)
    elif wanted.folds is not None and wanted.fold is not None:
        patients = fold_items(panel.item_ids, wanted.folds, wanted.fold, seed)
    split = make_split(panel, temporal, patients, wanted.validation, seed)
    if wanted.digest and wanted.digest != split.digest:
        raise DataError(
            f"split.digest begins with {wanted.digest[:12]}, and today's with {split.digest[:12]}: "
            "the data or the split changed",
            "go back to what was frozen, or leave split.digest out and freeze again",
        )
    return replace(split, notes=(*notes, *split.notes))


def make_split(
    panel: Panel,
    temporal_holdout: Rule | None,
    patient_holdout: float | Sequence[str] | None,
    validation: Rule,
    seed: int,
) -> Split:
    """Split every item's rows.

    :param temporal_holdout: the last share of each item's rows, or the moment from which on rows are held out, one for
        all or by item; an item that has none keeps its rows.
    :param patient_holdout: the items that are held out whole, or the share of items to draw with ``seed``.
    :param validation: the last share of each remaining training span, or the moment it begins at, likewise.
    """
    held_out = _held_out(panel.item_ids, patient_holdout, seed)
    held = np.isin(np.asarray(panel.item_ids, dtype=object), held_out)
    begin, end = panel.offsets[:-1], panel.offsets[1:]
    cut = np.where(held, begin, _temporal_cut(panel, temporal_holdout))
    checked = _validation_cut(panel, validation, cut)
    spans = {
        "train": Span(begin, checked),
        "validation": Span(checked, cut),
        "temporal_holdout": Span(cut, np.where(held, cut, end)),
        "patient_holdout": Span(np.where(held, begin, end), end),
    }
    notes = []
    for name, rule in (("temporal_holdout", temporal_holdout), ("validation", validation)):
        empty = (spans[name].stop == spans[name].first) & ~held
        without = [item for item, none in zip(panel.item_ids, empty, strict=True) if none and item in _named(rule)]
        if without:
            notes.append(f"no {name}, the moment given leaves no row: {', '.join(without)}")
    spans = {name: span for name, span in spans.items() if (span.stop > span.first).any()}
    return Split(spans, held_out, _digest(panel, spans), tuple(notes))


def fold_items(item_ids: Sequence[str], folds: int | Literal["leave_one_out"], fold: int, seed: int) -> tuple[str, ...]:
    """Return the items of one fold: every item is in exactly one, and sizes differ by one at most.

    A permutation drawn with ``seed`` is dealt out like cards; ``leave_one_out`` takes the items one by one, in order.

    :raises DataError: for fewer items than folds.
    """
    parts = max(2, len(item_ids)) if folds == "leave_one_out" else folds
    if len(item_ids) < parts:
        raise DataError(f"split.folds {folds} needs {parts} items or more, and the data holds {len(item_ids)}")
    if fold >= parts:
        raise DataError(f"split.fold is {fold}, and the data holds {parts} items", f"give 0 to {parts - 1}")
    order = np.arange(parts) if folds == "leave_one_out" else np.random.default_rng(seed).permutation(len(item_ids))
    return tuple(sorted(item_ids[at] for at in order[fold::parts]))


def _held_out(item_ids: Sequence[str], patient_holdout: float | Sequence[str] | None, seed: int) -> tuple[str, ...]:
    if patient_holdout is None:
        return ()
    if isinstance(patient_holdout, float | int):
        count = max(1, int(patient_holdout * len(item_ids)))
        return tuple(sorted(np.random.default_rng(seed).permutation(np.asarray(item_ids, dtype=object))[:count]))
    _check_items("patient_holdout", patient_holdout, item_ids)
    return tuple(sorted(set(patient_holdout)))


def _temporal_cut(panel: Panel, rule: Rule | None) -> Rows:
    begin, end = panel.offsets[:-1], panel.offsets[1:]
    if rule is None:
        return end
    if isinstance(rule, datetime | Mapping):
        return _first_rows(panel, "temporal_holdout", rule)
    return np.asarray(begin + np.floor((end - begin) * (1 - rule)).astype(np.int64))


def _validation_cut(panel: Panel, rule: Rule, cut: Rows) -> Rows:
    if isinstance(rule, datetime | Mapping):
        return np.minimum(_first_rows(panel, "validation", rule), cut)
    return np.asarray(cut - np.floor((cut - panel.offsets[:-1]) * rule).astype(np.int64))


def _first_rows(panel: Panel, name: str, rule: datetime | Mapping[str, datetime]) -> Rows:
    """Return each item's first row that is not before its moment; its end where it has none, ``[I]``."""
    _check_items(name, _named(rule), panel.item_ids)
    moments = [rule if isinstance(rule, datetime) else rule.get(item, datetime.max) for item in panel.item_ids]
    after = np.asarray(moments, "datetime64[us]") - panel.starts.astype("datetime64[us]")
    rows = -(-after.astype(np.int64) // (panel.step * 1_000_000))
    return np.asarray(np.clip(panel.offsets[:-1] + rows, panel.offsets[:-1], panel.offsets[1:]))


def _named(rule: Rule | None) -> Mapping[str, datetime]:
    return rule if isinstance(rule, Mapping) else {}


def _check_items(name: str, items: Iterable[str], item_ids: Sequence[str]) -> None:
    known = set(item_ids)
    missing = [item for item in items if item not in known]
    if missing:
        hint = did_you_mean(missing[0], item_ids) or f"the data holds {listing(item_ids)}"
        raise DataError(f"split.{name} names {listing(missing)}, which the data does not hold", hint)


def _digest(panel: Panel, spans: Mapping[str, Span]) -> str:
    digest = hashlib.sha256("\0".join(panel.item_ids).encode())
    starts = panel.starts.astype("datetime64[s]").astype(np.int64)
    for name, span in spans.items():
        digest.update(name.encode())
        for rows in (span.first, span.stop):
            digest.update((starts + (rows - panel.offsets[:-1]) * panel.step).tobytes())
    return digest.hexdigest()
