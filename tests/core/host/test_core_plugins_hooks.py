"""One test a hook: when it is called and with what. docs/hooks.md says the same; a test there demands one of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tsfm_core import load_run

#: Notes the arguments of every hook in a file beside the module.
NOTES = """
import json, pathlib

def note(hook, **facts):
    with pathlib.Path(__file__).with_name("notes").open("a") as file:
        file.write(json.dumps({"hook": hook} | facts) + "\\n")
"""
TRAINABLE = {
    "model_card": """
class Fits(Section):
    strategy: Literal["zero_shot", "from_scratch"] = "zero_shot"
    rate: float = 0.5

class Knobs(Section):
    width: int = 4

@hookimpl
def model_card():
    note("model_card")
    return ModelCard("a fake", "MIT", ("zero_shot", "from_scratch"), Knobs, Fits, default_checkpoint="somewhere/else")
""",
    "load_model": """
@hookimpl
def load_model(config, task, checkpoint, runtime):
    note("load_model", width=config.width, horizon=task.prediction_length, checkpoint=checkpoint,
         strategy=runtime.strategy, seed=runtime.seed, batch_size=runtime.batch_size,
         deterministic=runtime.deterministic)
    return "loaded"
""",
    "prepare_data": """
@hookimpl
def prepare_data(model, windows, task):
    note("prepare_data", model=model, windows=len(windows), kind=type(windows).__name__)
    return windows
""",
    "train": """
@hookimpl
def train(model, data, validation, job):
    note("train", model=model, windows=len(data), validation=None if validation is None else len(validation),
         truth=list(data.truth(slice(0, 2)).shape), rate=job.training.rate, strategy=job.runtime.strategy,
         checkpoints=job.checkpoint_dir.name, log=job.log_path.name)
    return "trained"
""",
    "predict": """
@hookimpl
def predict(model, data, task):
    note("predict", model=model, windows=len(data), truth=hasattr(data, "truth"))
    from tsfm_core import Forecasts, fill_context
    last = fill_context(data.inputs(slice(None)).target)[0][:, -1:]
    return Forecasts.of(data, mean=last.repeat(task.prediction_length, axis=1))
""",
}


@pytest.fixture
def notes(site, tsfm, config):
    """Install the noting model, run a command, and return what its hooks noted, by hook."""
    site.model("noting", more=NOTES, **TRAINABLE)

    def run(*arguments: str) -> dict[str, list[dict[str, Any]]]:
        done = tsfm(*arguments, "noting", "--config", config)
        assert done.code == 0, done.err
        noted: dict[str, list[dict[str, Any]]] = {}
        for line in (site.folder / "notes").read_text().splitlines():
            noted.setdefault(json.loads(line)["hook"], []).append(json.loads(line))
        return noted

    return run


TRAIN = ("train", "--set", "training.strategy=from_scratch", "--set", "training.rate=0.25", "--set", "model.width=8")


def test_hook_model_card(notes, site, tsfm):
    assert len(notes("backtest")["model_card"]) == 1
    assert tsfm("models", "list").code == 0
    shown = json.loads(tsfm("models", "show", "noting", "--json").out)
    assert shown["default_checkpoint"] == "somewhere/else"
    assert {"key": "training.rate", "default": 0.5, "about": None} in shown["keys"]


def test_hook_load_model(notes):
    [loaded] = notes(*TRAIN)["load_model"]
    assert loaded["width"] == 8
    assert loaded["horizon"] == 6
    assert loaded["checkpoint"] is None  # from_scratch: random weights
    assert (loaded["strategy"], loaded["seed"], loaded["batch_size"]) == ("from_scratch", 3, None)
    assert loaded["deterministic"] is True


def test_hook_load_model_gets_the_default_checkpoint_without_training(notes):
    settings = ("--set", "runtime.batch_size=16", "--set", "runtime.deterministic=false")
    [loaded] = notes("backtest", *settings)["load_model"]
    assert (loaded["checkpoint"], loaded["strategy"], loaded["batch_size"]) == ("somewhere/else", "zero_shot", 16)
    assert loaded["deterministic"] is False


def test_hook_prepare_data(notes):
    noted = notes(*TRAIN)["prepare_data"]
    assert [one["kind"] for one in noted[:2]] == ["TrainingWindows", "TrainingWindows"]  # training and validation
    assert {one["kind"] for one in noted[2:]} == {"Windows"}
    assert {one["model"] for one in noted[:2]} == {"loaded"}
    assert {one["model"] for one in noted[2:]} == {"trained"}


def test_hook_train(notes):
    [trained] = notes(*TRAIN)["train"]
    assert (trained["model"], trained["rate"], trained["strategy"]) == ("loaded", 0.25, "from_scratch")
    assert trained["windows"] > trained["validation"] > 0
    assert trained["truth"] == [2, 6]
    assert (trained["checkpoints"], trained["log"]) == ("checkpoints", "training.jsonl")


def test_hook_train_gets_no_validation_where_the_split_has_none(notes):
    assert notes(*TRAIN, "--set", "split.validation=0.0")["train"][0]["validation"] is None


def test_hook_predict(notes):
    noted = notes("backtest")["predict"]
    assert len(noted) == 3  # validation, temporal_holdout, patient_holdout
    assert {one["model"] for one in noted} == {"loaded"}
    assert not any(one["truth"] for one in noted)


STATISTICS = """
@hookimpl
def statistics(model, data, runtime):
    note("statistics", model=model, windows=len(data), kind=type(data).__name__, seed=runtime.seed)
    return {"scale": ([1.0], [1.0])}
"""

SAVES = """
@hookimpl
def train(model, data, validation, job):
    from tsfm_core import save_checkpoint

    save_checkpoint(job.checkpoint_dir, 1, lambda folder: (folder / "weights").write_text("1"), True)
    return model
"""


def test_hook_statistics(site, tsfm, config):
    site.model("noting", more=NOTES, **TRAINABLE | {"train": SAVES, "statistics": STATISTICS})
    done = tsfm("train", "noting", "--config", config, "--set", "training.strategy=from_scratch", "--json")
    run = load_run(json.loads(done.out)["run"])
    checks = json.loads(tsfm("audit", run.path, "--json").out)["checks"]
    noted = [json.loads(line) for line in (site.folder / "notes").read_text().splitlines()]
    [asked] = [one for one in noted if one["hook"] == "statistics"]
    assert (asked["model"], asked["kind"], asked["seed"]) == ("loaded", "TrainingWindows", 3)
    assert asked["windows"] == run.facts["windows"]["train"]
    [scaler] = [one for one in checks if one["check"] == "scaler"]
    assert (scaler["result"], scaler["said"]) == ("ok", f"scale of {asked['windows']:,} training windows")


def test_hook_metrics(site, tsfm, config):
    site.metric("fake-scores", "fake_error")
    done = tsfm("backtest", "naive", "--config", config, "--set", "evaluation.metrics=[fake_error]", "--json")
    sets = json.loads(done.out)["sets"]
    assert all(len(one["by_step"]["fake_error"]) == 6 for one in sets.values())


def test_hook_intervals(site, tsfm, config):
    source = """
from tsfm_core import DataError, IntervalMethod

def compute(sample, seed):
    if len(sample.items) < 2:
        raise DataError("one item is too few")
    numbers = sample.overall()
    return {name: (value - 1, value + 1) for name, value in numbers.items()}

@hookimpl
def intervals():
    return [IntervalMethod("a_wide", "one less to one more", compute)]
"""
    site.metric("fake-scores", "fake_error")
    site.plugin("fake-intervals", source)
    done = tsfm("backtest", "naive", "--config", config, "--set", "evaluation.metrics=[fake_error]", "--json")
    scored = tsfm("evaluate", json.loads(done.out)["run"], "--json")
    again = json.loads(scored.out)
    value = again["sets"]["temporal_holdout"]["overall"]["fake_error"]
    assert again["intervals"]["temporal_holdout"]["fake_error"] == pytest.approx([value - 1, value + 1])
    assert again["notes"] == {"patient_holdout": "one item is too few"}
    listed = [row["name"] for row in json.loads(tsfm("plugins", "list", "--json").out) if row["kind"] == "interval"]
    assert listed[0] == "a_wide"  # the first by name is used


def test_hook_datasets(site, tsfm, config):
    source = """
@hookimpl
def datasets():
    columns = {"item_id": "who", "timestamp": "when", "target": "value"}
    return [Dataset("made_up", "two items", "MIT", rows, columns, "glucose", "mg/dL", "5min", synthetic=True)]

def rows(source):
    import numpy as np
    import pyarrow as pa

    stamps = np.datetime64("2024-01-01", "s") + np.arange(400) * np.timedelta64(300, "s")
    for who in ("p1", "p2"):
        data = {"who": [who] * 400, "when": stamps, "value": 100 + 30 * np.sin(np.arange(400) / 9 + (who == "p1"))}
        yield pa.RecordBatch.from_pydict({name: data[name] for name in source.columns})
"""
    site.plugin("fake-data", source)
    checked = tsfm("data", "check", "made_up", "--json")
    assert checked.code == 0, checked.err
    facts = json.loads(checked.out)
    assert [item["item_id"] for item in facts["items"]] == ["p1", "p2"]
    assert facts["synthetic"] is True
    used = ["--set", "data.source=made_up", "--set", "data.path=null"]
    done = tsfm("backtest", "naive", "--config", config, *used)
    assert done.code == 0, done.err
    assert "SYNTHETIC" in done.out


def test_hook_features(site, tsfm, config):
    source = """
from tsfm_core import Feature

def rising(channels, minutes, step):
    import numpy as np

    return np.diff(channels["glucose"], prepend=np.nan) / step

@hookimpl
def features():
    return [Feature("rate_of_change", "difference to the reading before", "mg/dL/s", ("glucose",), rising)]
"""
    site.plugin("fake-features", source)
    task = ["--set", "task.past_covariates=[rate_of_change]"]
    checked = tsfm("data", "check", "--config", config, *task, "--json")
    assert checked.code == 0, checked.err
    facts = json.loads(checked.out)
    assert facts["computed"] == {"rate_of_change": "difference to the reading before"}
    assert all(item["channels"]["rate_of_change"]["recorded"] > 0 for item in facts["items"])
    assert all(item["readings"] > item["channels"]["rate_of_change"]["recorded"] for item in facts["items"])


def test_hook_protocols(site, tsfm, config):
    source = """
@hookimpl
def protocols():
    return [EvaluationProtocol("hourly", "on the hour", lambda panel, stride, options: panel.slots() % 12 == 0)]
"""
    site.plugin("fake-protocol", source)
    done = tsfm("backtest", "naive", "--config", config, "--set", "evaluation.protocol=hourly", "--json")
    assert done.code == 0, done.err
    import pyarrow.parquet as pq

    table = pq.read_table(Path(json.loads(done.out)["run"]) / "forecasts.parquet")
    assert {cutoff.minute for cutoff in table["cutoff"].to_pylist()} == {0}


def test_hook_trackers(site, tsfm, config):
    source = """
def opened(run):
    import json
    told = run.folder / "told.jsonl"

    def write(*said):
        with told.open("a") as file:
            file.write(json.dumps(said) + "\\n")

    write(run.name, run.group, str(run.root), run.settings["task.freq"], run.id)
    return TrackerSession("r1", write, lambda status, scores, files: write(status, scores, [one.name for one in files]))

@hookimpl
def trackers():
    return [Tracker("notebook", "a file of the run", lambda: None, opened)]
"""
    site.plugin("fake-tracker", source)
    done = tsfm("backtest", "naive", "--config", config, "--set", "tracking=[notebook]", "--json")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    run = Path(facts["run"])
    first, last = [json.loads(line) for line in (run / "logs/told.jsonl").read_text().splitlines()]
    assert first == [run.name, "/".join(run.parts[-3:-1]), str(run.parents[2]), "5min", None]
    scores = {f"{name}/{metric}": x for name, one in facts["sets"].items() for metric, x in one["overall"].items()}
    assert last == ["completed", scores, ["config.yaml", "run.json", "metrics.json", "results.txt"]]
    assert json.loads((run / "run.json").read_text())["tracking"] == {"notebook": {"id": "r1", "error": None}}
    # a run's own trackers are told of its test, or those that the config names
    for more, told in (((), {"notebook"}), (("--set", "tracking=[]"), set())):
        again = tsfm("backtest", run, "--config", config, *more, "--json")
        assert again.code == 0, again.err
        facts = json.loads((Path(json.loads(again.out)["run"]) / "run.json").read_text())
        assert set(facts.get("tracking", ())) == told
    other = tsfm("backtest", "naive", "--config", config, "--set", "tracking=[notebok]")
    assert other.code == 1
    assert other.err.startswith("tsfm: no tracker is called 'notebok'; installed: ")
    assert other.err.endswith("; did you mean 'notebook'?\n")


def test_a_tracker_that_fails_is_noted_and_the_run_goes_on(site, tsfm, config):
    source = """
def end(status, scores, files):
    raise OSError("the line is cut")

@hookimpl
def trackers():
    return [Tracker("phone", "far away", lambda: None, lambda run: TrackerSession(None, print, end))]
"""
    site.plugin("fake-tracker", source)
    done = tsfm("backtest", "naive", "--config", config, "--set", "tracking=[phone]")
    assert done.code == 0, done.err
    assert "phone was not told everything: OSError: the line is cut" in done.out
    (run,) = Path(config).parent.glob("experiments/naive/*/run_*")
    facts = json.loads((run / "run.json").read_text())
    assert facts["status"] == "completed"
    assert facts["tracking"]["phone"]["error"] == "OSError: the line is cut"
    assert "phone was not told everything" in (run / "logs/log.txt").read_text()


def test_hook_commands(site, tsfm):
    source = """
@hookimpl
def commands(app):
    @app.command()
    def echo(text: str) -> None:
        "Print a text."
        print(text)
"""
    site.plugin("fake-echo", source)
    done = tsfm("echo", "said")
    assert (done.code, done.out) == (0, "said\n")


def test_a_command_may_join_a_group_of_cores(site, tsfm):
    source = """
from tsfm_core.cli.options import group

@hookimpl
def commands(app):
    @group(app, "runs").command()
    def {name}(run: str) -> None:
        "Say a run's name."
        print("the run", run)
"""
    site.plugin("fake-say", source.replace("{name}", "say"))
    for _ in range(2):  # a second call in this process finds the application as it was
        done = tsfm("runs", "say", "this")
        assert (done.code, done.out) == (0, "the run this\n")
    site.plugin("fake-show", source.replace("{name}", "show"))
    assert "there is no run 'this'" in tsfm("runs", "show", "this").err
    checked = tsfm("plugins", "check")
    assert checked.code == 1
    assert "(fake-show 1.0): it adds the command 'runs show', which is there already" in " ".join(checked.out.split())


@pytest.mark.parametrize(("typed", "package"), [(["demo"], "glucose"), (["runs", "compare", "a", "b"], "eval")])
def test_a_command_of_a_package_that_is_not_there_names_it(tsfm, monkeypatch, typed, package):
    from tsfm_core import plugins

    monkeypatch.setattr(plugins.Registry, "add_commands", lambda self, app: None)
    refused = tsfm(*typed)
    assert refused.code == 1
    assert refused.err.endswith(f"is a command of tsfm-{package}; pip install tsfm-{package}\n")
