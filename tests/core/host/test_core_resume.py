"""Going on with a run: what is done again, what is refused, and what signals do."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tsfm_core.run import Run, list_runs

TSFM = str(Path(sys.executable).with_name("tsfm"))

#: Sleeps in its first forecast; later it does not.
SLEEPS_ONCE = """
@hookimpl
def predict(model, data, task):
    import pathlib, time
    from tsfm_core import Forecasts, fill_context

    asleep = pathlib.Path(__file__).with_name("asleep")
    if not asleep.exists():
        asleep.touch()
        time.sleep(60)
    last = fill_context(data.inputs(slice(None)).target)[0][:, -1:]
    return Forecasts.of(data, mean=last.repeat(task.prediction_length, axis=1))
"""


def start_asleep(site, *words: object) -> subprocess.Popen[str]:
    process = subprocess.Popen([TSFM, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if (site.folder / "asleep").exists():
            return process
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("it never came to its forecast")


@pytest.fixture
def stopped(site, config, tmp_path, request) -> tuple[Run, str]:
    """Return a backtest that a signal has ended, and what it said."""
    site.model("sleeps", predict=SLEEPS_ONCE)
    process = start_asleep(site, "backtest", "sleeps", "--config", config)
    process.send_signal(getattr(request, "param", signal.SIGTERM))
    _, said = process.communicate(timeout=30)
    [run] = list_runs(tmp_path / "experiments")
    assert process.returncode != 0
    return run, said


@pytest.mark.parametrize("stopped", [signal.SIGTERM, signal.SIGUSR1], indirect=True)
def test_a_signal_ends_a_run_that_can_go_on(stopped, tsfm, config):
    run, said = stopped
    assert said.startswith("tsfm: stopped by SIG")
    assert said.strip().endswith(f"tsfm train --resume {run.path} goes on from there")
    assert run.facts["status"] == "interrupted"
    done = tsfm("train", "--resume", run.path)
    assert done.code == 0, done.err
    whole = tsfm("backtest", "sleeps", "--config", config, "--json")
    other = Run(Path(json.loads(whole.out)["run"]))
    assert run.metrics == other.metrics
    assert run.forecasts_path.read_bytes() == other.forecasts_path.read_bytes()
    assert run.status == "completed"
    [resumed] = run.facts["resumed"]
    assert resumed["environment"]["versions"] == run.facts["environment"]["versions"]
    assert not [path for path in run.path.rglob(".*") if path.is_file()]


def test_a_killed_run_goes_on(site, tsfm, config, tmp_path):
    site.model("sleeps", predict=SLEEPS_ONCE)
    process = start_asleep(site, "backtest", "sleeps", "--config", config)
    process.kill()
    process.communicate()
    [run] = list_runs(tmp_path / "experiments")
    assert run.status == "interrupted"
    done = tsfm("train", "sleeps", "--resume", run.path, "--config", config)  # repeated, and the same
    assert done.code == 0, done.err
    assert run.status == "completed"


def test_a_running_run_is_refused(site, tsfm, config, tmp_path):
    site.model("sleeps", predict=SLEEPS_ONCE)
    process = start_asleep(site, "backtest", "sleeps", "--config", config)
    try:
        [run] = list_runs(tmp_path / "experiments")
        done = tsfm("train", "--resume", run.path)
        assert (done.code, done.err) == (
            1,
            f"tsfm: {run.path} is being carried out by another process; wait for it\n",
        )
    finally:
        process.kill()
        process.communicate()


def test_another_model_config_or_setting_is_refused(stopped, tsfm, config):
    run, _ = stopped
    for words, said in (
        (("naive",), "is a run of sleeps, not of naive; leave the model out"),
        (("sleeps", "--seed", "4"), "was started with another configuration: "),
        (("--config", config, "--set", "evaluation.stride=7"), "with another configuration: evaluation.stride;"),
    ):
        done = tsfm("train", *words, "--resume", run.path)
        assert done.code == 1
        assert said in done.err
        assert run.facts["status"] == "interrupted"


def test_changed_data_is_refused(stopped, tsfm, data_file):
    run, _ = stopped
    data_file.write_text(data_file.read_text().replace("p1,2024-01-01T00:00:00,", "p1,2024-01-01T00:00:00,1"))
    done = tsfm("train", "--resume", run.path)
    assert done.code == 1
    assert f"tsfm: the data of {run.path} is not what it was: its fingerprint was" in done.err
    assert "(changed: cgm.csv); put it back" in done.err


def test_another_starting_checkpoint_is_refused(site, tsfm, config, tmp_path):
    site.model(
        "sleeps",
        predict=SLEEPS_ONCE,
        model_card="""
@hookimpl
def model_card():
    return ModelCard("a fake", "MIT", ("zero_shot",), Options, Training, default_checkpoint="some/weights")
""",
    )
    weights = tmp_path / "weights" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"as they were")
    process = start_asleep(site, "backtest", "sleeps", "--config", config, "--checkpoint", weights.parent)
    process.kill()
    process.communicate()
    [run] = list_runs(tmp_path / "experiments")
    weights.write_bytes(b"as they are")
    done = tsfm("train", "--resume", run.path)
    assert done.code == 1
    assert f"tsfm: the checkpoint {weights.parent} is not what {run.path} started from: its hash was" in done.err
    weights.write_bytes(b"as they were")
    assert tsfm("train", "--resume", run.path).code == 0


def test_a_completed_run_is_refused(tsfm, config):
    run = json.loads(tsfm("backtest", "naive", "--config", config, "--json").out)["run"]
    done = tsfm("train", "--resume", run)
    assert done.code == 1
    assert "is completed: there is nothing left to do" in done.err


def test_a_run_of_another_machine_is_taken_over_on_demand(stopped, tsfm):
    run, _ = stopped
    run.update(status="running", owner=run.facts["owner"] | {"host": "elsewhere"})
    done = tsfm("train", "--resume", run.path)
    assert done.code == 1
    assert "is running on elsewhere, whose processes cannot be seen from here; if process" in done.err
    done = tsfm("train", "--resume", run.path, "--take-over")
    assert done.code == 0, done.err
    assert run.facts["owner"]["host"] == socket.gethostname()


def test_what_resume_is_not_given_is_wrong_usage(tsfm):
    for words in (("train",), ("train", "naive", "--take-over")):
        done = tsfm(*words)
        assert (done.code, done.out) == (2, "")
        assert "--resume RUN" in done.err


def test_a_run_that_is_not_there_is_refused(tsfm):
    done = tsfm("train", "--resume", "run_2020-01-01_00-00-00")
    assert done.code == 1
    assert "there is no run 'run_2020-01-01_00-00-00'" in done.err


#: A training that hears of a signal when it is over.
HEARS_LATE = """
@hookimpl
def train(model, data, validation, job):
    import os, pathlib, signal
    from tsfm_core import defer_stop

    with defer_stop() as asked:
        if not job.resume:
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked() == "SIGTERM"
    return model
"""


def test_a_signal_in_the_last_step_of_a_training_ends_the_run_after_it(site, tsfm, config, tmp_path):
    site.model("late", trained=True, train=HEARS_LATE)
    done = tsfm("train", "late", "--config", config)
    assert done.code == 1
    assert done.err.startswith("tsfm: stopped by SIGTERM; tsfm train --resume ")
    [run] = list_runs(tmp_path / "experiments")
    assert run.facts["status"] == "interrupted"
    assert tsfm("train", "--resume", run.path).code == 0
    assert run.facts["error"] is None


#: A library in it takes the stop for a failure of its own.
SWALLOWS = """
@hookimpl
def predict(model, data, task):
    import os, pathlib, signal
    from tsfm_core import Forecasts, fill_context

    asked = pathlib.Path(__file__).with_name("asked")
    if not asked.exists():
        asked.touch()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            raise TypeError("no number")
    last = fill_context(data.inputs(slice(None)).target)[0][:, -1:]
    return Forecasts.of(data, mean=last.repeat(task.prediction_length, axis=1))
"""


def test_a_stop_that_a_library_swallowed_is_a_stop(site, tsfm, config, tmp_path):
    site.model("swallows", predict=SWALLOWS)
    done = tsfm("backtest", "swallows", "--config", config)
    assert (done.code, done.err.partition(";")[0]) == (1, "tsfm: stopped by SIGTERM")
    [run] = list_runs(tmp_path / "experiments")
    assert run.facts["status"] == "interrupted"
    assert tsfm("train", "--resume", run.path).code == 0
