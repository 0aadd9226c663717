"""Splits in files: a research group's holdout is read as it is, and our own splits are frozen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field

from tsfm_core.config.loader import load_file
from tsfm_core.config.resolve import validate
from tsfm_core.config.schema import Section, Share
from tsfm_core.config.tree import Tree
from tsfm_core.data.panel import Panel
from tsfm_core.errors import ConfigError, DataError, did_you_mean, listing

if TYPE_CHECKING:
    from tsfm_core.data.split import Split

__all__ = ["Holdout", "frozen_text", "read_holdout", "set_rows"]


class TemporalPart(Section):
    """The key ``temporal_config`` of a holdout file."""

    holdout_percentage: Share
    min_train_samples: int = Field(ge=1)
    min_holdout_samples: int = Field(ge=1)


class PatientPart(Section):
    """The key ``patient_config`` of a holdout file."""

    holdout_patients: tuple[str, ...] = ()
    holdout_percentage: Share | None = None
    min_train_patients: int = Field(ge=1)
    min_holdout_patients: int = Field(ge=1)
    random_seed: int = Field(default=42, ge=0, lt=2**32)


class HoldoutFile(Section):
    """A holdout file; what does not split is kept by its authors for the reader."""

    dataset_name: str = Field(min_length=1)
    holdout_type: Literal["temporal", "patient_based", "hybrid"]
    temporal_config: TemporalPart | None = None
    patient_config: PatientPart | None = None
    description: str = ""
    created_date: str | None = None
    version: str = "1.0"


@dataclass(frozen=True)
class Holdout:
    """What a holdout file holds out; a part that its ``holdout_type`` lacks is None."""

    path: Path
    temporal: TemporalPart | None
    patients: PatientPart | None

    def patient_holdout(self, item_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the items that are held out whole: those that the file names, else a draw with its seed.

        The draw is ``RandomState(random_seed).choice(ids, size, replace=False)`` over the sorted ids, with
        ``size = max(min_holdout_patients, int(holdout_percentage * len(ids)))``.

        :raises DataError: for a name that the data does not hold, or fewer training items than ``min_train_patients``.
        """
        import numpy as np

        wanted, ids = self.patients, sorted(item_ids)
        if wanted is None:
            return ()
        missing = [item for item in wanted.holdout_patients if item not in set(ids)]
        if missing:
            hint = did_you_mean(missing[0], ids) or f"the data holds {listing(ids)}"
            raise DataError(
                f"{self.path}: holdout_patients names {listing(missing)}, which the data does not hold", hint
            )
        held = sorted(set(wanted.holdout_patients))
        if not held:
            count = max(wanted.min_holdout_patients, int((wanted.holdout_percentage or 0) * len(ids)))
            draw = np.random.RandomState(wanted.random_seed)
            held = sorted(draw.choice(ids, min(count, len(ids)), replace=False).tolist())
        left = len(ids) - len(held)
        if left < wanted.min_train_patients:
            raise DataError(
                f"{self.path}: {len(held)} of {len(ids)} items are held out, which leaves {left} to train on, "
                f"fewer than min_train_patients {wanted.min_train_patients}",
                "read more items, or lower it in the file",
            )
        return tuple(held)

    def temporal_holdout(self, panel: Panel, held_out: Sequence[str]) -> tuple[dict[str, datetime], tuple[str, ...]]:
        """Return the moment from which on each item's rows are held out, and notes on those that differ.

        The last ``int(holdout_percentage * rows)`` rows of the item on the grid, unobserved ones too, and at least
        ``min_holdout_samples``. An item that would keep fewer than ``min_train_samples`` has no temporal holdout and
        stays in training whole; the research code drops it from both sides, which ``data.exclude`` does here.
        """
        wanted = self.temporal
        if wanted is None:
            return {}, ()
        moments: dict[str, datetime] = {}
        grown, short, held = [], [], set(held_out)
        for at, item in enumerate(panel.item_ids):
            rows = int(panel.offsets[at + 1] - panel.offsets[at])
            share = int(wanted.holdout_percentage * rows)
            count = max(share, wanted.min_holdout_samples)
            if item in held:
                continue
            if rows - count < wanted.min_train_samples:
                short.append(item)
                continue
            if count > share:
                grown.append(item)
            start: datetime = panel.starts[at].astype("datetime64[s]").item()
            moments[item] = start + timedelta(seconds=(rows - count) * panel.step)
        least = f"min_holdout_samples {wanted.min_holdout_samples}"
        notes = {
            f"no temporal_holdout, too short for min_train_samples {wanted.min_train_samples} and {least}": short,
            f"temporal_holdout grown to {least}": grown,
        }
        return moments, tuple(f"{said}: {', '.join(items)}" for said, items in notes.items() if items)


def read_holdout(path: str | Path) -> Holdout:
    """Read a research group's holdout file, strictly.

    :raises ConfigError: with file and key: unknown, missing, of a wrong type, or without use for ``holdout_type``.
    """
    path = Path(path)
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a name is too long
        near = did_you_mean(path.name, [one.name for one in path.parent.glob("*.y*ml")])
        raise ConfigError(f"split.holdout: {path} does not exist", near)
    tree = load_file(path)
    found = validate(HoldoutFile, tree.value, tree, ())
    _check_parts(found, tree)
    return Holdout(path, found.temporal_config, found.patient_config)


def _check_parts(found: HoldoutFile, tree: Tree) -> None:
    needed = {
        "temporal_config": found.holdout_type != "patient_based",
        "patient_config": found.holdout_type != "temporal",
    }
    for key, need in needed.items():
        given = getattr(found, key) is not None
        origin = tree.origin((key,) if given else ("holdout_type",))
        if need and not given:
            raise ConfigError(f"{origin}: holdout_type {found.holdout_type} needs {key}", f"add {key}")
        if given and not need:
            hint = "take it out, or write hybrid for holdout_type"
            raise ConfigError(f"{origin}: holdout_type {found.holdout_type} has no use for {key}", hint)
    patients = found.patient_config
    if patients is None:
        return
    origin, named = tree.origin(("patient_config",)), len(set(patients.holdout_patients))
    if not named and patients.holdout_percentage is None:
        raise ConfigError(
            f"{origin}: patient_config holds no patient out", "give holdout_patients or holdout_percentage"
        )
    if named and named < patients.min_holdout_patients:
        raise ConfigError(
            f"{origin}: {named} holdout_patients are fewer than min_holdout_patients {patients.min_holdout_patients}",
            "name more, or lower it",
        )


def set_rows(panel: Panel, split: Split) -> list[dict[str, Any]]:
    """Return, for each item and each set that has rows of it, their number and the first and last stamp."""
    found = []
    for order, (name, span) in enumerate(split.spans.items()):
        items = (span.stop > span.first).nonzero()[0]
        first, stop = span.first[items], span.stop[items]
        stamps = [panel.stamps(rows).astype("datetime64[s]").astype(str).tolist() for rows in (first, stop - 1)]
        for at, rows, begin, end in zip(items.tolist(), (stop - first).tolist(), *stamps, strict=True):
            row = {"item_id": panel.item_ids[at], "set": name, "rows": rows, "first": begin, "last": end}
            found.append((at, order, row))
    return [row for _, _, row in sorted(found, key=lambda one: one[:2])]


def frozen_text(panel: Panel, split: Split) -> str:
    """Return the section ``split`` that gives this split again, as YAML: items and moments, no share and no seed."""
    body: dict[str, Any] = {"patient_holdout": list(split.held_out)} if split.held_out else {}
    rows = set_rows(panel, split)
    for name in ("temporal_holdout", "validation"):
        if name in split.spans:
            body[name] = {row["item_id"]: row["first"] for row in rows if row["set"] == name}
    body["digest"] = split.digest
    text = ""
    for key, value in body.items():
        # in quotes: an item may be called 12, 1e3 or null
        dumped = yaml.safe_dump(value, default_style='"', sort_keys=False, allow_unicode=True, width=10**6)
        text += f"{key}: {dumped}" if isinstance(value, str) else f"{key}:\n{indent(dumped, '  ')}"
    return text
