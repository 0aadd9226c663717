"""Point errors against numpy, and mase against the case worked by hand."""

import numpy as np
import pytest

from tsfm_core import Block, DataError
from tsfm_eval import mae, mape, mse, rmse
from tsfm_eval.plugin import metrics

METRICS = {metric.name: metric for metric in metrics()}


def score(name, block):
    parts = METRICS[name].parts(block)
    return METRICS[name].finish({key: part.sum() for key, part in parts.items()})


@pytest.fixture
def arrays():
    rng = np.random.default_rng(1)
    truth, mean, median = rng.uniform(40, 300, (3, 20, 6))
    truth[rng.random(truth.shape) < 0.2] = np.nan
    return truth, mean, median


def test_against_numpy(arrays):
    truth, mean, median = arrays
    block = Block(truth, {"mean": mean, "median": median}, "mg/dL")
    squares = np.nanmean((truth - mean) ** 2)
    assert score("mse", block) == pytest.approx({"mse": squares})
    assert score("rmse", block) == pytest.approx({"rmse": np.sqrt(squares)})
    assert score("mae", block) == pytest.approx({"mae": np.nanmean(abs(truth - median))})
    assert score("mape", block) == pytest.approx({"mape": 100 * np.nanmean(abs(truth - median) / truth)})


def test_functions_agree_with_the_metrics(arrays):
    truth, forecast, _ = arrays
    block = Block(truth, {"mean": forecast}, "mg/dL")  # the mean stands in for the median that is not given
    for function in (rmse, mse, mae, mape):
        name = function.__name__
        assert score(name, block) == pytest.approx({name: function(truth, forecast)})


def test_mse_of_all_is_the_mean_of_its_steps_weighted_by_pairs(arrays):
    truth, mean, _ = arrays
    by_step = [mse(truth[:, step], mean[:, step]) for step in range(6)]
    assert mse(truth, mean) == pytest.approx(np.average(by_step, weights=np.isfinite(truth).sum(axis=0)))


def test_pairs_that_are_not_finite_do_not_count():
    truth = [10.0, np.nan, np.inf, 10.0, np.inf, 20.0]
    forecast = [13.0, 1.0, 1.0, np.inf, np.inf, 16.0]
    assert mse(truth, forecast) == 12.5
    assert rmse(truth, forecast) == pytest.approx(12.5**0.5)
    assert mae(truth, forecast) == 3.5
    assert mape(truth, forecast) == pytest.approx(25.0)
    assert np.isnan([function([np.nan], [1.0]) for function in (rmse, mse, mae, mape)]).all()


def test_mistakes_are_sentences():
    with pytest.raises(DataError, match="mape divides by the truth and found -2"):
        mape([1.0, -2.0, np.nan], [1.0, 1.0, 1.0])
    with pytest.raises(DataError, match=r"truth has shape \[2\], forecast \[1\]"):
        rmse([1.0, 2.0], [1.0])


def mase_block(scales):
    truth, forecast = np.array([[105.0, 105.0], [100.0, 108.0]]), np.array([[100.0, 110.0], [104.0, 104.0]])
    points = {"mean": truth, "median": forecast}
    return Block(truth, points, "mg/dL", scale={m: np.array(scale) for m, scale in scales.items()})


def test_mase_by_hand():
    first, second = np.array([100.0, 110, 105, 115]), np.array([100.0, 102, 104])
    scale = [np.abs(np.diff(context)).mean() for context in (first, second)]
    assert score("mase", mase_block({1: scale})) == pytest.approx({"mase_m1": 1.3, "mase_m1_left_out": 0.0})


def test_mase_leaves_windows_without_a_scale_out_and_says_so():
    scores = score("mase", mase_block({1: [0.0, 2.0], 288: [0.0, np.nan]}))
    expected = {"mase_m1": 2.0, "mase_m1_left_out": 0.5, "mase_m288": np.nan, "mase_m288_left_out": 1.0}
    assert scores == pytest.approx(expected, nan_ok=True)
