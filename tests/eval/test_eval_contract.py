"""What every metric of this package owes core: sums that add up, steps that agree, NaN where nothing was seen."""

from dataclasses import replace

import numpy as np
import pytest

from tsfm_core import Block
from tsfm_eval.plugin import metrics

METRICS = {metric.name: metric for metric in metrics()}
every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)

CLARKE = ("a", "b", "c", "d", "e")
INTERVALS = [f"{word}_{percent}" for percent in (50, 80, 90) for word in ("coverage", "sharpness")]
KEYS = {
    "rmse": ["rmse"],
    "mse": ["mse"],
    "mae": ["mae"],
    "mape": ["mape"],
    "mase": ["mase_m1", "mase_m1_left_out", "mase_m288", "mase_m288_left_out"],
    "pinball": ["pinball"],
    "coverage": INTERVALS,
    "clarke": [f"clarke_{zone}" for zone in CLARKE],
    "clarke_matlab": [f"clarke_matlab_{zone}" for zone in CLARKE],
}


@pytest.fixture
def block():
    rng = np.random.default_rng(11)
    truth = rng.uniform(40, 400, (30, 7))
    quantiles = np.sort(truth[:, None] + rng.normal(0, 60, (30, 5, 7)), axis=1)
    truth[rng.random(truth.shape) < 0.15] = np.nan
    truth[4] = np.nan
    scale = {1: rng.uniform(1, 9, 30), 288: np.where(rng.random(30) < 0.3, np.nan, rng.uniform(0, 60, 30))}
    scale[1][3] = 0.0
    points = {"mean": quantiles.mean(axis=1), "median": quantiles[:, 2]}
    return Block(truth, points, "mg/dL", quantiles, (0.05, 0.1, 0.5, 0.9, 0.95), scale, {})


def take(block, rows, steps=slice(None)):
    return replace(
        block,
        truth=block.truth[rows, steps],
        points={name: point[rows, steps] for name, point in block.points.items()},
        quantiles=block.quantiles[rows, :, steps],
        scale={m: scale[rows] for m, scale in block.scale.items()},
    )


def sums(metric, block, axis=None):
    return {name: part.sum(axis=axis) for name, part in metric.parts(block).items()}


def assert_scores(got, expected):
    assert got.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-12, err_msg=name)


def test_names_keys_and_definitions(block):
    assert list(METRICS) == list(KEYS)
    for name, metric in METRICS.items():
        assert list(metric.finish(sums(metric, block))) == KEYS[name]
    assert len({metric.definition for metric in METRICS.values()}) == len(METRICS)


@every_metric
def test_parts_are_complete_and_finite(metric, block):
    for part in metric.parts(block).values():
        assert part.shape == block.truth.shape
        assert part.dtype == np.float64
        assert np.isfinite(part).all()


@every_metric
def test_a_missing_pair_adds_nothing(metric, block):
    missing = np.isnan(block.truth)
    assert all(not part[missing].any() for part in metric.parts(block).values())


@every_metric
def test_parts_do_not_depend_on_the_batch(metric, block):
    whole = metric.parts(block)
    halves = [metric.parts(take(block, rows)) for rows in (slice(0, 13), slice(13, None))]
    assert whole.keys() == halves[0].keys() == halves[1].keys()
    for name, part in whole.items():
        np.testing.assert_array_equal(part, np.concatenate([half[name] for half in halves]))


@every_metric
def test_the_order_of_windows_does_not_matter(metric, block):
    shuffled = take(block, np.random.default_rng(4).permutation(30))
    assert_scores(metric.finish(sums(metric, shuffled)), metric.finish(sums(metric, block)))


@every_metric
def test_a_step_scores_as_if_it_stood_alone(metric, block):
    by_step = metric.finish(sums(metric, block, axis=0))
    for step in range(7):
        alone = metric.finish(sums(metric, take(block, slice(None), slice(step, step + 1))))
        assert_scores({name: scores[step] for name, scores in by_step.items()}, alone)


@every_metric
def test_masking_equals_dropping(metric, block):
    column = take(block, slice(None), slice(2, 3))
    kept = take(column, np.isfinite(column.truth[:, 0]))
    assert len(kept.truth) < 30
    assert_scores(metric.finish(sums(metric, column)), metric.finish(sums(metric, kept)))


@every_metric
def test_no_pairs_give_nan_not_zero(metric, block):
    unseen = replace(block, truth=np.full_like(block.truth, np.nan))
    for empty in (unseen, take(block, slice(0, 0))):
        scores = metric.finish(sums(metric, empty))
        assert list(scores) == KEYS[metric.name]
        assert np.isnan(list(scores.values())).all()
        by_step = metric.finish(sums(metric, empty, axis=0))
        assert all(values.shape == (7,) and np.isnan(values).all() for values in by_step.values())


@every_metric
def test_the_unit_of_the_target(metric, block):
    scaled = {"target": 18.018, "target^2": 18.018**2}.get(metric.unit, 1.0)
    in_mmol = replace(
        block,
        truth=block.truth / 18.018,
        points={name: point / 18.018 for name, point in block.points.items()},
        unit="mmol/L",
        quantiles=block.quantiles / 18.018,
        scale={m: scale / 18.018 for m, scale in block.scale.items()},
    )
    scores = metric.finish(sums(metric, in_mmol))
    widths = {name: 18.018 if name.startswith("sharpness") else scaled for name in scores}
    expected = metric.finish(sums(metric, block))
    for name in expected:
        assert scores[name] * widths[name] == pytest.approx(expected[name]), name
