"""The package from outside: cheap to import, hooked up, and documented by code that runs."""

import inspect
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import tsfm_eval.plugin
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


#: Whose number a function gives, by the metric's name and the number's, where these are not the function's own.
NUMBER = {
    "auprc": ("hypo_detection", "hypo_detection_auprc"),
    "auroc": ("hypo_detection", "hypo_detection_auroc"),
    "brier": ("brier_lt70", "brier_lt70"),
    "clamped_share": ("brier_lt70", "brier_lt70_clamped"),
    "clarke_zones": ("clarke", "clarke_b"),
    "crps_ensemble": ("crps", "crps"),
    "crps_gaussian": ("crps", "crps"),
    "crps_quantile": ("crps", "crps"),
    "hbgi": ("hbgi_error", "hbgi_error_bias"),
    "hypo_alarms": ("hypo_level1", "hypo_level1_recall"),
    "lbgi": ("lbgi_error", "lbgi_error_bias"),
    "operating_point": ("hypo_detection", "hypo_detection_sens90_sensitivity"),
    "parkes_zones": ("parkes_t1", "parkes_t1_b"),
    "sharpness": ("coverage", "sharpness_80"),
    "time_in_ranges": ("tir_error", "tir_error_bias"),
    "twcrps_ensemble": ("twcrps_lt70", "twcrps_lt70"),
    "twcrps_quantile": ("twcrps_lt70", "twcrps_lt70"),
}
#: What scores are computed from, and no score itself.
STEPS = {"central_interval", "choose_threshold", "hypo_events", "probability_below", "seasonal_scales"}
STEPS |= {"sustained_alarms"}
#: What a function takes that no run can give.
GIVEN = {"crps_ensemble": "samples", "twcrps_ensemble": "samples", "crps_gaussian": "mean"}
BETTER = {"lower": "Lower", "higher": "Higher", "none": "Neither lower nor higher"}
UNITS = {"target": r"that of the (values|bounds)$", "target^2": "square of that of the values$", "min": "min$"}
UNITS |= {"1": r"1\b", "%": r"(.* )?%"}
SCORING = [
    name
    for name in tsfm_eval.__all__
    if inspect.isfunction(getattr(tsfm_eval, name))
    and ".statistics." not in getattr(tsfm_eval, name).__module__
    and name not in STEPS
]


@pytest.mark.parametrize("name", SCORING)
def test_a_docstring_says_what_the_metric_says(name):
    by_name = {metric.name: metric for metric in tsfm_eval.plugin.metrics()}
    owner, number = NUMBER.get(name, (name, name))
    metric, text = by_name[owner], " ".join(getattr(tsfm_eval, name).__doc__.split())
    said = re.search(r"Unit: ([^.]+)\. (\w[\w ]*?) is better[^.]*\. Give ([^.]+)\. Source: (.+)", text)
    unit, better, given, source = said.groups()
    assert re.match(UNITS[metric.units.get(number, metric.unit)], unit)
    assert better == BETTER[metric.directions.get(number, metric.direction)]
    assert re.search(rf"\b{GIVEN.get(name, metric.point)}\b", given)
    assert re.split("[,;]", metric.source)[0] in source


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
