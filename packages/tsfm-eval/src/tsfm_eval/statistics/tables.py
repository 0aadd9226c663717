"""A table of scores: one row of patients (or tasks) for each model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_eval.statistics.sums import Floats, as_floats

__all__ = ["Missing", "as_table", "check_missing", "complete_table"]

Missing = Literal["error", "drop", "impute"]


def as_table(table: Mapping[str, npt.ArrayLike]) -> tuple[tuple[str, ...], Floats]:
    """Return the models and their scores ``[models, n]``, NaN where one is missing.

    :raises DataError: for fewer than two models, rows of different lengths, or values that are not numbers.
    """
    rows = {name: as_floats(values, f"the row of {name}") for name, values in table.items()}
    if len(rows) < 2:  # of a frame, len(table) would count the patients
        raise DataError(f"a comparison of {len(rows)} models says nothing", "give the scores of two or more")
    shapes = {name: list(row.shape) for name, row in rows.items()}
    first, shape = next(iter(shapes.items()))
    for name, other in shapes.items():
        if len(other) != 1 or other != shape:
            raise DataError(
                f"{first} has shape {shape}, {name} {other}", "give one score for each patient, in one order"
            )
        if np.isinf(rows[name]).any():
            raise DataError(f"the row of {name} has an infinite score", "mark missing values by NaN")
    return tuple(rows), np.stack(list(rows.values()))


def complete_table(table: Mapping[str, npt.ArrayLike], fewest: int) -> tuple[tuple[str, ...], Floats]:
    """Return the same, refusing a table with gaps or with fewer than ``fewest`` patients.

    :raises DataError: naming the first gap or the number of patients, and as :func:`as_table`.
    """
    models, scores = as_table(table)
    if np.isnan(scores).any():
        model, patient = np.argwhere(np.isnan(scores))[0]
        raise DataError(
            f"{models[model]} has no score for patient {patient} (counted from 0)",
            "leave the patients out that a model has no score for, and say how many",
        )
    if scores.shape[1] < fewest:
        raise DataError(f"{scores.shape[1]} patients are too few for this test", f"it takes at least {fewest}")
    return models, scores


def check_missing(missing: str) -> None:
    """Check the name of a policy for missing cells.

    :raises DataError: for another than error, drop and impute.
    """
    if missing not in ("error", "drop", "impute"):
        raise DataError(f"missing {missing!r} is not known", "known: error, drop, impute")
