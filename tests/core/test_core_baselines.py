"""The rules and the ridge map against numpy on one window at a time, and against least squares."""

import json

import numpy as np
import pytest

from tsfm_core import CapabilityError, Job, Runtime
from tsfm_core.baselines.ridge import RidgeMap
from tsfm_core.baselines.rules import forecast, last_value, mean_value, seasonal_value
from tsfm_core.baselines.schema import LinearTraining
from tsfm_core.data.windows import WindowRule
from tsfm_core.plugins import host

LEVELS = (0.05, 0.1, 0.5, 0.9)


@pytest.fixture
def cut(readings, panel_of):
    """Return ``cut(task, missing, n)``: the windows of two random walks."""

    def windows(task, missing=0.0, n=80, seed=0):
        panel = panel_of(readings(n=n, missing=missing, seed=seed), task)
        rule = WindowRule(2700, 0.3, 4)
        return rule.cut(panel, task, lambda part: np.ones(len(part), bool), panel.offsets[:-1], panel.offsets[1:])[0]

    return windows


def filled(context):
    """Return one context with its gaps filled by the last value before, or the first reading."""
    seen = np.flatnonzero(np.isfinite(context))
    return np.array([context[max([at for at in seen if at <= now], default=seen[0])] for now in range(len(context))])


def naive(context, horizon):
    return [filled(context)[-1]] * horizon, [
        context[step:] - context[: max(len(context) - step, 0)] for step in range(1, horizon + 1)
    ]


def mean(context, horizon):
    return [np.nanmean(context)] * horizon, [context - np.nanmean(context)] * horizon


def seasonal(season):
    def rule(context, horizon):
        whole = list(filled(context))
        for _ in range(horizon):
            whole.append(whole[-season])
        return whole[-horizon:], [context[season:] - context[:-season]] * horizon

    return rule


@pytest.mark.parametrize("horizon", [6, 15])
@pytest.mark.parametrize("missing", [0.0, 0.35])
@pytest.mark.parametrize(
    ("rule", "by_hand"),
    [(last_value, naive), (mean_value, mean), (seasonal_value(4), seasonal(4)), (seasonal_value(12), seasonal(12))],
    ids=["naive", "mean", "seasonal 4", "seasonal 12"],
)
def test_rules_are_their_definition(cut, make_task, rule, by_hand, missing, horizon):
    task = make_task(quantile_levels=LEVELS, prediction_length=horizon)
    windows = cut(task, missing)
    given = forecast(rule, windows, task)
    for at, context in enumerate(windows.inputs(slice(None)).target.astype(float)):
        point, errors = by_hand(context, horizon)
        np.testing.assert_allclose(given.mean[at], point, rtol=1e-6)
        spread = np.zeros(len(LEVELS))  # without an error to look at: none, then that of the step before
        for step, made in enumerate(errors):
            made = made[np.isfinite(made)]
            spread = np.quantile(made, LEVELS) if len(made) else spread
            np.testing.assert_allclose(given.quantiles[at, :, step], point[step] + spread, rtol=1e-5, atol=1e-4)
    assert len(windows) > 60


@pytest.mark.parametrize("name", ["naive", "mean", "seasonal_naive", "linear"])
def test_forecasts_do_not_depend_on_the_chunks_and_quantiles_do_not_cross(cut, make_task, tmp_path, name):
    task = make_task(quantile_levels=LEVELS)
    windows = cut(task, 0.2, n=150)
    backend = host().model(name)
    section = {"seasonal_naive": {"seasonality": 5}}.get(name, {})
    model = backend.load_model(backend.card.config_schema(**section), task, None, Runtime())
    if name == "linear":
        model = model.fit(windows, job(tmp_path))
    whole = backend.predict(model, backend.prepare_data(model, windows.inputs_only(), task), task)
    assert (np.diff(whole.quantiles, axis=1) >= 0).all()
    for size in (1, 7):
        parts = [backend.predict(model, chunk.inputs_only(), task) for chunk in windows.chunks(size)]
        np.testing.assert_array_equal(np.concatenate([part.mean for part in parts]), whole.mean)
        np.testing.assert_array_equal(np.concatenate([part.quantiles for part in parts]), whole.quantiles)


def test_a_season_must_fit_into_the_context(make_task):
    backend = host().model("seasonal_naive")
    config = backend.card.config_schema()
    with pytest.raises(CapabilityError, match="needs a season of 288 steps in the context of 12; lengthen the context"):
        backend.load_model(config, make_task(), None, Runtime())
    assert callable(backend.load_model(config, make_task(context_length=288), None, Runtime()))


def job(folder, ridge=1.0):
    return Job(LinearTraining(ridge=ridge), Runtime("from_scratch"), folder / "checkpoints", folder / "log.jsonl")


def least_squares(windows, lags, ridge):
    """Return the weights of every step by least squares over the windows in which it was observed."""
    contexts = np.array([filled(context)[-lags:] for context in windows.inputs(slice(None)).target.astype(float)])
    last = contexts[:, -1:]
    inputs, truth = contexts - last, windows.truth(slice(None)) - last
    penalty = np.sqrt(ridge * (inputs**2).mean()) * np.eye(lags)
    weights = []
    for step in range(truth.shape[1]):
        seen = np.isfinite(truth[:, step])
        rows = np.vstack([inputs[seen], penalty])
        weights.append(np.linalg.lstsq(rows, np.append(truth[seen, step], np.zeros(lags)), rcond=None)[0])
    return np.array(weights).T


@pytest.mark.parametrize("lags", [None, 5])
@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("ridge", [1.0, 50.0])
def test_the_ridge_map_is_least_squares(cut, make_task, tmp_path, missing, lags, ridge):
    task = make_task()
    windows = cut(task, missing)
    fitted = RidgeMap.load(lags, task, None).fit(windows, job(tmp_path, ridge))
    weights = least_squares(windows, lags or 12, ridge)
    np.testing.assert_allclose(fitted.weights, weights, atol=1e-8)
    contexts = np.array([filled(context) for context in windows.inputs(slice(None)).target.astype(float)])
    latest = contexts[:, -(lags or 12) :]
    expected = contexts[:, -1:] + (latest - contexts[:, -1:]) @ weights
    np.testing.assert_allclose(fitted.forecast(windows).mean, expected, rtol=1e-5)


def test_a_straight_line_is_continued(make_task, readings, panel_of, tmp_path):
    task = make_task()
    table = readings(n=60)
    table["glucose"] = 100.0 + 2 * (np.arange(120) % 60) * np.where(table.item_id == "a", 1, -0.5)
    panel = panel_of(table, task)
    rule = WindowRule(2700, 1, 12)
    windows, _ = rule.cut(panel, task, lambda part: np.ones(len(part), bool), panel.offsets[:-1], panel.offsets[1:])
    fitted = RidgeMap.load(None, task, None).fit(windows, job(tmp_path, 1e-9))
    np.testing.assert_allclose(fitted.forecast(windows).mean, windows.truth(slice(None)), atol=1e-3)


def test_residual_quantiles_are_those_of_the_training_errors(cut, make_task, tmp_path):
    task = make_task(quantile_levels=LEVELS)
    windows = cut(task, 0.2)
    fitted = RidgeMap.load(None, task, None).fit(windows, job(tmp_path))
    given = fitted.forecast(windows)
    errors = windows.truth(slice(None)) - given.mean
    for step in range(6):
        made = errors[:, step][np.isfinite(errors[:, step])]
        np.testing.assert_allclose(fitted.residuals[:, step], np.quantile(made, LEVELS), atol=1e-4)
    np.testing.assert_allclose(given.quantiles, given.mean[:, None] + fitted.residuals, rtol=1e-5)


def test_a_step_that_is_never_observed_gets_the_point(readings, panel_of, make_task, tmp_path):
    task = make_task(quantile_levels=LEVELS)
    table = readings(("a",), n=80)
    table.loc[table.index % 3 != 0, "glucose"] = np.nan  # every third slot; cutoffs stand on readings only
    panel = panel_of(table, task, mixed_freq="keep")
    windows, _ = WindowRule(2700, 0.3, 4).cut(
        panel, task, lambda part: np.arange(80) % 3 == 0, panel.offsets[:-1], panel.offsets[1:]
    )
    fitted = RidgeMap.load(None, task, None).fit(windows, job(tmp_path))
    assert not fitted.residuals[:, [0, 1, 3, 4]].any()
    assert fitted.residuals[:, [2, 5]].any()
    assert not fitted.weights[:, [0, 1, 3, 4]].any()


def test_lags_without_a_reading_start_from_the_last_one(readings, panel_of, make_task, tmp_path):
    task = make_task()
    table = readings(("a",), n=80)
    table.loc[60:65, "glucose"] = np.nan
    panel = panel_of(table, task)
    windows, _ = WindowRule(2700, 0.3, 4).cut(
        panel, task, lambda part: np.arange(80) == 65, panel.offsets[:-1], panel.offsets[1:]
    )
    fitted = RidgeMap.load(3, task, None).fit(windows, job(tmp_path))
    np.testing.assert_allclose(fitted.forecast(windows).mean, np.full((1, 6), table.glucose[59]), rtol=1e-6)


def test_the_checkpoint_forecasts_the_same_bits(cut, make_task, tmp_path):
    task = make_task(quantile_levels=LEVELS)
    windows = cut(task, 0.2)
    fitted = RidgeMap.load(5, task, None).fit(windows, job(tmp_path))
    again = RidgeMap.load(None, task, str(tmp_path / "checkpoints" / "best"))
    assert again.lags == 5
    np.testing.assert_array_equal(again.forecast(windows).mean, fitted.forecast(windows).mean)
    np.testing.assert_array_equal(again.forecast(windows).quantiles, fitted.forecast(windows).quantiles)
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"step": 1, "windows": len(windows)}


@pytest.mark.parametrize(
    ("lags", "changes", "said"),
    [
        (None, {"prediction_length": 5}, "the task asks for"),
        (None, {"quantile_levels": (0.5,)}, "the task asks for"),
        (None, {"freq": "15min"}, "the task asks for"),
        (None, {"context_length": 4}, "the task asks for .* from 4"),
        (4, {}, "maps 5 lags; model.lags is 4; leave model.lags out"),
        (13, {}, "model.lags 13 is longer than the context of 12 steps"),
    ],
)
def test_a_checkpoint_of_another_task_is_refused(cut, make_task, tmp_path, lags, changes, said):
    RidgeMap.load(5, make_task(), None).fit(cut(make_task()), job(tmp_path))
    with pytest.raises(CapabilityError, match=said):
        RidgeMap.load(lags, make_task(**changes), str(tmp_path / "checkpoints" / "best"))


@pytest.mark.parametrize("damage", ["linear.json", "model.safetensors", "facts"])
def test_a_damaged_checkpoint_is_refused(cut, make_task, tmp_path, damage):
    RidgeMap.load(5, make_task(), None).fit(cut(make_task()), job(tmp_path))
    best = tmp_path / "checkpoints" / "best"
    (best / ("linear.json" if damage == "facts" else damage)).write_text("{}" if damage == "facts" else "x")
    with pytest.raises(CapabilityError, match=r"is no checkpoint of linear: .*; train one: tsfm train linear"):
        RidgeMap.load(None, make_task(), str(best))


def test_without_weights_nothing_is_forecast(cut, make_task):
    with pytest.raises(CapabilityError, match="linear has no weights of its own; train it first"):
        RidgeMap.load(None, make_task(), None).forecast(cut(make_task()))
