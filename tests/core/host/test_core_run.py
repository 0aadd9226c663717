"""The run directory: two in one second, killed, failed, interrupted; what it holds and what it never holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tsfm_core import load_run
from tsfm_core.errors import RunError
from tsfm_core.run import Run, list_runs

TSFM = str(Path(sys.executable).with_name("tsfm"))

SLEEPS = """
@hookimpl
def predict(model, data, task):
    import pathlib, time

    pathlib.Path(__file__).with_name("asleep").touch()
    time.sleep(60)
"""


def runs_below(root: Path) -> list[dict[str, object]]:
    done = subprocess.run(
        [TSFM, "runs", "list", "--root", str(root), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


@pytest.fixture
def sleeping(site, config):
    """Start a run in a process of its own; it is asleep in predict when the process is returned."""
    site.model("sleeps", predict=SLEEPS)
    command = [TSFM, "backtest", "sleeps", "--config", str(config)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # what runs in the background of a shell ignores Ctrl-C, and its children would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(300):
        if (site.folder / "asleep").exists():
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    yield process
    process.kill()
    process.communicate()


def test_runs_that_start_in_one_second_get_a_directory_each(tmp_path):
    def create(number: int) -> Path:
        return Run.create(tmp_path, "naive", "same", {"number": number}, {"seed": number}).path

    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(create, range(24)))
    assert len(set(paths)) == 24
    assert sorted(run.path for run in list_runs(tmp_path)) == sorted(paths)
    assert sorted(Run(path).facts["number"] for path in paths) == list(range(24))
    assert {path.name for path in (tmp_path / "naive" / "same").iterdir()} == {path.name for path in paths}


def test_a_run_has_its_name_when_it_is_whole(tmp_path):
    run = Run.create(tmp_path, "naive", "one", {}, {"seed": 1})
    assert {path.name for path in run.path.iterdir()} == {"config.yaml", "run.json", "logs"}
    assert run.facts["status"] == "created"
    assert run.facts["owner"]["pid"] == os.getpid()


def test_a_run_that_was_killed_is_shown_as_interrupted(sleeping, tmp_path):
    [row] = runs_below(tmp_path / "experiments")
    assert row["status"] == "running"
    sleeping.send_signal(signal.SIGKILL)
    sleeping.wait()
    [row] = runs_below(tmp_path / "experiments")
    assert row["status"] == "interrupted"
    assert not list((tmp_path / "experiments").rglob("forecasts.parquet"))


def test_ctrl_c_leaves_an_interrupted_run(sleeping, tmp_path):
    sleeping.send_signal(signal.SIGINT)
    _, said = sleeping.communicate(timeout=30)
    assert sleeping.returncode == 130
    assert "Traceback" not in said
    [run] = list_runs(tmp_path / "experiments")
    assert run.facts["status"] == "interrupted"
    assert {path.name for path in run.path.iterdir()} == {"config.yaml", "run.json", "logs"}


def test_a_number_that_another_process_got_later_is_no_running_run(tmp_path):
    run = Run.create(tmp_path, "naive", "one", {}, {})
    run.update(status="running", owner=run.facts["owner"] | {"started": "1"})
    assert run.status == "interrupted"


def test_an_exception_leaves_a_failed_run_with_its_sentence(site, tsfm, config, tmp_path):
    site.model(
        "fails",
        trained=True,
        train="@hookimpl\ndef train(model, data, validation, job):\n    raise ZeroDivisionError('no step')\n",
    )
    with pytest.raises(ZeroDivisionError, match="no step") as raised:
        tsfm("train", "fails", "--config", config)
    assert Path(raised.traceback[-1].path).name == "fake_fails.py"
    [run] = list_runs(tmp_path / "experiments")
    assert (run.status, run.facts["error"]) == ("failed", "no step")
    assert "failed: no step" in (run.path / "logs" / "log.txt").read_text()
    assert not list(run.path.glob("*.parquet"))
    shown = tsfm("runs", "show", run.path)
    assert shown.code == 0
    assert "not scored: no step" in shown.out
    assert tsfm("runs", "list", "--root", tmp_path / "experiments").code == 0
    refused = tsfm("evaluate", run.path)
    assert refused.code == 1
    assert "forecasts.parquet holds no forecasts" in refused.err


BAD = {
    "unknown key": (["--set", "data.max_gab=45min"], "did you mean 'max_gap'"),
    "no such file": (["--set", "data.path=nothing.csv"], "nothing.csv is not there"),
    "no such model": (["--set", "seed=1"], "no model is called"),
    "no such metric": (["--set", "evaluation.metrics=[nonsense]"], "no metric is called 'nonsense'"),
    "no such baseline": (["--set", "evaluation.baselines=[nonsense]"], "no model is called 'nonsense'"),
    "no such protocol": (["--set", "evaluation.protocol=nonsense"], "no protocol is called 'nonsense'"),
    "wrong column": (["--set", "data.columns.target=sugar"], "no column 'sugar'"),
    "too long": (["--set", "task.context_length=5000"], "no test window is left"),
    "nothing held out": (["--set", "split={}"], "holds nothing out"),
    "an experiment elsewhere": (["--set", "experiment=../../elsewhere"], "experiment is '../../elsewhere'"),
    "no capability": (["--set", "task.past_covariates=[iob]"], "naive does not use past_covariates (iob)"),
    "unset variable": (["--set", "data.path=${NOT_SET_ANYWHERE}"], "NOT_SET_ANYWHERE, which is not set"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_leaves_no_directory(tsfm, config, tmp_path, case):
    settings, said = BAD[case]
    model = "nonsense" if case == "no such model" else "naive"
    before = sorted(path for path in tmp_path.rglob("*") if "site" not in path.parts)
    done = tsfm("backtest", model, "--config", config, *settings)
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert sorted(path for path in tmp_path.rglob("*") if "site" not in path.parts) == before


def test_run_json_says_what_it_was(tsfm, config):
    done = tsfm("train", "linear", "--config", config, "--json")
    assert done.code == 0, done.err
    run = load_run(json.loads(done.out)["run"])
    facts = run.facts
    assert facts["status"] == "completed"
    assert facts["command"] == "train"
    assert facts["argv"][1:3] == ["train", "linear"]
    assert (facts["model"], facts["experiment"], facts["strategy"], facts["seed"]) == (
        "linear",
        "small",
        "from_scratch",
        3,
    )
    assert set(facts["timings"]) == {"train", "predict", "score", "baselines"}
    assert {"tsfm-core", "numpy"} <= set(facts["environment"]["versions"])
    assert facts["deterministic"] is True
    assert len(facts["forecasts_sha256"]) == len(facts["weights_sha256"]) == 64
    assert len(facts["data"]["fingerprint"]) == len(facts["protocol_digest"]) == len(facts["split"]["digest"]) == 64
    assert facts["split"]["patient_holdout"] == ["p2"]
    assert set(facts["windows"]) == {"train", "validation", "temporal_holdout", "patient_holdout"}
    assert facts["windows"]["train"] > 100
    assert set(facts["trained_on"]) == {"p0", "p1"}
    assert (run.path / "checkpoints" / "best").resolve().parent == (run.path / "checkpoints").resolve()
    assert {path.name for path in run.path.iterdir()} == {
        "checkpoints",
        "config.yaml",
        "forecasts.parquet",
        "logs",
        "metrics.json",
        "metrics_by_item.csv",
        "results.txt",
        "run.json",
    }


def test_secrets_go_to_no_file_of_a_run(tsfm, config, settings, data_file, tmp_path, monkeypatch):
    secret = tmp_path / "s3cret-folder"
    secret.mkdir()
    data_file.rename(secret / "cgm.csv")
    monkeypatch.setenv("WHERE_IT_IS", str(secret))
    settings["data"]["path"] = "${WHERE_IT_IS}/cgm.csv"
    config.write_text(yaml.safe_dump(settings))
    done = tsfm("train", "linear", "--config", config, "--json")
    assert done.code == 0, done.err
    run = load_run(json.loads(done.out)["run"])
    assert yaml.safe_load(run.config_path.read_text())["data"]["path"] == "${WHERE_IT_IS}/cgm.csv"
    assert run.facts["data"]["path"] == "${WHERE_IT_IS}/cgm.csv"
    for file in run.path.rglob("*"):
        assert not file.is_file() or b"s3cret-folder" not in file.read_bytes(), file
    again = tsfm("backtest", run.path.name, "--config", config, "--json")
    assert again.code == 0, again.err
    assert b"s3cret-folder" not in (Path(json.loads(again.out)["run"]) / "run.json").read_bytes()


def test_the_error_of_a_failed_run_hides_secrets(site, tsfm, config, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "abc-token-xyz")
    site.model(
        "leaks",
        model_card="""
class Keys(Section):
    token: str

@hookimpl
def model_card():
    return ModelCard("a fake", "MIT", ("zero_shot",), Keys, Training)
""",
        load_model="@hookimpl\ndef load_model(config):\n    return config.token\n",
        predict="@hookimpl\ndef predict(model):\n    raise OSError(f'{model} is not accepted')\n",
    )
    settings["model"] = {"token": "${MY_TOKEN}"}
    config.write_text(yaml.safe_dump(settings))
    with pytest.raises(OSError, match="is not accepted"):
        tsfm("backtest", "leaks", "--config", config)
    [run] = list_runs(tmp_path / "experiments")
    assert run.facts["error"] == "${MY_TOKEN} is not accepted"
    assert run.facts["settings"]["model"] == {"token": "${MY_TOKEN}"}
    for file in run.path.rglob("*"):
        assert not file.is_file() or b"abc-token-xyz" not in file.read_bytes(), file


def test_runs_are_found_by_the_end_of_their_path(tmp_path):
    one = Run.create(tmp_path, "naive", "one", {}, {})
    other = Run.create(tmp_path, "naive", "two", {}, {})
    name = one.path.name
    assert load_run(f"one/{name}", tmp_path).path == one.path
    assert load_run(other.path).path == other.path
    if other.path.name == name:
        with pytest.raises(RunError, match="means 2 runs"):
            load_run(name, tmp_path)
    with pytest.raises(RunError, match="there is no run 'run_of_nobody'"):
        load_run("run_of_nobody", tmp_path)


def test_one_unreadable_run_does_not_hide_the_others(tsfm, tmp_path):
    Run.create(tmp_path / "all", "naive", "one", {"model": "naive"}, {})
    bad = Run.create(tmp_path / "all", "naive", "two", {"model": "naive"}, {})
    (bad.path / "run.json").write_text("{")
    done = tsfm("runs", "list", "--root", tmp_path / "all", "--json")
    assert done.code == 0, done.err
    assert sorted(row["status"] for row in json.loads(done.out)) == ["created", "unreadable"]
    assert tsfm("runs", "list", "--root", tmp_path / "all").code == 0
    assert "run.json cannot be read" in tsfm("runs", "show", bad.path).err
