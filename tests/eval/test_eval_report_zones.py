"""The lines of the error grids against the functions that tell the zones: a line is where two zones meet."""

from itertools import pairwise

import numpy as np
import pytest

from tsfm_eval.clarke import clarke_zones
from tsfm_eval.parkes import parkes_zones
from tsfm_eval.report.content import ZONES
from tsfm_eval.report.zones import GRIDS

ZONE_OF = {"clarke": clarke_zones, "parkes_t1": parkes_zones}


def segments(grid):
    pairs = [pair for line in GRIDS[grid].lines for pair in pairwise(line)]
    return np.array(pairs, dtype=float)  # [S, 2, 2]


@pytest.mark.parametrize("grid", ZONE_OF)
def test_both_sides_of_a_line_are_two_zones(grid):
    ends = segments(grid)
    for share in (0.05, 0.35, 0.65, 0.95):
        at = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
        along = ends[:, 1] - ends[:, 0]
        across = along[:, ::-1] * [1, -1] / np.hypot(*along.T)[:, None]
        one, other = (ZONE_OF[grid](*np.maximum(at + side * across, 1e-3).T) for side in (0.01, -0.01))
        assert (one != other).all(), at[one == other]


@pytest.mark.parametrize("grid", ZONE_OF)
def test_zones_meet_nowhere_else(grid):
    r, p = np.meshgrid(np.arange(1.0, 550.0), np.arange(1.0, 550.0), indexing="ij")
    zones = ZONE_OF[grid](r, p)
    right, above = zones[1:] != zones[:-1], zones[:, 1:] != zones[:, :-1]
    meets = np.concatenate(
        [
            np.stack([r[1:][right] - 0.5, p[1:][right]], axis=1),
            np.stack([r[:, 1:][above], p[:, 1:][above] - 0.5], axis=1),
        ]
    )
    nearest = np.full(len(meets), np.inf)
    for start, end in segments(grid):
        along = end - start
        share = np.clip((meets - start) @ along / (along @ along), 0, 1)
        nearest = np.minimum(nearest, np.hypot(*(meets - start - share[:, None] * along).T))
    assert nearest.max() < 1


@pytest.mark.parametrize("grid", ZONE_OF)
def test_a_letter_stands_in_its_zone(grid):
    letters, r, p = zip(*GRIDS[grid].letters, strict=True)
    assert [ZONES[zone] for zone in ZONE_OF[grid](np.array(r), np.array(p))] == list(letters)
    assert set(letters) == set(ZONES)
