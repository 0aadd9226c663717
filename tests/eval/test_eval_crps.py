"""The CRPS against scoringrules and integrals, whole and below a threshold, by hand and as metrics."""

import numpy as np
import pytest
import scoringrules as sr
from scipy.integrate import quad
from scipy.stats import norm

from tsfm_core import Block, DataError
from tsfm_eval.crps import METRICS, crps_ensemble, crps_gaussian, crps_quantile, twcrps_ensemble, twcrps_quantile

METRIC = {metric.name: metric for metric in METRICS}
DECILES = tuple((np.arange(1, 10) / 10).tolist())
OTHER = {"ecdf": "qd", "fair": "fair"}


def score(name, block):
    parts = METRIC[name].parts(block)
    return METRIC[name].finish({key: part.sum() for key, part in parts.items()})


def samples(members):
    """Truths ``[n]`` and samples ``[n, members]``: random, rounded so that many tie, all equal, zeros."""
    rng = np.random.default_rng(members)
    y, x = rng.normal(70, 20, 60), rng.normal(70, 20, (60, members))
    y[20:40], x[20:40] = np.round(y[20:40], -1), np.round(x[20:40], -1)
    x[40:45] = x[40:45, :1]
    y[45:50], x[45:50] = 0.0, 0.0
    return y, x


def test_by_hand():
    assert crps_ensemble(100, [90, 100, 120]) == pytest.approx(10 / 3)
    assert crps_ensemble(100, [120, 90, 100], "fair") == pytest.approx(0.0)
    assert twcrps_ensemble(65, [60, 80, 100], 70) == pytest.approx(5 - 20 / 9)
    assert crps_quantile(100, [80, 95, 120], [0.25, 0.5, 0.75]) == pytest.approx(2 * (5 + 2.5 + 5) / 3)


@pytest.mark.parametrize("members", [1, 2, 9, 50])
@pytest.mark.parametrize("estimator", ["ecdf", "fair"])
def test_ensembles_against_scoringrules(members, estimator):
    y, x = samples(members)
    if (members, estimator) == (1, "fair"):
        with pytest.raises(DataError, match="takes two samples at least"):
            crps_ensemble(y, x, estimator)
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        other = sr.crps_ensemble(y, x, estimator=OTHER[estimator], backend="numpy")
        below = sr.twcrps_ensemble(
            y, x, v_func=lambda z: np.minimum(z, 70), estimator=OTHER[estimator], backend="numpy"
        )
    np.testing.assert_allclose(crps_ensemble(y, x, estimator), other, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(twcrps_ensemble(y, x, 70.0, estimator), below, rtol=1e-9, atol=1e-9)
    shaped = crps_ensemble(y.reshape(3, 20), x.reshape(3, 20, members), estimator)
    np.testing.assert_allclose(shaped.ravel(), other, rtol=1e-9, atol=1e-9)


def test_quantiles_against_scoringrules():
    y, x = samples(9)
    x = np.sort(x)
    other = sr.crps_quantile(y, x, np.array(DECILES), backend="numpy")
    np.testing.assert_allclose(crps_quantile(y, x, DECILES), other, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(crps_quantile(y, x[:, ::-1], DECILES), other, rtol=1e-9, atol=1e-9)
    below = sr.crps_quantile(np.minimum(y, 70), np.minimum(x, 70), np.array(DECILES), backend="numpy")
    np.testing.assert_allclose(twcrps_quantile(y, x, DECILES, 70), below, rtol=1e-9, atol=1e-9)


def test_many_quantiles_are_the_integral():
    levels = (np.arange(1, 1000) / 1000).tolist()
    y, f = np.array([-1.0, 0.3, 2.0]), np.broadcast_to(norm.ppf(levels), (3, 999))
    assert crps_quantile(y, f, levels) == pytest.approx(crps_gaussian(y, np.zeros(3), np.ones(3)), rel=2e-3)
    for at, truth in enumerate(y):
        below, _ = quad(lambda x, truth=truth: (norm.cdf(x) - (truth <= x)) ** 2, -9, 0.5, points=[min(truth, 0.5)])
        assert twcrps_quantile(y, f, levels, 0.5)[at] == pytest.approx(below, rel=5e-3)


def test_gaussian_against_scoringrules_and_its_integral():
    rng = np.random.default_rng(4)
    y, mean, sd = rng.normal(size=(3, 50)) * [[3], [1], [0.5]]
    sd = np.abs(sd)
    sd[0], y[1] = 1e-12, mean[1]
    np.testing.assert_allclose(crps_gaussian(y, mean, sd), sr.crps_normal(y, mean, sd), rtol=1e-9)
    whole, _ = quad(lambda x: (norm.cdf(x, 1, 2) - (x >= 2.5)) ** 2, -20, 20, points=[2.5], limit=200)
    assert crps_gaussian(2.5, 1.0, 2.0) == pytest.approx(whole, rel=1e-7)
    assert crps_gaussian([2.5, 1.0], [1.0, 1.0], [0.0, 0.0]).tolist() == [1.5, 0.0]
    assert crps_gaussian(1e300, 0.0, 1e-300) == 1e300


def test_what_is_missing_has_no_score():
    nan, inf = np.nan, np.inf
    y = [nan, inf, 1.0, 1.0, 1.0]
    rows = [[1.0, 2.0], [1.0, 2.0], [nan, 2.0], [-inf, 2.0], [1.0, 2.0]]
    for scores in (
        crps_ensemble(y, rows),
        twcrps_ensemble(y, rows, 70),
        crps_quantile(y, rows, [1 / 3, 2 / 3]),
        crps_gaussian(y, np.transpose(rows)[0], np.transpose(rows)[1]),
    ):
        assert np.isnan(scores).tolist() == [True, True, True, True, False]
    assert crps_ensemble(np.empty((0, 3)), np.empty((0, 3, 4))).shape == (0, 3)


@pytest.mark.parametrize("unit", ["mg/dL", "mmol/L"])
def test_metrics_are_the_functions_in_the_data_s_own_unit(unit):
    threshold = 70.0 if unit == "mg/dL" else 3.9
    rng = np.random.default_rng(5)
    truth = threshold * rng.uniform(0.5, 2, (30, 4))
    quantiles = np.sort(threshold * rng.uniform(0.5, 2, (30, 9, 4)), axis=1)
    truth[0], quantiles[1, 3, 2] = np.nan, np.nan
    block, last = Block(truth, {"median": truth}, unit, quantiles, DECILES), np.moveaxis(quantiles, 1, -1)
    below = np.nanmean(twcrps_quantile(truth, last, DECILES, threshold))
    assert score("crps", block) == pytest.approx({"crps": np.nanmean(crps_quantile(truth, last, DECILES))})
    for name in ("twcrps_lt70", "twcrps_lt70_any_levels"):
        assert score(name, block) == pytest.approx({name: below})
        assert METRIC[name].why_not is None or METRIC[name].why_not(block) is None


def test_what_happens_above_the_threshold_does_not_matter():
    y, x = samples(9)
    far = np.where(x > 70, x + 100, x)
    np.testing.assert_array_equal(twcrps_ensemble(y, far, 70), twcrps_ensemble(y, x, 70))
    np.testing.assert_array_equal(twcrps_quantile(y, far, DECILES, 70), twcrps_quantile(y, x, DECILES, 70))
    assert (twcrps_ensemble(y, x - 10, 70) != twcrps_ensemble(y, x, 70)).any()


@pytest.mark.parametrize(
    ("levels", "even"),
    [
        (DECILES, True),
        ((0.25, 0.5, 0.75), True),
        (tuple(((np.arange(20) + 0.5) / 20).tolist()), True),
        (tuple(np.round(np.arange(1, 21) / 21, 4).tolist()), True),
        ((0.01, 0.05, *DECILES[:-1], 0.95, 0.99), False),
        (DECILES[:-1], False),
        ((0.4, 0.5, 0.6), False),  # far from 0 and 1
        ((0.5,), False),
    ],
)
def test_levels_must_be_even(levels, even):
    row = np.arange(float(len(levels)))
    block = Block(np.ones((1, 1)), {"median": np.ones((1, 1))}, "mg/dL", row[None, :, None], levels)
    for name in ("crps", "twcrps_lt70"):
        assert (METRIC[name].why_not(block) is None) == even
    if even:
        assert np.isfinite(crps_quantile(1.0, row, levels))
    else:
        with pytest.raises(DataError, match="the CRPS needs evenly spaced levels") as raised:
            crps_quantile(1.0, row, levels)
        assert "mqloss" in raised.value.hint


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: crps_ensemble([1.0], [1.0, 2.0]), r"shapes do not fit: y \[1\], ensemble \[2\]"),
        (lambda: crps_ensemble(1.0, 1.0), "shapes do not fit"),
        (lambda: crps_ensemble(1.0, []), "shapes do not fit"),
        (lambda: crps_ensemble(1.0, [1.0], "akr"), "estimator 'akr' is not known"),
        (lambda: crps_ensemble(1.0, ["a"]), "ensemble is no array of numbers"),
        (lambda: twcrps_ensemble(1.0, [1.0], np.nan), "nan is no threshold"),
        (lambda: twcrps_quantile(1.0, [1.0, 2.0], [0.25, 0.75], np.inf), "inf is no threshold"),
        (lambda: crps_quantile([1.0], [1.0, 2.0], [0.25, 0.75]), "shapes do not fit"),
        (lambda: crps_gaussian(1.0, [1.0], 1.0), r"y has shape \[\], mean \[1\]"),
        (lambda: crps_gaussian(1.0, 1.0, [1.0]), r"y has shape \[\], sd \[1\]"),
        (lambda: crps_gaussian(1.0, 1.0, -2.0), "sd is -2"),
    ],
)
def test_mistakes_are_sentences(call, sentence):
    with pytest.raises(DataError, match=sentence):
        call()
