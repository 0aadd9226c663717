"""What every metric of this package owes core: sums that add up, steps that agree, NaN where nothing was seen."""

from dataclasses import replace

import numpy as np
import pytest

from tsfm_core import Block, Task
from tsfm_core.data.store import StoredChunk
from tsfm_core.metrics import Scoring
from tsfm_eval.plugin import metrics

METRICS = {metric.name: metric for metric in metrics()}
SUMMED = {name: metric for name, metric in METRICS.items() if metric.additive}
#: summed pairs of one step each: a window's earlier steps have no say
STEPPED = {name: metric for name, metric in SUMMED.items() if metric.steps and not metric.per_item}
WINDOWS = {"cumulative_rmse", "discontinuity", "dilate"}
PAIRED = {name: metric for name, metric in STEPPED.items() if name not in WINDOWS}

LEVELS = tuple(float(level) for level in np.round(np.arange(1, 40) * 0.025, 3))
N, H = 60, 9


def each(chosen):
    return pytest.mark.parametrize("metric", chosen.values(), ids=chosen)


@pytest.fixture
def block():
    rng = np.random.default_rng(11)
    truth = rng.uniform(45, 300, (N, H))
    quantiles = np.sort(truth[:, None] + rng.normal(0, 60, (N, len(LEVELS), H)), axis=1)
    truth[rng.random(truth.shape) < 0.15] = np.nan
    truth[4] = np.nan
    truth[6:12] = rng.uniform(40, 68, (6, H))  # whole windows, and lows among them
    scale = {1: rng.uniform(1, 9, N), 288: np.where(rng.random(N) < 0.3, np.nan, rng.uniform(0, 60, N))}
    scale[1][3] = 0.0
    context = rng.uniform(40, 400, (N, 48))
    context[rng.random(context.shape) < 0.1] = np.nan
    return Block(
        truth,
        {"mean": quantiles.mean(axis=1), "median": quantiles[:, 19]},
        "mg/dL",
        quantiles,
        LEVELS,
        scale,
        {m: one**2 for m, one in scale.items()},
        context,
        np.repeat(["a", "b", "c", "d"], N // 4).astype(object),
        np.datetime64("2024-01-01", "s") + np.arange(N) * np.timedelta64(1800, "s"),
        300,
        rng.integers(0, 3, (N, H)).astype(float),
    )


def take(block, rows, steps=slice(None)):
    return replace(
        block,
        truth=block.truth[rows, steps],
        points={name: point[rows, steps] for name, point in block.points.items()},
        quantiles=block.quantiles[rows, :, steps],
        scale={m: scale[rows] for m, scale in block.scale.items()},
        scale_squared={m: scale[rows] for m, scale in block.scale_squared.items()},
        crossed=block.crossed[rows, steps],
        **{name: getattr(block, name)[rows] for name in ("context", "item_id", "cutoff")},
    )


def sums(metric, block, axis=None):
    return {name: part.sum(axis=axis) for name, part in metric.parts(block).items()}


def assert_scores(got, expected, rtol=1e-12, atol=0.0):
    assert got.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], rtol=rtol, atol=atol, err_msg=name)


def scored(metric, *blocks, names=("patient_holdout",)):
    """Score blocks as core does, the first of each name's."""
    scoring = Scoring(TASK, [metric])
    scoring.add_run(chunk_of(block, name) for name in names for block in blocks)
    return scoring.scores()


TASK = Task(target="glucose", unit="mg/dL", freq="5min", context_length=48, prediction_length=H, quantile_levels=LEVELS)


def chunk_of(block, name):
    return StoredChunk(
        set=name,
        item_id=block.item_id,
        cutoff=block.cutoff,
        truth=block.truth,
        mean=block.points["mean"],
        quantiles=block.quantiles,
        scale=dict(block.scale),
        scale_squared=dict(block.scale_squared),
        context=block.context,
        minute=np.full(len(block.truth), -1, np.int16),
    )


def test_every_metric_says_what_it_is():
    assert len({metric.definition for metric in METRICS.values()}) == len(METRICS)
    for name, metric in METRICS.items():
        assert metric.family in ("point", "scaled", "probabilistic", "calibration", "clinical", "event"), name
        assert metric.source, name
        assert len(metric.definition) > 20, name
        assert metric.point == "quantiles" or "quantiles" not in metric.needs, name


@each(METRICS)
def test_what_is_said_of_a_number_is_of_one_that_is_there(metric, block):
    numbers = set(scored(metric, block, names=("validation", "patient_holdout")).sets["patient_holdout"]["overall"])
    said = {*metric.units, *metric.directions, *metric.limits} - {""}
    assert said <= numbers | {f"temporal_gain_{ahead}" for ahead in (60, 120, 240, 480)}
    assert all(np.isfinite(bound) or bound == np.inf for pair in metric.limits.values() for bound in pair)


@each(METRICS)
def test_what_a_score_rests_on_is_counted(metric, block):
    parts = metric.parts(block)
    assert "count" in parts
    scores = scored(metric, block)
    assert scores.sets["patient_holdout"]["counts"][metric.name] > 0


@each(SUMMED)
def test_parts_are_complete_and_finite(metric, block):
    for part in metric.parts(block).values():
        assert part.shape[:1] == (N,)
        assert part.dtype == np.float64
        assert np.isfinite(part).all()


@each(PAIRED)
def test_a_missing_pair_adds_nothing(metric, block):
    missing = np.isnan(block.truth)
    for part in metric.parts(block).values():
        assert part.shape == block.truth.shape
        assert not part[missing].any()


@each(SUMMED)
def test_parts_do_not_depend_on_the_batch(metric, block):
    whole = metric.parts(block)
    halves = [metric.parts(take(block, rows)) for rows in (slice(0, 13), slice(13, None))]
    assert whole.keys() == halves[0].keys() == halves[1].keys()
    for name, part in whole.items():
        np.testing.assert_allclose(part, np.concatenate([half[name] for half in halves]), rtol=1e-13, atol=1e-13)


@each(METRICS)
def test_neither_the_batch_nor_the_order_of_windows_matters(metric, block):
    names = ("validation", "patient_holdout")
    expected = scored(metric, block, names=names)
    order = np.random.default_rng(4).permutation(N)
    for blocks in ([take(block, slice(0, 7)), take(block, slice(7, None))], [take(block, order)]):
        got = scored(metric, *blocks, names=names)
        assert_scores(got.sets["patient_holdout"]["overall"], expected.sets["patient_holdout"]["overall"], 1e-9, 1e-9)


@each(PAIRED)
def test_a_step_scores_as_if_it_stood_alone(metric, block):
    by_step = metric.finish(sums(metric, block, axis=0))
    for step in range(H):
        alone = metric.finish(sums(metric, take(block, slice(None), slice(step, step + 1))))
        assert_scores({name: scores[step] for name, scores in by_step.items()}, alone)


@each({name: metric for name, metric in SUMMED.items() if metric.per_item is None and metric.steps})
def test_finishing_many_sums_is_finishing_each(metric, block):
    """Bootstraps rely on it."""
    some = [sums(metric, take(block, slice(at, at + 20))) for at in (0, 11, 30)]
    together = metric.finish({name: np.array([one[name] for one in some]) for name in some[0]})
    for at, one in enumerate(some):
        assert_scores({name: values[at] for name, values in together.items()}, metric.finish(one))


@each(PAIRED)
def test_masking_equals_dropping(metric, block):
    column = take(block, slice(None), slice(2, 3))
    kept = take(column, np.isfinite(column.truth[:, 0]))
    assert len(kept.truth) < N
    assert_scores(metric.finish(sums(metric, column)), metric.finish(sums(metric, kept)))


@each(METRICS)
def test_no_pairs_give_nan_not_zero(metric, block):
    unseen = replace(block, truth=np.full_like(block.truth, np.nan), context=np.full_like(block.context, np.nan))
    scores = scored(metric, unseen, names=("validation", "patient_holdout")).sets["patient_holdout"]
    assert scores["counts"][metric.name] == 0
    whole = {name: value for name, value in scores["overall"].items() if not np.isnan(value)}
    counted = ("_left_out", "_windows", "_events")
    assert all(name.endswith(counted) for name in whole), whole
    if metric.name in STEPPED:
        by_step = metric.finish(sums(metric, unseen, axis=0))
        assert all(np.isnan(values).all() for name, values in by_step.items() if not name.endswith(counted))


#: what is said in mg/dL whatever the unit of the data, or is computed on mmol/L
OWN_UNIT = {"grmse", "grmse_agata"}


@each({name: metric for name, metric in PAIRED.items() if name not in OWN_UNIT and "glucose" not in metric.needs})
def test_the_unit_of_the_target(metric, block):
    scaled = {"target": 18.018, "target^2": 18.018**2}
    in_mmol = replace(
        block,
        truth=block.truth / 18.018,
        points={name: point / 18.018 for name, point in block.points.items()},
        unit="mmol/L",
        quantiles=block.quantiles / 18.018,
        scale={m: scale / 18.018 for m, scale in block.scale.items()},
        scale_squared={m: scale / 18.018**2 for m, scale in block.scale_squared.items()},
        context=block.context / 18.018,
    )
    scores = metric.finish(sums(metric, in_mmol))
    expected = metric.finish(sums(metric, block))
    for name in expected:
        factor = scaled.get(metric.units.get(name, metric.unit), 1.0)
        assert scores[name] * factor == pytest.approx(expected[name], nan_ok=True), name


@each(METRICS)
def test_another_unit_scales_what_has_the_targets_unit(metric, block):
    """Also where thresholds judge the data in their own: the same scores, said in the other unit."""
    found = {}
    for unit in ("mg/dL", "mmol/L"):
        scoring = Scoring(TASK, [metric], unit)
        scoring.add_run(chunk_of(block, name) for name in ("validation", "patient_holdout"))
        found[unit] = scoring.scores().sets["patient_holdout"]
    for number, value in found["mg/dL"]["overall"].items():
        factor = {"target": 18.018, "target^2": 18.018**2}.get(metric.units.get(number, metric.unit), 1.0)
        scaled = found["mmol/L"]["overall"][number] * factor
        assert scaled == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True), number
    assert found["mmol/L"]["by_range"].keys() == found["mg/dL"]["by_range"].keys()


def test_folds_that_could_choose_no_threshold_are_left_out_of_its_numbers(block):
    """In either order, and whether a fold has no validation windows or none with a low."""
    metric = METRICS["hypo_detection"]
    sound = [chunk_of(block, "validation"), chunk_of(take(block, slice(0, 30)), "patient_holdout")]
    rest = take(block, slice(30, 60))
    high = replace(block, truth=np.where(np.isnan(block.truth), np.nan, 150.0))
    expected = Scoring(TASK, [metric])
    expected.add_run(sound)
    alone = expected.scores().sets["patient_holdout"]["overall"]
    for other in (
        [chunk_of(rest, "patient_holdout")],
        [chunk_of(high, "validation"), chunk_of(rest, "patient_holdout")],
    ):
        for runs in ([sound, other], [other, sound]):
            scoring = Scoring(TASK, [metric])
            for run in runs:
                scoring.add_run(run)
            found = scoring.scores().sets["patient_holdout"]["overall"]
            assert found["hypo_detection_windows"] > alone["hypo_detection_windows"]
            for rule in ("sens90", "sens80", "youden"):
                for number in ("threshold", "sensitivity", "specificity", "ppv"):
                    name = f"hypo_detection_{rule}_{number}"
                    assert found[name] == pytest.approx(alone[name], nan_ok=True), name


def test_what_a_window_has_summed_up_so_far_is_no_score_of_an_hour(block):
    scores = scored(METRICS["cumulative_rmse"], block).sets["patient_holdout"]
    assert scores["by_hour"] == scores["by_range"] == {}
    assert len(scores["by_step"]["cumulative_rmse"]) == H
    seen = np.isfinite(block.truth).any(axis=1).sum()
    assert scores["counts"] == {"cumulative_rmse": seen}
