"""Parkes zones against a walk along the lines in exact whole numbers, hand-made cases, every line from both sides."""

from itertools import pairwise

import numpy as np
import pytest

from tsfm_core import Block, DataError
from tsfm_eval.glucose import FLOAT32_SLACK
from tsfm_eval.grids import METRICS
from tsfm_eval.parkes import parkes_zones

# the published table once more, as text: a slip of the pen in one of the two is seen
TABLE = {
    1: """upper B 0,50 30,50 140,170 280,380 430,550
          upper C 0,60 30,60 50,80 70,110 260,550
          upper D 0,100 25,100 50,125 80,215 125,550
          upper E 0,150 35,155 50,550
          lower B 50,0 50,30 170,145 385,300 550,450
          lower C 120,0 120,30 260,130 550,250
          lower D 250,0 250,40 550,150""",
    2: """upper B 0,50 30,50 230,330 440,550
          upper C 0,60 30,60 280,550
          upper D 0,80 25,80 35,90 125,550
          upper E 0,200 35,200 50,550
          lower B 50,0 50,30 90,80 330,230 550,450
          lower C 90,0 260,130 550,250
          lower D 250,0 250,40 410,110 550,160""",
}
LINES = {
    kind: [
        (side, "ABCDE".index(zone), [tuple(map(int, vertex.split(","))) for vertex in vertices])
        for side, zone, *vertices in map(str.split, table.splitlines())
    ]
    for kind, table in TABLE.items()
}


def letters(zones):
    return "".join("ABCDE"[zone] for zone in zones)


def walk(r, p, one, kind):
    """Return the zones, and the least distance to a line along p: cross products with each segment, in whole numbers.

    ``one`` is 1 mg/dL in the unit of the whole numbers ``r`` and ``p``.
    """
    zones, nearest = np.zeros(r.shape, int), np.full(r.shape, np.inf)
    for side, zone, vertices in LINES[kind]:
        beyond = np.zeros(r.shape, bool)
        for (x0, y0), (x1, y1) in pairwise(vertices):
            if x0 == x1:
                continue
            here = (x0 * one < r) & ((r <= x1 * one) | ((x1, y1) == vertices[-1]))
            cross = (x1 - x0) * (p - y0 * one) - (y1 - y0) * (r - x0 * one)
            beyond |= here & (cross > 0 if side == "upper" else cross < 0)
            nearest = np.where(here, np.minimum(nearest, abs(cross) / (x1 - x0) / one), nearest)
        zones[beyond] = np.maximum(zones[beyond], zone)
    return zones, nearest


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float32])
def test_every_whole_number_pair_and_beyond_the_printed_grid(kind, dtype):
    r, p = np.meshgrid(np.arange(1, 701), np.arange(701), indexing="ij")
    zones = parkes_zones(r.astype(dtype), p.astype(dtype), diabetes_type=kind)
    assert zones.dtype == np.int8
    expected, distance = walk(r, p, 1, kind)
    np.testing.assert_array_equal(zones, expected)
    assert set(np.unique(zones)) == {0, 1, 2, 3, 4}
    assert (distance == 0).sum() > 300  # lines are hit
    np.testing.assert_array_equal(
        parkes_zones(r, p, diabetes_type=kind, slack=0.0)[distance > 0], expected[distance > 0]
    )


@pytest.mark.parametrize("kind", [1, 2])
def test_every_pair_of_tenths_in_mmol(kind):
    r, p = np.meshgrid(np.arange(1, 306), np.arange(306), indexing="ij")
    expected, distance = walk(r * 18018, p * 18018, 10_000, kind)
    np.testing.assert_array_equal(parkes_zones(r / 10, p / 10, "mmol/L", kind), expected)
    r32, p32 = (r / 10).astype(np.float32), (p / 10).astype(np.float32)
    clear = distance > 550 * 30 * FLOAT32_SLACK
    assert clear.mean() > 0.999
    for zones in (
        parkes_zones(r32, p32, "mmol/L", kind),
        parkes_zones(r32.astype(float), p32.astype(float), "mmol/L", kind, slack=FLOAT32_SLACK),
    ):
        np.testing.assert_array_equal(zones[clear], expected[clear])


@pytest.mark.parametrize(
    ("kind", "side", "zone", "vertices"), [(kind, *line) for kind, lines in LINES.items() for line in lines]
)
def test_on_a_line_is_less_severe(kind, side, zone, vertices):
    for (x0, y0), (x1, y1) in pairwise(vertices):
        r, p = (x0 + x1) / 2, (y0 + y1) / 2
        outwards = np.array([0, 1e-4, -1e-4]) * (1 if side == "upper" else -1)
        if x0 == x1:
            zones = parkes_zones(r - outwards, np.full(3, 0.6 * p), diabetes_type=kind)
        elif y0 == 0 and y1 == 0:
            continue
        else:
            zones = parkes_zones(np.full(3, r), p + outwards, diabetes_type=kind)
        assert zones[1] == zone
        assert zones[0] == zones[2] < zone


@pytest.mark.parametrize(
    ("kind", "cases"),
    [
        (
            1,
            "85,110=A 85,111=B 400,95=C 400,94=D 400,100=C 380,290=B 300,0=D 50,10=A 51,10=B 20,160=E",
        ),
        (2, "400,100=D 380,290=A 60,200=C 55,100=B"),
        # where half-planes of a bent line, joined by "and", say A; on edges where polygons say A
        (1, "60,200=D 55,100=C 405,315=B 120,0=B 121,0=C 250,0=C 251,0=D 250,39=C"),
        (2, "345,240=B 90,0=B 91,0=C 250,0=C 251,0=D"),
    ],
)
def test_cases_by_hand(kind, cases):
    pairs = [case.replace("=", ",").split(",") for case in cases.split()]
    r, p = ([float(pair[at]) for pair in pairs] for at in (0, 1))
    assert letters(parkes_zones(r, p, diabetes_type=kind)) == "".join(pair[2] for pair in pairs)


def test_pairs_that_are_not_finite_have_no_zone():
    nan, inf = np.nan, np.inf
    r = np.array([[nan, 100, nan, 100], [inf, 100, 100, inf]])
    p = np.array([[100, nan, nan, 100], [100, inf, -inf, inf]])
    assert parkes_zones(r, p).tolist() == [[-1, -1, -1, 0], [-1, -1, -1, -1]]
    assert parkes_zones([1e308, 1e-300, 100], [1e-300, 1e308, 1e308]).tolist() == [3, 4, 4]
    assert parkes_zones([], []).shape == (0,)
    assert parkes_zones(100, 150).shape == ()


def test_a_prediction_below_zero_counts_as_zero_and_chunks_have_no_seam():
    r = np.random.default_rng(3).integers(1, 500, 100_001)
    for kind in (1, 2):
        zones = parkes_zones(r, np.full(len(r), -40.0), diabetes_type=kind)
        np.testing.assert_array_equal(zones, walk(r, 0 * r, 1, kind)[0])


def test_mistakes_are_sentences():
    for kind in (3, True, "1", None, [1], np.array([1, 2])):
        with pytest.raises(DataError, match=r"diabetes_type .* is not known; known: 1, 2"):
            parkes_zones([100], [100], diabetes_type=kind)
    with pytest.raises(DataError, match=r"a reference of -1 mmol/L is no glucose"):
        parkes_zones([-1], [5], "mmol/L")
    with pytest.raises(DataError, match=r"reference has shape \[2\], prediction \[1\]"):
        parkes_zones([100, 100], [1])


@pytest.mark.parametrize("unit", ["mg/dL", "mmol/L"])
def test_metrics_count_pairs_by_zone(unit):
    factor = 1.0 if unit == "mg/dL" else 18.018
    truth = np.array([[85, 400, 20, np.nan, 55], [400, 85, 60, 60, np.nan]]) / factor
    median = np.array([[110, 94, 160, 100, 100], [95, 111, np.nan, 200, np.nan]]) / factor
    found = {}
    for metric in METRICS:
        parts = metric.parts(Block(truth, {"median": median, "mean": truth}, unit))
        assert all(part.dtype == float and part.shape == truth.shape for part in parts.values())
        found |= metric.finish({name: part.sum() for name, part in parts.items()})
    one = 100 / 7
    t1 = {"a": one, "b": one, "c": 2 * one, "d": 2 * one, "e": one}
    expected = {f"parkes_t1_{zone}": share for zone, share in t1.items()}
    # the other grid: (85, 110) and (85, 111) are A, (20, 160) and both at 400 are D, (60, 200) is C, (55, 100) B
    t2 = {"a": 2 * one, "b": one, "c": one, "d": 3 * one, "e": 0}
    expected |= {f"parkes_t2_{zone}": share for zone, share in t2.items()}
    expected |= {"clarke_low_de": 100.0, "parkes_t1_low_de": 200 / 3}
    assert found == pytest.approx(expected)
