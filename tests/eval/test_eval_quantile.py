"""Pinball, coverage and sharpness: the case worked by hand, bounds and masks."""

import numpy as np
import pytest

from tsfm_core import Block, DataError
from tsfm_eval import pinball
from tsfm_eval.plugin import metrics

METRICS = {metric.name: metric for metric in metrics()}


def score(name, truth, quantiles, levels):
    """Score truths ``[n]`` and quantiles ``[n, Q]`` as windows of one step."""
    truth, quantiles = np.array(truth, dtype=float)[:, None], np.array(quantiles, dtype=float)[:, :, None]
    parts = METRICS[name].parts(Block(truth, {"median": truth}, "mg/dL", quantiles, levels))
    return METRICS[name].finish({key: part.sum() for key, part in parts.items()})


def test_pinball_by_hand():
    assert pinball(100, [80, 95, 120], [0.1, 0.5, 0.9]) == pytest.approx([2.0, 2.5, 2.0])
    assert score("pinball", [100], [[80, 95, 120]], (0.1, 0.5, 0.9)) == pytest.approx({"pinball": 13 / 6})


def test_pinball_is_the_sum_over_its_two_sides():
    rng = np.random.default_rng(2)
    y, f, levels = rng.normal(size=(4, 5)), rng.normal(size=(4, 5, 3)), np.array([0.05, 0.5, 0.8])
    over, under = np.maximum(f - y[..., None], 0), np.maximum(y[..., None] - f, 0)
    loss = pinball(y, f, levels)
    assert loss.shape == (4, 5, 3)
    np.testing.assert_allclose(loss, levels * under + (1 - levels) * over)
    np.testing.assert_allclose(2 * loss[..., 1], abs(y - f[..., 1]))


def test_the_true_quantile_has_the_least_pinball():
    y = np.random.default_rng(5).gamma(2.0, size=20_001)
    for level in (0.1, 0.5, 0.9):
        grid = np.quantile(y, np.clip(level + np.array([-0.05, 0.0, 0.05]), 0, 1))
        losses = [pinball(y, np.full((len(y), 1), value), [level]).mean() for value in grid]
        assert np.argmin(losses) == 1


def test_missing_pairs_do_not_count():
    truth, quantiles = [100, np.nan, 100], [[80, 95, 120], [0, 0, 0], [80, np.nan, 120]]
    assert score("pinball", truth, quantiles, (0.1, 0.5, 0.9)) == pytest.approx({"pinball": 13 / 6})
    covered = score("coverage", truth, quantiles, (0.1, 0.5, 0.9))
    assert (covered["coverage_80"], covered["sharpness_80"]) == (1.0, 40.0)
    assert np.isnan(pinball(np.nan, [80.0], [0.1])).all()


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


def test_levels_that_differ_in_the_last_digit_are_the_same():
    levels = (0.1 - 1e-16, 0.30000000000000004, 0.9000000000000001)
    scores = score("coverage", [80, 120], [[80, 100, 120]] * 2, levels)
    assert (scores["coverage_80"], scores["sharpness_80"]) == (1.0, 40.0)


def test_a_calibrated_forecast_covers_what_it_promises():
    y = np.random.default_rng(6).normal(size=40_000)
    levels = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
    normal = [-1.959964, -1.644854, -1.281552, -0.67449, 0, 0.67449, 1.281552, 1.644854, 1.959964]
    scores = score("coverage", y, np.tile(normal, (len(y), 1)), levels)
    for percent, half in ((50, 0.67449), (80, 1.281552), (90, 1.644854), (95, 1.959964)):
        assert scores[f"coverage_{percent}"] == pytest.approx(percent / 100, abs=0.01)
        assert scores[f"sharpness_{percent}"] == pytest.approx(2 * half)


@pytest.mark.parametrize(
    ("y", "quantiles", "levels", "sentence"),
    [
        ([1.0], [[1.0, 2.0]], [0.1], r"shapes do not fit: y \[1\], quantiles \[1, 2\], levels \[1\]"),
        ([1.0], [1.0], [0.1], "shapes do not fit"),
        (1.0, [[1.0]], [[0.1]], "shapes do not fit"),
        (1.0, [1.0, 2.0], [0.1, 1.0], "1 is no quantile level; a level lies between 0 and 1"),
        (1.0, [1.0], [np.nan], "nan is no quantile level"),
    ],
)
def test_mistakes_are_sentences(y, quantiles, levels, sentence):
    with pytest.raises(DataError, match=sentence):
        pinball(y, quantiles, levels)
