"""``data.fewshot_percent``: the last windows of each item's training part, and nothing else changes."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from tsfm_core import DataError, train
from tsfm_core.config.resolve import read_config
from tsfm_core.prepare import every_training_window, prepare

TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}


@pytest.fixture
def config(tmp_path, readings):
    """Return a configuration over three items of 40 to 200 rows, two of them with a hole."""
    table = readings(("a", "b", "c"), n=200)
    table = table[(table["item_id"] != "b") | (table.groupby("item_id").cumcount() < 40)]
    hole = table.groupby("item_id").cumcount().between(70, 90) & (table["item_id"] != "b")
    table.loc[hole, "glucose"] = np.nan
    table.to_csv(tmp_path / "data.csv", index=False)
    return {
        "task": TASK,
        "data": {"source": "csv", "path": str(tmp_path / "data.csv"), "stride": 2},
        "split": {"temporal_holdout": 0.3, "validation": 0.2},
        "evaluation": {"metrics": [], "baselines": ["linear"]},
        "output": {"root": str(tmp_path / "experiments")},
    }


def made(config, *settings):
    resolved = read_config(config, settings)
    return resolved.config, prepare(resolved.config, resolved.config.task, "train")


def pairs(windows):
    return list(zip(windows.item_id, windows.cutoff, strict=True))


@pytest.mark.parametrize("percent", ["4", "5", "29", "33.3", "50", "99.9", "100"])
def test_the_last_windows_of_each_item_are_kept(config, percent):
    _, whole = made(config)
    _, few = made(config, f"data.fewshot_percent={percent}")
    by_item = {}
    for item, cutoff in pairs(whole.train):
        by_item.setdefault(item, []).append((item, cutoff))
    wanted = []
    for item in sorted(by_item):
        count = int(len(by_item[item]) * Fraction(percent) / 100)
        wanted += sorted(by_item[item])[len(by_item[item]) - count :]
    assert pairs(few.train) == wanted
    assert sum(few.dropped["train"].values()) == sum(whole.dropped["train"].values()) + len(whole.train) - len(wanted)


def test_an_item_that_keeps_none_is_left_out_and_the_others_stay(config):
    _, whole = made(config)
    assert whole.train.items == ("a", "b", "c")
    _, few = made(config, "data.fewshot_percent=15")
    assert few.train.items == ("a", "c")


def test_what_a_kept_window_shows_is_what_it_showed(config):
    _, whole = made(config)
    _, few = made(config, "data.fewshot_percent=40")
    at = [pairs(whole.train).index(pair) for pair in pairs(few.train)]
    for name in ("target", "past_covariates"):
        np.testing.assert_array_equal(
            getattr(few.train.inputs(slice(None)), name), getattr(whole.train.inputs(np.array(at)), name)
        )
    np.testing.assert_array_equal(few.train.truth(slice(None)), whole.train.truth(np.array(at)))


def test_validation_and_test_windows_stay(config):
    _, whole = made(config)
    _, few = made(config, "data.fewshot_percent=10")
    assert {name: pairs(one) for name, one in few.sets.items()} == {
        name: pairs(one) for name, one in whole.sets.items()
    }
    assert few.split.digest == whole.split.digest


def test_a_baseline_learns_from_every_window(config):
    settings, few = made(config, "data.fewshot_percent=10")
    _, dense = made(config, "data.stride=1")
    assert pairs(every_training_window(few, settings, settings.task)) == pairs(dense.train)


def test_no_window_left_is_refused_with_the_numbers(config):
    _, whole = made(config)
    most = max(np.unique(whole.train.item_id.astype(str), return_counts=True)[1])
    with pytest.raises(DataError) as caught:
        made(config, "data.fewshot_percent=0.5")
    assert str(caught.value).startswith(
        f"data.fewshot_percent 0.5 keeps none of the {len(whole.train)} training windows: "
        f"the item with the most has {most}; raise it to "
    )
    enough = str(caught.value).rsplit("raise it to ", 1)[1].split()[0]
    _, few = made(config, f"data.fewshot_percent={enough}")
    assert len(few.train)


def test_the_run_says_how_many_windows_were_used(config):
    _, whole = made(config)
    run = train("linear", config, ["data.fewshot_percent=50"])
    facts = json.loads((run.path / "run.json").read_text())
    said = "earlier than the last 50 % of the item, which data.fewshot_percent keeps"
    assert facts["windows"]["train"] + facts["dropped"]["train"][said] == len(whole.train)
    assert f"({said})" in run.results_path.read_text()
    # fitted on fewer windows it is another model
    other = train("linear", config)
    assert run.forecasts_path.read_bytes() != other.forecasts_path.read_bytes()
