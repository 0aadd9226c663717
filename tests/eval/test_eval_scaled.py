"""Scaled errors: the cases worked by hand, one series against utilsforecast, and what is left out."""

import warnings

import numpy as np
import pandas as pd
import pytest

from tsfm_core import Block, DataError
from tsfm_eval.interval import central_interval
from tsfm_eval.scaled import METRICS, mase, msis, rmsse, seasonal_scales, sql

with warnings.catch_warnings():  # an escape in one of its docstrings
    warnings.simplefilter("ignore")
    from utilsforecast import losses

METRIC = {metric.name: metric for metric in METRICS}
LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


def score(name, block):
    parts = METRIC[name].parts(block)
    return METRIC[name].finish({key: part.sum() for key, part in parts.items()})


def test_by_hand():
    contexts = [[100.0, 110, 105, 115], [100.0, 102, 104]]
    scales = np.array([seasonal_scales(context, 1) for context in contexts])
    np.testing.assert_allclose(scales, [[25 / 3, 75], [2, 4]])
    truth, forecast = np.array([[105.0, 105.0], [100.0, 108.0]]), np.array([[100.0, 110.0], [104.0, 104.0]])
    assert mase(truth, forecast, scales[:, 0]) == pytest.approx(1.3)
    assert rmsse(truth, forecast, scales[:, 1]) == pytest.approx(1.47196, abs=5e-6)
    block = Block(truth, {"mean": truth, "median": forecast}, "mg/dL", scale={1: scales[:, 0]})
    assert score("mase", block) == pytest.approx({"mase_m1": 1.3, "mase_m1_left_out": 0.0})
    block = Block(truth, {"mean": forecast, "median": truth}, "mg/dL", scale_squared={1: scales[:, 1]})
    assert score("rmsse", block) == pytest.approx({"rmsse_m1": 1.47196, "rmsse_m1_left_out": 0.0}, abs=5e-6)


def test_seasonal_scales_never_fall_back():
    context = [[1.0, np.nan, 4.0, 2.0, np.inf, 9.0], [5.0] * 6]
    for m, scale, squared in ((1, 2.0, 4.0), (2, (3 + 7) / 2, (9 + 49) / 2), (3, (1 + 5) / 2, (1 + 25) / 2)):
        np.testing.assert_allclose(seasonal_scales(context, m), [[scale, 0.0], [squared, 0.0]])
    for m in (6, 288):
        assert np.isnan(seasonal_scales(context, m)).all()


@pytest.mark.parametrize("m", [1, 4])
def test_one_series_against_utilsforecast(m):
    rng = np.random.default_rng(m)
    context, truth = rng.uniform(50, 200, 30), rng.uniform(50, 200, (1, 8))
    quantiles = np.sort(rng.uniform(50, 200, (1, 8, 5)))
    columns = [f"q{level}" for level in LEVELS]
    frame = pd.DataFrame(quantiles[0], columns=columns).assign(unique_id="one", ds=np.arange(30, 38), y=truth[0])
    history = pd.DataFrame({"unique_id": "one", "ds": np.arange(30), "y": context})
    scale, scale_squared = seasonal_scales(context[None], m)
    other = losses.mase(frame, ["q0.5"], m, history)["q0.5"].item()
    assert mase(truth, quantiles[..., 2], scale) == pytest.approx(other, rel=1e-9)
    other = losses.rmsse(frame, ["q0.5"], m, history)["q0.5"].item()
    assert rmsse(truth, quantiles[..., 2], scale_squared) == pytest.approx(other, rel=1e-9)
    other = losses.scaled_mqloss(frame, {"q": columns}, np.array(LEVELS), m, history)["q"].item()
    assert sql(truth, quantiles, LEVELS, scale) == pytest.approx(2 * other, rel=1e-9)
    frame = frame.rename(columns={"q0.025": "q-lo-95", "q0.975": "q-hi-95"})
    other = losses.winkler_score(frame, ["q"], 95)["q"].item() / scale[0]
    assert msis(truth, quantiles[..., 0], quantiles[..., -1], scale) == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("levels", [LEVELS, (0.02, 0.1, 0.5, 0.9, 0.98)])
def test_metrics_are_the_functions_with_gaps_and_without_a_scale(levels):
    rng = np.random.default_rng(7)
    truth, quantiles = rng.normal(size=(20, 6)), np.sort(rng.normal(size=(20, 5, 6)), axis=1)
    truth[0], truth[1, 2], quantiles[2, 1, 3], quantiles[3, 4, 0] = np.nan, np.inf, np.nan, np.inf
    context = rng.normal(size=(20, 9))
    context[4:7] = 1.0
    scales = {m: seasonal_scales(context, m) for m in (1, 8)}
    scales[8][0][7] = scales[8][1][7] = np.nan
    last = np.moveaxis(quantiles, 1, -1)
    point = rng.normal(size=truth.shape)
    block = Block(
        truth,
        {"mean": point, "median": quantiles[:, 2]},
        "mg/dL",
        quantiles,
        levels,
        {m: scale for m, (scale, _) in scales.items()},
        {m: scale for m, (_, scale) in scales.items()},
    )
    for m, (scale, squared) in scales.items():
        expected = {
            "mase": mase(truth, last[..., 2], scale),
            "rmsse": rmsse(truth, point, squared),
            "sql": sql(truth, last, levels, scale),
            "msis": msis(truth, *central_interval(last, levels, 95), scale),
        }
        assert np.isfinite(list(expected.values())).all()
        for name, value in expected.items():
            assert score(name, block)[f"{name}_m{m}"] == pytest.approx(value, rel=1e-12)
    usable = np.isfinite(truth)
    assert score("rmsse", block)["rmsse_m8_left_out"] == usable[4:8].sum() / usable.sum()
    assert score("rmsse", block)["rmsse_m1_left_out"] == usable[4:7].sum() / usable.sum()


def test_windows_without_a_scale_are_left_out_and_counted():
    truth, forecast = np.array([[105.0, 105.0], [100.0, 108.0]]), np.array([[100.0, 110.0], [104.0, 104.0]])
    scale = {1: np.array([0.0, 2.0]), 288: np.array([0.0, np.nan])}
    scores = score("mase", Block(truth, {"median": forecast}, "mg/dL", scale=scale))
    expected = {"mase_m1": 2.0, "mase_m1_left_out": 0.5, "mase_m288": np.nan, "mase_m288_left_out": 1.0}
    assert scores == pytest.approx(expected, nan_ok=True)
    assert mase(truth, forecast, scale[1]) == 2.0
    assert np.isnan([mase(truth, forecast, scale[288]), rmsse(truth, forecast, scale[288])]).all()
    assert np.isnan(mase(truth[:0], forecast[:0], []))


def test_msis_needs_the_bounds_of_95_percent():
    block = Block(np.ones((1, 1)), {"median": np.ones((1, 1))}, "1", np.ones((1, 3, 1)), (0.05, 0.5, 0.95))
    assert "do not reach 0.025 and 0.975" in METRIC["msis"].why_not(block)
    assert METRIC["sql"].why_not is None


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: mase([[1.0]], [[1.0]], [[1.0]]), r"shapes do not fit: truth \[1, 1\], scale \[1, 1\]"),
        (lambda: mase(1.0, 1.0, 1.0), "shapes do not fit"),
        (lambda: mase([[1.0]], [[1.0, 2.0]], [1.0]), r"truth has shape \[1, 1\], forecast \[1, 2\]"),
        (lambda: rmsse([[1.0]], [[1.0]], [-1.0]), "scale is -1"),
        (lambda: sql([[1.0]], [[[1.0]]], [1.5], [1.0]), "1.5 is no quantile level"),
        (lambda: msis([[1.0]], [[1.0]], [[1.0]], [1.0], alpha=0), "alpha is 0"),
        (lambda: seasonal_scales([1.0, 2.0], 0), "m is 0"),
        (lambda: seasonal_scales([1.0, 2.0], 1.5), "m is 1.5"),
        (lambda: seasonal_scales(1.0, 1), "context is a single number"),
        (lambda: seasonal_scales(["a"], 1), "context is no array of numbers"),
    ],
)
def test_mistakes_are_sentences(call, sentence):
    with pytest.raises(DataError, match=sentence):
        call()
