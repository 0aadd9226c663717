"""Two models on the same patients: the interval of their difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_eval.statistics.bootstrap import Interval, Method, bootstrap
from tsfm_eval.statistics.resampling import Finish
from tsfm_eval.statistics.sums import Floats, PatientSums, check_patients

__all__ = ["Paired", "paired_bootstrap"]


@dataclass(frozen=True)
class Paired:
    """Model a less model b.

    :param intervals: of each number's difference; ``excludes_zero`` says whether 0 is outside.
    :param item_id: ``[I]``, the patients.
    :param differences: ``{number: [I]}``, the difference of each patient's own numbers; NaN where one has none.
    """

    intervals: Mapping[str, Interval]
    item_id: npt.NDArray[np.str_]
    differences: Mapping[str, Floats]


def paired_bootstrap(
    sums_a: PatientSums,
    sums_b: PatientSums,
    finish: Finish,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    method: Method = "auto",
    seed: int = 0,
) -> Paired:
    """Return the interval of ``finish(a) - finish(b)`` for every number, both under the same resamples of patients.

    Both must have been scored on the same windows: this is not seen from the sums.

    :param sums_a: of one model, on at least 5 patients.
    :param sums_b: of the other, on the same patients.
    :param finish: of the metric that both were summed for, as in :func:`~tsfm_eval.statistics.bootstrap.bootstrap`.
    :raises DataError: for patients that only one of the two has, parts that differ, and as ``bootstrap``.
    """
    _check_same(sums_a, sums_b)
    check_patients(len(sums_a))

    def difference(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        of_a, of_b = (finish({name: sums[f"{which}:{name}"] for name in sums_a.parts}) for which in "ab")
        return {name: of_a[name] - of_b[name] for name in of_a}

    both = {f"a:{name}": part for name, part in sums_a.parts.items()}
    both |= {f"b:{name}": part for name, part in sums_b.parts.items()}
    joined = PatientSums(sums_a.item_id, both)
    intervals = bootstrap(joined, difference, resamples=resamples, level=level, method=method, seed=seed)
    return Paired(intervals, joined.item_id, _each(joined.parts, difference))


def _check_same(a: PatientSums, b: PatientSums) -> None:
    only = [sorted(set(one.item_id.tolist()) - set(other.item_id.tolist())) for one, other in ((a, b), (b, a))]
    said = [f"only {which} has {', '.join(names)}" for which, names in zip("ab", only, strict=True) if names]
    if said:
        raise DataError(f"the two were not scored on the same patients: {'; '.join(said)}", "keep those that both have")
    shapes = [{name: part.shape[1:] for name, part in one.parts.items()} for one in (a, b)]
    if shapes[0] != shapes[1]:
        raise DataError(
            f"the two have different parts: {', '.join(a.parts)} and {', '.join(b.parts)}",
            "sum both for one metric, at the same levels and lags",
        )


def _each(parts: Mapping[str, Floats], finish: Finish) -> dict[str, Floats]:
    """Return the numbers of each patient alone."""
    patients = len(next(iter(parts.values())))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [finish({name: part[at] for name, part in parts.items()}) for at in range(patients)]
    return {name: np.array([float(one[name]) for one in found]) for name in found[0]}
