"""The old names: each does what ``tsfm train ttm`` does with the migrated configuration, and says so."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file as weights_of

from tsfm_core import ConfigError, train
from tsfm_core.config.loader import load_file
from tsfm_core.config.migrate import migrate
from tsfm_ttm import TTMConfig, TTMTrainer, finetune_ttm

OLD = """\
model: {path: WEIGHTS, context_length: 96, forecast_length: 12}
data:
  source_name: people.csv
  y_feature: [bg_mM]
  x_features: [iob]
  timestamp_column: datetime
  resolution_min: 5
  data_split: [0.6, 0.2]
  fewshot_percent: 50
training:
  {strategy: from_scratch, batch_size: 16, learning_rate: 0.01, num_epochs: 1, max_steps: 4, use_cpu: true, seed: 3}
logging: {log_level: info}
output: {save_dir: runs}
"""

FEW = {"stride": 24, "baselines": []}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a csv as the old cache has it, and go there."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    lines = ["datetime,p_num,bg_mM,iob"]
    for person in ("p01", "p02"):
        for row in range(900):
            stamp = np.datetime64("2024-01-01T00:00", "m") + 5 * row
            glucose = 7.5 + 2 * np.sin(row / 30) + random.normal(0, 0.1)
            lines.append(f"{stamp},{person},{glucose:.2f},{abs(random.normal()):.2f}".replace("T", " "))
    (tmp_path / "people.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "old.yaml").write_text(OLD)
    return tmp_path


def test_a_migrated_file_trains_end_to_end(folder: Path, small: dict[str, Any]) -> None:
    with pytest.warns(DeprecationWarning, match="tsfm config migrate old.yaml") as told:
        config = TTMConfig.from_yaml("old.yaml")
    assert "logging.log_level: 'info' has no place" in str(told[0].message)
    assert told[0].filename == __file__
    run = TTMTrainer(TTMConfig({**config.source, "model": small, "evaluation": FEW})).train()  # type: ignore[dict-item]
    assert run.status == "completed"
    assert run.path.is_relative_to("runs/ttm")
    facts = run.facts
    assert (facts["strategy"], facts["seed"], facts["device"]) == ("from_scratch", 3, "cpu")
    rows = 900 - 180 - 180  # 20 % of a person are tested, and a quarter of the rest is validation
    assert facts["windows"]["train"] == 2 * ((rows - 96 - 12 + 1) // 2)
    steps = [
        json.loads(line)["step"] for line in run.training_log.read_text().splitlines() if "loss" in json.loads(line)
    ]
    assert steps == [1, 2, 3, 4]
    assert run.metrics["unit"] == "mmol/L"  # type: ignore[index]


def test_the_fronts_train_what_tsfm_train_does(folder: Path, small: dict[str, Any]) -> None:
    """The same bits, from a file of today's layout and from the call beneath."""
    config = migrate(load_file(folder / "old.yaml")).config | {"model": small, "evaluation": FEW}
    config["training"]["max_steps"] = 2
    Path("new.yaml").write_text(yaml.safe_dump(config))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = TTMTrainer(TTMConfig.from_yaml(folder / "new.yaml")).train()
    other = train("ttm", folder / "new.yaml")
    assert run.facts["protocol_digest"] == other.facts["protocol_digest"]
    assert run.metrics["sets"] == other.metrics["sets"]  # type: ignore[index]
    assert run.best_checkpoint
    assert other.best_checkpoint
    ours, theirs = (weights_of(one.best_checkpoint / "model.safetensors") for one in (run, other))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_finetune_ttm_trains_the_shared_weights(folder: Path, real_weights: Path) -> None:
    arguments: dict[str, Any] = {
        "model_path": str(real_weights),
        "context_length": 512,
        "forecast_length": 96,
        "data_source_name": "people.csv",
        "y_feature": ["bg_mM"],
        "x_features": [],
        "timestamp_column": "datetime",
        "resolution_min": 5,
        "data_split": (0.7, 0.15),
        "fewshot_percent": 40,
        "batch_size": 4,
        "learning_rate": 1e-4,
        "num_epochs": 1,
        "use_cpu": True,
    }
    with pytest.warns(DeprecationWarning, match="finetune_ttm is the old way; use tsfm_core.train") as told:
        run = finetune_ttm(**arguments)
    assert told[0].filename == __file__
    assert run.status == "completed"
    assert run.facts["checkpoint"]["name"] == str(real_weights)
    assert run.facts["settings"]["training"]["learning_rate"] == 1e-4
    before = weights_of(real_weights / "model.safetensors")
    after = weights_of(run.best_checkpoint / "model.safetensors")  # type: ignore[operator]
    assert any(not np.array_equal(before[name], after[name]) for name in before)


def test_what_cannot_be_translated_is_refused_by_the_arguments_name(folder: Path) -> None:
    given = dict.fromkeys(inspect.signature(finetune_ttm).parameters)
    given |= {"model_path": "w", "y_feature": ["bg_mM"], "x_features": [], "data_split": [0.9, 0.3]}
    given |= {"context_length": 96, "forecast_length": 12, "resolution_min": 5, "data_source_name": "people.csv"}
    with pytest.raises(ConfigError, match="finetune_ttm: data.data_split is .0.9, 0.3., which adds up to 1.2"):
        finetune_ttm(**given)  # type: ignore[arg-type]


def test_the_fronts_load_nothing_heavy() -> None:
    code = "import sys, tsfm_ttm; tsfm_ttm.TTMConfig, tsfm_ttm.finetune_ttm; print({'torch', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_unknown_name_is_no_attribute(kit: Callable[..., Any]) -> None:
    import tsfm_ttm

    with pytest.raises(AttributeError, match="tsfm_ttm"):
        _ = tsfm_ttm.TTMTuner  # type: ignore[attr-defined]
