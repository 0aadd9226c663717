"""Pinball, mqloss and wql: the case worked by hand, utilsforecast and scikit-learn, masks and crossings."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_pinball_loss

from tsfm_core import Block, DataError
from tsfm_eval.quantile import METRICS, crossing_rate, mqloss, pinball, wql

with warnings.catch_warnings():  # an escape in one of its docstrings
    warnings.simplefilter("ignore")
    from utilsforecast import losses

METRIC = {metric.name: metric for metric in METRICS}
THREE = (0.1, 0.5, 0.9)


def score(name, truth, quantiles, levels):
    """Score truths ``[n]`` and quantiles ``[n, Q]`` as windows of one step."""
    truth, quantiles = np.array(truth, dtype=float)[:, None], np.array(quantiles, dtype=float)[:, :, None]
    parts = METRIC[name].parts(Block(truth, {"median": truth}, "mg/dL", quantiles, levels))
    return METRIC[name].finish({key: part.sum() for key, part in parts.items()})


def test_by_hand():
    assert pinball(100, [80, 95, 120], THREE) == pytest.approx([2.0, 2.5, 2.0])
    for name, value in (("pinball", 13 / 6), ("mqloss", 13 / 3), ("wql", 13 / 300)):
        assert score(name, [100], [[80, 95, 120]], THREE) == pytest.approx({name: value})
    assert mqloss(100, [80, 95, 120], THREE) == pytest.approx(4.3333, abs=5e-5)
    assert wql(100, [80, 95, 120], THREE) == pytest.approx(0.043333, abs=5e-7)


def edges():
    """Truths ``[n]`` and quantiles ``[n, 3]``: random ones, zeros, equal quantiles, truths on them."""
    rng = np.random.default_rng(8)
    rows = np.sort(rng.normal(0, 2, (40, 3)), axis=-1)
    extra = [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 2.0], [-1.0, 0.0, 0.0]]
    return np.append(rng.normal(0, 2, 40), [0.0, 1.0, 1.0, 3.0]), np.concatenate([rows, extra])


def test_against_other_packages():
    y, f = edges()
    for at, level in enumerate(THREE):
        other = mean_pinball_loss(y, f[:, at], alpha=level)
        assert pinball(y, f, THREE)[:, at].mean() == pytest.approx(other, rel=1e-9)
    frame = pd.DataFrame(f, columns=["a", "b", "c"]).assign(unique_id="one", ds=np.arange(len(y)), y=y)
    other = losses.mqloss(frame, {"q": ["a", "b", "c"]}, np.array(THREE))["q"].item()
    assert mqloss(y, f, THREE) == pytest.approx(2 * other, rel=1e-9)
    other = losses.scaled_crps(frame, {"q": ["a", "b", "c"]}, np.array(THREE))["q"].item()
    assert wql(y, f, THREE) == pytest.approx(other, rel=1e-9)
    for name, value in (("mqloss", mqloss(y, f, THREE)), ("wql", wql(y, f, THREE))):
        assert score(name, y, f, THREE) == pytest.approx({name: value})


def test_pinball_is_the_sum_over_its_two_sides():
    rng = np.random.default_rng(2)
    y, f, levels = rng.normal(size=(4, 5)), rng.normal(size=(4, 5, 3)), np.array([0.05, 0.5, 0.8])
    over, under = np.maximum(f - y[..., None], 0), np.maximum(y[..., None] - f, 0)
    loss = pinball(y, f, levels)
    assert loss.shape == (4, 5, 3)
    np.testing.assert_allclose(loss, levels * under + (1 - levels) * over)
    np.testing.assert_allclose(2 * loss[..., 1], abs(y - f[..., 1]))


def test_no_loss_is_no_negative_zero():
    loss = pinball([0.0, 100.0, -3.0], [[0.0, 0.0], [100.0, 100.0], [-3.0, -3.0]], [0.1, 0.9])
    assert (loss == 0).all()
    assert not np.signbit(loss).any()


def test_the_true_quantile_has_the_least_pinball():
    y = np.random.default_rng(5).gamma(2.0, size=20_001)
    for level in (0.1, 0.5, 0.9):
        grid = np.quantile(y, np.clip(level + np.array([-0.05, 0.0, 0.05]), 0, 1))
        losses = [pinball(y, np.full((len(y), 1), value), [level]).mean() for value in grid]
        assert np.argmin(losses) == 1


def test_missing_pairs_do_not_count():
    truth = [100, np.nan, 100, np.inf, 100]
    quantiles = [[80, 95, 120], [0, 0, 0], [80, np.nan, 120], [80, 95, 120], [-np.inf, 95, 120]]
    for name, value in (("pinball", 13 / 6), ("mqloss", 13 / 3), ("wql", 13 / 300)):
        assert score(name, truth, quantiles, THREE) == pytest.approx({name: value})
    assert mqloss(truth, quantiles, THREE) == pytest.approx(13 / 3)
    assert wql(truth, quantiles, THREE) == pytest.approx(13 / 300)
    assert np.isnan(pinball(np.nan, [80.0], [0.1])).all()
    assert np.isnan(pinball(np.inf, [80.0, np.inf], [0.1, 0.9])).all()
    assert np.isnan(pinball(80.0, [-np.inf, 80.0], [0.1, 0.9])).tolist() == [True, False]
    assert np.isnan([mqloss([], np.empty((0, 3)), THREE), wql([np.nan], [[1, 2, 3]], THREE)]).all()
    assert np.isnan(wql([0.0], [[1.0, 2.0, 3.0]], THREE))  # nothing to weigh by


def test_sums_over_crossed_quantiles_are_of_sorted_ones():
    y, f = edges()
    for function in (mqloss, wql):
        assert function(y, f[:, ::-1], THREE) == function(y, f, THREE)
        assert function(y, f[:, ::-1], THREE[::-1]) == function(y, f, THREE)
    assert not np.allclose(pinball(y, f[:, ::-1], THREE), pinball(y, f, THREE))


def test_crossing_rate():
    assert crossing_rate([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [3.0, 2.0, 1.0]]) == 0.5
    assert crossing_rate([[1.0, 1.0], [2.0, np.nan], [2.0, 1.0]]) == 0.5
    assert np.isnan([crossing_rate([[1.0]]), crossing_rate(np.empty((0, 3))), crossing_rate([np.nan, 1.0])]).all()
    with pytest.raises(DataError, match="quantiles is a single number"):
        crossing_rate(1.0)


@pytest.mark.parametrize(
    ("y", "quantiles", "levels", "sentence"),
    [
        ([1.0], [[1.0, 2.0]], [0.1], r"shapes do not fit: .*quantiles \[1, 2\], levels \[1\]"),
        ([1.0], [1.0], [0.1], "shapes do not fit"),
        (1.0, [[1.0]], [[0.1]], "shapes do not fit"),
        (1.0, [], [], "shapes do not fit"),
        (1.0, [1.0, 2.0], [0.1, 1.0], "1 is no quantile level; a level lies between 0 and 1"),
        (1.0, [1.0], [np.nan], "nan is no quantile level"),
        ("high", [1.0], [0.1], "y is no array of numbers"),
        (1.0, [1.0], ["tenth"], "levels is no array of numbers"),
    ],
)
@pytest.mark.parametrize("function", [pinball, wql, mqloss])
def test_mistakes_are_sentences(function, y, quantiles, levels, sentence):
    with pytest.raises(DataError, match=sentence):
        function(y, quantiles, levels)


def test_a_level_given_twice():
    with pytest.raises(DataError, match="level 0.5 is given twice"):
        wql([1.0], [[1.0, 2.0]], [0.5, 0.5])
