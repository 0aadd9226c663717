"""Time in ranges and its error by person: cases by hand, limits in both units, a loop over persons."""

from dataclasses import astuple

import numpy as np
import pytest

from tsfm_core import Block, DataError
from tsfm_eval.ranges import METRICS, time_in_ranges


def person_scores(metric, truth, forecast, items, unit="mg/dL"):
    """Score as core does: sums of each item, summed over the items."""
    parts = metric.parts(Block(truth, {"median": forecast}, unit))
    found = [
        metric.per_item({name: part[items == item].sum() for name, part in parts.items()}) for item in np.unique(items)
    ]
    return metric.finish({name: sum(one[name] for one in found) for name in found[0]})


def test_worked_case():
    assert astuple(time_in_ranges([53, 54, 69, 70, np.nan, 180, 181, 250, 251])) == (12.5, 25, 25, 25, 12.5, 8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_mmol_has_limits_of_its_own(dtype):
    mmol = np.array([2.9, 3.0, 3.8, 3.9, 10.0, 10.1, 13.9, 14.0], dtype)
    assert astuple(time_in_ranges(mmol, "mmol/L")) == (12.5, 25, 25, 25, 12.5, 8)


def test_nothing_observed_is_nan():
    for nothing in ([], [np.nan], [np.inf]):
        found = time_in_ranges(nothing)
        assert found.readings == 0
        assert np.isnan(astuple(found)[:5]).all()


@pytest.mark.parametrize("unit", ["mg/dL", "mmol/L"])
def test_errors_by_person_against_a_loop(unit):
    rng = np.random.default_rng(12)
    factor = 1.0 if unit == "mg/dL" else 18.018
    truth = np.round(rng.gamma(4, 35, (40, 6)) / factor + 2, 1)
    forecast = np.round(truth + rng.normal(5, 30, truth.shape) / factor, 1)
    items = rng.integers(0, 5, 40)
    truth[rng.random(truth.shape) < 0.2] = np.nan
    truth[items == 3] = np.nan  # a person without a truth does not count
    low, high = (70, 180) if unit == "mg/dL" else (3.9, 10.0)
    rules = {
        "tir_error": lambda g: (g >= low) & (g <= high),
        "tbr_error": lambda g: g < low,
        "tar_error": lambda g: g > high,
    }
    for metric in METRICS:
        errors = []
        for item in (0, 1, 2, 4):
            rows = (items == item)[:, None] & np.isfinite(truth)
            errors.append(
                100 * rules[metric.name](forecast[rows]).mean() - 100 * rules[metric.name](truth[rows]).mean()
            )
        found = person_scores(metric, truth, forecast, items, unit)
        expected = {f"{metric.name}_bias": np.mean(errors), f"{metric.name}_mae": np.mean(np.abs(errors))}
        assert found == pytest.approx(expected)


def test_errors_of_steps_are_those_of_each_step():
    truth, forecast = np.array([[60.0, 100.0], [60.0, 200.0]]), np.array([[60.0, 200.0], [90.0, 200.0]])
    (tir, tbr, tar) = METRICS
    parts = tbr.parts(Block(truth, {"median": forecast}, "mg/dL"))
    by_step = tbr.finish(tbr.per_item({name: part.sum(axis=0) for name, part in parts.items()}))
    assert by_step["tbr_error_bias"].tolist() == [-50, 0]
    parts = tar.parts(Block(truth, {"median": forecast}, "mg/dL"))
    by_step = tar.finish(tar.per_item({name: part.sum(axis=0) for name, part in parts.items()}))
    assert by_step["tar_error_mae"].tolist() == [0, 50]
    empty = person_scores(tir, truth * np.nan, forecast, np.array([1, 1]))
    assert np.isnan(list(empty.values())).all()


def test_mistakes_are_sentences():
    with pytest.raises(DataError, match="a glucose value of 0 mg/dL is no glucose; mark missing values by NaN"):
        time_in_ranges([0, 100])
    with pytest.raises(DataError, match="unit 'mmol' is not known"):
        time_in_ranges([5.0], "mmol")
    with pytest.raises(DataError, match="glucose is no array of numbers"):
        time_in_ranges(["lo"])
