"""Splits: which rows of each item a set's truths may use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from tsfm_core.data.panel import Panel
from tsfm_core.errors import DataError, did_you_mean, listing

__all__ = ["TEST_SETS", "Span", "Split", "make_split"]

Rows = npt.NDArray[np.int64]

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
    """

    spans: Mapping[str, Span]
    held_out: tuple[str, ...] = ()
    digest: str = field(default="")

    @property
    def test_sets(self) -> tuple[str, ...]:
        """Return the names of the test sets that this split has."""
        return tuple(name for name in TEST_SETS if name in self.spans)


def make_split(
    panel: Panel,
    temporal_holdout: float | datetime | None,
    patient_holdout: float | Sequence[str] | None,
    validation: float,
    seed: int,
) -> Split:
    """Split every item's rows.

    :param temporal_holdout: the last share of each item's rows, or the moment from which on rows are held out.
    :param patient_holdout: the items that are held out whole, or the share of items to draw with ``seed``.
    :param validation: the last share of each remaining training span.
    """
    held_out = _held_out(panel.item_ids, patient_holdout, seed)
    held = np.isin(np.asarray(panel.item_ids, dtype=object), held_out)
    begin, end = panel.offsets[:-1], panel.offsets[1:]
    cut = np.where(held, begin, _temporal_cut(panel, temporal_holdout))
    checked = cut - np.floor((cut - begin) * validation).astype(np.int64)
    spans = {
        "train": Span(begin, checked),
        "validation": Span(checked, cut),
        "temporal_holdout": Span(cut, np.where(held, cut, end)),
        "patient_holdout": Span(np.where(held, begin, end), end),
    }
    spans = {name: span for name, span in spans.items() if (span.stop > span.first).any()}
    return Split(spans, held_out, _digest(panel, spans))


def _held_out(item_ids: Sequence[str], patient_holdout: float | Sequence[str] | None, seed: int) -> tuple[str, ...]:
    if patient_holdout is None:
        return ()
    if isinstance(patient_holdout, float | int):
        count = max(1, int(patient_holdout * len(item_ids)))
        return tuple(sorted(np.random.default_rng(seed).permutation(np.asarray(item_ids, dtype=object))[:count]))
    missing = [item for item in patient_holdout if item not in set(item_ids)]
    if missing:
        hint = did_you_mean(missing[0], item_ids) or f"the data holds {listing(item_ids)}"
        raise DataError(f"split.patient_holdout names {listing(missing)}, which the data does not hold", hint)
    return tuple(sorted(patient_holdout))


def _temporal_cut(panel: Panel, temporal_holdout: float | datetime | None) -> Rows:
    begin, end = panel.offsets[:-1], panel.offsets[1:]
    if temporal_holdout is None:
        return end
    if isinstance(temporal_holdout, datetime):
        steps = (np.datetime64(temporal_holdout, "s") - panel.starts).astype(np.int64)
        return np.asarray(np.clip(begin - (-steps // panel.step), begin, end))
    return np.asarray(begin + np.floor((end - begin) * (1 - temporal_holdout)).astype(np.int64))


def _digest(panel: Panel, spans: Mapping[str, Span]) -> str:
    digest = hashlib.sha256("\0".join(panel.item_ids).encode())
    starts = panel.starts.astype("datetime64[s]").astype(np.int64)
    for name, span in spans.items():
        digest.update(name.encode())
        for rows in (span.first, span.stop):
            digest.update((starts + (rows - panel.offsets[:-1]) * panel.step).tobytes())
    return digest.hexdigest()
