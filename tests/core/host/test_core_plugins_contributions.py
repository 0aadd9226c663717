"""What packages contribute: metrics, data sets, protocols, commands. A broken giver breaks itself alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tsfm_core.errors import PluginError
from tsfm_core.plugins import PLUGINS, Registry

DATASET = """
@hookimpl
def datasets():
    return [Dataset("made_up", "three rows", "MIT", rows, {"item_id": "who", "timestamp": "when", "target": "x"})]

def rows(source):
    raise NotImplementedError
"""

PROTOCOL = """
@hookimpl
def protocols():
    return [EvaluationProtocol("midday", "cutoffs at 12:00", lambda panel, stride, options: panel.slots() % 288 == 144)]
"""

COMMAND = """
@hookimpl
def commands(app):
    @app.command()
    def greet() -> None:
        "Say hello."
        print("hello")
"""

#: Hooks that answer against the contract, and what the row must say.
BROKEN = {
    "raises": ("def metrics(): raise OSError('no disk')", "metrics raised OSError: no disk"),
    "leaves": ("def metrics(): raise SystemExit(1)", "metrics raised SystemExit"),
    "nothing": ("def metrics(): pass", "metrics returned None; expected a list of Metric"),
    "text": ("def metrics(): return 'rmse'", "metrics returned str; expected a list of Metric"),
    "names": ("def metrics(): return ['rmse']", "metrics returned a list with str; expected Metric"),
    "other_record": ("def datasets(): return [ModelCard]", "datasets returned a list with type; expected Dataset"),
    "lazy": ("def protocols(): yield 1", "protocols returned generator; expected a list of EvaluationProtocol"),
}


def problem_of(registry: Registry, name: str) -> str | None:
    [row] = [row for row in registry.rows(PLUGINS) if row.name == name]
    return row.problem


def test_contributions_are_listed_by_package(site, tsfm):
    site.metric("fake-scores", "fake_error")
    site.plugin("fake-data", DATASET)
    site.plugin("fake-protocol", PROTOCOL)
    listed = tsfm("plugins", "list", "--json")
    assert listed.code == 0
    rows = json.loads(listed.out)
    assert {"kind": "metric", "name": "fake_error", "package": "fake-scores"} in rows
    assert {"kind": "dataset", "name": "made_up", "package": "fake-data"} in rows
    assert {"kind": "protocol", "name": "midday", "package": "fake-protocol"} in rows
    assert {"kind": "dataset", "name": "csv", "package": "tsfm-core"} in rows
    assert "made_up" in tsfm("data", "list").out


def test_a_contributed_metric_scores_and_a_contributed_protocol_cuts(site, tsfm, config):
    site.metric("fake-scores", "fake_error")
    site.plugin("fake-protocol", PROTOCOL)
    settings = ["--set", "evaluation.metrics=[fake_error]", "--set", "evaluation.protocol=midday"]
    done = tsfm("backtest", "naive", "--config", config, *settings, "--json")
    assert done.code == 0
    one = json.loads(done.out)["sets"]["patient_holdout"]
    assert one["windows"] == 2  # 500 steps of 5 min hold 12:00 twice
    assert one["overall"]["fake_error"] > 0


def test_a_clash_names_both_packages_when_the_name_is_used(site, tsfm, config):
    site.metric("fake-scores", "fake_error")
    site.metric("more-scores", "fake_error")
    assert tsfm("plugins", "list").code == 0
    assert tsfm("backtest", "naive", "--config", config).code == 0
    done = tsfm("backtest", "naive", "--config", config, "--set", "evaluation.metrics=[fake_error]")
    assert done.code == 1
    assert "fake-scores and more-scores both give a metric called 'fake_error'" in done.err


@pytest.mark.parametrize("case", BROKEN)
def test_a_hook_that_answers_against_the_contract_breaks_its_own_row_alone(site, case):
    source, sentence = BROKEN[case]
    site.plugin("fake-bad", f"@hookimpl\n{source}\n")
    site.metric("fake-scores", "fake_error")
    registry = Registry()
    found = {kind: registry.contributions(kind) for kind in ("metrics", "datasets", "protocols")}
    assert sentence in (problem_of(registry, "fake-bad") or "")
    assert "fake_error" in found["metrics"]
    assert "csv" in found["datasets"]
    assert problem_of(registry, "fake-scores") is None


def test_a_broken_giver_shows_in_plugins_check_and_breaks_no_command(site, tsfm, config):
    site.plugin("fake-bad", "@hookimpl\ndef metrics(): raise OSError('no disk')\n")
    assert tsfm("plugins", "list").code == 0
    assert tsfm("backtest", "naive", "--config", config).code == 0
    checked = tsfm("plugins", "check")
    assert checked.code == 1
    assert "fake-bad (fake-bad 1.0): its hook metrics raised OSError: no disk" in checked.out


def test_a_name_that_is_not_there_says_which_giver_is_broken(site):
    site.plugin("a-bad", "@hookimpl\ndef metrics(): raise OSError('no disk')\n")
    with pytest.raises(PluginError) as raised:
        Registry().metric("zzz")
    assert "no metric is called 'zzz'" in str(raised.value)
    assert "a-bad cannot be used: its hook metrics raised OSError: no disk" in str(raised.value)


def test_a_name_that_is_nearly_there_gets_the_nearest(site):
    site.metric("fake-scores", "fake_error")
    with pytest.raises(PluginError, match="did you mean 'fake_error'"):
        Registry().metric("fake_eror")


def test_a_command_is_added(site, tsfm):
    site.plugin("fake-greeting", COMMAND)
    assert "greet" in tsfm("--help").out
    done = tsfm("greet")
    assert (done.code, done.out) == (0, "hello\n")


def test_commands_that_raise_break_no_help(site, tsfm):
    site.plugin("fake-bad", "@hookimpl\ndef commands(app): raise RuntimeError('no command')\n")
    site.plugin("fake-greeting", COMMAND)
    done = tsfm("--help")
    assert done.code == 0
    assert "greet" in done.out
    assert "its hook commands raised RuntimeError: no command" in tsfm("plugins", "check").out


@pytest.mark.parametrize("name", ["train", "models"])
def test_a_command_whose_name_is_taken_leaves_ours_in_place(site, tsfm, name):
    site.plugin("fake-bad", f"@hookimpl\ndef commands(app):\n    app.command({name!r})(lambda: print('mine'))\n")
    assert "mine" not in tsfm(name, "--help").out
    assert tsfm("models", "list").code == 0
    assert f"it adds the command {name!r}, which is there already" in tsfm("plugins", "check").out


def test_a_broken_package_breaks_no_process(site):
    site.install("fake-bad", "raise SystemExit(9)", models=("bad",), plugins=("bad",))
    command = [str(Path(sys.executable).with_name("tsfm")), "--help"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0
    assert not done.stderr


def test_a_source_that_no_package_gives_is_refused_before_a_run_is_made(tsfm, settings, tmp_path):
    settings["data"]["source"] = "made_up"
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(settings))
    done = tsfm("backtest", "naive", "--config", path)
    assert done.code == 1
    assert "no dataset is called 'made_up'" in done.err
    assert not (tmp_path / "experiments").exists()
