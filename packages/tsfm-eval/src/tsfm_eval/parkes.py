"""The zones of the Parkes (consensus) error grid, for type 1 and type 2 diabetes."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_eval.glucose import checked_slack, glucose_pairs, is_whole, mgdl_factor
from tsfm_eval.pairs import Floats

__all__ = ["LOWER", "UPPER", "Vertices", "parkes_zones"]

Vertices = tuple[tuple[int, int], ...]

#: Pairs at a time: the temporaries stay in the processor's cache.
CHUNK = 32_768

#: The last piece, ``r > 550``: there each line goes on as it was.
_LAST = 550

# (reference, prediction) in mg/dL: Pfützner et al. 2013, J Diabetes Sci Technol 7(5). From B on, each line leads into
# the next worse zone; there is no lower E. A line is open at its last end: it goes on with its slope.
UPPER: dict[int, tuple[Vertices, ...]] = {
    1: (
        ((0, 50), (30, 50), (140, 170), (280, 380), (430, 550)),
        ((0, 60), (30, 60), (50, 80), (70, 110), (260, 550)),
        ((0, 100), (25, 100), (50, 125), (80, 215), (125, 550)),
        ((0, 150), (35, 155), (50, 550)),
    ),
    2: (
        ((0, 50), (30, 50), (230, 330), (440, 550)),
        ((0, 60), (30, 60), (280, 550)),
        ((0, 80), (25, 80), (35, 90), (125, 550)),
        ((0, 200), (35, 200), (50, 550)),
    ),
}
LOWER: dict[int, tuple[Vertices, ...]] = {
    1: (
        ((50, 0), (50, 30), (170, 145), (385, 300), (550, 450)),
        ((120, 0), (120, 30), (260, 130), (550, 250)),
        ((250, 0), (250, 40), (550, 150)),
    ),
    2: (
        ((50, 0), (50, 30), (90, 80), (330, 230), (550, 450)),
        ((90, 0), (260, 130), (550, 250)),
        ((250, 0), (250, 40), (410, 110), (550, 160)),
    ),
}


def parkes_zones(
    reference: npt.ArrayLike,
    prediction: npt.ArrayLike,
    unit: str = "mg/dL",
    diabetes_type: Literal[1, 2] = 1,
    slack: float | None = None,
) -> npt.NDArray[np.int8]:
    """Return the zone of each pair: 0 to 4 for A to E, -1 where the reference or the prediction is NaN or infinite.

    The lines are those of Pfützner et al. (2013); type 1 is the grid of ISO 15197:2013. A pair lies in the worst zone
    whose upper line is below it, ``p > upper(r)``, or whose lower line is above it, ``r > r0 and p < lower(r)`` with r0
    the reference where that line begins. A pair **on a line belongs to the less severe zone**. The last segment of a
    line goes on with its slope. The grid is defined in mg/dL; mmol/L is multiplied by 18.018 and never rounded. A
    prediction below 0 counts as 0.

    Unit: none; the shares of the zones are in %. Neither lower nor higher is better for all of them: more of A, less of
    C, D and E is. Give the median. Source: Parkes et al. 2000, Diabetes Care 23(8).

    :param reference: measured glucose, any shape, above 0.
    :param prediction: forecast glucose, the same shape.
    :param unit: of both, ``mg/dL`` or ``mmol/L``.
    :param diabetes_type: 1 or 2.
    :param slack: a pair lies on a line if a change of either value by this share would bring it there, so that no last
        digit of a binary form takes it off the line. By default 1e-9, for float32 arrays 1e-6.
    :raises DataError: for a reference of 0 or less, shapes that differ, an unknown unit or type, or a slack that is
        no number in 0 to 0.01.
    """
    if not is_whole(diabetes_type) or diabetes_type not in (1, 2):
        raise DataError(f"diabetes_type {diabetes_type!r} is not known", "known: 1, 2")
    factor = mgdl_factor(unit)
    r, p = glucose_pairs(reference, prediction, unit)
    slack = checked_slack(slack, r, p)
    flat_r, flat_p, zones = r.reshape(-1), p.reshape(-1), np.empty(r.size, dtype=np.int8)
    for start in range(0, r.size, CHUNK):
        now = slice(start, start + CHUNK)
        r_mgdl = np.multiply(flat_r[now], factor, dtype=np.float64)
        p_mgdl = np.multiply(flat_p[now], factor, dtype=np.float64)
        zones[now] = _zones(r_mgdl, p_mgdl, diabetes_type, slack)
    return zones.reshape(r.shape)


def _zones(r: Floats, p: Floats, diabetes_type: int, slack: float) -> npt.NDArray[np.int8]:
    missing = ~(np.isfinite(r) & np.isfinite(p))
    r, p = np.where(missing, 1.0, r), np.where(missing, 1.0, p)
    above = p > r
    side = np.where(above, 1.0, -1.0)
    # no line falls, so the pair moved towards the diagonal by the slack is beyond a line only if it truly is
    x = r * (1.0 + slack * side)
    y = p * (side - slack)
    piece = np.minimum(np.ceil(x) - 1.0, _LAST).astype(np.intp)
    piece += above * np.intp(_LAST + 1)
    zones = np.zeros(r.shape, dtype=np.int8)
    # the lines of worse zones lie further out, so the zone is the number of lines that are crossed
    for start, slope in zip(*_pieces(diabetes_type), strict=True):
        zones += (y > start.take(piece) + slope.take(piece) * x).view(np.int8)
    zones[missing] = -1
    return zones


@lru_cache
def _pieces(diabetes_type: int) -> tuple[Floats, Floats]:
    """Return start and slope of each line (B to E) in each piece ``k < r <= k + 1``: ``[4, pieces]``, lower then upper.

    Every vertex has a whole-number reference, so a line is straight in each piece: looking it up takes a third of the
    time of ``np.interp``. Lower lines have their sign changed: beyond is greater on both sides.
    """
    k = np.arange(_LAST + 1, dtype=np.float64)
    starts, slopes = np.full((4, 2, len(k)), np.inf), np.zeros((4, 2, len(k)))
    for side, lines in enumerate((LOWER[diabetes_type], UPPER[diabetes_type])):
        for zone, line in enumerate(lines):
            vertical = line[0][0] == line[1][0]
            x, y = np.array(line[1:] if vertical else line, dtype=np.float64).T
            segment = np.clip(np.searchsorted(x, k, side="right") - 1, 0, len(x) - 2)
            slope = np.diff(y)[segment] / np.diff(x)[segment]
            begun = k >= x[0]
            sign = 1.0 if side else -1.0
            starts[zone, side, begun] = sign * (y[segment] - slope * x[segment])[begun]
            slopes[zone, side, begun] = sign * slope[begun]
    return starts.reshape(4, -1), slopes.reshape(4, -1)
