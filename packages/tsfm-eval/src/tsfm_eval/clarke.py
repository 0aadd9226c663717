"""The zones of the Clarke error grid: how dangerous it would be to act on a glucose forecast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_eval.glucose import checked_slack, glucose_pairs, mgdl_factor
from tsfm_eval.pairs import Floats

__all__ = ["Convention", "clarke_zones"]

Convention = Literal["ega", "matlab"]
Marks = npt.NDArray[np.bool_]

#: Pairs at a time: the temporaries stay in the processor's cache.
CHUNK = 32_768


def clarke_zones(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    unit: str = "mg/dL",
    convention: Convention = "ega",
    slack: float | None = None,
) -> npt.NDArray[np.int8]:
    """Return the zone of each pair: 0 to 4 for A to E, -1 where the reference or the prediction is NaN or infinite.

    The grid is defined in mg/dL; mmol/L is multiplied by 18.018 and never rounded. A prediction below 0 counts as 0.
    Clarke (1987) drew the zones and gave no inequalities. ``ega`` reads them as the R package of that name does,
    ``matlab`` as the widely copied script; the two differ only on lines and, above r = 290, on the upper edge of C.
    Their inequalities stand in the definitions of the metrics ``clarke`` and ``clarke_matlab``.

    Unit: none; the shares of the zones are in %. Neither lower nor higher is better for all of them: more of A, less of
    C, D and E is. Give the median. Source: Clarke et al. 1987, Diabetes Care 10(5).

    :param reference: measured glucose, any shape, above 0.
    :param prediction: forecast glucose, the same shape.
    :param unit: of both, ``mg/dL`` or ``mmol/L``.
    :param slack: relative tolerance of the 20 % that bound zone A, so that a pair exactly on the line belongs to A
        whatever the last digit of its binary form. By default 1e-9, for float32 arrays 1e-6.
    :raises DataError: for a reference of 0 or less, shapes that differ, what holds no numbers, an unknown unit or
        convention, or a slack that is no number in 0 to 0.01.
    """
    if not isinstance(convention, str) or convention not in _MARKS:
        raise DataError(f"convention {convention!r} is not known", f"known: {', '.join(_MARKS)}")
    factor = mgdl_factor(unit)
    r, p = glucose_pairs(reference, prediction, unit)
    slack = checked_slack(slack, r, p)
    flat_r, flat_p, zones = r.reshape(-1), p.reshape(-1), np.empty(r.size, dtype=np.int8)
    for start in range(0, r.size, CHUNK):
        now = slice(start, start + CHUNK)
        r_mgdl = np.multiply(flat_r[now], factor, dtype=np.float64)
        p_mgdl = np.multiply(flat_p[now], factor, dtype=np.float64)
        zones[now] = _zones(r_mgdl, p_mgdl, slack, _MARKS[convention])
    return zones.reshape(r.shape)


def _zones(
    r: Floats, p: Floats, slack: float, marks: Callable[[Floats, Floats, Marks], tuple[Marks, ...]]
) -> npt.NDArray[np.int8]:
    with np.errstate(invalid="ignore"):  # inf - inf
        gap = p - r
    a, e, c, d = marks(r, np.maximum(p, 0.0), np.abs(gap) <= 0.2 * (1.0 + slack) * r)
    c &= ~(a | e)
    d &= ~(a | e | c)
    zones = np.ones(r.shape, dtype=np.int8)  # B is what remains
    for mark, offset in ((a, -1), (e, 3), (c, 1), (d, 2)):  # several times as fast as assigning by mask
        zones += mark.view(np.int8) * np.int8(offset)
    zones[~np.isfinite(gap)] = -1
    return zones


# A, E, C and D in the order in which the first match wins. 5 p < 7 (r - 130) stands for p < 1.4 (r - 130): whole
# numbers stay whole, and a pair on the line is seen to be on it.


def _ega(r: Floats, p: Floats, near: Marks) -> tuple[Marks, ...]:
    return (
        near | ((r < 70) & (p < 70)),
        ((r <= 70) & (p >= 180)) | ((r >= 180) & (p <= 70)),
        ((r > 70) & (p > 180) & (p > r + 110)) | ((r >= 130) & (r <= 180) & (5 * p < 7 * (r - 130))),
        ((r < 70) | (r > 240)) & (p >= 70) & (p < 180),
    )


def _matlab(r: Floats, p: Floats, near: Marks) -> tuple[Marks, ...]:
    return (
        near | ((r <= 70) & (p <= 70)),
        ((r <= 70) & (p >= 180)) | ((r >= 180) & (p <= 70)),
        ((r >= 70) & (r <= 290) & (p >= r + 110)) | ((r >= 130) & (r <= 180) & (5 * p <= 7 * (r - 130))),
        (((r >= 240) | (r <= 175 / 3)) & (p >= 70) & (p <= 180)) | ((r >= 175 / 3) & (r <= 70) & (p >= 1.2 * r)),
    )


_MARKS = {"ega": _ega, "matlab": _matlab}
