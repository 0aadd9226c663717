"""The checkpoint in the package: its card, what it serves, and that a part of a forecast is that part."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from modelkit import Kit

import tsfm_core
import tsfm_ttm
from tsfm_core import CapabilityError, Panel, Task, TrainingWindows
from tsfm_core.audit import CHECKS
from tsfm_core.audit.evidence import Evidence
from tsfm_core.data.windows import WindowRule
from tsfm_core.errors import RunError
from tsfm_core.files import folder_hash
from tsfm_core.plugins import host
from tsfm_core.reproduce import reproduce

NAME = "tsfm/ttm-cgm"
CARD = tsfm_ttm.model_card().known(NAME)
TASK = Task(**CARD.task) if CARD else None
LEVELS = (0.025, 0.05, *(level / 100 for level in range(10, 91, 5)), 0.95, 0.975)


def windows(task: Task, unit_size: float = 1.0) -> TrainingWindows:
    """Return windows of one made-up person, the first with a short history, in a unit of ``unit_size`` mg/dL."""
    steps = np.arange(900)
    glucose = 150 + 60 * np.sin(steps / 23) + np.random.default_rng(1).normal(0, 4, 900)
    column = (glucose / unit_size).astype(np.float32)
    start = np.array(["2024-01-01"], dtype="datetime64[s]")
    panel = Panel(("a",), np.array([0, 900]), start, 300, {"glucose": column}, task.unit)
    rule = WindowRule(max_gap=10**9, min_observed=0.5, min_context=48)
    every = rule.cut(panel, task, lambda part: np.arange(len(part)) % 150 == 60, np.array([0]), np.array([900]))[0]
    return every.take(slice(0, 5))


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return ``forecast(unit_size=1, **changes)``: the forecasts ``[N, Q, H]`` or ``[N, H]`` of a changed task."""
    kit = Kit(tmp_path_factory.mktemp("shipped"), tsfm_ttm)

    def forecasts(unit_size: float = 1.0, **changes: Any) -> np.ndarray:
        assert TASK is not None
        task = TASK.model_copy(update=changes)
        return kit.values(kit.load(task, NAME), windows(task, unit_size))

    return forecasts


@pytest.fixture(scope="module")
def whole(forecast: Any) -> np.ndarray:
    return np.asarray(forecast())


def test_the_file_is_the_one_of_its_card() -> None:
    assert CARD is not None
    assert CARD.folder is not None
    weights = (CARD.folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == CARD.sha256
    assert len(weights) <= 5_000_000
    length = int.from_bytes(weights[:8], "little")
    shapes = [one["shape"] for one in json.loads(weights[8 : 8 + length]).values() if "shape" in one]
    assert sum(int(np.prod(shape)) for shape in shapes) == CARD.parameters
    assert (CARD.licence, CARD.min_context) == ("Apache-2.0", 48)
    assert {"data", "limits", "known failures", "use"} <= set(CARD.notes)


def test_its_task(whole: np.ndarray) -> None:
    assert TASK is not None
    assert (TASK.target, TASK.unit, TASK.freq) == ("glucose", "mg/dL", "5min")
    assert (TASK.context_length, TASK.prediction_length, TASK.quantile_levels) == (512, 96, LEVELS)
    assert whole.shape == (5, 21, 96)
    assert (np.diff(whole, axis=1) >= 0).all()
    assert 60 < whole.mean() < 300


@pytest.mark.parametrize("steps", [1, 12, 95])
def test_fewer_steps_are_the_first_of_all(forecast: Any, whole: np.ndarray, steps: int) -> None:
    np.testing.assert_array_equal(forecast(prediction_length=steps), whole[..., :steps])


@pytest.mark.parametrize("levels", [(0.5,), (0.1, 0.5, 0.9), (0.05, 0.2), LEVELS[::2]])
def test_fewer_levels_are_some_of_all(forecast: Any, whole: np.ndarray, levels: tuple[float, ...]) -> None:
    expected = whole[:, [LEVELS.index(level) for level in levels]]
    np.testing.assert_array_equal(forecast(quantile_levels=levels), expected)


def test_without_levels_the_mean_lies_where_the_quantiles_put_it(forecast: Any, whole: np.ndarray) -> None:
    """Each quantile stands for the levels nearest to it: a fine grid of levels, each looked up, gives the same mean."""
    fine = (np.arange(20_000) + 0.5) / 20_000
    nearest = np.abs(fine[:, None] - np.array(LEVELS)).argmin(axis=1)
    expected = np.tensordot(np.bincount(nearest, minlength=21) / 20_000, whole, axes=(0, 1))
    np.testing.assert_allclose(forecast(quantile_levels=(), prediction_length=24), expected[:, :24], rtol=1e-5)


def test_mmol_is_mg_divided(forecast: Any, whole: np.ndarray) -> None:
    np.testing.assert_allclose(forecast(18.018, unit="mmol/L"), whole / 18.018, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit": "custom:MW"}, "task.unit is custom:MW"),
        ({"freq": "15min"}, "task.freq is 15min"),
        ({"context_length": 288}, "task.context_length is 288"),
        ({"prediction_length": 97}, "task.prediction_length is 97"),
    ],
)
@pytest.mark.parametrize("strategy", ["zero_shot", "full", "lora", "head"])
def test_anything_else_is_refused(kit: Kit, strategy: str, changes: dict[str, Any], said: str) -> None:
    assert TASK is not None
    way_out = "set model.checkpoint to ibm-granite/granite-timeseries-ttm-r2, or training.strategy to from_scratch"
    with pytest.raises(CapabilityError, match=f"every 5min, 512 steps in and at most 96 out, and {said}; {way_out}"):
        kit.load(TASK.model_copy(update=changes), NAME, strategy=strategy)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "cgm"}, "was trained with task.target glucose, and it is cgm now"),
        ({"past_covariates": ("iob",)}, r"task.past_covariates \[\], and it is \[iob\] now"),
        ({"quantile_levels": (0.1, 0.33)}, r"is \[0.1, 0.33\]; choose among them"),
    ],
)
def test_what_it_knows_nothing_of_is_refused(kit: Kit, changes: dict[str, Any], said: str) -> None:
    assert TASK is not None
    with pytest.raises(CapabilityError, match=said):
        kit.load(TASK.model_copy(update=changes), NAME)


@pytest.mark.parametrize("strategy", ["full", "head", "lora"])
def test_it_is_trained_further_and_served_in_parts(kit: Kit, strategy: str, whole: np.ndarray) -> None:
    assert TASK is not None
    every = windows(TASK)
    training = {"strategy": strategy, "max_steps": 2, "learning_rate": 1e-2}
    kit.train(kit.load(TASK, NAME, strategy=strategy), every, strategy, **training)
    trained = kit.values(kit.load(TASK, kit.best(strategy)), every)
    assert np.abs(trained - whole).max() > 0.1
    part = TASK.model_copy(update={"prediction_length": 6, "quantile_levels": (0.1, 0.9), "unit": "mmol/L"})
    served = kit.values(kit.load(part, kit.best(strategy)), windows(part, 18.018))
    np.testing.assert_allclose(served, trained[:, [2, 18], :6] / 18.018, rtol=2e-5, atol=1e-4)


def test_a_run_by_default_notes_it_and_is_reproduced_from_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """No hub: whatever asked it would fail."""
    assert CARD is not None
    assert CARD.folder is not None
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)
    monkeypatch.chdir(tmp_path)
    stamps = pd.date_range("2024-01-01", periods=900, freq="5min")
    glucose = 150 + 60 * np.sin(np.arange(900) / 23)
    pd.DataFrame({"item_id": "a", "timestamp": stamps, "glucose": glucose}).to_csv("a.csv", index=False)
    config = {
        "task": {**CARD.task, "prediction_length": 12},
        "data": {"source": "csv", "path": "a.csv", "min_context": 48, "stride": 12},
        "split": {"temporal_holdout": 0.1},
        "evaluation": {"metrics": ["rmse"], "baselines": [], "stride": 24},
        "training": {"strategy": "full", "max_steps": 2},
    }
    run, was = tsfm_core.train("ttm", config), folder_hash(CARD.folder)
    assert run.facts["checkpoint"] == {"name": NAME, "hash": was}
    assert reproduce(run).identical
    assert CHECKS["weights"](Evidence(run)).startswith(f"started from {was[:12]}, left")
    other = tmp_path / "other"
    shutil.copytree(CARD.folder, other)
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    monkeypatch.setattr("tsfm_ttm.shipped._FOLDER", other)
    request.addfinalizer(host.cache_clear)
    host.cache_clear()
    with pytest.raises(RunError, match=f"the checkpoint {NAME} is not what .* started from"):
        reproduce(run)


@pytest.mark.parametrize("head", ["steps", "granite"])
def test_any_quantile_head_that_was_trained_is_served_in_parts(kit: Kit, small: dict[str, Any], head: str) -> None:
    task = kit.task(quantile_levels=(0.1, 0.5, 0.9))
    every = kit.windows(task)
    kit.train(kit.load(task, **small, quantile_head=head), every, max_steps=1)
    expected = kit.values(kit.load(task, kit.best()), every)
    part = kit.task(quantile_levels=(0.1, 0.9), prediction_length=5)
    np.testing.assert_array_equal(
        kit.values(kit.load(part, kit.best()), kit.windows(part))[:200], expected[:200, [0, 2], :5]
    )
