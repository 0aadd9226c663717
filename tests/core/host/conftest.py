"""Real fake packages: a module and its metadata in a folder on ``sys.path``, and the command line around them."""

from __future__ import annotations

import csv
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tsfm_core.cli import app, main
from tsfm_core.plugins import host

HEADER = """
from tsfm_core import Dataset, EvaluationProtocol, Metric, ModelCard, Section, hookimpl
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

    def model(self, name: str, package: str | None = None, more: str = "", **hooks: str | None) -> str:
        """Install a package with the model ``name``; a hook given as None is left out."""
        parts = [source for source in (MODEL | hooks).values() if source is not None]
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


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def tsfm(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """``tsfm(*arguments)``: the command line in this process, in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    commands, groups = list(app.registered_commands), list(app.registered_groups)

    def run(*arguments: str | Path) -> Done:
        app.registered_commands[:], app.registered_groups[:] = commands, groups
        monkeypatch.setattr(sys, "argv", ["tsfm", *map(str, arguments)])
        host.cache_clear()
        capsys.readouterr()
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        else:
            code = 0
        return Done(code, *capsys.readouterr())

    yield run
    app.registered_commands[:], app.registered_groups[:] = commands, groups


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """Three series of 500 steps of 5 min."""
    path = tmp_path / "cgm.csv"
    start = datetime(2024, 1, 1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "timestamp", "glucose"])
        for item in range(3):
            for step in range(500):
                value = 120 + 40 * math.sin(step / (9 + item)) + (step * 37 % 11)
                writer.writerow([f"p{item}", (start + timedelta(minutes=5 * step)).isoformat(), f"{value:.1f}"])
    return path


@pytest.fixture
def settings(data_file: Path, tmp_path: Path) -> dict[str, Any]:
    """A whole configuration as a mapping: no metric, no baseline, what core alone can run."""
    return {
        "experiment": "small",
        "seed": 3,
        "task": {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 24, "prediction_length": 6},
        "data": {"source": "csv", "path": str(data_file)},
        "split": {"temporal_holdout": 0.2, "patient_holdout": ["p2"], "validation": 0.1},
        "evaluation": {"stride": 6, "metrics": [], "baselines": []},
        "output": {"root": str(tmp_path / "experiments")},
    }


@pytest.fixture
def config(settings: dict[str, Any], tmp_path: Path) -> Path:
    """The same as a file."""
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path
