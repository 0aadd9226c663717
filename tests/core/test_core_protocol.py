"""Where test cutoffs stand: alike for every context of an ablation, and as a protocol's own options say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import tsfm_core
from tsfm_core.config.resolve import read_config
from tsfm_core.errors import ConfigError, DataError, TsfmError
from tsfm_core.prepare import prepare

TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}
CONTEXTS = (12, 24, 48)

CLOCK = """
from typing import Literal

class Clock(Section):
    hour: int = 0
    only: Literal["all", "fed"] = "all"

def cutoffs(panel, stride, options):
    marked = panel.slots() % 288 == options.hour * 12
    return marked & (panel.columns["carbs"] > 0) if options.only == "fed" else marked

@hookimpl
def protocols():
    needs = lambda options: ("carbs",) if options.only == "fed" else ()
    return [
        EvaluationProtocol("clock", "at one hour", cutoffs, Clock, needs),
        EvaluationProtocol("midday", "at 12:00", lambda panel, stride, options: panel.slots() % 288 == 144),
        EvaluationProtocol("meals", "anywhere", lambda panel, stride, options: panel.columns["double"] > 0, None, more),
    ]

def more(options):
    assert options is None
    return ("double", "glucose")
"""

DOUBLE = """
from tsfm_core import Feature

@hookimpl
def features():
    return [Feature("double", "2 carbs", "g", ("carbs",), lambda channels, minutes, step: 2 * channels["carbs"])]
"""


@pytest.fixture
def config(readings, tmp_path, monkeypatch):
    """Two people with gaps of all lengths, and a configuration."""
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    table = readings(n=900, missing=0.1)
    random = np.random.default_rng(3)
    for first in random.integers(0, 1750, 14):
        table.loc[first : first + random.integers(3, 40), "glucose"] = np.nan
    table["carbs"] = np.where(np.arange(1800) % 900 % 5 == 3, 30.0, 0.0)
    table.to_csv("data.csv", index=False)
    return {
        "task": TASK,
        "data": {"source": "csv", "path": "data.csv"},
        "split": {"temporal_holdout": 0.4, "patient_holdout": ["b"], "validation": 0.2},
        "evaluation": {"metrics": [], "baselines": []},
    }


def prepared(config, *settings):
    resolved = read_config(config, settings).config
    return prepare(resolved, resolved.task, "backtest")


def cutoffs(made):
    pairs = {name: zip(windows.item_id, windows.cutoff.astype(str), strict=True) for name, windows in made.sets.items()}
    return {name: list(found) for name, found in pairs.items()}


WAYS = {
    "plain": (),
    "gaps": ("data.max_gap=55min",),
    "parity": ("data.imputation=parity", "data.max_gap=2h"),
    "known": ("task.known_covariates=[plan]",),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_windows_of_an_ablation_are_those_of_the_longest_context(config, way):
    table = pd.read_csv("data.csv")
    table["plan"] = np.where(np.arange(1800) % 181 == 7, np.nan, 1.0)
    table.to_csv("data.csv", index=False)
    own, anchored = {}, {}
    for length in CONTEXTS:
        settings = (*WAYS[way], f"task.context_length={length}")
        own[length] = prepared(config, *settings)
        anchored[length] = prepared(config, *settings, "evaluation.anchor_context=48")
    longest = cutoffs(own[48])
    assert set(longest) == {"validation", "temporal_holdout", "patient_holdout"}
    for length in CONTEXTS:
        assert cutoffs(anchored[length]) == longest
        assert len(anchored[length].train) == len(own[length].train)  # it says nothing of what is learnt from
        for name, windows in anchored[length].sets.items():
            np.testing.assert_array_equal(windows.truth(slice(None)), own[48].sets[name].truth(slice(None)))
            assert windows.inputs(slice(None)).target.shape[1] == length
    for short, long in ((12, 24), (24, 48)):
        assert len(own[short].sets["temporal_holdout"]) > len(own[long].sets["temporal_holdout"])
    dropped = anchored[12].dropped["temporal_holdout"]
    assert (
        dropped["context shorter than min_context"]
        > own[12].dropped["temporal_holdout"]["context shorter than min_context"]
    )


def test_an_anchor_may_be_longer_or_shorter_than_every_context(config):
    shorter = prepared(config, "evaluation.anchor_context=6")
    assert cutoffs(shorter) == cutoffs(prepared(config))
    least = ("data.min_context=4", "task.context_length=48")
    assert cutoffs(prepared(config, *least, "evaluation.anchor_context=12")) == cutoffs(prepared(config))
    with pytest.raises(
        DataError, match=r"no test window is left of 2 items; left out: .*context shorter than min_context"
    ):
        prepared(config, "evaluation.anchor_context=900")
    with pytest.raises(ConfigError, match="evaluation.anchor_context is 0"):
        prepared(config, "evaluation.anchor_context=0")


def test_runs_of_an_ablation_are_of_one_protocol(config):
    for anchor, protocols in (("null", 2), (48, 1)):
        settings = [f"evaluation.anchor_context={anchor}"]
        runs = [
            tsfm_core.backtest("naive", config, [*settings, f"task.context_length={length}"])
            for length in CONTEXTS[::2]
        ]
        assert len({run.facts["protocol_digest"] for run in runs}) == protocols


@pytest.fixture
def clock(site, config):
    """The protocols of a package that is none of ours."""
    site.plugin("fake-clock", CLOCK)
    config["evaluation"] |= {"protocol": "clock"}
    return config


def test_options_say_where_cutoffs_stand(clock):
    for settings, hour in ((("evaluation.options={}",), 0), (("evaluation.options={hour: 5}",), 5)):
        found = {moment for pairs in cutoffs(prepared(clock, *settings)).values() for _, moment in pairs}
        assert found
        assert {moment[11:] for moment in found} == {f"{hour:02}:00:00"}


@pytest.mark.parametrize(
    ("protocol", "options", "said"),
    [
        ("clock", {"hours": 5}, "evaluation.options: hours is no key of .*; did you mean 'hour'?"),
        ("clock", {"hour": "5"}, "evaluation.options: hour is '5': input should be a valid integer"),
        ("clock", {"only": "fasting"}, "evaluation.options: only is 'fasting': input should be 'all' or 'fed'"),
        ("midday", {"hour": 5}, "the protocol midday has no options; evaluation.options says hour; leave them out"),
        ("sliding", {"at": 1}, "the protocol sliding has no options; evaluation.options says at; leave them out"),
    ],
)
def test_options_are_those_of_the_protocol(clock, protocol, options, said):
    clock["evaluation"] |= {"protocol": protocol, "options": options}
    with pytest.raises(ConfigError, match=said):
        prepared(clock)
    with pytest.raises(ConfigError, match=said):
        tsfm_core.backtest("naive", clock)
    assert not Path("experiments").exists()


def test_a_channel_that_a_protocol_needs_is_in_the_panel_and_not_in_the_windows(clock):
    clock["evaluation"]["options"] = {"only": "fed", "hour": 5}
    made = prepared(clock)
    assert list(made.panel.columns) == ["glucose", "carbs"]
    assert list(prepared(clock, "evaluation.options.only=all").panel.columns) == ["glucose"]
    every = cutoffs(prepared(clock, "evaluation.options.only=all"))["patient_holdout"]
    assert [moment for _, moment in every] == [f"2024-01-0{day}T05:00:00" for day in (1, 2)]  # the third lies in a gap
    assert cutoffs(made)["patient_holdout"] == every[1:2]  # of the rows 60 and 348, the one that ends in 3 or 8
    inputs = next(iter(made.sets.values())).inputs(slice(None))
    assert inputs.past_covariates.shape[2] == inputs.known_covariates.shape[2] == 0


def test_what_a_protocol_needs_may_be_computed_and_must_be_there(clock, site):
    clock["evaluation"]["protocol"] = "meals"
    with pytest.raises(DataError, match="data.csv has no column 'double'"):
        prepared(clock)
    site.plugin("fake-double", DOUBLE)
    made = prepared(clock)
    assert list(made.panel.columns) == ["glucose", "double"]
    table = pd.read_csv("data.csv")
    np.testing.assert_array_equal(made.panel.columns["double"], 2 * table.carbs.to_numpy(np.float32))
    rows = made.sets["patient_holdout"].cutoffs_at
    assert (table.carbs[rows] > 0).all()
    assert len(rows)
    table.drop(columns="carbs").to_csv("data.csv", index=False)
    with pytest.raises(DataError, match="data.csv has no column 'carbs'"):
        prepared(clock)
    several = clock | {"data": {"sources": [{"name": "one", "source": "csv", "path": "data.csv"}]}}
    several["split"] = {"patient_holdout": ["one:b"]}
    with pytest.raises(
        TsfmError, match=r"no source has the channel 'double'; sources: one|data.csv has no column 'carbs'"
    ):
        prepared(several)


def test_a_run_keeps_its_protocol_and_its_options(clock):
    run = tsfm_core.backtest("naive", clock, ["evaluation.options.hour=7"])
    stored = yaml.safe_load(run.config_path.read_text())["evaluation"]
    assert (stored["protocol"], stored["options"]) == ("clock", {"hour": 7})
    again = tsfm_core.backtest("naive", run.config_path)
    assert again.facts["protocol_digest"] == run.facts["protocol_digest"]
    other = tsfm_core.backtest("naive", clock, ["evaluation.options.hour=8"])
    assert other.facts["protocol_digest"] != run.facts["protocol_digest"]
    frame = pd.read_parquet(run.forecasts_path)
    assert set(frame.cutoff.dt.strftime("%H:%M")) == {"07:00"}
