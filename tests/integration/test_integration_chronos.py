"""Chronos as a user types it: labels of a csv, adapters on a run's checkpoint, windows that inform each other."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsfm_core import load_run
from tsfm_core.cli import main

CONFIG = """
experiment: labels
seed: 3
task:
  target: glucose
  unit: mg/dL
  freq: 5min
  context_length: 48
  prediction_length: 12
  quantile_levels: [0.1, 0.5, 0.9]
  past_covariates: [carbs]
  known_covariates: [mode]
data: {source: csv, path: people.csv, kinds: {mode: category, carbs: amount}, stride: 4}
split: {patient_holdout: [dora], temporal_holdout: 0.2, validation: 0.15}
model: {d_model: 16, d_kv: 8, d_ff: 32, num_layers: 1, num_heads: 2, dropout_rate: 0.0}
training: {strategy: from_scratch, max_steps: 40, batch_size: 32, save_every: 20, learning_rate: 3.0e-3}
evaluation: {stride: 12, metrics: [rmse, pinball, coverage], baselines: [naive, linear]}
"""


def tsfm(*arguments: object, code: int = 0) -> str:
    """Run the command in this process, which loads Chronos once; return its stdout, or its stderr where it failed."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["tsfm", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert (ended.value.code or 0) == code, err.getvalue()
    return out.getvalue() if code == 0 else err.getvalue()


def people(rows: int, names: tuple[str, ...], future: int = 0) -> pd.DataFrame:
    """Return people whose readings follow the mode of their pump; ``future`` rows hold the mode alone."""
    random = np.random.default_rng(0)
    frames = []
    for name in names:
        mode = np.repeat(random.integers(0, 2, -(-(rows + future) // 24)), 24)[: rows + future]
        glucose = (110 + 60 * mode + random.normal(0, 5, rows + future)).round(1).astype(object)
        carbs = np.where(random.random(rows + future) < 0.02, 40.0, np.nan).astype(object)
        glucose[rows:] = carbs[rows:] = None
        columns = {"item_id": name, "timestamp": pd.date_range("2024-05-01", periods=rows + future, freq="5min")}
        labels = np.array(["auto", "manual"])[mode]
        frames.append(pd.DataFrame(columns | {"glucose": glucose, "carbs": carbs, "mode": labels}))
    return pd.concat(frames)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = tmp_path_factory.mktemp("work")
    people(700, ("anna", "ben", "carl", "dora")).to_csv(made / "people.csv", index=False)
    (made / "labels.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        yield made


@pytest.fixture(scope="module")
def run(folder: Path) -> Any:
    return load_run(json.loads(tsfm("train", "chronos", "--config", "labels.yaml", "--json"))["run"])


def test_it_trains_on_labels_and_is_scored_beside_the_baselines(run: Any) -> None:
    assert run.status == "completed"
    assert set(run.metrics["baselines"]) == {"naive", "linear"}
    assert (run.best_checkpoint / "model.safetensors").stat().st_size
    overall = run.metrics["sets"]["patient_holdout"]["overall"]
    assert np.isfinite(list(overall.values())).all()


def test_a_known_label_is_needed_over_the_horizon(run: Any) -> None:
    people(80, ("eve",), future=12).to_csv("new.csv", index=False)
    tsfm("predict", run.path, "--data", "new.csv", "--output", "out.csv")
    forecasts = pd.read_csv("out.csv")
    assert list(forecasts.columns) == ["item_id", "cutoff", "timestamp", "step", "0.1", "0.5", "0.9"]
    assert len(forecasts) == 12
    people(80, ("eve",), future=5).to_csv("short.csv", index=False)
    said = tsfm("predict", run.path, "--data", "short.csv", "--output", "out.csv", code=1)
    assert "known covariate 'mode' of item 'eve' is given for 5 of the 12 steps after its last reading" in said


def test_adapters_on_the_checkpoint_of_a_run(run: Any) -> None:
    """LoRA on it, in a run of its own, which forecasts by its name alone."""
    base = run.best_checkpoint.resolve()
    settings = ["--set", "model={}", "--set", "training={strategy: lora, max_steps: 10, lora: {rank: 2}}"]
    done = tsfm("train", "chronos", "--config", "labels.yaml", *settings, "--checkpoint", base, "--json")
    adapted = load_run(json.loads(done)["run"])
    held = {file.name for file in adapted.best_checkpoint.iterdir()}
    assert held == {"adapter_config.json", "adapter_model.safetensors", "tsfm_chronos.json"}
    assert adapted.facts["strategy"] == "lora"
    weights = adapted.facts["weights"]
    assert 0 < weights["trainable"] < weights["parameters"] / 10
    assert f"trained {weights['trainable']:,} of {weights['parameters']:,} weights (" in tsfm(
        "runs", "show", adapted.path
    )
    again = load_run(json.loads(tsfm("backtest", adapted.path, "--json"))["run"])
    assert again.metrics["sets"] == adapted.metrics["sets"]
    assert again.metrics["sets"] != run.metrics["sets"]


def test_cross_learning_is_recorded_and_audited(run: Any) -> None:
    zero_shot = ["--set", "training={strategy: zero_shot}", "--set", "model={}", "--set", "data.exclude=[carl]"]
    common = ("backtest", "chronos", "--config", "labels.yaml", "--checkpoint", run.best_checkpoint, *zero_shot)
    apart, together = (
        load_run(json.loads(tsfm(*common, *more, "--json"))["run"])
        for more in ((), ("--set", "model.cross_learning=true"))
    )
    assert apart.facts["settings"]["model"]["cross_learning"] is False
    assert together.facts["settings"]["model"]["cross_learning"] is True
    assert apart.facts["protocol_digest"] == together.facts["protocol_digest"]
    assert apart.metrics["sets"] != together.metrics["sets"]
    for one in (run, apart, together):
        said = json.loads(tsfm("audit", one.path, "--json"))
        assert said["sound"] is True, said
        found = {check["check"]: check["said"] for check in said["checks"]}
        assert found["leak probe"].endswith("altered after their cutoff: glucose, carbs")


def test_covariates_are_ignored_with_all_that_is_said_of_them() -> None:
    """Bolt leaves them out, though ``data`` maps a column and a kind."""
    model = "model={d_model: 16, d_kv: 8, d_ff: 32, num_layers: 1, num_decoder_layers: 1, num_heads: 2}"
    settings = ["--set", model, "--set", "data.columns={carbs: carbs}", "--set", "training.max_steps=2"]
    said = tsfm("train", "chronos_bolt", "--config", "labels.yaml", *settings, code=1)
    assert "chronos_bolt does not use past_covariates (carbs); set task.past_covariates: [], or model.ignore" in said
    ignore = ["--set", "model.ignore_covariates=true"]
    done = load_run(
        json.loads(tsfm("train", "chronos_bolt", "--config", "labels.yaml", *settings, *ignore, "--json"))["run"]
    )
    assert done.metrics["task"]["past_covariates"] == done.metrics["task"]["known_covariates"] == []
    assert done.facts["settings"]["model"]["ignore_covariates"] is True


def test_labels_are_refused_by_a_model_that_cannot_read_them() -> None:
    said = tsfm("train", "ttm", "--config", "labels.yaml", "--set", "model={}", code=1)
    assert "ttm does not use categorical covariates (mode)" in said
