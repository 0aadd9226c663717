"""The risk indices: cases by hand, one reading at a time with the math module, forecasts beyond the scale."""

import math

import numpy as np
import pytest

from tsfm_core import Block, DataError
from tsfm_eval.risk import METRICS, hbgi, lbgi


def risk(g):
    b = 1.509 * (math.log(g) ** 1.084 - 5.381)
    return (10 * b * b, 0.0) if b < 0 else (0.0, 10 * b * b)


def test_worked_case():
    assert lbgi([50, 180]) == pytest.approx(11.25, abs=0.005)
    assert hbgi([50, np.nan, 180]) == pytest.approx(3.86, abs=0.005)
    assert lbgi([20]) == pytest.approx(100, abs=0.5)
    assert hbgi([600]) == pytest.approx(100, abs=0.5)


@pytest.mark.parametrize("factor", [1.0, 18.018])
def test_the_mean_is_over_all_readings(factor):
    unit = "mg/dL" if factor == 1 else "mmol/L"
    g = np.random.default_rng(2).gamma(4, 40, 200) + 20
    low, high = zip(*map(risk, g), strict=True)
    assert lbgi(g / factor, unit) == pytest.approx(np.mean(low), rel=1e-12)
    assert hbgi(g / factor, unit) == pytest.approx(np.mean(high), rel=1e-12)


@pytest.mark.parametrize("factor", [1.0, 18.018])
def test_errors_by_person(factor):
    unit = "mg/dL" if factor == 1 else "mmol/L"
    truth = np.array([[50, 100, np.nan], [300, 100, 60], [np.nan] * 3])
    forecast = np.array([[70, 100, 60], [350, -5, 5000], [100] * 3])
    scale = np.array([[70, 100, 60], [350, 20, 600], [100] * 3])  # forecasts end where the scale does
    for metric, side in zip(METRICS, (0, 1), strict=True):
        parts = metric.parts(Block(truth / factor, {"median": forecast / factor}, unit))
        items = [metric.per_item({name: part[row].sum() for name, part in parts.items()}) for row in range(3)]
        found = metric.finish({name: sum(item[name] for item in items) for name in items[0]})
        errors = []
        for row in (0, 1):
            seen = np.isfinite(truth[row])
            of_truth = [risk(g)[side] for g in truth[row, seen]]
            errors.append(np.mean([risk(g)[side] for g in scale[row, seen]]) - np.mean(of_truth))
        name = metric.name
        assert found == pytest.approx({f"{name}_bias": np.mean(errors), f"{name}_mae": np.mean(np.abs(errors))})


def test_mistakes_are_sentences():
    assert np.isnan([lbgi([]), hbgi([np.nan])]).all()
    with pytest.raises(DataError, match=r"a glucose of 0.5 mg/dL has no risk index; mark missing values by NaN"):
        lbgi([0.5, 100])
    with pytest.raises(DataError, match="a glucose value of -3 mg/dL is no glucose"):
        hbgi([-3])
    with pytest.raises(DataError, match="unit 'mgdl' is not known"):
        hbgi([100], "mgdl")
