"""Levels below a set, scores by person, numbers chosen on validation, and folds that are scored together."""

from dataclasses import replace

import numpy as np
import pytest

from tsfm_core import Metric
from tsfm_core.data.store import StoredChunk
from tsfm_core.metrics import Scoring, score

H = 4


def _pairs(block):
    seen = np.isfinite(block.truth)
    return {"loss": np.where(seen, np.abs(block.truth - block.point("mean")), 0.0), "count": seen.astype(float)}


def _mean(sums):
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"mae": np.asarray(sums["loss"]) / sums["count"]}


MAE = Metric("mae", "mean absolute error", "target", "lower", "mean", _pairs, _mean)
#: the absolute bias of each person, and its mean over them
BY_PERSON = Metric(
    "person",
    "mean over items of abs(mean(f - y))",
    "target",
    "lower",
    "mean",
    lambda block: {"error": block.point("mean") - block.truth, "count": np.ones_like(block.truth)},
    lambda sums: {"person": sums["bias"] / sums["count"], "persons": sums["count"]},
    per_item=lambda sums: {"bias": abs(sums["error"] / sums["count"]), "count": 1.0},
)
#: the share of windows whose mean error is above the validation windows' median
CHOSEN = Metric(
    "above",
    "share above the threshold",
    "1",
    "none",
    "mean",
    lambda block: {"error": (block.point("mean") - block.truth).mean(axis=1), "item": block.cutoff.astype(float)},
    lambda columns: {"above": (columns["error"] > columns["threshold"]).mean() if "threshold" in columns else np.nan},
    additive=False,
    steps=False,
    choose=lambda columns: {"threshold": np.median(columns["error"])},
)


@pytest.fixture
def task(make_task):
    return make_task(prediction_length=H, freq="5min")


@pytest.fixture
def chunk():
    rng = np.random.default_rng(0)
    n = 60
    truth = rng.uniform(40, 320, (n, H)).astype(np.float32)
    truth[0] = [53, 54, 70, 180]
    truth[1] = [181, 250, 251, 69]
    return StoredChunk(
        set="patient_holdout",
        item_id=np.repeat(["a", "b", "c"], [10, 20, 30]).astype(object),
        cutoff=np.datetime64("2024-01-01T00:00:00") + np.arange(n) * np.timedelta64(1140, "s"),
        truth=truth,
        mean=(truth + rng.normal(0, 20, truth.shape)).astype(np.float32),
        quantiles=None,
        scale={},
        scale_squared={},
        context=rng.uniform(40, 400, (n, 6)).astype(np.float32),
        minute=(np.arange(n) * 19 % 1440).astype(np.int16),
    )


def errors(chunk):
    return np.abs(chunk.truth.astype(float) - chunk.mean)


def rows_of(chunk, rows):
    names = ("item_id", "cutoff", "truth", "mean", "context", "minute")
    return replace(chunk, **{name: getattr(chunk, name)[rows] for name in names})


def test_by_hour_of_the_truths_own_time(chunk, task):
    found = score([chunk], task, [MAE]).sets["patient_holdout"]["by_hour"]["mae"]
    hour = (chunk.minute[:, None].astype(int) + 5 * np.arange(1, H + 1)) // 60 % 24
    assert found == {
        f"{at:02d}": pytest.approx(errors(chunk)[hour == at].mean()) for at in range(24) if (hour == at).any()
    }
    unknown = score([replace(chunk, minute=np.full(60, -1, np.int16))], task, [MAE])
    assert unknown.sets["patient_holdout"]["by_hour"] == {}


def test_by_range_of_the_truth_at_its_borders(chunk, task):
    one = score([rows_of(chunk, slice(0, 2))], task, [MAE]).sets["patient_holdout"]["by_range"]["mae"]
    error = errors(chunk)
    assert one == {
        "below 54": pytest.approx(error[0, 0]),
        "54 to 70": pytest.approx(np.mean([error[0, 1], error[1, 3]])),
        "70 to 180": pytest.approx(np.mean([error[0, 2], error[0, 3]])),
        "180 to 250": pytest.approx(np.mean([error[1, 0], error[1, 1]])),
        "above 250": pytest.approx(error[1, 2]),
    }


def test_ranges_in_mmol_are_those_of_its_own_thresholds(chunk, make_task):
    mmol = make_task(prediction_length=H, freq="5min", unit="mmol/L")
    truth = np.array([[10.0, 13.9, 3.9, 3.0]], np.float32)
    one = replace(rows_of(chunk, slice(0, 1)), truth=truth, mean=truth + np.float32(1))
    found = score([one], mmol, [MAE], unit="mg/dL").sets["patient_holdout"]["by_range"]["mae"]
    assert list(found) == ["3.0 to 3.9", "3.9 to 10.0", "10.0 to 13.9"]
    other = score([one], make_task(prediction_length=H, freq="5min", unit="custom:kW"), [MAE])
    assert other.sets["patient_holdout"]["by_range"] == {}


def test_by_group_macro_counts_and_pairs(chunk, task):
    chunk.truth[5, 1] = np.nan
    one = score([chunk], task, [MAE], groups={"sex": {"a": "f", "c": "f", "b": "m"}, "pump": {"b": "x"}})
    found = one.sets["patient_holdout"]
    error, item = errors(chunk), chunk.item_id
    assert found["by_group"]["sex"]["f"] == {
        "windows": 40,
        "items": 2,
        "overall": {"mae": pytest.approx(np.nanmean(error[item != "b"]))},
    }
    assert found["by_group"]["pump"].keys() == {"x"}
    people = [np.nanmean(error[item == name]) for name in "abc"]
    assert found["macro"] == {"mae": pytest.approx(np.mean(people))}
    assert found["counts"] == {"mae": 60 * H - 1}
    assert found["pairs"] == {"observed": 60 * H - 1, "missing": 1}


def test_a_score_by_person(chunk, task):
    one = score([rows_of(chunk, slice(0, 25)), rows_of(chunk, slice(25, None))], task, [BY_PERSON])
    signed = (chunk.mean - chunk.truth.astype(float)).mean(axis=1)
    people = [abs(signed[chunk.item_id == name].mean()) for name in "abc"]
    assert one.sets["patient_holdout"]["overall"] == {"person": pytest.approx(np.mean(people)), "persons": 3.0}
    assert [row["person"] for row in one.items] == pytest.approx(people)
    assert one.sets["patient_holdout"]["by_step"] == {}


def test_what_is_chosen_on_validation_is_frozen_on_the_others(chunk, task):
    validation = replace(rows_of(chunk, slice(30, None)), set="validation")
    scores = score([rows_of(chunk, slice(0, 30)), validation], task, [CHOSEN])
    signed = (chunk.mean.astype(float) - chunk.truth).mean(axis=1)
    threshold = np.median(signed[30:])
    assert scores.chosen == {"above": [{"threshold": pytest.approx(threshold)}]}
    assert scores.sets["patient_holdout"]["overall"]["above"] == (signed[:30] > threshold).mean()
    without = score([chunk], task, [CHOSEN])
    assert np.isnan(without.sets["patient_holdout"]["overall"]["above"])
    assert without.chosen == {}


def test_folds_are_scored_together_and_each_keeps_its_own_choice(chunk, task):
    """Two folds: what fold 2 chose must not reach the windows of fold 1."""
    folds = []
    for shift, rows in ((0, slice(0, 10)), (30, slice(10, 60))):
        test = rows_of(chunk, rows)
        validation = replace(chunk, set="validation", mean=chunk.mean + np.float32(shift))
        folds.append([test, validation])
    joined = Scoring(task, [MAE, CHOSEN, BY_PERSON])
    for fold in folds:
        joined.add_run(fold)
    found = joined.scores().sets["patient_holdout"]
    alone = score([chunk], task, [MAE, BY_PERSON]).sets["patient_holdout"]
    for level in ("by_step", "by_hour", "by_range"):
        assert found[level]["mae"] == pytest.approx(alone[level]["mae"])
    assert found["overall"]["person"] == pytest.approx(alone["overall"]["person"])
    assert found["windows"] == 60
    chosen = joined.scores().chosen["above"]
    assert [round(one["threshold"] - chosen[0]["threshold"]) for one in chosen] == [0, 30]
    signed = (chunk.mean.astype(float) - chunk.truth).mean(axis=1)
    threshold = np.median(signed) + np.where(np.arange(60) < 10, 0, 30)
    assert found["overall"]["above"] == pytest.approx((signed > threshold).mean())


def test_samples_give_the_numbers_of_any_people(chunk, task):
    scoring = Scoring(task, [MAE, CHOSEN], item_steps=True)
    scoring.add_run([chunk, replace(chunk, set="validation")])
    samples = scoring.scores().samples["patient_holdout"]
    error, item = errors(chunk), chunk.item_id
    twice = np.concatenate([error[item == "c"], error[item == "a"], error[item == "c"]])
    assert samples["mae"].items == ("a", "b", "c")
    assert samples["mae"].of(np.array([2, 0, 2]))["mae"] == pytest.approx(twice.mean())
    steps = scoring.sets["patient_holdout"].sample(MAE, steps=True)
    assert steps.sums["loss"][1] == pytest.approx(error[item == "b"].sum(axis=0))
    signed = (chunk.mean.astype(float) - chunk.truth).mean(axis=1)
    above = signed > np.median(signed)
    expected = np.mean(np.concatenate([above[item == "b"], above[item == "b"], above[item == "a"]]))
    assert samples["above"].of(np.array([1, 0, 1]))["above"] == pytest.approx(expected)
