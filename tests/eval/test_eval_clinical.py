"""mard, gRMSE and the three classes: cases by hand, scikit-learn, and a second way to write each formula."""

import numpy as np
import pytest
from scipy.interpolate import BPoly
from sklearn.metrics import confusion_matrix, matthews_corrcoef, recall_score

from tsfm_core import Block, DataError
from tsfm_eval import mape
from tsfm_eval.glycaemic_classes import METRICS as GLYCAEMIA
from tsfm_eval.glycaemic_classes import PAIRS, glycaemia
from tsfm_eval.weighted import METRICS as WEIGHTED
from tsfm_eval.weighted import grmse, mard

METRICS = {metric.name: metric for metric in (*WEIGHTED, *GLYCAEMIA)}


def score(name, truth, forecast, unit="mg/dL"):
    truth, forecast = np.atleast_2d(np.array(truth, float)), np.atleast_2d(np.array(forecast, float))
    metric = METRICS[name]
    parts = metric.parts(Block(truth, {metric.point: forecast}, unit))
    assert all(part.shape == truth.shape and np.isfinite(part).all() for part in parts.values())
    by_step = metric.finish({key: part.sum(axis=0) for key, part in parts.items()})
    assert all(values.shape == truth.shape[1:] for values in by_step.values())
    return metric.finish({key: part.sum() for key, part in parts.items()})


@pytest.fixture
def arrays():
    rng = np.random.default_rng(8)
    truth = rng.integers(40, 400, (60, 5)).astype(float)
    truth[rng.random(truth.shape) < 0.4] = rng.choice([54, 55, 69, 70, 180, 181, 250])
    forecast = np.round(truth + rng.normal(0, 40, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = np.nan
    forecast[rng.random(truth.shape) < 0.1] = np.inf
    return truth, forecast


def test_mard_is_mape(arrays):
    assert mard(*arrays) == mape(*arrays)
    assert score("mard", *arrays) == pytest.approx({"mard": mape(*arrays)})
    assert mard([100, 50, np.nan], [110, 40, 1]) == pytest.approx(15.0)
    assert np.isnan(mard([], []))
    with pytest.raises(DataError, match="a reference of 0 mg/dL or mmol/L is no glucose"):
        mard([0.0], [1.0])


@pytest.mark.parametrize(
    ("r", "p", "expected"),
    [
        (55, 75, np.sqrt(2.5 * 400)),
        (70, 75, 5 * np.sqrt(1.375)),
        (255, 225, np.sqrt(1800)),
        (100, 120, 20),
        (200, 250, 50),
    ],
)
@pytest.mark.parametrize("factor", [1.0, 18.018])
def test_grmse_by_hand(r, p, expected, factor):
    unit = "mg/dL" if factor == 1 else "mmol/L"
    assert grmse([r / factor], [p / factor], unit) * factor == pytest.approx(expected)
    assert score("grmse", r / factor, p / factor, unit)["grmse"] * factor == pytest.approx(expected)


def test_grmse_against_bernstein_polynomials(arrays):
    # the quartics in their Bernstein form
    rise = BPoly([[0, 0.5], [0, 0.75], [0, 1], [0.25, 1], [0.5, 1]], [-1, 0, 1])
    xs = np.linspace(-1, 1, 41)
    np.testing.assert_allclose(
        rise(xs), np.where(xs < 0, 1 + 2 * xs - 2 * xs**3 - xs**4, 1 + 2 * xs - 2 * xs**3 + xs**4) / 2
    )
    both = np.isfinite(arrays[0]) & np.isfinite(arrays[1])
    r, p = (array[both] for array in arrays)
    for name, low, high in (("grmse", 85, 155), ("grmse_agata", 80, 250)):
        over = rise(np.clip((low - 15 - r) / 15, -1, 1)) * rise(np.clip((p - r - 5) / 5, -1, 1))
        under = rise(np.clip((r - high - 50) / 50, -1, 1)) * rise(np.clip((r - p - 10) / 10, -1, 1))
        expected = np.sqrt(np.mean((1 + 1.5 * over + under) * (r - p) ** 2))
        assert grmse(*arrays, low=low, high=high) == pytest.approx(expected, rel=1e-12)
        assert score(name, *arrays) == pytest.approx({name: expected}, rel=1e-12)


def test_grmse_lies_between_the_rmse_and_its_largest_penalty(arrays):
    both = np.isfinite(arrays[0]) & np.isfinite(arrays[1])
    rmse = np.sqrt(np.mean((arrays[0][both] - arrays[1][both]) ** 2))
    assert rmse < grmse(*arrays) < np.sqrt(2.5) * rmse
    assert np.isnan(grmse([np.nan], [1.0]))
    for wrong in ({"low": np.nan}, {"high": np.inf}):
        with pytest.raises(DataError, match="(low|high) is (nan|inf); give a number of 0 or more"):
            grmse([100], [100], **wrong)


@pytest.mark.parametrize("factor", [1.0, 18.018])
def test_three_classes_against_scikit_learn(arrays, factor):
    unit, limits = ("mg/dL", (70, 180)) if factor == 1 else ("mmol/L", (3.9, 10.0))
    truth, forecast = (np.round(array / factor, 1) for array in arrays)
    both = np.isfinite(truth) & np.isfinite(forecast)
    t, f = (np.where(g < limits[0], 0, np.where(g > limits[1], 2, 1)) for g in (truth[both], forecast[both]))
    found = glycaemia(truth, forecast, unit)
    np.testing.assert_array_equal(found.counts, confusion_matrix(t, f))
    recalls = recall_score(t, f, average=None)
    assert found.recalls == pytest.approx(recalls, rel=1e-12)
    assert found.g_mean == pytest.approx(np.exp(np.log(recalls).mean()), rel=1e-12)
    assert found.mcc_hypo == pytest.approx(matthews_corrcoef(t == 0, f == 0), rel=1e-12)
    assert found.mcc_hyper == pytest.approx(matthews_corrcoef(t == 2, f == 2), rel=1e-12)
    scores = score("glycaemia", truth, forecast, unit)
    shares = [scores[f"{a}_as_{b}"] for a in ("hypo", "range", "hyper") for b in ("hypo", "range", "hyper")]
    assert shares == pytest.approx(100 * found.counts.ravel() / both.sum())
    assert scores["mcc_hyper"] == pytest.approx(found.mcc_hyper)
    assert METRICS["glycaemia"].directions.keys() | set(scores) == set(scores)


def test_limits_belong_to_the_range():
    assert np.diag(glycaemia([69.9, 70, 180, 180.1], [69.9, 70, 180, 180.1]).counts).tolist() == [1, 2, 1]
    mmol = np.float32([3.8, 3.9, 10.0, 10.1])
    assert np.diag(glycaemia(mmol, mmol, "mmol/L").counts).tolist() == [1, 2, 1]


def test_classes_that_are_not_there():
    only_range = glycaemia([100, 110], [60, 200])
    assert only_range.recalls == pytest.approx((np.nan, 0, np.nan), nan_ok=True)
    assert np.isnan([only_range.g_mean, only_range.mcc_hypo, only_range.mcc_hyper]).all()
    never_said = glycaemia([60, 100, 200], [100, 100, 100])
    assert (never_said.g_mean, never_said.mcc_hypo, never_said.mcc_hyper) == (0, 0, 0)
    assert np.isnan([*glycaemia([], []).recalls]).all()
    assert np.isnan(list(score("glycaemia", [np.nan], [100]).values())).all()
    # counts whose product no whole number of a float holds
    huge = {
        f"{a}_as_{b}": 10**8 if a == b else 0 for a in ("hypo", "range", "hyper") for b in ("hypo", "range", "hyper")
    }
    assert METRICS["glycaemia"].finish(huge | {"count": 3 * 10**8})["mcc_hypo"] == pytest.approx(1.0)


@pytest.mark.parametrize("said", ["truth", "opposite"])
def test_a_matthews_coefficient_never_passes_1(said):
    """Random counts: of perfect forecasts, and of those that always say the other of two classes."""
    counts = np.random.default_rng(2).integers(1, 5000, (2, 4000)).astype(float)
    sums = dict.fromkeys(PAIRS, np.zeros(4000))
    sums |= {"count": counts.sum(axis=0)}
    names = ("hypo_as_hypo", "hyper_as_hyper") if said == "truth" else ("hypo_as_hyper", "hyper_as_hypo")
    found = METRICS["glycaemia"].finish(sums | dict(zip(names, counts, strict=True)))
    for name in ("mcc_hypo", "mcc_hyper"):
        assert abs(found[name]).max() <= 1.0
        np.testing.assert_allclose(found[name], 1.0 if said == "truth" else -1.0, rtol=1e-12)


def test_mistakes_are_sentences():
    for function in (grmse, glycaemia):
        with pytest.raises(DataError, match=r"reference has shape \[2\], prediction \[1\]"):
            function([100, 100], [100])
        with pytest.raises(DataError, match="'custom:MW' (is no unit of glucose|cannot be converted)"):
            function([100], [100], "custom:MW")
        with pytest.raises(DataError, match="reference is no array of numbers"):
            function(["100"], [100])
