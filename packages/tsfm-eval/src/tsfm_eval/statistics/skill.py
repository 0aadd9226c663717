"""How much better than a baseline, and how often better than the others: over tasks or patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_eval.statistics.sums import Floats, as_floats
from tsfm_eval.statistics.tables import Missing, as_table, check_missing

__all__ = ["Skill", "WinRate", "skill_score", "win_rate"]

#: Ratios are clipped to this range, so that one task cannot decide alone.
CLIP = (0.01, 100.0)


@dataclass(frozen=True)
class Skill:
    """How much better than the baseline.

    :param score: 1 is perfect, 0 as good as the baseline, negative worse; NaN where no task is left.
    :param tasks: that it rests on.
    :param missing: tasks without an error, dropped or imputed as was asked for.
    """

    score: float
    tasks: int
    missing: int


@dataclass(frozen=True)
class WinRate:
    """How often each model is better than another.

    :param rates: ``{model: rate}``, 0.5 on average; NaN where no task is left.
    :param tasks: that they rest on.
    :param missing: tasks for which a model has no error, dropped or imputed as was asked for.
    """

    rates: Mapping[str, float]
    tasks: int
    missing: int


def skill_score(errors: npt.ArrayLike, baseline: npt.ArrayLike, missing: Missing = "error") -> Skill:
    """Return ``1 - geometric mean of errors / baseline``, each ratio clipped to [0.01, 100] (fev).

    Where both are 0 the ratio is 1, where only the baseline is 0 it is 100.

    :param errors: ``[n]``, one for each task or patient, 0 or more, NaN where there is none.
    :param baseline: ``[n]``, those of the baseline on the same.
    :param missing: what a NaN in either means: ``error`` refuses, ``drop`` leaves the task out, ``impute`` takes the
        ratio 1, as if the baseline had stood in.
    :raises DataError: for a missing error that is not allowed, a negative or infinite one, or shapes that differ.
    """
    check_missing(missing)
    _, pair = as_table({"errors": errors, "baseline": baseline})
    _check_errors(pair)
    gap = np.isnan(pair).any(axis=0)
    _allow(int(gap.sum()), missing)
    error, base = np.where(gap, 1.0, pair)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.clip(np.where(error == base, 1.0, error / base), *CLIP)
    if missing == "drop":
        ratios = ratios[~gap]
    score = 1.0 - float(np.exp(np.log(ratios).mean())) if ratios.size else float("nan")
    return Skill(score, len(ratios), int(gap.sum()))


def win_rate(table: Mapping[str, npt.ArrayLike], missing: Missing = "error", baseline: str | None = None) -> WinRate:
    """Return for each model the mean over the others of ``P(error smaller) + 0.5 P(equal)`` (fev).

    :param table: ``{model: [n]}``, errors on the same tasks or patients, 0 or more, NaN where there is none.
    :param missing: what a NaN means: ``error`` refuses, ``drop`` leaves the task out for all models, ``impute`` puts
        the error of ``baseline`` in its place.
    :param baseline: the model that stands in; for ``impute`` only. It must have every error itself.
    :raises DataError: for a missing error that is not allowed, a negative or infinite one, fewer than two models, or
        rows that do not fit.
    """
    check_missing(missing)
    models, errors = as_table(table)
    _check_errors(errors)
    gap = np.isnan(errors)
    gaps = int(gap.any(axis=0).sum())
    _allow(gaps, missing)
    if missing == "drop":
        errors = errors[:, ~gap.any(axis=0)]
    if missing == "impute":
        errors = np.where(gap, _stand_in(models, errors, baseline), errors)
    tasks = errors.shape[1]
    if not tasks:
        return WinRate(dict.fromkeys(models, float("nan")), 0, gaps)
    wins = np.zeros(len(models))
    for other in errors:
        wins += ((errors < other) + 0.5 * (errors == other)).mean(axis=1)
    rates = (wins - 0.5) / (len(models) - 1)  # against itself every model ties
    return WinRate(dict(zip(models, rates.tolist(), strict=True)), tasks, gaps)


def _check_errors(errors: Floats) -> None:
    if (errors < 0).any():
        raise DataError(f"an error of {errors[errors < 0][0]:g} is below 0", "give scores for which lower is better")


def _allow(gaps: int, missing: str) -> None:
    if gaps and missing == "error":
        raise DataError(
            f"{gaps} tasks have no error for a model", "say what that means: missing='drop' or missing='impute'"
        )


def _stand_in(models: tuple[str, ...], errors: Floats, baseline: str | None) -> Floats:
    if baseline not in models:
        raise DataError(f"baseline {baseline!r} is none of the models", f"the models are {', '.join(models)}")
    row: Floats = as_floats(errors[models.index(baseline)], "baseline")
    if np.isnan(row).any():
        raise DataError(f"{baseline} has no error for some tasks itself", "take another baseline, or drop such tasks")
    return row
