"""Detection of windows: scikit-learn and loops over thresholds; labels, scores and frozen thresholds by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from tsfm_core import Block, DataError
from tsfm_eval.detection import auprc, auroc, choose_threshold, operating_point
from tsfm_eval.tail import probability_below
from tsfm_eval.windows_at_risk import METRICS

METRIC = {metric.name: metric for metric in METRICS}
NAN = np.nan


def labelled(seed, size, ties):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=size)
    labels = rng.random(size) < 1 / (1 + np.exp(2 - scores))
    labels[:2] = (True, False)
    return labels, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [2, 3, 20, 1000])
@pytest.mark.parametrize("ties", [False, True])
def test_areas_against_scikit_learn(seed, size, ties):
    labels, scores = labelled(seed, size, ties)
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), rel=1e-12)
    assert auprc(labels, scores) == pytest.approx(average_precision_score(labels, scores), rel=1e-12)
    monotone = np.exp(scores) * 1e-3 - 7
    assert auroc(labels, monotone) == auroc(labels, scores)
    assert auroc(labels, -scores) == pytest.approx(1 - auroc(labels, scores))


def test_areas_by_hand():
    labels, scores = [1, 0, 1, 0, NAN, 1], [4, 3, 2, 2, 9, NAN]
    assert auroc(labels, scores) == 0.625  # of four pairs two are right, one is a tie
    assert auprc(labels, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
    assert auroc([1, 0], [5, 5]) == auprc([1, 0], [5, 5]) == 0.5
    for labels in ([1, 1], [0, 0], [NAN, 1], []):
        assert np.isnan([auroc(labels, [1.0, 2.0][: len(labels)]), auprc(labels, [1.0, 2.0][: len(labels)])]).all()


@pytest.mark.parametrize("seed", range(8))
def test_thresholds_against_trying_all(seed):
    labels, scores = labelled(seed, 60, ties=True)
    tried = [(operating_point(labels, scores, at), at) for at in np.unique(scores)]
    for point, at in tried:
        ((tn, fp), (fn, tp)) = confusion_matrix(labels, scores >= at)
        assert (point.sensitivity, point.specificity) == pytest.approx((tp / (tp + fn), tn / (tn + fp)))
        assert point.ppv == pytest.approx(tp / (tp + fp))
    for wanted in (0.1, 0.8, 0.9, 1.0):
        expected = max(at for point, at in tried if point.sensitivity >= wanted - 1e-12)
        assert choose_threshold(labels, scores, wanted) == expected
    gains = [(round(point.sensitivity + point.specificity, 12), at) for point, at in tried]
    assert choose_threshold(labels, scores, "youden") == max(gains)[1]


def test_thresholds_of_nothing():
    assert choose_threshold([1, 0], [2, 1], np.float32(0.9)) == choose_threshold([1, 0], [2, 1], 1) == 2
    assert operating_point([1, 0], [1, 2], np.inf).specificity == 1
    assert np.isnan(choose_threshold([1, 1], [1, 2], 0.9))
    assert np.isnan(choose_threshold([], [], "youden"))
    silent = operating_point([1, 0], [1, 2], 3)
    assert (silent.sensitivity, silent.specificity) == (0, 1)
    assert np.isnan([silent.ppv, operating_point([1, 0], [1, 2], NAN).sensitivity]).all()
    assert np.isnan(operating_point([0], [1], 0).sensitivity)


@pytest.mark.parametrize(
    ("work", "sentence"),
    [
        (lambda: auroc([1, 2], [1, 2]), "a label is 2; give 1 for an event, 0 for none"),
        (lambda: auprc([1], [1, 2]), r"labels has shape \[1\], scores \[2\]"),
        (lambda: auroc(["yes"], [1]), "labels is no array of numbers"),
        (
            lambda: choose_threshold([1, 0], [1, 2], 0),
            "rule 0 is not known; give a sensitivity such as 0.9, or 'youden'",
        ),
        *[
            (lambda rule=rule: choose_threshold([1, 0], [1, 2], rule), "rule .* is not known; give a sensitivity")
            for rule in ("f1", True, None, NAN, 1.1, [0.9], ["youden"], np.array([0.8, 0.9]), np.array(["youden"] * 2))
        ],
        *[
            (lambda at=at: operating_point([1, 0], [1, 2], at), "threshold .* is no number; give one number")
            for at in (None, "a", True, [1.0], np.array([1.0, 2.0]), 1j)
        ],
        (lambda: operating_point([1, 0], [1, 2], 10**400), "threshold is no array of numbers"),
        (lambda: auroc([1, 0], [1, 10**400]), "scores is no array of numbers"),
    ],
)
def test_mistakes_are_sentences(work, sentence):
    with pytest.raises(DataError, match=sentence):
        work()


def test_labels_and_scores_by_hand():
    truth = np.array([[69, *[NAN] * 9], [70.0] * 10, [70.0] * 8 + [NAN] * 2, [70.0] * 7 + [NAN] * 3, [60.0] * 10])
    median = np.array([[80, 60, *[90] * 8], [NAN, *[75] * 9], [70] * 10, [70] * 10, [NAN] * 10], dtype=float)
    block = Block(truth, {"median": median}, "mg/dL")
    columns = METRIC["hypo_detection"].parts(block)
    assert columns["label"].tolist() == [1, 0, 0, -1, -1]  # three of ten missing and no low; no forecast
    assert columns["score"][:3].tolist() == [-60, -75, -70]
    assert columns["count"].tolist() == [1, 1, 1, 0, 0]
    found = METRIC["hypo_detection"].finish(columns)
    expected = {"auroc": 1.0, "auprc": 1.0, "base_rate": 1 / 3, "windows": 3, "left_out": 2}
    assert found == pytest.approx({f"hypo_detection_{number}": value for number, value in expected.items()})
    in_mmol = Block(np.array([[3.9] * 5, [3.8] * 5]), {"median": np.full((2, 5), 5.0)}, "mmol/L")
    assert METRIC["hypo_detection"].parts(in_mmol)["label"].tolist() == [0, 1]
    assert METRIC["hypo_detection_level2"].parts(in_mmol)["label"].tolist() == [0, 0]


@pytest.mark.parametrize(("level", "threshold", "suffix"), [(1, 70, ""), (2, 54, "_level2")])
def test_probability_of_the_worst_step(level, threshold, suffix):
    rng = np.random.default_rng(level)
    levels = (0.01, 0.025, 0.05, 0.1, 0.5, 0.9)
    truth = rng.normal(75, 15, (2500, 6))  # more windows than are taken at a time
    quantiles = np.sort(truth[:, None] + rng.normal(0, 25, (2500, len(levels), 6)), axis=1)
    quantiles[3, :, 2] = NAN
    quantiles[7] = NAN
    block = Block(truth, {"median": quantiles[:, 4]}, "mg/dL", quantiles, levels)
    metric = METRIC[f"hypo_detection_p{suffix}"]
    columns = metric.parts(block)
    probability = probability_below(np.moveaxis(quantiles, 1, 2), levels, threshold)
    expected = np.nanmax(np.delete(probability, 7, axis=0), axis=1)
    np.testing.assert_allclose(np.delete(columns["score"], 7), expected, rtol=1e-12)
    assert columns["label"][7] == -1
    labels = (np.delete(truth, 7, axis=0) < threshold).any(axis=1)
    assert metric.finish(columns)[f"{metric.name}_auroc"] == pytest.approx(roc_auc_score(labels, expected))
    assert metric.why_not(block) is None
    deciles = replace(block, levels=(0.1, 0.2, 0.3, 0.5, 0.7, 0.9))
    assert metric.why_not(deciles) == "no level lies at 0.05 or below, so that no low could be rarer than 0.1"
    assert METRIC[f"hypo_detection_p{suffix}_any_levels"].why_not is None


@pytest.mark.parametrize("name", METRIC)
def test_thresholds_are_chosen_elsewhere_and_frozen(name):
    metric = METRIC[name]
    rng = np.random.default_rng(5)

    def columns(size):
        labels, scores = labelled(rng.integers(100), size, ties=False)
        return {"label": labels.astype(np.int8), "score": scores, "count": np.ones(size, np.int8)}

    validation, test = columns(500), columns(300)
    chosen = metric.choose(validation)
    assert chosen == {
        f"threshold_{rule}": choose_threshold(validation["label"], validation["score"], wanted)
        for rule, wanted in (("sens90", 0.9), ("sens80", 0.8), ("youden", "youden"))
    }
    found = metric.finish(test | chosen)
    for rule in ("sens90", "sens80", "youden"):
        point = operating_point(test["label"], test["score"], chosen[f"threshold_{rule}"])
        for number in ("threshold", "sensitivity", "specificity", "ppv"):
            assert found[f"{name}_{rule}_{number}"] == getattr(point, number)
    without = metric.finish(test)
    assert without == {number: value for number, value in found.items() if number in without}
    assert {number.removeprefix(f"{name}_") for number in found.keys() - without.keys()} == {
        f"{rule}_{number}"
        for rule in ("sens90", "sens80", "youden")
        for number in ("threshold", "sensitivity", "specificity", "ppv")
    }
    assert metric.directions.keys() <= found.keys()
    empty = metric.finish({key: value[:0] for key, value in test.items()} | metric.choose(columns(2)))
    counts = (f"{name}_windows", f"{name}_left_out")
    assert [empty[number] for number in counts] == [0, 0]
    assert np.isnan(
        [value for number, value in empty.items() if number not in counts and "threshold" not in number]
    ).all()
