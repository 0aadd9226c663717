"""The chain of a run, end to end, with core's own models."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import tsfm_core
from tsfm_core import load_run
from tsfm_core.errors import CapabilityError, ConfigError, TsfmError


@pytest.fixture
def scored(site, settings):
    """The configuration with a metric of its own and two baselines."""
    site.metric("fake-scores", "fake_error")
    settings["evaluation"] |= {"metrics": ["fake_error"], "baselines": ["naive", "linear"]}
    return settings


@pytest.mark.parametrize(("verb", "model"), [("backtest", "naive"), ("train", "linear")])
def test_the_same_twice_gives_the_same_bytes(scored, verb, model):
    one, two = (getattr(tsfm_core, verb)(model, scored) for _ in range(2))
    assert one.path != two.path
    for name in ("forecasts.parquet", "metrics.json", "metrics_by_item.csv"):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()


@pytest.mark.parametrize(("verb", "model"), [("backtest", "naive"), ("train", "linear")])
def test_a_stored_config_runs_again_to_the_same_scores(scored, tmp_path, monkeypatch, verb, model):
    monkeypatch.chdir(tmp_path)
    scored["data"]["path"] = "cgm.csv"  # relative: stored absolute
    scored["split"] = {"patient_holdout": 0.4, "validation": 0.1}  # drawn with the seed
    first = getattr(tsfm_core, verb)(model, scored)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = getattr(tsfm_core, verb)(model, first.config_path)
    assert again.metrics == first.metrics
    assert again.facts["split"] == first.facts["split"]
    assert again.facts["protocol_digest"] == first.facts["protocol_digest"]
    assert again.config_path.read_bytes() == first.config_path.read_bytes()


def test_the_protocol_is_that_of_the_test_windows_alone(scored):
    scored["data"]["min_context"] = 24
    digest = tsfm_core.backtest("naive", scored).facts["protocol_digest"]

    def other(**changes: dict[str, object]) -> str:
        changed = {name: section | changes.get(name, {}) for name, section in scored.items() if name in _SECTIONS}
        found: str = tsfm_core.backtest("mean", scored | changed).facts["protocol_digest"]
        return found

    assert other() == digest
    assert tsfm_core.train("linear", scored).facts["protocol_digest"] == digest
    assert other(task={"context_length": 48}) == digest
    assert other(task={"quantile_levels": [0.1, 0.5, 0.9]}) == digest
    assert other(split={"validation": 0.3}) == digest
    assert other(data={"stride": 4}) == digest
    assert other(evaluation={"baselines": []}) == digest
    assert other(evaluation={"stride": 3}) != digest
    assert other(evaluation={"metrics": []}) != digest
    assert other(task={"prediction_length": 5}) != digest
    assert other(split={"temporal_holdout": 0.3}) != digest
    assert other(split={"patient_holdout": ["p1"]}) != digest
    assert other(task={"unit": "mmol/L"}, data={"unit": "mg/dL"}) != digest


_SECTIONS = ("task", "data", "split", "evaluation")


def test_scores_are_those_of_the_stored_forecasts(scored):
    run = tsfm_core.train("linear", scored)
    table = pd.read_parquet(run.forecasts_path)
    for name, one in run.metrics["sets"].items():
        own = table[table["set"] == name]
        error = np.abs(np.stack(own["mean"]) - np.stack(own["truth"]))
        assert one["windows"] == len(own)
        assert one["overall"]["fake_error"] == pytest.approx(error.mean(), rel=1e-6)
        assert one["by_step"]["fake_error"] == pytest.approx(error.mean(axis=0).tolist(), rel=1e-6)
    with run.items_path.open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["set"], row["item_id"]) for row in rows} == set(zip(table["set"], table["item_id"], strict=True))
    for row in rows:
        own = table[(table["set"] == row["set"]) & (table["item_id"] == row["item_id"])]
        error = np.abs(np.stack(own["mean"]) - np.stack(own["truth"]))
        assert int(row["windows"]) == len(own)
        assert float(row["fake_error"]) == pytest.approx(error.mean(), rel=1e-6)


def test_truths_and_contexts_are_those_of_the_file(scored, data_file):
    run = tsfm_core.backtest("naive", scored)
    given = pd.read_csv(data_file, parse_dates=["timestamp"]).set_index(["item_id", "timestamp"])["glucose"]
    table = pd.read_parquet(run.forecasts_path)
    assert len(table) > 50
    step = pd.Timedelta("5min")
    for row in table.itertuples():
        truth = [given[row.item_id, row.cutoff + at * step] for at in range(1, 7)]
        assert row.truth.tolist() == np.float32(truth).tolist()
        assert row.mean.tolist() == [np.float32(given[row.item_id, row.cutoff])] * 6
        assert row.context_tail[-1] == row.mean[0]


def test_results_show_the_baselines_beside_the_model(scored):
    run = tsfm_core.backtest("mean", scored)
    text = run.results_path.read_text()
    shown = [line.split("|")[0].strip() for line in text.splitlines() if "|" in line]
    assert shown == ["fake_error", "mean", "naive", "linear"] * 3
    assert all(f"{name}: {one['windows']} windows" in text for name, one in run.metrics["sets"].items())
    assert run.facts["protocol_digest"][:12] in text
    naive = tsfm_core.backtest("naive", scored)
    assert run.metrics["baselines"]["naive"]["sets"] == naive.metrics["sets"]
    linear = tsfm_core.train("linear", scored)
    assert run.metrics["baselines"]["linear"]["sets"] == linear.metrics["sets"]


def test_a_baseline_that_cannot_serve_the_task_is_named_and_not_in_the_way(scored):
    scored["evaluation"]["baselines"] = ["seasonal_naive"]
    run = tsfm_core.backtest("naive", scored)
    assert "seasonal_naive" in run.metrics["baselines_missing"]
    assert "season of 288 steps" in run.results_path.read_text()


def test_a_trained_run_is_tested_again_with_its_own_checkpoint(scored):
    trained = tsfm_core.train("linear", scored)
    again = tsfm_core.backtest(str(trained.path))
    assert again.metrics["sets"] == trained.metrics["sets"]
    assert again.facts["parent"] == str(trained.path)
    assert again.facts["model"] == "linear"
    assert len(again.facts["checkpoint"]["hash"]) == 64
    assert Path(again.facts["checkpoint"]["name"]) == trained.best_checkpoint.resolve()
    assert again.facts["trained_on"] == trained.facts["trained_on"]


def test_how_a_model_was_trained_is_not_how_it_forecasts(scored, tsfm, data_file):
    """Half the bits and several processes are of the training alone: its run is tested, used and audited after it."""
    trained = tsfm_core.train("linear", scored)
    config = yaml.safe_load(trained.config_path.read_text())
    config["runtime"] |= {"precision": "bf16", "nproc": 2, "distributed": "ddp"}  # as such a training leaves it
    trained.config_path.write_text(yaml.safe_dump(config))
    again = tsfm_core.backtest(str(trained.path))
    assert again.metrics["sets"] == trained.metrics["sets"]
    assert "bf16" not in again.config_path.read_text()
    assert len(tsfm_core.predict(str(trained.path), data_file)[0])
    assert tsfm("audit", trained.path).code == 0
    for setting in ("runtime.precision=bf16", "runtime.nproc=2"):
        said = tsfm("backtest", trained.path, "--set", setting)
        assert (said.code, said.err.partition("=")[0]) == (1, said.err)
        assert f"{setting.replace('=', ' is ')}, and tsfm backtest" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("backtest", "naive"), "runtime.precision is bf16, and tsfm backtest trains nothing; set it to fp32"),
        (("train", "linear"), "runtime.precision is bf16, and linear trains in fp32; set it to fp32"),
    ],
)
def test_half_the_bits_are_refused_where_nothing_has_them(scored, tsfm, tmp_path, words, said):
    (tmp_path / "half.yaml").write_text(yaml.safe_dump(scored))
    done = tsfm(*words, "--config", tmp_path / "half.yaml", "--set", "runtime.precision=bf16")
    assert (done.code, done.out) == (1, "")
    assert said in done.err


def test_another_config_may_change_what_a_run_is_tested_on(scored):
    trained = tsfm_core.train("linear", scored)
    over = {"evaluation": scored["evaluation"] | {"stride": 1}, "output": scored["output"]}
    again = tsfm_core.backtest(str(trained.path), over)
    name = "temporal_holdout"
    assert again.metrics["sets"][name]["windows"] > trained.metrics["sets"][name]["windows"]


def test_a_run_is_never_tested_on_what_it_learnt_from(scored):
    trained = tsfm_core.train("linear", scored)
    for holdout in ({"patient_holdout": ["p0"]}, {"temporal_holdout": 0.5}, {"temporal_holdout": 0.25}):
        with pytest.raises(TsfmError, match="was trained on") as raised:
            tsfm_core.backtest(str(trained.path), {"split": holdout, "output": scored["output"]})
        assert "hold out other items or a later time" in str(raised.value)
    assert len(list(trained.path.parent.glob("run_*"))) == 1


def test_a_run_refuses_another_task(scored):
    trained = tsfm_core.train("linear", scored)
    with pytest.raises(ConfigError, match="the task is not that of"):
        tsfm_core.backtest(str(trained.path), scored | {"task": scored["task"] | {"prediction_length": 3}})


def test_training_a_model_that_learns_nothing_is_refused(scored):
    with pytest.raises(CapabilityError, match="use tsfm backtest naive"):
        tsfm_core.train("naive", scored)


def test_testing_a_model_that_was_not_trained_is_refused(scored):
    with pytest.raises(CapabilityError, match="use tsfm train linear"):
        tsfm_core.backtest("linear", scored)


def test_forecasts_are_scored_without_the_model_or_the_environment(site, settings, monkeypatch):
    site.metric("fake-scores", "fake_error")
    site.model("good")
    monkeypatch.setenv("WHERE_IT_IS", str(Path(settings["data"]["path"]).parent))
    settings["data"]["path"] = "${WHERE_IT_IS}/cgm.csv"
    settings["evaluation"]["metrics"] = ["fake_error"]
    run = tsfm_core.backtest("good", settings)
    site.remove("fake-good")
    monkeypatch.delenv("WHERE_IT_IS")
    with pytest.raises(TsfmError, match="no model is called 'good'"):
        tsfm_core.backtest("good", settings | {"data": {"source": "csv"}})
    scores = tsfm_core.evaluate(run.path)
    assert scores.sets == run.metrics["sets"]


def test_scores_can_be_in_another_unit(scored):
    run = tsfm_core.backtest("naive", scored)
    ours = tsfm_core.evaluate(run).sets["temporal_holdout"]["overall"]["fake_error"]
    theirs = tsfm_core.evaluate(run, unit="mmol/L").sets["temporal_holdout"]["overall"]["fake_error"]
    assert ours / theirs == pytest.approx(18.018)


def test_predict_needs_a_task_alone(settings, data_file):
    frame, without = tsfm_core.predict("naive", data_file, {"task": settings["task"]})
    assert without == {}
    assert list(frame.columns) == ["item_id", "cutoff", "timestamp", "step", "mean"]
    given = pd.read_csv(data_file, parse_dates=["timestamp"])
    last = given.groupby("item_id").last()
    for item, rows in frame.groupby("item_id"):
        assert rows["step"].tolist() == [1, 2, 3, 4, 5, 6]
        assert (rows["cutoff"] == last.loc[item, "timestamp"]).all()
        assert (rows["mean"] == np.float32(last.loc[item, "glucose"])).all()
        assert rows["timestamp"].iloc[-1] - rows["cutoff"].iloc[0] == pd.Timedelta("30min")


def test_predict_with_a_trained_run_uses_its_checkpoint(scored, data_file):
    trained = tsfm_core.train("linear", scored)
    frame, _ = tsfm_core.predict(str(trained.path), data_file)
    assert len(frame) == 18
    checkpoint = {"task": scored["task"], "model": {"checkpoint": str(trained.best_checkpoint)}}
    same, _ = tsfm_core.predict("linear", data_file, checkpoint)
    pd.testing.assert_frame_equal(frame, same)
    naive, _ = tsfm_core.predict("naive", data_file, {"task": scored["task"]})
    assert not np.allclose(frame["mean"], naive["mean"])


def test_a_folder_with_a_models_name_is_no_run(settings, tmp_path, monkeypatch):
    (tmp_path / "naive").mkdir()
    monkeypatch.chdir(tmp_path)
    assert tsfm_core.backtest("naive", settings).status == "completed"


def test_runs_are_listed_and_shown_for_programs(scored, tsfm, config):
    config.write_text(yaml.safe_dump(scored))
    done = tsfm("backtest", "naive", "--config", config, "--json")
    path = json.loads(done.out)["run"]
    [row] = json.loads(tsfm("runs", "list", "--root", scored["output"]["root"], "--json").out)
    said_by_people = {"data", "tags", "note", "archived"}
    assert set(row) - said_by_people == {"model", "experiment", "strategy", "created", "run", "status", "protocol"}
    assert (row["model"], row["run"], row["status"]) == ("naive", path, "completed")
    shown = json.loads(tsfm("runs", "show", path, "--json").out)
    assert shown["metrics"] == json.loads((Path(path) / "metrics.json").read_text())
    assert {"path", "status", "argv", "seed", "timings", "environment", "data", "windows", "dropped"} <= set(shown)
    assert tsfm("runs", "show", path).out == load_run(path).results_path.read_text()
    again = json.loads(tsfm("evaluate", path, "--json").out)
    assert again["sets"] == shown["metrics"]["sets"]


def test_a_directory_of_two_names_is_made_below_the_root(scored):
    run = tsfm_core.backtest("naive", scored)
    assert run.path.parent == Path(scored["output"]["root"]) / "naive" / "small"
    assert run.path.name.startswith("run_20")
