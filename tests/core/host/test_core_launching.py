"""A training that several processes share, by a launcher of a few lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tsfm_core.errors import Stopped
from tsfm_core.run import Run, list_runs
from tsfm_core.stopping import defer_stop, stoppable

TSFM = str(Path(sys.executable).with_name("tsfm"))

#: Starts the processes, and ends the others when one fails: what torchrun does.
LAUNCHER = """
import os, subprocess, sys

def main():
    count, words = int(sys.argv[1]), sys.argv[2:]
    started = [
        subprocess.Popen([sys.executable, *words], env={**os.environ, "RANK": str(rank)}) for rank in range(count)
    ]
    import signal, time

    def stop(*_):
        for one in started:
            one.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    while any(one.poll() is None for one in started):
        time.sleep(0.02)
        if any(one.poll() for one in started):
            stop()
    raise SystemExit(max(abs(one.returncode) for one in started))

if __name__ == "__main__":
    main()
"""

PLUGIN = """
@hookimpl
def launchers():
    import sys
    from tsfm_core import Launcher

    return [Launcher("toy", lambda count: [sys.executable, "-m", "toy_launch", str(count)], {"SAID": "hello"})]
"""

MODEL = {
    "model_card": """
class Fits(Section):
    strategy: Literal["from_scratch"] = "from_scratch"

@hookimpl
def model_card():
    return ModelCard("a fake", "MIT", ("from_scratch",), Options, Fits, launchers=("toy",))
""",
    "train": """
@hookimpl
def train(model, data, validation, job):
    import os, pathlib, signal, time
    from tsfm_core import ConfigError

    here, rank = pathlib.Path(__file__).parent, os.environ.get("RANK", "alone")
    (here / f"rank_{rank}").write_text(f"{os.environ.get('SAID')} {os.getpid()} {job.resume}")
    fate = (here / f"fate_{rank}").read_text() if (here / f"fate_{rank}").exists() else ""
    if fate == "sentence":
        raise ConfigError("this process has no luck", "give it some")
    if fate == "bug":
        raise ZeroDivisionError("a bug")
    if fate == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "sleeps":
        time.sleep(60)
    return model
""",
}


@pytest.fixture
def shared(site, settings, config):
    """Install the model and its launcher; return the words of a training in two processes."""
    (site.folder / "toy_launch.py").write_text(LAUNCHER)
    site.plugin("toy-launcher", PLUGIN)
    site.model("shares", **MODEL)
    config.write_text(yaml.safe_dump(settings | {"runtime": {"nproc": 2}}))
    return ("train", "shares", "--config", config)


def test_hook_launchers(shared, tsfm, site, config):
    done = tsfm(*shared, "--json")
    assert done.code == 0, done.err
    said = [(site.folder / f"rank_{rank}").read_text().split() for rank in (0, 1)]
    assert [words[0] for words in said] == ["hello", "hello"]
    assert len({words[1] for words in said} | {str(os.getpid())}) == 3
    run = Run(Path(json.loads(done.out)["run"]))
    assert run.status == "completed"
    assert {"config.yaml", "forecasts.parquet", "logs", "metrics.json", "metrics_by_item.csv", "results.txt"} <= {
        path.name for path in run.path.iterdir()
    }
    assert set(run.facts["timings"]) == {"train", "predict", "score", "baselines"}
    alone = json.loads(tsfm(*shared, "--nproc", "1", "--json").out)
    assert run.facts["protocol_digest"] == alone["protocol_digest"]
    assert run.metrics == Run(Path(alone["run"])).metrics


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        ("sentence", "tsfm: process 1 of 2: this process has no luck; give it some"),
        ("bug", "tsfm: process 1 of 2: ZeroDivisionError: a bug (see "),
        ("killed", "tsfm: process 1 of 2 died without a word ("),
    ],
)
def test_a_process_that_fails_fails_the_run_and_says_so(shared, tsfm, site, tmp_path, fate, said):
    (site.folder / "fate_1").write_text(fate)
    (site.folder / "fate_0").write_text("sleeps")  # it is ended with the other
    done = tsfm(*shared)
    assert done.code == 1
    assert done.err.startswith(said)
    [run] = list_runs(tmp_path / "experiments")
    assert run.facts["status"] == "failed"
    assert said.removeprefix("tsfm: ").partition(" (")[0] in run.facts["error"]
    if fate != "killed":
        return
    for rank in (0, 1):
        (site.folder / f"fate_{rank}").unlink()
    done = tsfm("train", "--resume", run.path)
    assert done.code == 0, done.err
    assert (site.folder / "rank_1").read_text().endswith("True")
    assert run.status == "completed"


def start_asleep(site, shared) -> subprocess.Popen[str]:
    for rank in (0, 1):
        (site.folder / f"fate_{rank}").write_text("sleeps")
    process = subprocess.Popen([TSFM, *map(str, shared)], stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if all((site.folder / f"rank_{rank}").exists() for rank in (0, 1)):
            return process
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("they never began to train")


def test_a_signal_reaches_all_processes(shared, site, tmp_path):
    process = start_asleep(site, shared)
    process.send_signal(signal.SIGUSR1)
    _, said = process.communicate(timeout=30)
    [run] = list_runs(tmp_path / "experiments")
    assert run.facts["status"] == "interrupted"
    assert "tsfm: stopped by SIGUSR1; tsfm train --resume" in said
    assert [json.loads((run.ranks / f"{rank}.json").read_text())["ended"] for rank in (0, 1)] == ["stopped"] * 2


def test_the_processes_end_with_the_one_that_started_them(shared, site, tsfm, tmp_path):
    process = start_asleep(site, shared)
    pids = [int((site.folder / f"rank_{rank}").read_text().split()[1]) for rank in (0, 1)]
    process.kill()
    process.communicate()
    for _ in range(200):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            break
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    [run] = list_runs(tmp_path / "experiments")
    assert run.status == "interrupted"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("backtest", "naive", "--set", "runtime.nproc=2"), "runtime.nproc is 2, and tsfm backtest is one process"),
        (("train", "linear", "--nproc", "2"), "runtime.nproc is 2, and a training of linear is one process"),
        (("train", "linear", "--distributed", "toy"), "runtime.distributed is 'toy', and runtime.nproc 1"),
        (
            ("train", "shares", "--nproc", "2", "--distributed", "fsdp"),
            "shares is not trained by the launcher 'fsdp'; it offers toy; its weights fit one device",
        ),
        (("train", "shares", "--nproc", "2", "--distributed", "tyo"), "the launcher 'tyo'; it offers toy\n"),
    ],
)
def test_what_cannot_be_shared_is_refused(site, tsfm, config, tmp_path, words, said):
    site.plugin("toy-launcher", PLUGIN)
    site.model("shares", **MODEL)
    done = tsfm(*words, "--config", config)
    assert done.code == 1
    assert said in done.err
    assert not list(list_runs(tmp_path / "experiments"))


def test_a_launcher_that_is_not_installed_is_refused(site, tsfm, config):
    site.model("shares", **MODEL)
    done = tsfm("train", "shares", "--config", config, "--nproc", "2")
    assert done.code == 1
    assert "no launcher is called 'toy'" in done.err


def test_a_stop_that_a_library_takes_for_its_own_failure_is_a_stop():
    def library():
        try:
            signal.raise_signal(signal.SIGTERM)
        except Exception as error:
            raise TypeError("unexpected argument") from error

    with pytest.raises(Stopped, match="stopped by SIGTERM"), stoppable():
        library()
    with pytest.raises(TypeError, match="of its own"), stoppable(), defer_stop() as asked:
        signal.raise_signal(signal.SIGTERM)
        assert asked() == "SIGTERM"
        raise TypeError("of its own: the stop has reached nobody yet")
