"""A run again: what is compared first, what is refused, and what is said to come out otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

import tsfm_core
from tsfm_core import load_run


@pytest.fixture
def scored(site, settings):
    """The configuration with a metric and a baseline."""
    site.metric("fake-scores", "fake_error")
    settings["evaluation"] |= {"metrics": ["fake_error"], "baselines": ["naive"]}
    return settings


@pytest.fixture
def trained(scored):
    return tsfm_core.train("linear", scored)


@pytest.fixture
def again(tsfm):
    """``again(run)``: the command's exit code and its answer."""

    def run(original, *arguments):
        done = tsfm("runs", "reproduce", original.path, "--json", *arguments)
        assert done.out, done.err
        return done.code, json.loads(done.out)

    return run


@pytest.fixture
def refused(tsfm, tmp_path):
    """``refused(run)``: the sentence with which it is refused, nothing being written."""

    def run(original):
        before = sorted(tmp_path.rglob("*"))
        done = tsfm("runs", "reproduce", original.path)
        assert (done.code, done.out) == (1, "")
        assert done.err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return done.err

    return run


def by_name(rows):
    return {row["what"]: row for row in rows}


def test_a_trained_run_is_identical(trained, again):
    code, said = again(trained)
    assert code == 0
    assert said["identical"] is True
    assert {row["what"] for row in said["after"]} == {"weights", "windows", "protocol", "forecasts", "scores"}
    new = load_run(said["run"])
    assert new.path != trained.path
    assert new.path.parent == trained.path.parent
    assert new.forecasts_path.read_bytes() == trained.forecasts_path.read_bytes()
    assert new.facts["reproduces"] == said["reproduces"] == str(trained.path)
    assert new.facts["reproduction"]["identical"] is True
    assert new.facts["argv"][1:3] == ["runs", "reproduce"]


def test_a_backtest_and_one_of_a_runs_model_are_identical(trained, scored, again, tmp_path, monkeypatch):
    tested = tsfm_core.backtest(str(trained.path), {"evaluation": scored["evaluation"] | {"stride": 3}})
    monkeypatch.chdir(tmp_path)
    for original in (tsfm_core.backtest("naive", scored), tested):
        code, said = again(original)
        assert code == 0, said
        assert "weights" not in by_name(said["after"])
        assert load_run(said["run"]).facts["parent"] == original.facts["parent"]


def test_what_it_was_made_with_is_compared(trained, again):
    facts = trained.facts["environment"]
    other = facts | {"python": "3.8.0", "versions": facts["versions"] | {"numpy": "1.0"}}
    trained.update(environment=other | {"git": {"commit": "a" * 40, "dirty": False}, "cpu": None})
    code, said = again(trained)
    before = by_name(said["before"])
    assert code == 0, "what comes out is the same"
    assert before["python"]["details"] == {"python": ["3.8.0", facts["python"]]}
    assert before["versions"]["details"] == {"versions.numpy": ["1.0", np.__version__]}
    assert before["threads"]["same"] is True
    assert before["git"]["same"] is not True, "that commit is nobody's"
    assert before["cpu"] == {"what": "cpu", "same": None, "said": "the run did not note it", "details": {}}
    assert set(load_run(said["run"]).facts["reproduction"]["differs"]) >= {"python", "versions"}


def test_other_data_is_refused_and_its_file_named(trained, refused, data_file):
    table = pd.read_csv(data_file)
    table.loc[7, "glucose"] += 0.1
    table.to_csv(data_file, index=False)
    said = refused(trained)
    assert f"the data of {trained.path} is not what it was" in said
    assert trained.facts["data"]["fingerprint"][:12] in said
    assert "changed: cgm.csv" in said
    assert f"tsfm train linear --config {trained.config_path}" in said


def test_data_that_is_gone_is_refused(trained, refused, data_file):
    data_file.unlink()
    assert "cgm.csv is not there" in refused(trained)


def test_another_split_is_refused(trained, refused):
    trained.update(split=trained.facts["split"] | {"digest": "0" * 64})
    assert "its digest was 000000000000" in refused(trained)


def test_another_checkpoint_is_refused(trained, scored, refused):
    tested = tsfm_core.backtest(str(trained.path), {"evaluation": scored["evaluation"]})
    weights = trained.best_checkpoint / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, weights)
    assert "is not what" in refused(tested)
    trained.best_checkpoint.resolve().rename(trained.path / "elsewhere")
    assert "is not there" in refused(tested)
    shutil.rmtree(trained.path)
    assert "that run is not there" in refused(tested)


def test_a_run_that_is_not_completed_is_refused(trained, refused):
    trained.update(status="failed")
    assert "is failed; only a completed run" in refused(trained)


def test_a_changed_forecast_is_reported_with_its_amount(trained, again):
    table = pq.read_table(trained.forecasts_path)
    rows = [list(row) for row in table["mean"].to_pylist()]
    rows[4][2] += 2.5
    at, kind = table.schema.get_field_index("mean"), table.schema.field("mean").type
    table = table.set_column(at, "mean", pa.array(rows, kind))
    pq.write_table(table, trained.forecasts_path)
    code, said = again(trained)
    assert code == 1
    assert said["identical"] is False
    after, before = by_name(said["after"]), by_name(said["before"])
    assert after["forecasts"]["details"] == {"mean": pytest.approx(2.5)}
    assert f"1 of {len(rows)} windows" in after["forecasts"]["said"]
    assert [name for name, row in after.items() if not row["same"]] == ["forecasts"]
    assert before["stored forecasts"]["same"] is False
    assert before["stored weights"]["same"] is True


def test_changed_weights_and_scores_are_reported_with_their_amounts(trained, tsfm, again):
    weights = trained.best_checkpoint / "model.safetensors"
    tensors = {name: tensor.copy() for name, tensor in load_file(weights).items()}
    tensors["weights"][0, 0] += 0.25
    save_file(tensors, weights)
    metrics = json.loads(trained.metrics_path.read_text())
    overall = metrics["sets"]["patient_holdout"]["overall"]
    overall["fake_error"] += 1.5
    trained.metrics_path.write_text(json.dumps(metrics))
    code, said = again(trained)
    after = by_name(said["after"])
    assert code == 1
    assert after["weights"]["details"] == {"model.safetensors": pytest.approx(0.25)}
    name = "sets.patient_holdout.overall.fake_error"
    assert after["scores"]["details"] == {name: [overall["fake_error"], pytest.approx(overall["fake_error"] - 1.5)]}
    assert after["forecasts"]["same"] is True
    shown = tsfm("runs", "reproduce", trained.path)
    assert shown.code == 1
    assert "not identical" in shown.out
    assert "at most sets.patient_holdout.overall.fake_error by 1.5" in shown.out


def test_windows_that_are_in_one_alone_are_counted(trained, again):
    table = pq.read_table(trained.forecasts_path)
    pq.write_table(table.slice(2), trained.forecasts_path)
    code, said = again(trained)
    assert code == 1
    assert by_name(said["after"])["forecasts"]["said"] == "2 windows are in one of the two alone"


def test_a_run_that_was_moved_is_reproduced_where_it_is(trained, again, tmp_path):
    moved = tmp_path / "archive" / "linear" / "small"
    moved.mkdir(parents=True)
    trained.path.rename(moved / trained.path.name)
    code, said = again(load_run(moved / trained.path.name))
    assert code == 0
    assert Path(said["run"]).parent == moved
