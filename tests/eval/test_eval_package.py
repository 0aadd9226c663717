"""The package from outside: cheap to import, hooked up, and documented by code that runs."""

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import tsfm_eval
from tsfm_core import Metric

README = Path(__file__).parents[2] / "packages" / "tsfm-eval" / "README.md"


@pytest.mark.parametrize("module", ["tsfm_eval", "tsfm_eval.plugin"])
def test_importing_costs_nothing(module):
    code = f"import sys, {module}; print({{'numpy', 'scipy', 'pandas', 'pyarrow', 'torch'}} & sys.modules.keys())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_public_names():
    assert dir(tsfm_eval) == tsfm_eval.__all__ == sorted(tsfm_eval.__all__)
    for name in tsfm_eval.__all__:
        assert getattr(tsfm_eval, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'tsfm_eval' has no attribute 'clark'"):
        tsfm_eval.clark  # noqa: B018


def test_the_plugin_is_found_by_its_entry_point():
    (entry,) = entry_points(group="tsfm.plugins", name="eval")
    plugin = entry.load()
    assert all(isinstance(metric, Metric) for metric in plugin.metrics())


def test_readme_names_every_metric_and_function():
    text = README.read_text(encoding="utf-8")
    plugin = entry_points(group="tsfm.plugins")["eval"].load()
    for name in [*tsfm_eval.__all__, *(metric.name for metric in plugin.metrics())]:
        assert f"`{name}" in text, name


def test_readme_runs():
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    scope = {}
    for line, expected in re.findall(r"^(.+?)  # -> (.+)$", block, flags=re.MULTILINE):
        block = block.replace(f"{line}  # -> {expected}", f"assert str({line}) == {expected!r}, str({line})")
    assert block.count("assert ") >= 4
    exec(block, scope)
