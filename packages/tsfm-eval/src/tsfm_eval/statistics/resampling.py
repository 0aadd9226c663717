"""Scores of resampled patients: sums under random weights, and the same with one patient left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_eval.statistics.sums import Floats

__all__ = ["Finish", "LeftOut", "Resampled", "jackknife_error", "leave_one_out", "resample"]

#: ``finish(sums)`` of a metric: named numbers from the sums of its parts.
Finish = Callable[[Mapping[str, Any]], Mapping[str, Any]]

#: The same for rows of sums, which there are so many of.
Call = Callable[[Mapping[str, Floats], int], dict[str, Floats]]

#: Resamples times patients times elements of a part that are held at a time.
CELLS = 1 << 20


@dataclass(frozen=True)
class LeftOut:
    """One number, as all patients give it and as all but one do.

    :param estimate: of all patients.
    :param without: ``[I]``, of all but one.
    :param contributes: ``[I]``, who has anything that the number is made of: a number of their own, or one that moves
        when they are left out.
    """

    estimate: float
    without: Floats
    contributes: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Resampled(LeftOut):
    """The same, and as resampled patients would have it.

    :param values: ``[B]``, of each resample.
    :param errors: ``[B]``, the jackknife standard error of each resample; empty where it was not asked for.
    """

    values: Floats
    errors: Floats


def leave_one_out(parts: Mapping[str, Floats], finish: Finish) -> dict[str, LeftOut]:
    """Return every number of ``finish`` for all patients, and for all but each one.

    :param parts: ``{part: [I, ...]}``; with a further axis, ``finish`` is called once for each row of sums.
    """
    patients = len(next(iter(parts.values())))
    call = _call(parts, finish)
    everyone = {name: part.sum(axis=0, keepdims=True) for name, part in parts.items()}
    estimate = call(everyone, 1)
    without = call(_left_out(parts, everyone, np.ones((1, patients))), patients)
    own = call(parts, patients)
    return {
        name: LeftOut(float(one[0]), without[name], np.isfinite(own[name]) | (without[name] != one[0]))
        for name, one in estimate.items()
    }


def resample(
    parts: Mapping[str, Floats],
    finish: Finish,
    left: Mapping[str, LeftOut],
    resamples: int,
    seed: int,
    with_errors: bool,
) -> dict[str, Resampled]:
    """Return every number of ``finish`` under ``resamples`` draws of as many patients, with replacement.

    The weights come from ``numpy.random.default_rng(seed)`` and depend on nothing else but the number of patients: two
    scores of the same patients see the same resamples.

    :param left: what :func:`leave_one_out` gave for the same parts.
    :param with_errors: whether each resample is jackknifed: I more rows of sums for each.
    """
    patients = len(next(iter(parts.values())))
    call = _call(parts, finish)
    values: dict[str, list[Floats]] = {name: [] for name in left}
    errors: dict[str, list[Floats]] = {name: [] for name in left}
    width = max(part[0].size for part in parts.values())
    for weights in _weights(patients, resamples, seed, max(1, CELLS // (patients * width))):
        sums = {name: np.tensordot(weights, part, axes=1) for name, part in parts.items()}
        for name, value in call(sums, len(weights)).items():
            values[name].append(value)
        if with_errors:
            drawn = weights > 0
            for name, rest in call(_left_out(parts, sums, weights), int(drawn.sum())).items():
                spread = np.full(weights.shape, np.nan)
                spread[drawn] = rest
                errors[name].append(jackknife_error(spread, weights))
    return {
        name: Resampled(
            one.estimate,
            one.without,
            one.contributes,
            np.concatenate(values[name]),
            np.concatenate(errors[name]) if with_errors else np.empty(0),
        )
        for name, one in left.items()
    }


def jackknife_error(without: Floats, weights: Floats) -> Floats:
    """Return ``sqrt((n - 1) / n sum w_i (x_i - mean)^2)`` over the last axis; values that are not finite left out.

    :param without: ``[..., I]``, the number without patient i.
    :param weights: ``[..., I]``, how often patient i was drawn.
    """
    usable = np.isfinite(without)
    w = np.where(usable, weights, 0.0)
    x = np.where(usable, without, 0.0)
    n = w.sum(axis=-1)
    n = np.where(n > 0, n, np.nan)
    mean = (w * x).sum(axis=-1) / n
    error: Floats = np.sqrt((n - 1) / n * (w * np.square(x - mean[..., None])).sum(axis=-1))
    return error


def _weights(patients: int, resamples: int, seed: int, rows: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        yield rng.multinomial(patients, np.full(patients, 1.0 / patients), size).astype(np.float64)


def _left_out(parts: Mapping[str, Floats], sums: Mapping[str, Floats], weights: Floats) -> dict[str, Floats]:
    """Return the rows of ``sums`` less one patient each, ``[rows of weights x patients drawn]`` in one axis."""
    row, patient = np.nonzero(weights)
    # never below 0 for parts that are not: a sum is rounded to no less than any of its terms
    return {name: sums[name][row] - part[patient] for name, part in parts.items()}


def _call(parts: Mapping[str, Floats], finish: Finish) -> Call:
    return _by_row(finish) if any(part.ndim > 1 for part in parts.values()) else _elementwise(finish)


def _elementwise(finish: Finish) -> Call:
    def call(sums: Mapping[str, Floats], rows: int) -> dict[str, Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):
            numbers = {name: np.asarray(number, dtype=np.float64) for name, number in finish(sums).items()}
        for name, number in numbers.items():
            if number.shape != (rows,):
                raise DataError(
                    f"finish gave {name} the shape {list(number.shape)} for {rows} sums",
                    "finish must work elementwise; give parts a further axis to have it called row by row",
                )
        return numbers

    return call


def _by_row(finish: Finish) -> Call:
    def call(sums: Mapping[str, Floats], rows: int) -> dict[str, Floats]:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = [finish({name: part[row] for name, part in sums.items()}) for row in range(rows)]
        return {name: np.array([float(one[name]) for one in found]) for name in found[0]}

    return call
