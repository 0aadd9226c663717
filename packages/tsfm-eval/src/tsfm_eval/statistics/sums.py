"""What each patient adds to a score: the sums that a bootstrap over patients resamples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError

__all__ = ["FEWEST", "PatientSums", "as_floats", "as_names", "check_patients", "patient_sums"]

Floats = npt.NDArray[np.float64]

#: The least patients that an interval or a test is computed from.
FEWEST = 5


@dataclass(frozen=True)
class PatientSums:
    """The parts of a score summed by patient, sorted by ``item_id``.

    Build it with :func:`patient_sums`, or from sums that are there already, in any order. Patients whose parts are all
    0 (nothing of theirs was scored) are left out.

    :param item_id: ``[I]``, each patient once.
    :param parts: ``{part: [I] or [I, ...]}``, finite.
    :raises DataError: for a patient twice, shapes that do not fit, or values that are not finite numbers.
    """

    item_id: npt.NDArray[np.str_]
    parts: Mapping[str, Floats]

    def __post_init__(self) -> None:
        ids = as_names(self.item_id, "item_id")
        parts = _checked(ids, self.parts)
        if len(np.unique(ids)) < len(ids):
            twice = sorted(one for one in set(ids.tolist()) if (ids == one).sum() > 1)[0]
            raise DataError(f"patient {twice} has two rows of sums", "give rows of windows to patient_sums")
        scored = np.zeros(len(ids), dtype=bool)
        for part in parts.values():
            scored |= (part != 0).any(axis=tuple(range(1, part.ndim)))
        order = np.argsort(ids, kind="stable")
        order = order[scored[order]]
        object.__setattr__(self, "item_id", ids[order])
        object.__setattr__(self, "parts", {name: part[order] for name, part in parts.items()})

    def __len__(self) -> int:
        return len(self.item_id)


def patient_sums(item_id: npt.ArrayLike, parts: Mapping[str, npt.ArrayLike]) -> PatientSums:
    """Return ``parts`` summed by patient.

    :param item_id: ``[n]``, whose window each row is.
    :param parts: ``{part: [n] or [n, ...]}``, as ``Metric.parts`` gives them; give ``part.sum(axis=1)`` where the
        second axis is the horizon.
    :raises DataError: for shapes that do not fit or values that are not finite numbers.
    """
    ids = as_names(item_id, "item_id")
    people, codes = np.unique(ids, return_inverse=True)
    sums = {}
    for name, part in _checked(ids, parts).items():
        total = np.zeros((len(people), *part.shape[1:]))
        np.add.at(total, codes, part)
        sums[name] = total
    return PatientSums(people, sums)


def as_floats(values: Any, name: str) -> Floats:
    """Return ``values`` as float64.

    :raises DataError: where they are not numbers of one rectangular shape.
    """
    try:
        array = np.asarray(values)
        text = array.dtype == object and any(isinstance(one, str) for one in array.flat)
        if text or array.dtype.kind not in "biufO":
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} is not an array of numbers", "mark missing values by NaN") from None


def as_names(values: Any, name: str) -> npt.NDArray[np.str_]:
    """Return ``values``, one axis of ids or names, as text.

    :raises DataError: for further axes, or where one is missing.
    """
    array = np.asarray(values, dtype=object)
    if array.ndim != 1:
        raise DataError(f"{name} has shape {list(array.shape)}", "give one id for each row")
    if any(one is None or one != one for one in array.tolist()):
        raise DataError(f"{name} has a missing value", "every row needs the id of its patient")
    return array.astype(str)


def check_patients(patients: int) -> None:
    """Refuse fewer patients than :data:`FEWEST`.

    :raises DataError: naming the number.
    """
    if patients < FEWEST:
        who = "1 patient is" if patients == 1 else f"{patients} patients are"
        raise DataError(
            f"{who} too few for an interval or a test: what they differ by says next to nothing about others, and the "
            "result would be read as certainty",
            f"show each patient's score instead, or evaluate on at least {FEWEST} patients (10 to rely on it)",
        )


def _checked(ids: npt.NDArray[np.str_], parts: Mapping[str, npt.ArrayLike]) -> dict[str, Floats]:
    if not parts:
        raise DataError("there are no parts to sum", "give the parts of a metric")
    checked = {}
    for name, values in parts.items():
        part = as_floats(values, f"part {name}")
        if part.ndim == 0 or len(part) != len(ids):
            shape = list(part.shape)
            raise DataError(f"part {name} has shape {shape}, item_id [{len(ids)}]", "give one row for each id")
        if not np.isfinite(part).all():
            raise DataError(f"part {name} has values that are not finite", "a missing pair adds 0 to every part")
        checked[name] = part
    return checked
