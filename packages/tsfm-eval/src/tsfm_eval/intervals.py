"""Intervals around what core scored: of a sample, of its steps, and of the difference between two models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsfm_core import DataError, IntervalMethod
from tsfm_core.sample import Sample
from tsfm_eval.statistics.bootstrap import Interval, bootstrap
from tsfm_eval.statistics.paired import paired_bootstrap
from tsfm_eval.statistics.resampling import Finish
from tsfm_eval.statistics.sums import PatientSums

__all__ = ["METHOD", "differences", "intervals", "step_intervals"]

#: For sums of further axes: each resample is scored by itself.
FEW = 1_000

#: What a number of things is called: they are what was tested on, and no estimate of anything.
COUNTS = ("_windows", "_events", "_left_out")

#: For curves: a band is looked at, not read off.
CURVE = 2_000


def intervals(sample: Sample, seed: int = 0) -> dict[str, Interval]:
    """Return the interval of every number of a sample: studentised from 10 patients on, of 10,000 resamples.

    Below 10 it is the jackknife's, and so for scores of joined windows (detection), which are scored anew for each
    patient left out. Scores of sums with further axes (temporal gain) jump: they get percentiles of 1,000 resamples.

    :raises DataError: for fewer than 5 patients.
    """
    sums, finish, options = _resampled(sample)
    found = bootstrap(sums, finish, seed=seed, bounds=_bounds(sample, list(sample.overall())), **options)
    return {name: one for name, one in found.items() if not name.endswith(COUNTS)}


def differences(a: Sample, b: Sample, seed: int = 0) -> dict[str, Interval]:
    """Return the interval of ``a - b`` for every number that both give, both under the same resamples of patients.

    :raises DataError: for fewer than 5 patients, or other patients.
    """
    if a.rows is None and b.rows is None:
        names = [name for name in a.sums if name in b.sums]
        first, second = (PatientSums(np.array(one.items), {name: one.sums[name] for name in names}) for one in (a, b))
        return dict(paired_bootstrap(first, second, a.metric.finish, seed=seed, **_options(a)).intervals)
    if a.items != b.items:
        raise DataError("the two were not scored on the same patients", "compare them on what both forecast")

    def finish(sums: Mapping[str, Any]) -> Mapping[str, float]:
        chosen = _repeated(sums["item"])
        first, second = a.of(chosen), b.of(chosen)
        return {name: first[name] - second[name] for name in first if name in second}

    people = PatientSums(np.array(a.items), {"item": np.eye(len(a.items))})
    return bootstrap(people, finish, seed=seed, **_options(a))


def step_intervals(sample: Sample, number: str, seed: int = 0) -> list[Interval]:
    """Return the interval of a number at each step.

    :param sample: of a summed metric, its sums with the steps: ``[I, H]``.
    :raises DataError: for fewer than 5 patients.
    """
    length = next(iter(sample.sums.values())).shape[1]
    parts = {f"{at}:{name}": part[:, at] for name, part in sample.sums.items() for at in range(length)}

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        found = {}
        for at in range(length):
            own = {name: sums[f"{at}:{name}"] for name in sample.sums}
            found[str(at)] = sample.metric.finish(own)[number]
        return found

    low, high = _bounds(sample, [number])[number]
    found = bootstrap(
        PatientSums(np.array(sample.items), parts),
        finish,
        seed=seed,
        resamples=CURVE,
        bounds={str(at): (low, high) for at in range(length)},
    )
    return [found[str(at)] for at in range(length)]


def _resampled(sample: Sample) -> tuple[PatientSums, Finish, dict[str, Any]]:
    items = np.array(sample.items)
    if sample.rows is None:
        return PatientSums(items, sample.sums), sample.metric.finish, _options(sample)
    # whom a resample holds, and how often, is all that can be summed
    whole = PatientSums(items, {"item": np.eye(len(items))})
    return whole, lambda sums: sample.of(_repeated(sums["item"])), _options(sample)


def _options(sample: Sample) -> dict[str, Any]:
    if sample.rows is not None:
        return {"method": "jackknife"}
    jumps = any(part.ndim > 1 for part in sample.sums.values())
    return {"method": "percentile", "resamples": FEW} if jumps else {"method": "auto"}


def _bounds(sample: Sample, numbers: list[str]) -> dict[str, tuple[float, float]]:
    limits = sample.metric.limits
    return {name: limits.get(name, limits.get("", (-np.inf, np.inf))) for name in numbers}


def _repeated(weights: Any) -> Any:
    return np.repeat(np.arange(len(weights)), np.asarray(weights).astype(np.intp))


def _compute(sample: Sample, seed: int) -> dict[str, tuple[float, float]]:
    return {name: (one.low, one.high) for name, one in intervals(sample, seed).items()}


METHOD = IntervalMethod(
    "patient_bootstrap",
    "95 %: patients are drawn with replacement, 10,000 times, and the score of all windows of those drawn is computed "
    "again; studentised (bootstrap-t). Below 10 patients, and for scores that are no sums: the jackknife over patients "
    "with Student's t. Temporal gain: percentiles of 1,000 resamples",
    _compute,
)
