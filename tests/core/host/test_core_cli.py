"""The command line: exit codes, where messages go, what a bug looks like."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

TSFM = str(Path(sys.executable).with_name("tsfm"))


def test_wrong_usage_exits_2(tsfm):
    for arguments in (["nothing"], ["train"], ["models", "list", "--nothing"], ["predict", "naive"]):
        done = tsfm(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "Usage" in done.err


def test_an_error_is_one_line_on_stderr(tsfm):
    done = tsfm("backtest", "naive", "--config", "nothing.yaml")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("tsfm: nothing.yaml does not exist")
    assert done.err.count("\n") == 1


def test_debug_shows_where_an_error_came_from(tsfm):
    done = tsfm("--debug", "backtest", "naive", "--config", "nothing.yaml")
    assert done.code == 1
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("tsfm: nothing.yaml does not exist")


def test_a_reader_that_leaves_is_no_error():
    done = subprocess.run(
        f"set -o pipefail; {TSFM} config schema | head -n 1", shell=True, executable="/bin/bash", capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"{\n", b"")


def test_a_bug_keeps_its_traceback(site, config):
    site.model("raises", predict="@hookimpl\ndef predict(model):\n    return {}['nothing here']\n")
    command = [TSFM, "backtest", "raises", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "KeyError: 'nothing here'" in done.stderr
    assert "fake_raises.py" in done.stderr
    assert "while fake-raises 1.0 ran predict for the model 'raises'" in done.stderr


@pytest.mark.parametrize("command", ["models list", "data list", "plugins list", "runs list", "models show naive"])
def test_every_listing_speaks_json(tsfm, command):
    done = tsfm(*command.split(), "--json")
    assert done.code == 0
    assert json.loads(done.out) is not None
    assert tsfm(*command.split()).code == 0


def test_models_list_has_the_promised_fields(tsfm):
    rows = {row["name"]: row for row in json.loads(tsfm("models", "list", "--json").out)}
    assert {"naive", "seasonal_naive", "mean", "linear"} <= set(rows)
    assert {"name", "package", "version", "status", "problem"} <= set(rows["naive"])
    assert (rows["naive"]["status"], rows["naive"]["problem"]) == ("ok", None)


def test_flags_win_over_settings_and_settings_over_the_file(tsfm, config):
    settings = ["--set", "seed=5"]
    for arguments, seed in (([], 3), (settings, 5), ([*settings, "--seed", "8"], 8)):
        done = tsfm("backtest", "naive", "--config", config, *arguments, "--json")
        assert done.code == 0, done.err
        shown = json.loads(tsfm("runs", "show", json.loads(done.out)["run"], "--json").out)
        assert shown["seed"] == seed


def test_a_flag_that_the_model_has_no_use_for_is_refused(tsfm, config):
    done = tsfm("train", "linear", "--config", config, "--num-epochs", "3")
    assert done.code == 1
    assert "num_epochs is no key of training" in done.err


def test_predict_writes_a_table_and_says_what_it_left_out(tsfm, config, data_file, tmp_path):
    with data_file.open("a") as file:
        file.write("short,2024-01-01T00:00:00,100\n")
    for name in ("forecasts.csv", "forecasts.parquet"):
        done = tsfm("predict", "naive", "--config", config, "--data", data_file, "--output", tmp_path / name)
        assert (done.code, done.out) == (0, "")
        assert "no forecast for short: 1 steps since its last longer gap; 24 are needed" in done.err
        assert "3 items forecast, 18 rows" in done.err
    with (tmp_path / "forecasts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18
    assert set(rows[0]) == {"item_id", "cutoff", "timestamp", "step", "mean"}
    refused = tsfm("predict", "naive", "--config", config, "--data", data_file, "--output", tmp_path / "forecasts.txt")
    assert refused.code == 1
    assert "ends in neither .csv nor .parquet" in refused.err


def test_evaluate_scores_a_run_again(site, tsfm, config):
    site.metric("fake-scores", "fake_error")
    site.metric("more-scores", "other_error")
    done = tsfm("backtest", "naive", "--config", config, "--set", "evaluation.metrics=[fake_error]", "--json")
    run = json.loads(done.out)
    again = json.loads(tsfm("evaluate", run["run"], "--json").out)
    assert again["sets"] == run["sets"]
    other = json.loads(tsfm("evaluate", run["run"], "--metric", "other_error", "--unit", "mmol/L", "--json").out)
    for name, one in other["sets"].items():
        expected = run["sets"][name]["overall"]["fake_error"] / 18.018
        assert one["overall"] == {"other_error": pytest.approx(expected)}
    table = tsfm("evaluate", run["run"])
    assert table.code == 0
    assert "fake_error" in table.out
    assert tsfm("evaluate", run["run"], "--unit", "mg/l").code == 1


def test_config_show_names_the_origin_of_each_value(tsfm, config):
    done = tsfm("config", "show", "--config", config, "--set", "data.stride=4", "--model", "linear")
    assert done.code == 0
    origins = dict(line.rsplit("  # ", 1) for line in done.out.splitlines() if "  # " in line)
    shown = {key.strip(): origin for key, origin in origins.items()}
    assert shown["seed: 3"].startswith("experiment.yaml:")
    assert shown["stride: 4"] == "--set data.stride"
    assert shown["min_observed: 0.8"] == "default"
    assert shown["ridge: 1.0"] == "default"


def test_config_schema_describes_every_section(tsfm):
    schema = json.loads(tsfm("config", "schema", "--model", "linear").out)
    assert {"task", "data", "split", "model", "training", "evaluation", "output"} <= set(schema["properties"])
    assert set(schema["properties"]["training"]["properties"]) == {"strategy", "ridge"}
    assert "checkpoint" in schema["properties"]["model"]["properties"]
    assert schema["additionalProperties"] is False


def test_a_models_facts_are_words(tsfm):
    said = {line.strip() for line in tsfm("models", "show", "linear").out.splitlines()}
    assert {"quantiles: yes", "past covariates: no", "longest context: no limit", "launchers: none"} <= said
    assert {"strategies: from_scratch", "precisions: fp32"} <= said
