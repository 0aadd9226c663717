"""Small tables, panels of them by the real reader, real fake packages, and the command line in this process."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tsfm_core import Dataset, Task
from tsfm_core.cli import app, main
from tsfm_core.config.schema import DataConfig
from tsfm_core.data.build import build_panel
from tsfm_core.plugins import host

TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}


CONFIG = """\
experiment: bad
task: {target: glucose, unit: mg/dL, freq: 5min, context_length: 12, prediction_length: 6}
data: {source: csv, path: data.csv}
split: {temporal_holdout: 0.3}
evaluation: {metrics: [], baselines: []}
"""


@pytest.fixture
def make_task():
    """Return a task of 12 + 6 steps of 5 min, with what is given changed."""
    return lambda **changes: Task(**TASK | changes)


@pytest.fixture
def readings():
    """Return a long table of random walks; ``missing`` is the share of readings that are NaN."""

    def table(items=("a", "b"), n=100, start="2024-01-01", freq="5min", seed=0, missing=0.0):
        random = np.random.default_rng(seed)
        parts = []
        for item in items:
            glucose = (120 + np.cumsum(random.normal(0, 3, n))).round(1)
            glucose[random.random(n) < missing] = np.nan
            stamps = pd.date_range(start, periods=n, freq=freq)
            parts.append(pd.DataFrame({"item_id": item, "timestamp": stamps, "glucose": glucose}))
        return pd.concat(parts, ignore_index=True)

    return table


@pytest.fixture
def build(make_task):
    """Return ``build(table, task=None, **data)``, which gives the panel of a table and its report."""

    def built(table, task=None, dataset=None, features=None, **data):
        whole = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
        facts = {"name": "table", "summary": "", "licence": ""} | (dataset or {})
        source = Dataset(read=lambda source: iter(whole.select(source.columns).to_batches()), **facts)
        return build_panel(source, DataConfig(source="table", **data), task or make_task(), features=features)

    return built


@pytest.fixture
def panel_of(build):
    """Return ``panel_of(table, task=None, **data)``, for a table that has no problem."""

    def panel(table, task=None, **data):
        found, quality = build(table, task, **data)
        assert quality.problems == []
        return found

    return panel


@dataclass
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def tsfm(monkeypatch, capsys, tmp_path):
    """Return ``tsfm(*arguments)``: the command line, run in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    own_commands = app.registered_commands

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tsfm", *map(str, arguments)])
        # a process adds the commands of the installed packages once
        monkeypatch.setattr(app, "registered_commands", list(own_commands))
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code or 0
        del ended  # its frames hold what the command had open: a file is closed now, and not by the collector
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return run


@pytest.fixture
def refused(tsfm, tmp_path):
    """Return ``refused(*arguments)``: asks for exit 1, one sentence and no trace of a file; gives the sentence."""

    def contents():
        paths = [path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts]  # of plugins
        return {path: path.is_file() and path.read_bytes() for path in paths}

    def run(*arguments):
        before = contents()
        answer = tsfm(*arguments)
        assert answer.code == 1, answer
        assert answer.out == ""
        assert answer.err.startswith("tsfm: ")
        assert answer.err.count("\n") == 1
        assert before == contents()
        return answer.err.removeprefix("tsfm: ").rstrip("\n")

    return run


@pytest.fixture
def folder(tmp_path):
    """Return a folder with c.yaml, a good configuration for data.csv."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def write(folder):
    """Return ``write(content)``, which makes data.csv of text, bytes or a table."""

    def written(content):
        if isinstance(content, pd.DataFrame):
            content.to_csv(folder / "data.csv", index=False)
        else:
            (folder / "data.csv").write_bytes(content if isinstance(content, bytes) else content.encode())

    return written


@pytest.fixture
def commands():
    """Return the commands that read data.csv, each with its arguments."""
    return {
        "check": ("data", "check", "data.csv", "--config", "c.yaml"),
        "train": ("train", "linear", "--config", "c.yaml"),
        "backtest": ("backtest", "naive", "--config", "c.yaml"),
        "predict": ("predict", "naive", "--data", "data.csv", "--output", "out.csv", "--config", "c.yaml"),
    }


HEADER = """
from tsfm_core import Dataset, EvaluationProtocol, Metric, ModelCard, Section, Tracker, TrackerSession, hookimpl
from typing import Literal

class Options(Section):
    pass

class Training(Section):
    strategy: Literal["zero_shot"] = "zero_shot"
"""

#: The hooks of a model that holds the last value; a test replaces those it is about.
MODEL = {
    "model_card": """
@hookimpl
def model_card():
    return ModelCard("a fake", "MIT", ("zero_shot",), Options, Training)
""",
    "load_model": """
@hookimpl
def load_model(config, task, checkpoint, runtime):
    return object()
""",
    "prepare_data": """
@hookimpl
def prepare_data(model, windows, task):
    return windows
""",
    "predict": """
@hookimpl
def predict(model, data, task):
    from tsfm_core import Forecasts, fill_context

    last = fill_context(data.inputs(slice(None)).target)[0][:, -1:]
    return Forecasts.of(data, mean=last.repeat(task.prediction_length, axis=1))
""",
}

#: The card of a model that is trained from random weights.
TRAINED = """
class Fits(Section):
    strategy: Literal["from_scratch"] = "from_scratch"

@hookimpl
def model_card():
    return ModelCard("a fake", "MIT", ("from_scratch",), Options, Fits)
"""

#: A metric that needs no package: the mean absolute error.
METRIC = """
def parts(block):
    import numpy as np

    error = np.abs(block.point("mean") - block.truth)
    return {"sum": np.nan_to_num(error), "count": np.isfinite(error)}

def finish(sums):
    import numpy as np

    with np.errstate(invalid="ignore"):
        return {NAME: sums["sum"] / sums["count"]}

@hookimpl
def metrics():
    return [Metric(NAME, "mean of |forecast - truth|", "target", "lower", "mean", parts, finish)]
"""


@dataclass
class Site:
    """A folder of installed packages."""

    folder: Path
    modules: list[str] = field(default_factory=list)

    def install(
        self,
        package: str,
        source: str,
        models: tuple[str, ...] = (),
        plugins: tuple[str, ...] = (),
        requires: tuple[str, ...] = (),
        version: str = "1.0",
    ) -> str:
        """Install a package of one module; return the module's name."""
        module = package.replace("-", "_")
        self.modules.append(module)
        (self.folder / f"{module}.py").write_text(source)
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        lines = ["Metadata-Version: 2.1", f"Name: {package}", f"Version: {version}"]
        (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires)]) + "\n")
        groups = {"tsfm.models": models, "tsfm.plugins": plugins}
        points = [f"[{group}]\n" + "".join(f"{name} = {module}\n" for name in names) for group, names in groups.items()]
        (info / "entry_points.txt").write_text("\n".join(points))
        importlib.invalidate_caches()
        host.cache_clear()
        return module

    def model(
        self, name: str, package: str | None = None, more: str = "", trained: bool = False, **hooks: str | None
    ) -> str:
        """Install a package with the model ``name``; a hook given as None is left out."""
        cards = {"model_card": TRAINED} if trained else {}
        parts = [source for source in (MODEL | cards | hooks).values() if source is not None]
        return self.install(package or f"fake-{name}", HEADER + more + "".join(parts), models=(name,))

    def plugin(self, package: str, source: str, **others: Any) -> str:
        """Install a package with an entry point in ``tsfm.plugins``."""
        return self.install(package, HEADER + source, plugins=(package,), **others)

    def metric(self, package: str, name: str) -> str:
        """Install a package with one metric."""
        return self.plugin(package, f"NAME = {name!r}\n" + METRIC)

    def remove(self, package: str) -> None:
        """Uninstall a package."""
        module = package.replace("-", "_")
        (self.folder / f"{module}.py").unlink()
        for file in (info := next(self.folder.glob(f"{module}-*.dist-info"))).iterdir():
            file.unlink()
        info.rmdir()
        sys.modules.pop(module, None)
        importlib.invalidate_caches()
        host.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder of packages, seen by this process and by those that it starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    made = Site(folder)
    host.cache_clear()
    yield made
    for module in made.modules:
        sys.modules.pop(module, None)
    host.cache_clear()
