"""Probabilities below a threshold and their Brier score: by hand, against numpy and scikit-learn, and the clamp."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from tsfm_core import Block, DataError
from tsfm_eval.tail import METRICS, brier, clamped_share, level_below, probability_below

METRIC = {metric.name: metric for metric in METRICS}
LEVELS = (0.05, 0.1, 0.5, 0.9)
DECILES = tuple((np.arange(1, 10) / 10).tolist())


def score(name, block):
    parts = METRIC[name].parts(block)
    return METRIC[name].finish({key: part.sum() for key, part in parts.items()})


@pytest.mark.parametrize(
    ("row", "below"),
    [
        ([60, 80, 100, 120], 0.075),  # half way from 0.05 to 0.1
        ([70, 80, 100, 120], 0.05),  # on the first quantile: as it says, not clamped
        ([71, 80, 100, 120], 0.05),  # clamped
        ([40, 50, 60, 70], 0.9),
        ([40, 50, 60, 69], 0.9),  # clamped
        ([60, 70, 70, 80], 0.1),  # the mass on 70 is not below it
        ([70, 70, 70, 70], 0.05),
        ([90, 50, 60, 100], 0.1 + 0.4 * 1 / 3),  # sorted first: 50 60 90 100
        ([np.nan, 80, 100, 120], np.nan),
        ([-np.inf, 80, 100, 120], np.nan),
    ],
)
def test_probability_below_by_hand(row, below):
    assert probability_below(row, LEVELS, 70) == pytest.approx(below, nan_ok=True)
    assert probability_below(row[::-1], LEVELS[::-1], 70) == pytest.approx(below, nan_ok=True)


def test_probability_below_is_interpolation_where_quantiles_differ():
    quantiles = np.sort(np.random.default_rng(0).normal(70, 20, (50, 4, 9)), axis=-1)
    expected = [np.interp(70, row, DECILES) for row in quantiles.reshape(-1, 9)]
    np.testing.assert_allclose(probability_below(quantiles, DECILES, 70.0).ravel(), expected, rtol=1e-12)
    assert probability_below([[60.0], [80.0]], [0.3], 70).tolist() == [0.3, 0.3]


def test_below_and_up_to_enclose_the_mass_on_a_value():
    tied = np.array([50.0, 70.0, 70.0, 90.0])
    assert [level_below(tied, LEVELS, 70.0, strict) for strict in (True, False)] == [0.1, 0.5]
    rows = np.sort(np.random.default_rng(1).integers(60, 80, (4, 300)), axis=0).astype(float)
    lower, upper = (level_below(rows, LEVELS, 70.0, strict) for strict in (True, False))
    tied = (rows == 70).sum(axis=0) > 1
    assert (lower[tied] < upper[tied]).all()
    np.testing.assert_array_equal(lower[~tied], upper[~tied])


def test_clamped_share_counts_forecasts_on_one_side():
    rows = [[60, 80], [70, 80], [71, 80], [60, 70], [60, 69], [np.nan, 80], [80, 60]]
    assert clamped_share(rows, 70) == pytest.approx(2 / 6)
    assert np.isnan(clamped_share(np.empty((0, 2)), 70))


def test_brier_against_scikit_learn():
    rng = np.random.default_rng(2)
    below, probability = rng.random(200) < 0.2, rng.random(200)
    assert brier(below, probability) == pytest.approx(brier_score_loss(below, probability), rel=1e-9)
    assert brier([1.0, np.nan, 0.0, 1.0], [0.8, 0.5, 0.5, np.nan]) == pytest.approx((0.04 + 0.25) / 2)
    assert np.isnan([brier([], []), brier([np.nan], [0.5])]).all()


@pytest.mark.parametrize("unit", ["mg/dL", "mmol/L"])
@pytest.mark.parametrize(("low", "mgdl", "mmoll"), [("lt70", 70, 3.9), ("lt54", 54, 3.0)])
def test_the_metric_is_the_function_in_the_data_s_own_unit(unit, low, mgdl, mmoll):
    threshold = mgdl if unit == "mg/dL" else mmoll
    rng = np.random.default_rng(3)
    truth = threshold * rng.uniform(0.6, 1.6, (40, 5))
    truth[0, :2] = threshold, np.nan  # strict: a truth on the threshold is not low
    quantiles = np.sort(threshold * rng.uniform(0.6, 1.6, (40, 4, 5)), axis=1)
    quantiles[1, 2, 3] = np.nan
    scores = score(f"brier_{low}", Block(truth, {"median": truth}, unit, quantiles, LEVELS))
    last = np.moveaxis(quantiles, 1, -1)
    below = np.where(np.isfinite(truth), truth < threshold, np.nan)
    seen = np.isfinite(truth)
    assert scores == pytest.approx(
        {
            f"brier_{low}": brier(below, probability_below(last, LEVELS, threshold)),
            f"brier_{low}_clamped": clamped_share(last[seen], threshold),
        }
    )


def test_deciles_are_refused_unless_told_otherwise():
    truth = np.where(np.arange(1000) < 30, 60.0, 100.0)[:, None]
    quantiles = np.broadcast_to(np.linspace(80, 120, 9)[:, None], (1000, 9, 1))
    block = Block(truth, {"median": truth}, "mg/dL", quantiles, DECILES)
    assert "no low could be rarer than 0.1" in METRIC["brier_lt70"].why_not(block)
    assert METRIC["brier_lt70_any_levels"].why_not is None
    # a constant 0.1 at a base rate of 3 %: worse than climatology
    expected = {"brier_lt70_any_levels": 0.01 + 0.8 * 0.03, "brier_lt70_any_levels_clamped": 1.0}
    assert score("brier_lt70_any_levels", block) == pytest.approx(expected)
    with_tail = Block(truth, {"median": truth}, "mg/dL", quantiles[:, :4], LEVELS)
    assert METRIC["brier_lt54"].why_not(with_tail) is None


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: probability_below([60.0, 80.0], [0.1], 70), r"shapes do not fit: quantiles \[2\], levels \[1\]"),
        (lambda: probability_below([60.0, 80.0], [0.1, 0.1], 70), "level 0.1 is given twice"),
        (lambda: probability_below([60.0, 80.0], [0.1, 1.0], 70), "1 is no quantile level"),
        (lambda: probability_below([], [], 70), r"shapes do not fit: levels \[0\]"),
        (lambda: probability_below(["a", "b"], [0.1, 0.9], 70), "quantiles is no array of numbers"),
        (lambda: probability_below([[60.0], [80.0, 90.0]], [0.1], 70), "quantiles is no array of numbers"),
        (lambda: probability_below([60.0], [0.1], np.nan), "nan is no threshold"),
        (lambda: probability_below([60.0], [0.1], [70.0]), "is no threshold"),
        (lambda: clamped_share([60.0], "low"), "threshold is no array of numbers"),
        (lambda: clamped_share(60.0, 70), r"quantiles have shape \[\]"),
        (lambda: brier([0.5], [0.5]), "below is 0.5"),
        (lambda: brier([1.0], [1.5]), "probability is 1.5"),
        (lambda: brier([1.0], [0.5, 0.5]), r"below has shape \[1\], probability \[2\]"),
    ],
)
def test_mistakes_are_sentences(call, sentence):
    with pytest.raises(DataError, match=sentence):
        call()


def test_a_masked_array_hides_its_values():
    hidden = np.ma.masked_array([0.0, 1.0], mask=[True, False])
    assert brier(hidden, [0.5, 0.5]) == 0.25 == brier([1], [0.5])
    assert np.isnan(brier(hidden[:1], [0.5]))
