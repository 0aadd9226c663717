"""Point errors against numpy and utilsforecast, and cumulative_rmse against windows taken one by one."""

import warnings

import numpy as np
import pandas as pd
import pytest

from tsfm_core import Block, DataError
from tsfm_eval.point import METRICS, bias, cumulative_rmse, mae, mape, mse, rmse, smape

with warnings.catch_warnings():  # an escape in one of its docstrings
    warnings.simplefilter("ignore")
    from utilsforecast import losses

METRIC = {metric.name: metric for metric in METRICS}
FUNCTIONS = (rmse, mse, mae, mape, smape, bias)


def score(name, block, axis=None):
    parts = METRIC[name].parts(block)
    return METRIC[name].finish({key: part.sum(axis=axis) for key, part in parts.items()})


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
    sizes = abs(truth) + abs(median)
    assert score("smape", block) == pytest.approx({"smape": np.nanmean(2 * abs(truth - median) / sizes)})
    assert score("bias", block) == pytest.approx({"bias": np.nanmean(mean - truth)})


def test_against_utilsforecast(arrays):
    truth, forecast, _ = arrays
    seen = np.isfinite(truth)
    truth, forecast = np.append(truth[seen], [0.0, 0.0]), np.append(forecast[seen], [0.0, 5.0])
    frame = pd.DataFrame({"unique_id": "one", "ds": np.arange(len(truth)), "y": truth, "f": forecast})
    for function in (rmse, mse, mae, bias):
        other = getattr(losses, function.__name__)(frame, ["f"])["f"].item()
        assert function(truth, forecast) == pytest.approx(other, rel=1e-9)
    assert smape(truth, forecast) == pytest.approx(2 * losses.smape(frame, ["f"])["f"].item(), rel=1e-9)


def test_functions_agree_with_the_metrics(arrays):
    truth, forecast, _ = arrays
    block = Block(truth, {"mean": forecast}, "mg/dL")  # the mean stands in for the median that is not given
    for function in FUNCTIONS:
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
    assert smape(truth, forecast) == pytest.approx((6 / 23 + 8 / 36) / 2)
    assert bias(truth, forecast) == -0.5
    for empty in ([], [np.nan], [np.inf]):
        assert np.isnan([function(empty, np.ones(len(empty))) for function in FUNCTIONS]).all()


def test_mistakes_are_sentences():
    with pytest.raises(DataError, match="mape divides by the truth and found -2"):
        mape([1.0, -2.0, np.nan], [1.0, 1.0, 1.0])
    with pytest.raises(DataError, match=r"truth has shape \[2\], forecast \[1\]"):
        rmse([1.0, 2.0], [1.0])
    with pytest.raises(DataError, match="forecast is no array of numbers"):
        bias([1.0], ["high"])
    with pytest.raises(DataError, match="truth is no array of numbers"):
        smape(np.array(["2024-01-01"], dtype="datetime64[D]"), [1.0])
    with pytest.raises(DataError, match="truth is a single number"):
        cumulative_rmse(1.0, 1.0)


def test_smape_of_zeros():
    assert smape([0.0, 0.0], [0.0, 3.0]) == 1.0  # no error, and the greatest
    assert smape([0.1], [0.3]) == pytest.approx(1.0)


def test_cumulative_rmse_by_hand():
    truth = [[0.0, 0.0, 0.0], [np.nan, 0.0, 0.0], [np.nan, np.nan, np.nan]]
    forecast = [[3.0, 4.0, np.nan], [9.0, 2.0, 4.0], [1.0, 1.0, 1.0]]
    first, second = [3.0, 12.5**0.5, 12.5**0.5], [np.nan, 2.0, 10**0.5]
    mean, sd = cumulative_rmse(truth, forecast)
    assert mean == pytest.approx(np.nanmean([first, second], axis=0))
    assert sd == pytest.approx(np.nanstd([first, second], axis=0))
    assert np.isnan(cumulative_rmse(np.empty((0, 2)), np.empty((0, 2)))).all()
    assert np.isnan(cumulative_rmse([[np.nan, 1.0]], [[1.0, 1.0]])[0]).tolist() == [True, False]
    assert cumulative_rmse([[1.1, 2.2]], [[1.4, 2.3]])[1].tolist() == [0.0, 0.0]


def test_cumulative_rmse_of_windows_one_by_one(arrays):
    truth, mean, _ = arrays
    block = Block(truth, {"mean": mean}, "mg/dL")
    seen = np.isfinite(truth).any(axis=1)
    last = [rmse(*window) for window in zip(truth[seen], mean[seen], strict=True)]
    overall = score("cumulative_rmse", block)
    assert overall == pytest.approx({"cumulative_rmse": np.mean(last), "cumulative_rmse_sd": np.std(last)})
    curve = score("cumulative_rmse", block, axis=0)
    for name, values in zip(curve, cumulative_rmse(truth, mean), strict=True):
        assert curve[name] == pytest.approx(values)
        assert curve[name][-1] == pytest.approx(overall[name])
    up_to_2 = [rmse(*window) for window in zip(truth[:, :3], mean[:, :3], strict=True)]
    assert curve["cumulative_rmse"][2] == pytest.approx(np.nanmean(up_to_2))


def test_cumulative_rmse_of_resampled_windows(arrays):
    truth, mean, _ = arrays
    parts = METRIC["cumulative_rmse"].parts(Block(truth, {"mean": mean}, "mg/dL"))
    draws = np.random.default_rng(2).integers(0, len(truth), (9, len(truth)))
    sums = {name: part.sum(axis=1)[draws].sum(axis=1) for name, part in parts.items()}
    expected = [cumulative_rmse(truth[rows], mean[rows])[0][-1] for rows in draws]
    assert METRIC["cumulative_rmse"].finish(sums)["cumulative_rmse"] == pytest.approx(expected)
