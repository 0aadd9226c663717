"""Two models on the same patients."""

import numpy as np
import pytest

from tsfm_core import DataError
from tsfm_eval.statistics.bootstrap import bootstrap_mean
from tsfm_eval.statistics.paired import paired_bootstrap
from tsfm_eval.statistics.sums import PatientSums

NAMES = [f"p{at}" for at in range(16)]


def mean(sums):
    return {"mean": sums["loss"] / sums["count"]}


def sums(loss, names=NAMES, count=None):
    return PatientSums(names, {"loss": loss, "count": np.ones(len(loss)) if count is None else count})


@pytest.fixture
def pair():
    rng = np.random.default_rng(8)
    loss = rng.lognormal(3, 1, 16)
    return loss, loss * rng.uniform(0.85, 1.02, 16)


@pytest.mark.parametrize("method", ["studentised", "bca", "percentile"])
def test_with_one_window_each_it_is_the_mean_difference(pair, method):
    a, b = pair
    found = paired_bootstrap(sums(a), sums(b[::-1], NAMES[::-1]), mean, method=method)
    alone = bootstrap_mean(NAMES, a - b, method=method)
    interval = found.intervals["mean"]
    assert (interval.low, interval.estimate, interval.high) == pytest.approx((alone.low, alone.estimate, alone.high))
    assert interval.excludes_zero
    assert found.item_id.tolist() == sorted(NAMES)
    by_name = dict(zip(NAMES, a - b, strict=True))
    assert found.differences["mean"] == pytest.approx([by_name[name] for name in sorted(NAMES)])


def test_turned_round_the_percentile_interval_changes_its_sign(pair):
    a, b = (sums(loss, count=np.arange(1.0, 17)) for loss in pair)
    there, back = (paired_bootstrap(*two, mean, method="percentile").intervals["mean"] for two in ((a, b), (b, a)))
    assert (there.low, there.estimate, there.high) == pytest.approx((-back.high, -back.estimate, -back.low))


def test_a_shared_difficulty_does_not_hide_a_small_difference(pair):
    loss = pair[0]
    better = loss - np.random.default_rng(1).uniform(0.5, 1.5, 16)
    interval = paired_bootstrap(sums(loss), sums(better), mean).intervals["mean"]
    assert interval.excludes_zero
    assert interval.high - interval.low < 0.05 * (np.ptp(loss))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_a_chance_difference_holds_zero(shift):
    loss = np.arange(16.0) + 20
    other = loss + np.tile([-1.0, 1.0], 8) * shift
    interval = paired_bootstrap(sums(loss), sums(other), mean).intervals["mean"]
    assert not interval.excludes_zero
    assert interval.estimate == 0
    assert interval.reliable is (shift > 0)  # a model does not differ from itself: there is no spread


def test_a_patient_without_a_number_of_his_own():
    parts = {"loss": np.arange(16.0) + 1, "count": np.array([0.0, *[1] * 15])}
    found = paired_bootstrap(PatientSums(NAMES, parts), PatientSums(NAMES, parts), mean)
    assert np.isnan(found.differences["mean"]).sum() == 1


def test_patients_of_only_one_are_named(pair):
    a, b = pair
    with pytest.raises(DataError, match="not scored on the same patients: only a has p7; only b has x; keep those"):
        paired_bootstrap(sums(a), sums(b, ["x" if name == "p7" else name for name in NAMES]), mean)
    with pytest.raises(DataError, match="different parts: loss, count and loss"):
        paired_bootstrap(sums(a), PatientSums(NAMES, {"loss": b}), mean)
    with pytest.raises(DataError, match="4 patients are too few"):
        paired_bootstrap(sums(a[:4], NAMES[:4]), sums(b[:4], NAMES[:4]), mean)
