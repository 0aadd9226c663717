"""Calibration: the level at a truth by hand and by scipy, histograms, and gaps against their definitions."""

import numpy as np
import pytest
from scipy.stats import norm, percentileofscore

from tsfm_core import Block, DataError
from tsfm_eval.calibration import METRICS, ece, mace, pit, reliability

METRIC = {metric.name: metric for metric in METRICS}
DECILES = tuple((np.arange(1, 10) / 10).tolist())
FOUR = (0.05, 0.1, 0.5, 0.9)


def score(name, truth, quantiles, levels, axis=None):
    """Score truths ``[n]`` and quantiles ``[n, Q]`` as windows of one step."""
    truth, quantiles = np.array(truth, dtype=float)[:, None], np.array(quantiles, dtype=float)[:, :, None]
    parts = METRIC[name].parts(Block(truth, {"median": truth}, "mg/dL", quantiles, levels))
    return METRIC[name].finish({key: part.sum(axis=axis) for key, part in parts.items()})


@pytest.mark.parametrize(
    ("y", "row", "level"),
    [
        (70, [60, 80, 90, 100], 0.075),
        (60, [60, 80, 90, 100], 0.05),
        (59, [60, 80, 90, 100], 0.0),  # clamped
        (100, [60, 80, 90, 100], 0.9),
        (101, [60, 80, 90, 100], 1.0),  # clamped
        (80, [60, 80, 80, 100], 0.3),  # the middle of 0.1 and 0.5
        (90, [60, 80, 80, 100], 0.7),
        (70, [60, 80, 80, 100], 0.075),
        (80, [80, 80, 80, 80], 0.475),
        (79, [80, 80, 80, 80], 0.0),
        (81, [80, 80, 80, 80], 1.0),
        (80, [80, 80, 80, 100], 0.275),
        (80, [100, 80, 60, 80], 0.3),  # sorted first
        (np.nan, [60, 80, 90, 100], np.nan),
        (80, [np.nan, 80, 90, 100], np.nan),
        (80, [60, 80, 90, np.inf], np.nan),
    ],
)
def test_pit_by_hand(y, row, level):
    assert pit(y, row, FOUR) == pytest.approx(level, nan_ok=True)
    assert pit([y, y], [row, row], FOUR)[1] == pytest.approx(level, nan_ok=True)


def test_pit_is_the_middle_of_a_percentile_rank():
    """On 9 samples as deciles, scipy's mean rank of a truth that equals samples: k of 9 is the level (k + 0.5) / 10."""
    rng = np.random.default_rng(0)
    rows = np.sort(rng.integers(0, 6, (300, 9)), axis=1)
    y = rng.integers(0, 6, 300)
    on = (rows == y[:, None]).any(axis=1)
    ranks = [percentileofscore(row, value, "mean") for row, value in zip(rows[on], y[on], strict=True)]
    np.testing.assert_allclose(pit(y[on], rows[on], DECILES), (np.array(ranks) / 100 * 9 + 0.5) / 10)


def test_pit_is_interpolation_where_quantiles_differ():
    rng = np.random.default_rng(1)
    rows, y = np.sort(rng.normal(size=(100, 9)), axis=1), rng.normal(size=100)
    expected = [np.interp(value, row, DECILES, left=0, right=1) for row, value in zip(rows, y, strict=True)]
    np.testing.assert_allclose(pit(y, rows, DECILES), expected)


def test_the_histogram_contains_what_is_clamped_and_shows_it_apart():
    row = np.arange(1.0, 10.0)
    y = [0.5, 1.0, 1.5, 5.0, 8.9999, 9.0, 9.5, np.nan, 3.0]
    expected = dict.fromkeys([f"pit_{k}" for k in range(10)], 0.0)
    expected |= {"pit_0": 1, "pit_1": 2, "pit_3": 1, "pit_5": 1, "pit_8": 1, "pit_9": 2, "pit_below": 1, "pit_above": 1}
    scores = score("pit", y, [row] * 9, DECILES)
    assert scores == pytest.approx({name: count / 8 for name, count in expected.items()})
    assert sum(scores[f"pit_{k}"] for k in range(10)) == pytest.approx(1.0)
    for at, level in enumerate(DECILES):  # a truth on a quantile opens the bin of its level
        assert score("pit", [row[at]], [row], DECILES)[f"pit_{round(10 * level)}"] == 1.0


def test_gaps_against_their_definitions():
    rng = np.random.default_rng(2)
    rows, y = np.sort(rng.normal(size=(50, 4)), axis=1), rng.normal(0.3, 1, 50)
    y[0], rows[1, 2], y[2], rows[3, 3] = np.nan, np.nan, np.inf, np.inf
    y[5] = rows[5, 1]  # a truth on the quantile counts as below
    shares = np.array([np.mean(y[4:] <= rows[4:, at]) for at in range(4)])
    gaps = abs(shares - FOUR)
    np.testing.assert_allclose(reliability(y, rows, FOUR), shares)
    assert mace(y, rows, FOUR) == pytest.approx(gaps.mean())
    assert ece(y, rows, FOUR) == pytest.approx(np.trapezoid(gaps, FOUR))
    assert ece(y, rows[:, ::-1], FOUR[::-1]) == pytest.approx(np.trapezoid(gaps, FOUR))
    for name, function in (("mace", mace), ("ece", ece)):
        assert score(name, y, rows, FOUR) == pytest.approx({name: function(y, rows, FOUR)})
        assert score(name, y, rows, FOUR, axis=0)[name].shape == (1,)
    expected = dict(
        zip(["reliability_0.05", "reliability_0.1", "reliability_0.5", "reliability_0.9"], shares, strict=True)
    )
    assert score("reliability", y, rows, FOUR) == pytest.approx(expected)


def test_the_true_distribution_is_calibrated():
    y = np.random.default_rng(3).normal(size=40_000)
    levels = tuple((np.arange(1, 100) / 100).tolist())
    rows = np.broadcast_to(norm.ppf(levels), (40_000, 99))
    assert mace(y, rows, levels) < 0.005
    assert ece(y, rows, levels) < 0.005
    assert abs(np.array(list(score("pit", y, rows, levels).values())[:10]) - 0.1).max() < 0.01
    assert mace(y, rows + 0.5, levels) > 0.1
    assert np.corrcoef(pit(y, rows, levels), norm.cdf(y))[0, 1] > 0.9999


def test_no_pairs_and_one_level():
    empty = np.empty((0, 4))
    assert np.isnan([mace([], empty, FOUR), ece([], empty, FOUR), *reliability([], empty, FOUR)]).all()
    assert np.isnan(list(score("pit", [np.nan], [[1, 2, 3, 4]], FOUR).values())).all()
    assert mace([1.0, 3.0], [[2.0], [2.0]], (0.4,)) == pytest.approx(0.1)
    assert np.isnan(ece([1.0, 3.0], [[2.0], [2.0]], (0.4,)))  # no width to integrate over
    assert pit([1.0, 2.0, 3.0], [[2.0]] * 3, (0.4,)).tolist() == [0.0, 0.4, 1.0]


@pytest.mark.parametrize("function", [pit, mace, ece, reliability])
def test_mistakes_are_sentences(function):
    with pytest.raises(DataError, match=r"shapes do not fit: y \[2\], quantiles \[1, 2\], levels \[2\]"):
        function([1.0, 2.0], [[1.0, 2.0]], [0.1, 0.9])
    with pytest.raises(DataError, match="1.5 is no quantile level"):
        function([1.0], [[1.0, 2.0]], [0.1, 1.5])
    with pytest.raises(DataError, match="quantiles is no array of numbers"):
        function([1.0], [["a", "b"]], [0.1, 0.9])
