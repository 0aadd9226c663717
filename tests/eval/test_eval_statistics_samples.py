"""Intervals of what core scored: of joined windows, of sums with further axes, and of sums."""

import dataclasses

import numpy as np
import pytest

from tsfm_core.plugins import host
from tsfm_core.sample import Sample
from tsfm_eval.intervals import differences, intervals
from tsfm_eval.statistics.bootstrap import bootstrap
from tsfm_eval.statistics.sums import PatientSums

ITEMS = tuple(f"p{at:02}" for at in range(30))


def at_risk(people, seed=0):
    """Windows of people, 6 to 60 of each; the last of them without an event."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(people), rng.integers(6, 60, people))
    label = np.where(rows == people - 1, 0, rng.random(len(rows)) < 0.3).astype(np.int8)
    score = rng.normal(label * 1.2, 1.0).round(1)
    columns = {"label": label, "score": score, "count": np.ones(len(rows), np.int8)}
    return Sample(host().metric("hypo_detection"), ITEMS[:people], columns, rows)


def area(sample, people):
    """The area under the curve of some people, each as often as named: the share of pairs in the right order."""
    at = np.concatenate([np.flatnonzero(sample.rows == one) for one in people])
    label, score = sample.sums["label"][at], sample.sums["score"][at]
    apart = score[label == 1][:, None] - score[label == 0]
    return (np.sign(apart).mean() + 1) / 2 if apart.size else np.nan


def all_but_one(count):
    return [[*range(at), *range(at + 1, count)] for at in range(count)]


@pytest.mark.parametrize("people", [6, 30])
def test_of_joined_windows(people):
    sample = at_risk(people)
    found = intervals(sample)["hypo_detection_auroc"]
    assert found.estimate == pytest.approx(area(sample, range(people)), rel=1e-12)
    assert 0 < found.low < found.estimate < found.high < 1
    assert (found.patients, found.contributing, found.method) == (people, people, "jackknife")
    assert found.reliable is (people == 30)
    # the same odds to either side, as far as the error of the logit tells
    logit = np.log([one / (1 - one) for one in (found.low, found.estimate, found.high)])
    without = [area(sample, rest) for rest in all_but_one(people)]
    error = np.sqrt((people - 1) * np.var(without)) / (found.estimate * (1 - found.estimate))
    assert np.diff(logit) / error == pytest.approx([{6: 2.776445, 30: 2.048407}[people]] * 2, rel=1e-6)


def test_the_percentiles_of_joined_windows_are_those_of_a_loop():
    sample = at_risk(6)

    def finish(sums):
        return {"x": area(sample, np.repeat(np.arange(6), sums["item"].astype(int)))}

    found = bootstrap(PatientSums(ITEMS[:6], {"item": np.eye(6)}), finish, resamples=1000, method="percentile")["x"]
    weights = np.random.default_rng(0).multinomial(6, np.full(6, 1 / 6), 1000)
    values = np.sort([area(sample, np.repeat(range(6), weight)) for weight in weights])
    rank = int((1000 + 1) * 0.025)
    assert (found.low, found.high) == pytest.approx((values[rank - 1], values[-rank]), rel=1e-12)
    assert (found.contributing, found.undefined) == (6, 0)


def test_who_has_no_event_does_not_carry_a_sensitivity():
    sample = at_risk(8)
    chosen = dataclasses.replace(sample, sums={**sample.sums, "threshold_youden": np.full(len(sample.rows), 0.6)})
    found = intervals(chosen)
    assert found["hypo_detection_youden_sensitivity"].contributing == 7
    assert found["hypo_detection_youden_specificity"].contributing == 8
    assert np.isnan(found["hypo_detection_youden_threshold"].low)  # it was chosen: it does not vary


def test_differences_of_joined_windows():
    a = at_risk(7)
    better = a.sums["score"] + 0.8 * a.sums["label"]
    b = dataclasses.replace(a, sums={**a.sums, "score": better})
    found = differences(b, a)["hypo_detection_auroc"]
    without = [area(b, rest) - area(a, rest) for rest in all_but_one(7)]
    assert found.estimate == pytest.approx(area(b, range(7)) - area(a, range(7)))
    reach = 2.570582 * np.sqrt(6 * np.var(without))
    assert (found.low, found.high) == pytest.approx((found.estimate - reach, found.estimate + reach), rel=1e-6)
    assert found.excludes_zero


def test_of_sums_with_further_axes():
    # six people, forecasts that are late by 1 or 2 of 6 steps
    metric, rng = host().metric("temporal_gain"), np.random.default_rng(3)
    moments = []
    for late in (1, 2, 1, 2, 1, 2):
        y = np.cumsum(rng.normal(0, 3, 400))
        f = np.roll(y, late) + rng.normal(0, 1, 400)
        lagged = [(y[20 - lag : 380 - lag], f[20:380]) for lag in range(7)]
        moments.append([[360, a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum()] for a, b in lagged])
    sums = {"moments_30": np.array(moments), "count": np.full(6, 360.0)}
    found = intervals(Sample(metric, ITEMS[:6], sums))["temporal_gain_30"]
    weights = np.random.default_rng(0).multinomial(6, np.full(6, 1 / 6), 1000)
    values = np.sort(
        [metric.finish({name: _weighted(w, part) for name, part in sums.items()})["temporal_gain_30"] for w in weights]
    )
    assert (found.low, found.high) == (values[24], values[-25])
    assert (found.contributing, found.method) == (6, "percentile")
    assert found.low <= found.estimate <= found.high
    assert (found.low, found.high) == pytest.approx((20, 25))


def _weighted(weights, part):
    return sum(weight * one for weight, one in zip(weights, part, strict=True))


@pytest.mark.parametrize(("people", "method"), [(6, "jackknife"), (12, "studentised")])
def test_of_sums(people, method):
    rng = np.random.default_rng(2)
    count = np.round(100 * 20 ** np.linspace(0, 1, people))
    sums = {"loss": count * rng.lognormal(6, 0.6, people), "count": count}
    found = intervals(Sample(host().metric("rmse"), ITEMS[:people], sums))["rmse"]
    assert (found.method, found.contributing) == (method, people)
    assert 0 < found.low < found.estimate < found.high
