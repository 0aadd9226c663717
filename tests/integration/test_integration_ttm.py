"""The whole path, as a user types it: train a small TTM on the bundled people, then everything a run is good for."""

import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsfm_core import load_run
from tsfm_core.audit import audit
from tsfm_core.cli import main

ROOT = Path(__file__).parents[2]

CONFIG = """
experiment: small
seed: 3
task:
  {target: glucose, unit: mg/dL, freq: 5min, context_length: 96, prediction_length: 12, quantile_levels: [0.1,0.5,0.9]}
data: {source: simglucose_adult, items: [sim_01, sim_02, sim_03, sim_04], stride: 4}
split: {patient_holdout: [sim_04], temporal_holdout: 0.2, validation: 0.15}
model:
  {patch_length: 16, d_model: 16, num_layers: 1, decoder_d_model: 16, decoder_num_layers: 1,
   adaptive_patching_levels: 0}
training: {strategy: from_scratch, max_steps: 60, batch_size: 64, save_every: 20, learning_rate: 3.0e-3}
evaluation: {stride: 12, metrics: [rmse, mae, pinball, coverage, clarke], baselines: [naive, mean, linear]}
"""


def tsfm(*arguments, code=0, cwd=None, process=False):
    """Run the command line; return what it printed on stdout, or on stderr where it failed.

    :param process: in a process of its own; loading torch and granite anew takes longer than most commands.
    """
    words = list(map(str, arguments))
    ended, out, err = (in_a_process if process else in_this_process)(words, cwd or Path.cwd())
    assert ended == code, err
    assert "Traceback" not in err
    return out if code == 0 else err


def in_a_process(words, cwd):
    command = [sys.executable, "-c", "from tsfm_core.cli import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


def in_this_process(words, cwd):
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["tsfm", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code or 0, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("work")
    (made / "small.yaml").write_text(CONFIG)
    return made


@pytest.fixture(scope="module")
def run(folder):
    said = tsfm("train", "ttm", "--config", "small.yaml", "--json", cwd=folder, process=True)
    return load_run(json.loads(said)["run"], folder)


@pytest.fixture(scope="module", autouse=True)
def _here(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def test_the_run_is_complete(run):
    assert run.status == "completed"
    for path in (
        run.config_path,
        run.forecasts_path,
        run.metrics_path,
        run.items_path,
        run.results_path,
        run.training_log,
    ):
        assert path.stat().st_size
    assert run.best_checkpoint.is_dir()
    assert not list(run.path.rglob("*.bin"))
    assert not list(run.path.rglob("*.pt"))


def test_the_training_log_has_a_line_for_each_step(run):
    lines = [json.loads(line) for line in run.training_log.read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss" in line and "rmse" not in line]
    assert steps == list(range(1, 61))
    assert np.isfinite([line["loss"] for line in lines if "loss" in line]).all()


def test_every_baseline_stands_beside_it(run):
    shown = tsfm("runs", "show", run.path)
    for name in ("ttm", "naive", "mean", "linear"):
        assert f" {name} " in shown
    assert "SYNTHETIC" in shown


def test_the_same_command_gives_the_same_bits(run, folder):
    said = tsfm("train", "ttm", "--config", "small.yaml", "--json", cwd=folder, process=True)
    again = load_run(json.loads(said)["run"], folder)
    assert again.path != run.path
    assert again.forecasts_path.read_bytes() == run.forecasts_path.read_bytes()
    assert again.metrics_path.read_bytes() == run.metrics_path.read_bytes()


def test_it_is_reproduced_to_the_bit(run):
    said = json.loads(tsfm("runs", "reproduce", run.path, "--json"))
    assert said["identical"] is True
    assert {one["what"] for one in said["after"]} == {"weights", "windows", "protocol", "forecasts", "scores"}
    assert all(one["same"] for one in said["before"] if one["what"] in ("stored weights", "threads", "versions"))
    again = load_run(said["run"])
    assert again.forecasts_path.read_bytes() == run.forecasts_path.read_bytes()
    versions = again.facts["environment"]["versions"]
    assert {"torch", "transformers", "granite-tsfm", "accelerate", "tsfm-torch", "tsfm-ttm"} <= set(versions)


def test_the_audit_passes_every_line_and_prints_what_its_page_shows(run):
    shown = tsfm("audit", run.path)
    page = (ROOT / "docs/reproducibility.md").read_text(encoding="utf-8")
    documented = page.split("$ tsfm audit experiments/ttm/small/")[1].split("```")[0]
    assert lines_of(shown) == lines_of(documented)
    assert lines_of(shown)["leak probe"] == "ok       105 windows, altered after their cutoff: glucose"
    assert shown.rstrip().endswith(": 16 ok")


def lines_of(text):
    """Return what is said of each check, but for what another machine may round otherwise."""
    rows = [line.strip().partition("  ") for line in text.splitlines()]
    found = {check: said.strip() for check, _, said in rows if said.strip()[:3] == "ok "}
    rounded = {check: found[check][:2] for check in ("selection", "forecast again")}
    return {check: re.sub(r"\b[0-9a-f]{12}\b", "<hash>", said) for check, said in (found | rounded).items()}


def test_a_scaler_that_saw_other_rows_fails_the_audit(run, folder):
    copied = folder / "copied"
    shutil.copytree(run.path, copied, symlinks=True)
    stored = copied / "checkpoints" / "best" / "tsfm_ttm.json"
    facts = json.loads(stored.read_text())
    facts["mean"][0] *= 1.01
    stored.write_text(json.dumps(facts))
    found = {one.check: one for one in audit(load_run(copied))}
    # granite scales every window itself, so that the forecasts hardly show it
    assert {name for name, one in found.items() if one.result != "ok"} == {"scaler"}
    assert found["scaler"].said.startswith("mean number 1 is stored as ")
    assert float(found["scaler"].said.split()[6].rstrip(",")) == pytest.approx(facts["mean"][0], rel=1e-6)


def test_stored_forecasts_score_the_same_again(run):
    scores = json.loads(tsfm("evaluate", run.path, "--json", process=True))
    assert scores["sets"] == run.metrics["sets"]


def test_it_forecasts_people_it_never_saw(run, folder):
    stamps = pd.date_range("2025-03-01", periods=120, freq="5min")
    series = {"anna": 120 + 40 * np.sin(np.arange(120) / 12), "ben": np.full(120, 95.0)}
    frames = [pd.DataFrame({"item_id": who, "timestamp": stamps, "glucose": values}) for who, values in series.items()]
    pd.concat(frames).to_csv(folder / "new.csv", index=False)
    tsfm("predict", run.path, "--data", "new.csv", "--output", "out.csv", cwd=folder, process=True)
    forecasts = pd.read_csv(folder / "out.csv", parse_dates=["cutoff", "timestamp"])
    assert list(forecasts.columns[:4]) == ["item_id", "cutoff", "timestamp", "step"]
    assert forecasts.groupby("item_id").size().to_dict() == {"anna": 12, "ben": 12}
    assert (forecasts["cutoff"] == stamps[-1]).all()
    assert (forecasts["timestamp"] == forecasts["cutoff"] + forecasts["step"] * pd.Timedelta("5min")).all()
    assert (forecasts["0.1"] <= forecasts["0.5"]).all()
    assert (forecasts["0.5"] <= forecasts["0.9"]).all()
    # a level that was held for ten hours: no forecast leaves it by much
    assert forecasts.loc[forecasts["item_id"] == "ben", "0.5"].to_numpy() == pytest.approx(95, abs=15)


def test_a_backtest_of_the_run_is_the_runs_own_test(run):
    again = load_run(json.loads(tsfm("backtest", run.path, "--json"))["run"])
    assert again.facts["parent"] == str(run.path)
    assert again.facts["protocol_digest"] == run.facts["protocol_digest"]
    assert again.metrics["sets"] == run.metrics["sets"]


def test_a_backtest_on_what_it_was_trained_on_is_refused(run, folder):
    before = sorted(folder.rglob("run.json"))
    said = tsfm("backtest", run.path, "--set", "split.patient_holdout=[sim_01]", code=1)
    assert "was trained on (item 'sim_01'" in said
    assert sorted(folder.rglob("run.json")) == before


def test_it_is_listed_with_its_protocol(run):
    rows = {row["run"]: row for row in json.loads(tsfm("runs", "list", "--json"))}
    assert any(
        row["protocol"] == run.facts["protocol_digest"] and row["strategy"] == "from_scratch" for row in rows.values()
    )


@pytest.mark.parametrize("training", ["{strategy: lora, max_steps: 10, lora: {rank: 2, merge: true}}"])
def test_a_part_is_trained_on_the_checkpoint_of_a_run(folder, run, training):
    """The whole weights that it leaves forecast as it did; the run says how much of them was trained."""
    settings = ["--set", "model={}", "--set", f"training={training}", "--checkpoint", run.best_checkpoint]
    trained = load_run(
        json.loads(tsfm("train", "ttm", "--config", "small.yaml", *settings, "--json", cwd=folder))["run"]
    )
    weights = trained.facts["weights"]
    assert 0 < weights["trainable"] < weights["parameters"]
    assert f"trained {weights['trainable']:,} of {weights['parameters']:,} weights" in trained.results_path.read_text()
    assert {file.name for file in trained.best_checkpoint.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tsfm_ttm.json",
    }
    assert not (trained.path / "checkpoints" / ".backbone").exists()
    again = load_run(json.loads(tsfm("backtest", trained.path, "--json", cwd=folder))["run"])
    assert again.metrics["sets"] == trained.metrics["sets"] != run.metrics["sets"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.num_epoch=2", "did you mean 'num_epochs'?"),
        ("training.strategy=adapters", "zero_shot"),
        ("model.d_mode=3", "did you mean 'd_model'?"),
        ("task.quantile_levels=[0.1,0.9]", "0.5"),
        ("training.strategy=zero_shot", "zero_shot"),
        ("runtime.device=cuda:7", "cuda:7"),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_is_written(folder, run, setting, said):
    before = sorted(folder.rglob("run.json"))
    assert said in tsfm("train", "ttm", "--config", "small.yaml", "--set", setting, code=1, cwd=folder)
    assert sorted(folder.rglob("run.json")) == before
