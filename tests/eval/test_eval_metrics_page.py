"""The example and the numbers of docs/metrics.md are what the code gives."""

import re
from pathlib import Path

import numpy as np
import pytest

from tsfm_core import Block
from tsfm_eval import calibration, crps, interval, point, quantile, scaled, shape, tail

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
THREE = (0.1, 0.5, 0.9)


def test_the_example_runs():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    scope = {}
    for line, expected in re.findall(r"^(.+?)  # -> (.+)$", block, flags=re.MULTILINE):
        block = block.replace(f"{line}  # -> {expected}", f"assert str({line}) == {expected!r}, str({line})")
    assert block.count("assert ") == 4
    exec(block, scope)


def test_every_metric_is_explained():
    for module in (point, shape, scaled, quantile, crps, interval, calibration, tail):
        for metric in module.METRICS:
            assert f"`{metric.name}`" in PAGE, metric.name


def test_the_levels_that_serve_every_metric():
    levels = tuple(round(0.025 * at, 3) for at in range(1, 40))
    block = Block(np.ones((1, 1)), {"median": np.ones((1, 1))}, "mg/dL", np.ones((1, 39, 1)), levels)
    for module in (scaled, quantile, crps, interval, calibration, tail):
        for metric in module.METRICS:
            assert metric.why_not is None or metric.why_not(block) is None, metric.name


def test_the_numbers_beside_other_packages():
    y, f = np.array([[105.0, 105.0], [100.0, 108.0]]), np.array([[100.0, 110.0], [104.0, 104.0]])
    contexts = [[100.0, 110.0, 105.0, 115.0], [np.nan, 100.0, 102.0, 104.0]]
    scale, squared = scaled.seasonal_scales(contexts, 1)
    three = np.stack([f - 10, f, f + 10], axis=-1)
    gap = np.where([[False, False], [False, True]], np.nan, y)
    row = [80.0, 95.0, 120.0]
    numbers = {
        "`wql` 0.0475": quantile.wql([100.0, 300.0], [row, [280.0, 320.0, 400.0]], THREE),
        "`smape` 0.4": point.smape(100.0, 150.0),
        "`smape` 1.0": point.smape([0.0, 0.0], [0.0, 3.0]),
        "`mape` 50": point.mape(100.0, 150.0),
        "`mase` 1.3": scaled.mase(y, f, scale),
        "`rmsse` 1.4720": scaled.rmsse(y, f, squared),
        "`mase` 1.0667": scaled.mase(gap, f, scale),
        "`mase_m3` 0.3333": scaled.mase(y, f, scaled.seasonal_scales(contexts, 3)[0]),
        "`sql` 0.8467": scaled.sql(y, three, THREE, scale),
        "`wis` 4.3333": interval.wis(100.0, row, THREE),
        "`msis` 220": scaled.msis([70.0], [80.0], [120.0], 2.0),
    }
    for shown, number in numbers.items():
        assert shown in PAGE
        assert number == pytest.approx(float(shown.split()[1]), abs=5e-5), shown


def test_how_far_few_levels_are_from_the_crps():
    """Of a calibrated normal distribution the expected pinball loss at level q is the density at its quantile."""
    from scipy.stats import norm

    for said, levels in (
        ("39 levels give 0.578", np.arange(1, 40) * 0.025),
        ("deciles 0.617", np.arange(1, 10) * 0.1),
        ("0.025, 0.5, 0.975 alone 0.344", np.array([0.025, 0.5, 0.975])),
    ):
        expected = 2 * norm.pdf(norm.ppf(levels)).mean()
        assert said in PAGE
        assert f"{expected:.3f}" == said.split()[-1]
    assert f"whose CRPS\nis {1 / np.sqrt(np.pi):.3f}" in PAGE
