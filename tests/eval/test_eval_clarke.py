"""Clarke zones against exact arithmetic, hand-made cases and the table of lines on which the conventions differ."""

import numpy as np
import pandas as pd
import pytest

from tsfm_core import Block, DataError
from tsfm_eval import clarke_zones, glycaemia, grmse, hbgi, hypo_events, lbgi, parkes_zones, time_in_ranges
from tsfm_eval.clinical import METRICS

CONVENTIONS = ("ega", "matlab")
CLARKE = dict(zip(CONVENTIONS, METRICS, strict=True))


def letters(zones):
    return "".join("ABCDE"[zone] for zone in zones)


def exact(r, p, one, convention):
    """The published inequalities in whole numbers: ``one`` is 1 mg/dL in the unit of ``r`` and ``p``."""
    line = 5 * p - 7 * (r - 130 * one)
    near = (4 * r <= 5 * p) & (5 * p <= 6 * r)
    e = ((r <= 70 * one) & (p >= 180 * one)) | ((r >= 180 * one) & (p <= 70 * one))
    left = (130 * one <= r) & (r <= 180 * one)
    if convention == "ega":
        a = near | ((r < 70 * one) & (p < 70 * one))
        c = ((r > 70 * one) & (p > 180 * one) & (p > r + 110 * one)) | (left & (line < 0))
        d = ((r < 70 * one) | (r > 240 * one)) & (70 * one <= p) & (p < 180 * one)
    else:
        a = near | ((r <= 70 * one) & (p <= 70 * one))
        c = ((70 * one <= r) & (r <= 290 * one) & (p >= r + 110 * one)) | (left & (line <= 0))
        middle = (70 * one <= p) & (p <= 180 * one)
        d = (r >= 240 * one) & middle
        d |= (3 * r <= 175 * one) & middle
        d |= (175 * one <= 3 * r) & (r <= 70 * one) & (5 * p >= 6 * r)
    return np.select([a, e, c, d], [0, 4, 2, 3], 1)


def lattice(longest):
    return np.meshgrid(np.arange(1, longest + 1), np.arange(longest + 1), indexing="ij")


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float32])
def test_every_whole_number_pair(convention, dtype):
    r, p = lattice(550)
    zones = clarke_zones(r.astype(dtype), p.astype(dtype), convention=convention)
    assert zones.dtype == np.int8
    np.testing.assert_array_equal(zones, exact(r, p, 1, convention))
    assert set(np.unique(zones)) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_pair_of_tenths_in_mmol(convention):
    r, p = lattice(305)
    expected = exact(r * 18018, p * 18018, 10_000, convention)
    np.testing.assert_array_equal(clarke_zones(r / 10, p / 10, "mmol/L", convention), expected)
    r32, p32 = (r / 10).astype(np.float32), (p / 10).astype(np.float32)
    np.testing.assert_array_equal(clarke_zones(r32, p32, "mmol/L", convention), expected)
    # a block holds float64, its values came through float32 files
    parts = CLARKE[convention].parts(Block(r32.astype(float), {"median": p32.astype(float)}, "mmol/L"))
    for at, zone in enumerate("abcde"):
        np.testing.assert_array_equal(parts[zone], expected == at)


def test_pairs_exactly_20_percent_apart_lie_in_a():
    r = 0.5 * np.arange(1, 61)
    for share in (0.8, 1.2):
        for decimals in (1, 2):
            p = np.round(share * r, decimals)
            assert not clarke_zones(r, p, "mmol/L").any()
            assert not clarke_zones(r, p, "mmol/L", "matlab").any()
    nearly = np.array([20 * (1 + 5e-10), 20 * (1 + 2e-9)])
    assert letters(clarke_zones([100, 100], 100 + nearly)) == letters(clarke_zones([100, 100], 100 - nearly)) == "AB"


@pytest.mark.parametrize("zones", [clarke_zones, parkes_zones])
@pytest.mark.parametrize(
    "held",
    [
        pd.Series,
        pd.Index,
        np.ma.masked_array,
        list,
        lambda values: np.ma.masked_array(np.append(values, values[0]), [*np.zeros(values.size, bool), True]),
    ],
)
def test_few_digits_are_seen_whatever_holds_them(held, zones):
    r = (0.5 * np.arange(1, 61)).astype(np.float32)
    for share in (0.8, 1.2):
        p = np.round(share * (0.5 * np.arange(1, 61)), 1).astype(np.float32)
        found = zones(held(r), held(p), "mmol/L")
        np.testing.assert_array_equal(found[:60], zones(r, p, "mmol/L"))
        assert (found[60:] == -1).all()
        if zones is clarke_zones:
            assert not found[:60].any()


def test_float16_has_the_slack_of_float32():
    r, p = np.float16([[100, 200]]), np.array([[120, 240]]) * (1 + 1e-7)
    assert clarke_zones(r, p).tolist() == [[0, 0]]
    assert clarke_zones(r.astype(float), p).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("r", "p", "ega", "matlab"),
    [
        *[(100, 120, "A", "A"), (100, 121, "B", "B"), (60, 65, "A", "A"), (65, 85, "D", "D"), (260, 150, "D", "D")],
        *[(100, 215, "C", "C"), (160, 40, "C", "C"), (50, 200, "E", "E"), (200, 65, "E", "E")],
        *[(240, 120, "B", "D"), (70, 50, "B", "A"), (50, 70, "D", "A"), (120, 230, "B", "C"), (300, 180, "B", "D")],
        (300, 415, "C", "B"),
        # on the lines
        *[(100, 80, "A", "A"), (55, 66, "A", "A"), (70, 56, "A", "A"), (70, 55, "B", "A"), (70, 85, "B", "D")],
        *[(70, 179, "B", "D"), (58, 70, "D", "A"), (70, 180, "E", "E"), (60, 180, "E", "E"), (180, 70, "E", "E")],
        *[(180, 50, "E", "E"), (300, 70, "E", "E"), (240, 179, "B", "D"), (240, 180, "B", "D"), (135, 7, "B", "C")],
        *[(130, 0, "B", "C"), (175, 63, "B", "C"), (290, 400, "B", "C"), (291, 401, "B", "B"), (291, 402, "C", "B")],
    ],
)
def test_cases_by_hand(r, p, ega, matlab):
    assert letters(clarke_zones([r], [p])) == ega
    assert letters(clarke_zones([r], [p], convention="matlab")) == matlab


def test_pairs_that_are_not_finite_have_no_zone():
    nan, inf = np.nan, np.inf
    r = np.array([[nan, 100, nan, 100], [inf, 100, 100, inf]])
    p = np.array([[100, nan, nan, 100], [100, inf, -inf, inf]])
    assert clarke_zones(r, p).tolist() == [[-1, -1, -1, 0], [-1, -1, -1, -1]]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_prediction_below_zero_counts_as_zero(convention):
    r = np.arange(1.0, 301.0)
    below = clarke_zones(r, np.full(300, -40.0), convention=convention)
    np.testing.assert_array_equal(below, clarke_zones(r, np.zeros(300), convention=convention))


def test_chunks_join_without_a_seam():
    r, p = (np.random.default_rng(3).integers(1, 500, 100_001) for _ in range(2))
    np.testing.assert_array_equal(clarke_zones(r, p), exact(r, p, 1, "ega"))
    assert clarke_zones(np.array([]), np.array([])).shape == (0,)
    assert clarke_zones(100, 150).shape == ()


def test_mistakes_are_sentences():
    with pytest.raises(DataError, match=r"a reference of 0 mg/dL is no glucose; mark missing values by NaN"):
        clarke_zones([100, 0], [np.nan, np.nan])
    with pytest.raises(DataError, match=r"reference has shape \[2\], prediction \[3\]"):
        clarke_zones([100, 100], [1, 2, 3])
    with pytest.raises(DataError, match="convention 'parkes' is not known; known: ega, matlab"):
        clarke_zones([100], [100], convention="parkes")
    for convention in (["ega"], None, ("ega", "matlab"), np.array(["ega", "matlab"])):
        with pytest.raises(DataError, match=r"convention .* is not known; known: ega, matlab"):
            clarke_zones([100], [100], convention=convention)
    with pytest.raises(DataError, match="unit 'mgdl' is not known"):
        clarke_zones([100], [100], "mgdl")
    with pytest.raises(DataError, match="prediction is no array of numbers; give numbers, NaN where one is missing"):
        clarke_zones([100], ["100"])
    with pytest.raises(DataError, match="reference is no array of numbers"):
        clarke_zones([[100], [100, 120]], [100])


@pytest.mark.parametrize("zones", [clarke_zones, parkes_zones])
@pytest.mark.parametrize("slack", [np.nan, -1, -1e-12, "a", 5, 0.02, np.inf, True, [1e-6], np.array([0.0, 0.0])])
def test_a_slack_is_a_small_number(zones, slack):
    with pytest.raises(DataError, match="slack is .*; give a relative tolerance from 0 to 0.01"):
        zones([100], [120], slack=slack)
    for usual in (0, 0.01, np.float32(1e-6), np.int64(0)):
        assert zones([100], [105], slack=usual).tolist() == [0]


@pytest.mark.parametrize("unit", [None, 1, ["mg/dL"], b"mg/dL", np.array(["mg/dL", "mmol/L"])])
def test_a_unit_is_a_name(unit):
    pairs = (clarke_zones, parkes_zones, grmse, glycaemia)
    calls = [lambda function=function: function([100], [100], unit) for function in pairs]
    calls += [lambda function=function: function([100], unit) for function in (time_in_ranges, lbgi, hbgi)]
    for call in [*calls, lambda: hypo_events([100], 5, unit)]:
        with pytest.raises(DataError, match=r"unit .* is not known; known: mg/dL, mmol/L"):
            call()


def test_percentages_leave_missing_pairs_out():
    truth = np.array([[100, 100, 50, np.nan], [260, 100, 65, 100]], dtype=float)
    median = np.array([[110, 130, 200, 100], [150, 215, np.nan, 100]], dtype=float)
    metric = CLARKE["ega"]
    parts = metric.parts(Block(truth, {"median": median, "mean": truth}, "mg/dL"))
    assert parts["count"].tolist() == [[1, 1, 1, 0], [1, 1, 0, 1]]
    scores = metric.finish({name: part.sum() for name, part in parts.items()})
    sixth = 100 / 6
    expected = {"clarke_a": 2 * sixth, "clarke_b": sixth, "clarke_c": sixth, "clarke_d": sixth, "clarke_e": sixth}
    assert scores == pytest.approx(expected)
