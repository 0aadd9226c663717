"""DILATE against a plain dynamic programme and finite differences; the jump at the cutoff."""

import numpy as np
import pytest

from tsfm_core import Block, DataError
from tsfm_eval.shape import METRICS, dilate, discontinuity

METRIC = {metric.name: metric for metric in METRICS}


def score(name, block):
    parts = METRIC[name].parts(block)
    return METRIC[name].finish({key: part.sum() for key, part in parts.items()})


def soft_dtw(cost, gamma):
    """The recursion cell by cell."""
    steps = len(cost)
    total = np.full((steps + 1, steps + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(steps):
        for j in range(steps):
            before = np.array([total[i, j], total[i, j + 1], total[i + 1, j]])
            least = before.min()
            total[i + 1, j + 1] = cost[i, j] + least - gamma * np.log(np.exp(-(before - least) / gamma).sum())
    return total[-1, -1]


def by_differences(y, f, gamma, change=1e-5):
    """Soft-DTW and its gradient by the costs: the alignment."""
    cost = np.subtract.outer(y, f) ** 2
    steps = len(y)
    alignment = np.empty_like(cost)
    for at in np.ndindex(*cost.shape):
        one = np.zeros_like(cost)
        one[at] = change
        alignment[at] = (soft_dtw(cost + one, gamma) - soft_dtw(cost - one, gamma)) / (2 * change)
    lag = np.subtract.outer(np.arange(steps), np.arange(steps)) ** 2 / steps**2
    return soft_dtw(cost, gamma), (alignment * lag).sum()


@pytest.mark.parametrize(("gamma", "steps"), [(0.01, 5), (0.3, 6), (5.0, 4), (1.0, 1)])
def test_against_the_recursion_and_finite_differences(gamma, steps):
    rng = np.random.default_rng(steps)
    y, f = rng.normal(0, 0.3, (2, 3, 2, steps))
    found = dilate(y, f, alpha=0.25, gamma=gamma)
    assert found.value.shape == (3, 2)
    for at in np.ndindex(3, 2):
        shape, temporal = by_differences(y[at], f[at], gamma)
        assert found.shape[at] == pytest.approx(shape, rel=1e-9, abs=1e-12)
        assert found.temporal[at] == pytest.approx(temporal, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(found.value, 0.25 * found.shape + 0.75 * found.temporal)


@pytest.mark.parametrize("gamma", [1e-6, 1e-12, 1e-300])
def test_by_hand_as_gamma_vanishes(gamma):
    found = dilate([0.0, 1.0, 0.0], [0.0, 0.0, 1.0], gamma=gamma)
    assert (found.shape, found.temporal) == (pytest.approx(1.0), pytest.approx(2 / 9))
    assert found.value == pytest.approx(0.6111, abs=5e-5)


def test_stable_for_long_windows_and_large_costs():
    rng = np.random.default_rng(0)
    y = rng.uniform(40, 400, (150, 60))
    found = dilate(y, rng.uniform(40, 400, y.shape))
    assert np.isfinite(found.shape).all()
    assert ((found.temporal > 0) & (found.temporal < 60)).all()
    ramp = np.arange(40.0, 400.0, 6.0)
    same = dilate(ramp, ramp)
    assert same.shape == 0.0
    assert 0.0 <= same.temporal < 1e-12


def test_a_late_forecast_is_right_in_shape_and_late_in_time():
    wave = np.sin(np.arange(60) / 6)
    truth, late, flat = wave[6:54], wave[2:50], np.zeros(48)
    assert dilate(truth, late).shape < 0.1 * dilate(truth, flat).shape
    assert dilate(truth, late).temporal > 10 * dilate(truth, truth).temporal


def test_windows_do_not_depend_on_their_neighbours_and_gaps_are_left_out():
    rng = np.random.default_rng(1)
    y, f = rng.normal(8, 2, (2, 300, 5))
    y[7, 3], f[200, 0], f[201, 1] = np.nan, np.inf, np.nan
    whole = dilate(y, f)
    assert np.flatnonzero(np.isnan(whole.value)).tolist() == [7, 200, 201]
    one = dilate(y[299], f[299])
    assert isinstance(one.value, float)
    assert one.value == pytest.approx(whole.value[299], rel=1e-12)
    block = Block(y, {"mean": f, "median": y}, "mmol/L")
    expected = {
        "dilate": np.nanmean(whole.value),
        "dilate_shape": np.nanmean(whole.shape),
        "dilate_temporal": np.nanmean(whole.temporal),
        "dilate_left_out": 0.01,
    }
    assert score("dilate", block) == pytest.approx(expected)
    in_mgdl = Block(18.018 * y, {"mean": 18.018 * f}, "mg/dL")
    assert score("dilate", in_mgdl) == pytest.approx(expected)
    as_given = Block(18.018 * y, {"mean": 18.018 * f}, "custom:x")
    assert score("dilate", as_given)["dilate_shape"] > 300 * expected["dilate_shape"]
    assert np.isnan(dilate(np.empty((0, 3)), np.empty((0, 3))).value).all()
    nothing = score("dilate", Block(y[7:8], {"mean": f[7:8]}, "mmol/L"))
    assert np.isnan(nothing["dilate"])
    assert nothing["dilate_left_out"] == 1.0


def test_discontinuity():
    context = np.array([[9.0, 100.0], [9.0, np.nan], [9.0, 80.0], [9.0, 50.0]])
    forecast = np.array([[90.0, 0.0], [1.0, 0.0], [85.0, 0.0], [np.inf, 0.0]])
    assert discontinuity(context, forecast) == 7.5
    assert discontinuity(context[0], forecast[0]) == 10.0
    assert np.isnan(discontinuity(context[1], forecast[1]))
    block = Block(forecast, {"mean": 0 * context, "median": forecast}, "mg/dL", context=context)
    assert score("discontinuity", block) == {"discontinuity": 7.5, "discontinuity_left_out": 0.5}
    gap = Block(forecast[1:2], {"median": forecast[1:2]}, "mg/dL", context=context[1:2])
    assert score("discontinuity", gap) == pytest.approx(
        {"discontinuity": np.nan, "discontinuity_left_out": 1.0}, nan_ok=True
    )
    assert METRIC["discontinuity"].directions == {"discontinuity_left_out": "none"}
    assert METRIC["discontinuity"].parts(block)["loss"].shape == (4,)
    assert METRIC["discontinuity"].why_not(block) is None
    assert "not at hand" in METRIC["discontinuity"].why_not(Block(forecast, {"mean": forecast}, "mg/dL"))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: dilate([1.0, 2.0], [1.0]), r"truth has shape \[2\], forecast \[1\]"),
        (lambda: dilate(1.0, 1.0), r"truth has shape \[\]"),
        (lambda: dilate([], []), r"truth has shape \[0\]"),
        (lambda: dilate([1.0], ["a"]), "forecast is no array of numbers"),
        (lambda: dilate([1.0], [1.0], gamma=0), "gamma is 0"),
        (lambda: dilate([1.0], [1.0], gamma=np.inf), "gamma is inf"),
        (lambda: dilate([1.0], [1.0], alpha=1.5), "alpha is 1.5"),
        (lambda: dilate([1.0], [1.0], alpha=np.nan), "alpha is nan"),
        (lambda: discontinuity([[1.0]], [[1.0], [2.0]]), r"context \[1, 1\], forecast \[2, 1\]"),
        (lambda: discontinuity([], [1.0]), r"context has shape \[0\]"),
    ],
)
def test_mistakes_are_sentences(call, sentence):
    with pytest.raises(DataError, match=sentence):
        call()
