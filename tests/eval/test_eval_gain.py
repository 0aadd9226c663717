"""Temporal gain against correlations of whole series, forecasts whose gain is known, and sums of any grouping."""

from dataclasses import replace

import numpy as np
import pytest

from tsfm_core import Block, DataError
from tsfm_eval.gain import METRICS, temporal_gain

NAN = np.nan
(METRIC,) = METRICS


def series(seed, length=600):
    rng = np.random.default_rng(seed)
    smooth = np.convolve(np.cumsum(rng.normal(0, 3, length + 40)), np.ones(9) / 9, "valid")[:length]
    return 150 + smooth - smooth.mean() + rng.normal(0, 1, length)


def windows(glucose, ahead):
    """Cut every window of ``ahead`` steps: the values at the cutoffs, and the truths."""
    cutoffs = np.arange(len(glucose) - ahead)
    return glucose[cutoffs], glucose[cutoffs[:, None] + np.arange(1, ahead + 1)]


def directly(glucose, forecast, steps):
    """Correlate the series with the series of forecasts, ``forecast[t]`` issued ``steps`` before t."""
    best = []
    for lag in range(steps + 1):
        y, f = glucose[: len(glucose) - lag], forecast[lag:]
        both = np.isfinite(y) & np.isfinite(f)
        best.append(np.corrcoef(y[both], f[both])[0, 1])
    return steps - int(np.argmax(best))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("steps", [1, 6, 12])
def test_against_whole_series(seed, steps):
    rng = np.random.default_rng(seed + 100)
    glucose = series(seed)
    last, truth = windows(glucose, 12)
    late = int(rng.integers(0, steps + 1))  # the forecast tells what was true ``late`` steps before
    known = np.hstack([last[:, None], truth])
    forecast = known[:, np.clip(np.arange(1, 13) - late, 0, None)] + rng.normal(0, 0.5, truth.shape)
    # the same as a series over time, with holes
    glucose = glucose.copy()
    glucose[rng.random(len(glucose)) < 0.1] = NAN
    last, truth = windows(glucose, 12)
    ahead = np.full(len(glucose), NAN)
    ahead[steps : steps + len(forecast)] = forecast[:, steps - 1]
    expected = directly(glucose, ahead, steps)
    assert temporal_gain(truth, forecast, last, 5, 5 * steps) == pytest.approx(5 * expected)
    assert expected == steps - late


@pytest.mark.parametrize("ahead", [30, 60])
@pytest.mark.parametrize("offset", [0, 1e7])
def test_the_last_value_gains_nothing_and_a_perfect_forecast_all(ahead, offset):
    last, truth = windows(series(1) + offset, 12)
    assert temporal_gain(truth, np.repeat(last[:, None], 12, axis=1), last, 5, ahead) == 0
    assert temporal_gain(truth, truth, last, 5, ahead) == ahead
    assert temporal_gain(truth, 3 * truth - 40, last, 5, ahead) == ahead


@pytest.mark.parametrize("slope", [1.0, 0.37, -1 / 3, 17.1])
def test_a_steady_slope_shows_no_gain(slope):
    last, truth = windows(slope * np.arange(100.0) + 0.1, 12)
    assert temporal_gain(truth, truth, last, 5, 30) == 0


def test_nothing_that_varies_has_no_gain():
    last, truth = windows(series(2), 12)
    assert np.isnan(temporal_gain(truth, np.full(truth.shape, 123.4), last, 5))
    assert np.isnan(temporal_gain(truth * NAN, truth, last * NAN, 5))
    assert np.isnan(temporal_gain(np.zeros((0, 12)), np.zeros((0, 12)), [], 5))
    assert np.isnan(temporal_gain(truth[:1], truth[:1], last[:1], 5))


def block(seed, step=300, ahead=24, unit="mg/dL"):
    last, truth = windows(series(seed) / (1 if unit == "mg/dL" else 18.018), ahead)
    known = np.hstack([last[:, None], truth])
    late = known[:, np.clip(np.arange(1, ahead + 1) - 3, 0, None)]
    context = np.hstack([np.full((len(last), 2), NAN), last[:, None]])
    return Block(truth, {"mean": late, "median": truth}, unit, context=context, step=step)


@pytest.mark.parametrize(("unit", "step"), [("mg/dL", 300), ("mmol/L", 300), ("custom:MW", 300), ("mg/dL", 900)])
def test_metric_is_the_function_from_sums(unit, step):
    whole = block(4, step, unit=unit)
    parts = METRIC.parts(whole)
    assert all(np.isfinite(part).all() for part in parts.values())
    assert parts["count"].shape == (len(whole.truth),)
    found = METRIC.finish({name: part.sum(axis=0) for name, part in parts.items()})
    held = {300: (30, 60, 120), 900: (30, 60, 120, 240)}[step]
    assert list(found) == [f"temporal_gain_{minutes}" for minutes in held]
    for minutes in held:
        alone = temporal_gain(whole.truth, whole.points["mean"], whole.context[:, -1], step / 60, minutes)
        assert found[f"temporal_gain_{minutes}"] == alone == max(minutes - 3 * step / 60, 0)
    # resamples at once
    several = {name: np.array([part[:400].sum(axis=0), part.sum(axis=0)]) for name, part in parts.items()}
    assert METRIC.finish(several)["temporal_gain_60"].tolist() == [max(60 - 3 * step / 60, 0)] * 2


def test_what_cannot_be_scored():
    whole = block(5)
    assert METRIC.why_not(whole) is None
    assert METRIC.why_not(replace(whole, context=None)) == "the windows come without the value at the cutoff"
    sentence = "none of 30, 60, 120, 240, 480 min is a step of the horizon"
    assert METRIC.why_not(replace(whole, truth=whole.truth[:, :5])) == sentence
    assert METRIC.why_not(replace(whole, step=420)) == sentence  # 24 steps of 7 min: none of them is 30, 60 or 120


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([[1.0, 2]], [[1.0, 2]], [1.0, 2], 5, 5), r"shapes do not fit: truth \[1, 2\], at_cutoff \[2\]; give truth"),
        (([[1.0, 2]], [[1.0]], [1.0], 5, 5), r"truth has shape \[1, 2\], forecast \[1, 1\]"),
        (([[1.0, 2]], [[1.0, 2]], [1.0], 5, 7), "7 min is no step of the horizon; give a multiple of 5 min up to 10"),
        (([[1.0, 2]], [[1.0, 2]], [1.0], 5, 15), "15 min is no step of the horizon"),
        (([[1.0, 2]], [[1.0, 2]], [1.0], 0, 5), "step_minutes is 0; give a number above 0"),
        (([[1.0, 2]], [[1.0, 2]], [1.0], 5, "5"), "ahead_minutes is '5'"),
        (([["a"]], [[1.0]], [1.0], 5, 5), "truth is no array of numbers"),
    ],
)
def test_mistakes_are_sentences(arguments, sentence):
    with pytest.raises(DataError, match=sentence):
        temporal_gain(*arguments)
