"""Networks that forecast from the last reading: the map that is solved for first, and the scale that stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tsfm_core import DataError, Runtime, fill_context

STILL = {"learning_rate": 1e-12, "max_steps": 1}  # the network stays as it begins: it adds nothing


@pytest.fixture
def fan(kit: Any) -> Any:
    return kit.task(quantile_levels=(0.1, 0.5, 0.9))


def test_a_network_that_answers_nothing_forecasts_the_last_reading(kit: Any, small: dict[str, Any]) -> None:
    windows = kit.windows(kit.task())
    model = kit.load(kit.task(), **small, scaling="last")
    last = fill_context(windows.inputs(slice(None)).target)[0][:, -1:]
    np.testing.assert_allclose(kit.values(model, windows), np.broadcast_to(last, (len(windows), 12)), rtol=1e-6)


def test_it_begins_at_the_ridge_map_of_a_second_solution(kit: Any, small: dict[str, Any], fan: Any) -> None:
    """Each step by itself: least squares over readings, and rows that stand for one of the penalties."""
    windows = kit.windows(fan)
    model = kit.train(kit.load(fan, **small, scaling="last"), windows, strategy="from_scratch", **STILL)
    context, truth = (
        (each.astype(np.float64) - model.scaler.mean[0]) / model.scaler.std[0]
        for each in (windows.inputs(slice(None)).target, windows.truth(slice(None)))
    )
    last = context[:, -1:]
    features = np.hstack([context[:, :-1] - last, last, np.ones_like(last)])
    median = kit.predict(model, windows).quantiles[:, 1]
    for step in (0, 11):
        found = []
        for penalty in 10.0 ** np.arange(0, 5.5, 0.5):
            ridge = np.sqrt(penalty) * np.eye(features.shape[1])
            rows = np.vstack([features, ridge]), np.append(truth[:, step] - last[:, 0], np.zeros(len(ridge)))
            found.append(features @ np.linalg.lstsq(*rows)[0] + last[:, 0])
        mine = (median[:, step] - model.scaler.mean[0]) / model.scaler.std[0]
        assert min(np.abs(each - mine).max() for each in found) < 1e-3
    again = kit.predict(kit.load(fan, kit.best()), windows)
    np.testing.assert_array_equal(again.quantiles[:, 1], median)


def test_shorter_forecasts_and_covariates_beside_it(kit: Any, small: dict[str, Any]) -> None:
    """A map over all steps is cut with the network's answer, and reads the target alone."""
    rich = kit.task(past_covariates=("iob",), known_covariates=("meal",))
    windows = kit.windows(rich)
    kit.train(kit.load(rich, **small, scaling="last"), windows, strategy="from_scratch")
    assert np.isfinite(kit.values(kit.load(rich, kit.best()), windows)).all()
    task = kit.task()
    kit.train(kit.load(task, **small, scaling="last"), kit.windows(task), "plain", strategy="from_scratch")
    short = kit.task(prediction_length=5)
    whole = kit.values(kit.load(task, kit.best("plain")), kit.windows(task))
    part = kit.values(kit.load(short, kit.best("plain")), kit.windows(short))
    np.testing.assert_array_equal(part[: len(whole)], whole[:, :5])
    trained = kit.train(kit.load(short, kit.best("plain"), strategy="full"), kit.windows(short), "short")
    assert kit.values(trained, kit.windows(short)).shape[1] == 5


def test_no_whole_truth_is_refused(kit: Any, small: dict[str, Any]) -> None:
    columns = kit.columns()
    columns["glucose"][::5] = np.nan
    task = kit.task()
    with pytest.raises(DataError, match="a ridge map is fitted to windows whose whole truth was observed"):
        model = kit.load(task, **small, scaling="last")
        kit.train(model, kit.windows(task, columns), strategy="from_scratch")


@pytest.mark.parametrize("scaling", ["last", "none", "window"])
def test_a_network_that_sees_the_level_keeps_its_scale(kit: Any, small: dict[str, Any], fan: Any, scaling: str) -> None:
    """Trained further on other people, also with covariates, a reading must look to it as it did before."""
    first = kit.train(kit.load(fan, **small, scaling=scaling), kit.windows(fan), "first", strategy="from_scratch")
    rich = kit.task(quantile_levels=(0.1, 0.5, 0.9), past_covariates=("iob",))
    others = kit.windows(rich, kit.columns() | {"glucose": kit.columns()["glucose"] + 50})
    second = kit.train(kit.load(rich, kit.best("first"), strategy="full"), others, "second")
    kept = scaling != "window"
    assert np.isclose(second.scaler.mean[0], first.scaler.mean[0] + (0 if kept else 50), atol=0.5)
    assert np.isclose(second.scaler.mean[1], 3000, atol=300)
    loaded = kit.load(rich, kit.best("second"))
    np.testing.assert_array_equal(loaded.scaler.mean, second.scaler.mean)
    shown = kit.hooks.statistics(model=loaded, data=others, runtime=Runtime("zero_shot"))
    assert len(shown["mean"][0]) == (1 if kept else 2)
    assert shown["mean"][0] == shown["mean"][1]
    other = kit.task(quantile_levels=(0.1, 0.5, 0.9), unit="custom:steps/min")
    counted = kit.train(kit.load(other, kit.best("first"), strategy="full"), others, "counted", max_steps=1)
    assert np.isclose(
        counted.scaler.mean[0], first.scaler.mean[0] + 50, atol=0.5
    )  # nothing is kept of another quantity
    third = kit.train(kit.load(rich, kit.best("second"), strategy="full"), others, "third")
    np.testing.assert_array_equal(third.scaler.mean, second.scaler.mean)
