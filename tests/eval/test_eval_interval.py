"""Central intervals: closed ends, bounds between levels, and scores against scoringrules and utilsforecast."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scoringrules as sr

from tsfm_core import Block, DataError
from tsfm_eval.interval import METRICS, central_interval, coverage, interval_score, sharpness, wis
from tsfm_eval.quantile import mqloss

with warnings.catch_warnings():  # an escape in one of its docstrings
    warnings.simplefilter("ignore")
    from utilsforecast import losses

METRIC = {metric.name: metric for metric in METRICS}
THREE = (0.1, 0.5, 0.9)
TAILS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)


def score(name, truth, quantiles, levels):
    """Score truths ``[n]`` and quantiles ``[n, Q]`` as windows of one step."""
    truth, quantiles = np.array(truth, dtype=float)[:, None], np.array(quantiles, dtype=float)[:, :, None]
    parts = METRIC[name].parts(Block(truth, {"median": truth}, "mg/dL", quantiles, levels))
    return METRIC[name].finish({key: part.sum() for key, part in parts.items()})


def edges():
    """Truths ``[n]`` and quantiles ``[n, 9]``: random ones, zeros, equal quantiles, truths on them."""
    rng = np.random.default_rng(9)
    rows = np.sort(rng.normal(0, 2, (40, 9)), axis=-1)
    rows[20:30] = np.round(rows[20:30])
    extra = [[0.0] * 9, [1.0] * 9, [-1.0] * 4 + [0.0] * 5]
    y = np.append(rng.normal(0, 2, 40), [0.0, 3.0, -1.0])
    y[20:30] = rows[20:30, 2]
    return y, np.concatenate([rows, extra])


def test_by_hand():
    assert interval_score([100, 70], [80, 80], [120, 120], 0.2) == pytest.approx([40, 140])
    assert wis(100, [80, 95, 120], THREE) == pytest.approx((0.5 * 5 + 0.1 * 40) / 1.5)
    assert score("wis", [100], [[80, 95, 120]], THREE) == pytest.approx({"wis": 4.3333}, abs=5e-5)
    scores = score("interval_score", [100, 70], [[80, 95, 120]] * 2, THREE)
    assert scores["interval_score_80"] == pytest.approx(90)
    assert list(scores) == ["interval_score_50", "interval_score_80"]


def test_against_other_packages():
    y, f = edges()
    for at, percent in enumerate((95, 90, 80, 50)):
        lower, upper, alpha = f[:, at], f[:, 8 - at], 1 - percent / 100
        other = sr.interval_score(y, lower, upper, alpha, backend="numpy")
        np.testing.assert_allclose(interval_score(y, lower, upper, alpha), other, rtol=1e-9)
        np.testing.assert_allclose(interval_score(y, upper, lower, alpha), other, rtol=1e-9)
        frame = pd.DataFrame({f"q-lo-{percent}": lower, f"q-hi-{percent}": upper, "y": y, "unique_id": "one"})
        found = coverage(y, lower, upper)
        assert found == pytest.approx(losses.coverage(frame, ["q"], percent)["q"].item())
        assert score("coverage", y, f, TAILS)[f"coverage_{percent}"] == found == coverage(y, upper, lower)
        assert score("coverage", y, f, TAILS)[f"sharpness_{percent}"] == pytest.approx(sharpness(lower, upper))
        assert sharpness(lower, upper) == sharpness(upper, lower) == pytest.approx((upper - lower).mean())
        name = f"interval_score_{percent}"
        assert score("interval_score", y, f, TAILS)[name] == pytest.approx(other.mean(), rel=1e-9)
        np.testing.assert_array_equal(central_interval(f[:, ::-1], TAILS, percent), [lower, upper])
    pairs = [(2 * level, f[:, at], f[:, 8 - at]) for at, level in enumerate(TAILS[:4])]
    # without numba its weighted score adds the median itself: the sum is taken here
    intervals = [
        alpha / 2 * sr.interval_score(y, lower, upper, alpha, backend="numpy") for alpha, lower, upper in pairs
    ]
    other = (0.5 * abs(y - f[:, 4]) + sum(intervals)) / 4.5
    np.testing.assert_allclose(wis(y, f, TAILS), other, rtol=1e-9, atol=1e-12)
    assert score("wis", y, f, TAILS) == pytest.approx({"wis": other.mean()})
    assert wis(y, f, TAILS).mean() == pytest.approx(mqloss(y, f, TAILS))


def test_both_ends_of_an_interval_are_closed():
    levels, row = (0.1, 0.9), [80, 120]
    truth = [80, 120, 79.999, 120.001]
    scores = score("coverage", truth, [row] * 4, levels)
    assert (scores["coverage_80"], scores["sharpness_80"]) == (0.5, 40.0)


def test_bounds_between_levels_are_linear_and_never_outside():
    scores = score("coverage", [70, 71, 89, 90], [[60, 80, 100]] * 4, (0.0, 0.5, 1.0))
    assert (scores["coverage_50"], scores["sharpness_50"]) == (1.0, 20.0)
    assert scores["sharpness_95"] == pytest.approx(38.0)
    deciles = tuple(np.round(np.arange(1, 10) / 10, 1).tolist())
    row = list(range(10, 100, 10))
    up_to_80 = ["coverage_50", "sharpness_50", "coverage_80", "sharpness_80"]
    assert list(score("coverage", [50], [row], deciles)) == up_to_80
    assert score("coverage", [25, 24.9], [row] * 2, deciles)["coverage_50"] == 0.5
    assert score("coverage", [50], [[50]], (0.5,)) == {}
    assert list(score("coverage", [50], [[1, 50]], (0.025, 0.9))) == up_to_80
    assert np.array(central_interval(row, deciles, 50)) == pytest.approx([25, 75])
    assert np.isnan(central_interval(row, deciles, 90)).all()
    assert central_interval([row, row], deciles, 80)[1].tolist() == [90, 90]


@pytest.mark.parametrize("unit", ["mg/dL", "mmol/L"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equal_quantiles_hold_the_truth_that_they_tie_with(unit, dtype):
    values = np.round(np.arange(400, 4001, 7) / 10 / (1 if unit == "mg/dL" else 18.018), 1).astype(dtype)
    y = np.concatenate([values.astype(float), values * (1 if unit == "mg/dL" else 1 / 18.018)])
    rows = np.repeat(y[:, None], 5, axis=1)
    levels = (0.05, 0.2, 0.5, 0.8, 0.95)  # the bounds of 50 and 80 % lie between two of them
    scores = score("coverage", y, rows, levels)
    losses_of = score("interval_score", y, rows, levels)
    for percent in (50, 80, 90):
        lower, upper = central_interval(rows, levels, percent)
        np.testing.assert_array_equal([lower, upper], [y, y])
        assert coverage(y, lower, upper) == scores[f"coverage_{percent}"] == 1.0
        assert sharpness(lower, upper) == scores[f"sharpness_{percent}"] == 0.0
        assert losses_of[f"interval_score_{percent}"] == 0.0
    tied = rows + np.array([-1.0, 0.0, 0.0, 0.0, 1.0])  # a bound never leaves the two between which it lies
    lower, upper = central_interval(tied, levels, 50)
    np.testing.assert_array_equal([lower, upper], [y, y])
    assert (np.diff([tied[:, 0], central_interval(tied, levels, 80)[0], tied[:, 1]], axis=0) >= 0).all()


def test_levels_that_differ_in_the_last_digit_are_the_same():
    levels = (0.1 - 1e-16, 0.30000000000000004, 0.9000000000000001)
    scores = score("coverage", [80, 120], [[80, 100, 120]] * 2, levels)
    assert (scores["coverage_80"], scores["sharpness_80"]) == (1.0, 40.0)
    assert np.isfinite(wis(1.0, [0.0, 1.0, 2.0], (0.1, 0.5, 1 - 0.1 - 1e-16)))


def test_a_calibrated_forecast_covers_what_it_promises():
    y = np.random.default_rng(6).normal(size=40_000)
    normal = [-1.959964, -1.644854, -1.281552, -0.67449, 0, 0.67449, 1.281552, 1.644854, 1.959964]
    scores = score("coverage", y, np.tile(normal, (len(y), 1)), TAILS)
    for percent, half in ((50, 0.67449), (80, 1.281552), (90, 1.644854), (95, 1.959964)):
        assert scores[f"coverage_{percent}"] == pytest.approx(percent / 100, abs=0.01)
        assert scores[f"sharpness_{percent}"] == pytest.approx(2 * half)


def test_missing_pairs_do_not_count():
    truth = [100, np.nan, 100, np.inf, 100]
    quantiles = [[80, 95, 120], [0, 0, 0], [80, np.nan, 120], [0, 0, np.inf], [-np.inf, 0, 0]]
    covered = score("coverage", truth, quantiles, THREE)
    assert (covered["coverage_80"], covered["sharpness_80"]) == (1.0, 40.0)
    assert score("interval_score", truth, quantiles, THREE)["interval_score_80"] == pytest.approx(40)
    assert score("wis", truth, quantiles, THREE) == pytest.approx({"wis": 13 / 3})
    lower, upper = np.transpose(quantiles)[[0, 2]]
    lower[2] = np.nan
    assert coverage(truth, lower, upper) == 1.0
    assert sharpness(lower, upper) == 20.0  # the second has no truth, and no width
    for scores in (interval_score(truth, lower, upper, 0.2), wis(truth, quantiles, THREE)):
        assert np.isnan(scores).tolist() == [False, True, True, True, True]
    assert np.isnan(central_interval(quantiles, THREE, 80)[0]).tolist() == [False, False, True, True, True]
    assert np.isnan([coverage([], [], []), sharpness([np.nan], [1.0])]).all()


def test_what_levels_cannot_give():
    block = Block(np.ones((1, 1)), {"median": np.ones((1, 1))}, "1", np.ones((1, 3, 1)), (0.3, 0.5, 0.9))
    assert (
        METRIC["interval_score"].why_not(block)
        == "its levels do not reach the bounds of the 50 % interval, 0.25 and 0.75"
    )
    assert "symmetrical" in METRIC["wis"].why_not(block)
    for levels in ((0.1, 0.9), (0.1, 0.5, 0.8), (0.2, 0.4, 0.6, 0.8)):
        with pytest.raises(DataError, match="wis needs the level 0.5 and pairs of levels"):
            wis(1.0, np.arange(float(len(levels))), levels)
    even = Block(block.truth, block.points, "1", block.quantiles, (0.25, 0.5, 0.75))
    assert METRIC["interval_score"].why_not(even) is METRIC["wis"].why_not(even) is None


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: interval_score([1.0], [1.0], [1.0], 0), "alpha is 0"),
        (lambda: interval_score([1.0], [1.0], [1.0], np.nan), "alpha is nan"),
        (lambda: interval_score([1.0], [1.0], [1.0], "80"), "alpha is no array of numbers"),
        (lambda: interval_score([1.0, 2.0], [1.0], [1.0], 0.2), r"y has shape \[2\], lower \[1\]"),
        (lambda: coverage(1.0, 1.0, [1.0]), r"lower has shape \[\], upper \[1\]"),
        (lambda: sharpness(["a"], [1.0]), "lower is no array of numbers"),
        (lambda: central_interval([1.0, 2.0], (0.1, 0.9), 0.8 - 0.8), "0.0 is no percentage of an interval"),
        (lambda: central_interval([1.0, 2.0], (0.1, 0.9), 100), "100 is no percentage of an interval"),
        (lambda: central_interval([1.0], (0.1, 0.9), 80), "shapes do not fit"),
        (lambda: wis([1.0], [1.0], (0.5,)), "shapes do not fit"),
    ],
)
def test_mistakes_are_sentences(call, sentence):
    with pytest.raises(DataError, match=sentence):
        call()
