"""The plugins of docs/write-a-plugin.md and add-a-metric.md, built from their text, beside seven broken ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FILE = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)

#: Each broken project: its entry point, its module and the sentence that it must show.
BROKEN = {
    "imports": ("imports", "import nothing_of_that_name\n", "No module named 'nothing_of_that_name'"),
    "leaves": ("leaves", "raise SystemExit('not today')\n", "SystemExit: not today"),
    "misspelt": (
        "misspelt",
        "from tsfm_core import hookimpl\n@hookimpl\ndef lod_model(config, task, checkpoint, runtime): return 1\n",
        "it implements 'lod_model', which is no hook of tsfm.models; did you mean 'load_model'?",
    ),
    "argument": (
        "argument",
        "from tsfm_core import hookimpl\n@hookimpl\ndef load_model(config, chekpoint): return 1\n",
        "its hook load_model has no argument 'chekpoint'; did you mean 'checkpoint'?",
    ),
    "defaulted": (
        "defaulted",
        "from tsfm_core import hookimpl\n@hookimpl\ndef load_model(config, task, checkpoint=None): return 1\n",
        "its hook load_model gives 'checkpoint' a default; hooks take none",
    ),
    "future": ("future", "raise RuntimeError('it ran')\n", "broken-future 1.0 needs tsfm-core>=99, found 0."),
    "taken": ("naive", "raise RuntimeError('it ran')\n", "the name 'naive' is taken by tsfm-core"),
}
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "broken-{name}"
version = "1.0"
dependencies = ["tsfm-core{bound}"]

[project.entry-points."tsfm.models"]
{entry} = "broken_{name}"
"""


def installer(python: Path) -> list[str]:
    """Return the start of a command that installs into ``python``'s environment: uv, or pip where there is no uv."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", str(python)]
    return [str(python), "-m", "pip", "install", "--quiet"]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with every project installed; core and the rest come from this one."""
    folder = tmp_path_factory.mktemp("third_party")
    projects = set()
    pages = ("write-a-plugin", "add-a-metric")
    texts = [(ROOT / f"docs/{page}.md").read_text(encoding="utf-8") for page in pages]
    for name, text in (found for page in texts for found in _FILE.findall(page)):
        path = folder / "projects" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        projects.add(path.parent)
    assert {project.name for project in projects} == {"drift", "rise", "extras", "agree"}
    for name, (entry, module, _) in BROKEN.items():
        project = folder / "projects" / name
        project.mkdir()
        bound = ">=99" if name == "future" else ""
        (project / "pyproject.toml").write_text(PROJECT.format(name=name, entry=entry, bound=bound))
        (project / f"broken_{name}.py").write_text(module)
        projects.add(project)

    environment = folder / "environment"
    probe = installer(environment / "bin" / "python")
    venv.create(environment, symlinks=True, with_pip=probe[-1] == "pip" or "-m" in probe)
    own = sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)})
    # a .pth file of a folder that a .pth file names is not read, but this is: editable installs are such files
    Path(own, "beside.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    done = subprocess.run(
        [*probe, "--no-deps", *map(str, sorted(projects))], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    return environment / "bin" / "python"


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tsfm(python: Path, tmp_path: Path) -> Run:
    """``tsfm(*arguments)`` in the fresh environment, in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "from tsfm_core.cli import main; main()"
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(python), "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=plain)

    return run


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration on the simulated data set of tsfm-glucose."""
    path = tmp_path / "experiment.yaml"
    path.write_text(
        """
experiment: third_party
task: {target: glucose, unit: mg/dL, freq: 5min, context_length: 48, prediction_length: 12}
data: {source: simglucose_adult, items: [sim_01, sim_02, sim_09]}
split: {patient_holdout: [sim_09], temporal_holdout: 0.2, validation: 0.1}
evaluation: {stride: 24, metrics: [rmse], baselines: [naive]}
"""
    )
    return str(path)


def test_the_installed_plugins_are_listed_and_the_broken_ones_say_why(tsfm):
    done = tsfm("models", "list", "--json")
    assert done.returncode == 0, done.stderr
    rows = {(row["name"], row["package"]): row for row in json.loads(done.stdout)}
    for name in ("drift", "rise"):
        assert rows[name, f"{name}-forecast"]["status"] == "ok"
        assert rows[name, f"{name}-forecast"]["version"] == "1.0"
    for name, (entry, _, sentence) in BROKEN.items():
        row = rows[entry, f"broken-{name}"]
        assert row["status"] == "broken"
        assert sentence in row["problem"], row
    assert rows["naive", "tsfm-core"]["status"] == "ok"
    assert "it ran" not in done.stdout


def test_using_a_broken_one_prints_its_sentence_and_exits_1(tsfm, config, tmp_path):
    done = tsfm("backtest", "future", "--config", config)
    assert (done.returncode, done.stdout) == (1, "")
    assert BROKEN["future"][2] in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "experiments").exists()


def test_plugins_check_exits_1_and_names_them_all(tsfm):
    done = tsfm("plugins", "check")
    assert done.returncode == 1
    for name, (_, _, sentence) in BROKEN.items():
        assert f"(broken-{name} 1.0): " in done.stdout
        assert sentence in done.stdout


def test_the_smallest_model_backtests_and_refuses_to_train(tsfm, config):
    done = tsfm("backtest", "drift", "--config", config, "--json")
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    assert scores["sets"]["patient_holdout"]["overall"]["rmse"] > 0
    assert "naive" in scores["baselines"]
    refused = tsfm("train", "drift", "--config", config)
    assert refused.returncode == 1
    assert refused.stderr == ("tsfm: drift trains nothing with the strategy 'zero_shot'; use tsfm backtest drift\n")


def test_the_smallest_model_refuses_what_its_card_excludes(tsfm, config):
    done = tsfm("backtest", "drift", "--config", config, "--set", "task.quantile_levels=[0.5]")
    assert done.returncode == 1
    assert done.stderr == "tsfm: drift gives no quantiles; set task.quantile_levels: []\n"


def test_the_trained_model_trains_and_its_run_is_tested_again(tsfm, config):
    done = tsfm("train", "rise", "--config", config, "--json")
    assert done.returncode == 0, done.stderr
    trained = json.loads(done.stdout)
    again = tsfm("backtest", trained["run"], "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["sets"] == trained["sets"]


def test_a_contributed_metric_scores_and_a_wrapper_wraps(tsfm, config):
    listed = json.loads(tsfm("plugins", "list", "--json").stdout)
    assert {"kind": "metric", "name": "mean_error", "package": "my-extras"} in listed
    done = tsfm("backtest", "drift", "--config", config, "--set", "evaluation.metrics=[mean_error]", "--json")
    assert done.returncode == 0, done.stderr
    assert "mean_error" in json.loads(done.stdout)["sets"]["temporal_holdout"]["overall"]
    assert re.search(r"\d+ windows in \d+\.\d\d s", done.stderr)


@pytest.mark.parametrize("name", ["drift", "rise"])
def test_the_models_of_the_docs_keep_every_promise(python, tmp_path, name):
    code = "import pathlib, sys; from tsfm_core.testing import check_model; check_model(sys.argv[1], pathlib.Path())"
    done = subprocess.run([str(python), "-c", code, name], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_metric_of_ones_own(tsfm, config, tmp_path):
    text = (ROOT / "docs/add-a-metric.md").read_text(encoding="utf-8")
    lines = [line for _, block in _FILE.findall(text) for line in block.splitlines() if line]
    assert len(lines) < 25
    assert "within 15 % of it" in tsfm("metrics", "show", "agree_15").stdout
    done = tsfm("backtest", "naive", "--config", config, "--set", "evaluation.metrics=[agree_15]", "--json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    found = run["sets"]["patient_holdout"]

    import pyarrow.parquet as pq

    table = pq.read_table(tmp_path / run["run"] / "forecasts.parquet").to_pydict()
    rows = [at for at, name in enumerate(table["set"]) if name == "patient_holdout"]
    pairs = [
        pair for at in rows for pair in zip(table["truth"][at], table["mean"][at], strict=True) if pair[0] == pair[0]
    ]
    within = [abs(f - y) <= (15 if y < 100 else 0.15 * y) for y, f in pairs]
    assert found["overall"]["agree_15"] == pytest.approx(100 * sum(within) / len(within))
    assert found["counts"]["agree_15"] == len(pairs)
    assert found["by_hour"]["agree_15"]
    assert len(found["by_step"]["agree_15"]) == 12
    compared = tsfm("runs", "compare", run["run"], "--metric", "agree_15", "--json")
    assert compared.returncode == 0, compared.stderr
    assert json.loads(compared.stdout)["sets"]["patient_holdout"]["rows"][-1]["score"] == "agree_15"
