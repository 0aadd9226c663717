"""Categorical channels of several sources, before models, features and protocols, and on the command line."""

import json

import numpy as np
import pandas as pd
import pytest

import tsfm_core
from tsfm_core.config.resolve import read_config
from tsfm_core.errors import CapabilityError, DataError
from tsfm_core.opening import open_panel
from tsfm_core.prepare import load

TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}
STATE = TASK | {"past_covariates": ["state"]}
KINDS = {"state": "category"}

#: A model that reads the labels of its known covariate: 200 in every step that is labelled run, 100 in the others.
KNOWS = {
    "model_card": """
@hookimpl
def model_card():
    facts = {"past_covariates": True, "known_covariates": True, "categorical_covariates": True}
    return ModelCard("a fake", "MIT", ("zero_shot",), Options, Training, **facts)
""",
    "predict": """
@hookimpl
def predict(model, data, task):
    import numpy as np
    from tsfm_core import Forecasts

    if not task.known_covariates:
        return Forecasts.of(data, mean=np.full((len(data), task.prediction_length), 100.0))
    codes = data.inputs(slice(None)).known_covariates[:, task.context_length :, 0].astype(int)
    labels = np.array(data.panel.categories[task.known_covariates[0]])
    return Forecasts.of(data, mean=np.where(labels[codes] == "run", 200.0, 100.0))
""",
}
NUMBERS = {
    "model_card": """
@hookimpl
def model_card():
    return ModelCard("a fake", "MIT", ("zero_shot",), Options, Training, past_covariates=True, known_covariates=True)
"""
}
PLUGIN = """
from tsfm_core import Channel, Feature

def read(source):
    import pyarrow as pa

    stamps = [f"2024-01-01T08:{minute:02}" for minute in range(0, 60, 5)]
    first = {"item_id": ["p"] * 12, "timestamp": stamps}
    yield pa.record_batch(first | {"glucose": [100.0] * 12})
    yield pa.record_batch(first | {"state": ["walk", None, "run", *[None] * 9]})

def double(channels, minutes, step):
    return 2 * channels["state"]

@hookimpl
def datasets():
    channels = {"state": Channel("category", "1"), "pulse": Channel("reading", "1/min")}
    facts = {"unit": "mg/dL", "target": "glucose", "freq": "5min", "channels": channels}
    return [Dataset("watch", "a watch", "MIT", read, **facts)]

@hookimpl
def features():
    return [Feature("double", "2 state", "1", ("state",), double)]

@hookimpl
def protocols():
    import numpy as np

    every = lambda panel, stride, options: np.ones(len(panel), bool)
    return [EvaluationProtocol("states", "wherever", every, needs=lambda options: ("state",))]
"""


@pytest.fixture
def here(readings, tmp_path, monkeypatch):
    """Two csv files with a label in every row, in the folder that we stand in, with a cache of its own."""
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name, labels in (("north", ["sit", "run", "sit", None]), ("south", ["walk", "run", "eat", "run"])):
        table = readings(("a", "b"), n=60)
        table.assign(state=labels * 30).to_csv(f"{name}.csv", index=False)
    return tmp_path


def source(name, **changes):
    return {"name": name, "source": "csv", "path": f"{name}.csv"} | changes


def opened(sources, task=(), **data):
    config = read_config(
        {"task": STATE | dict(task), "data": {"sources": sources, "shared_rows": "keep"} | data}
    ).config
    return open_panel(config.data, config.task)


def labels_of(panel, item):
    at = panel.item_ids.index(item)
    column = panel.columns["state"][panel.offsets[at] : panel.offsets[at + 1]]
    return [None if np.isnan(code) else panel.categories["state"][int(code)] for code in column]


def test_several_sources_share_one_list_of_labels(here):
    panel, quality = opened([source("south"), source("north")], kinds=KINDS)
    assert panel.categories == {"state": ("eat", "run", "sit", "walk")}
    assert labels_of(panel, "north:b") == ["sit", "run", "sit", None] * 15
    assert labels_of(panel, "south:a") == ["walk", "run", "eat", "run"] * 15
    assert quality.items[0].channels["state"] == {"recorded": 45, "labels": 2}
    reopened, _ = opened([source("south"), source("north")], kinds=KINDS)
    assert (reopened.folder, reopened.categories) == (panel.folder, panel.categories)


def test_a_source_without_the_channel_leaves_it_open(here):
    pd.read_csv("north.csv").drop(columns="state").to_csv("north.csv", index=False)
    panel, _ = opened([source("south", kinds=KINDS), source("north")])
    assert panel.categories == {"state": ("eat", "run", "walk")}
    assert labels_of(panel, "south:a") == ["walk", "run", "eat", "run"] * 15
    assert labels_of(panel, "north:a") == [None] * 60


def test_sources_that_do_not_agree_or_hold_too_many_labels_are_refused(here):
    pd.read_csv("north.csv").assign(state=1).to_csv("north.csv", index=False)
    with pytest.raises(DataError, match=r"state is a category in south, and numbers in north; say in data.kinds"):
        opened([source("south", kinds=KINDS), source("north")])
    for name in ("north", "south"):
        rows = pd.DataFrame({"item_id": "a", "timestamp": pd.date_range("2024", periods=501, freq="5min")})
        rows.assign(glucose=1, state=[f"{name} {at}" for at in range(501)]).to_csv(f"{name}.csv", index=False)
    with pytest.raises(DataError, match=r"south\+north: 'state' looks like free text: it holds 1,002 different labels"):
        opened([source("south"), source("north")], kinds=KINDS)


#: What data says, and whether the covariate is then categorical.
SAID = [
    ({"source": "csv", "path": "not there.csv", "kinds": KINDS}, True),
    ({"source": "csv", "path": "not there.csv"}, False),
    ({"source": "watch"}, True),
    ({"source": "watch", "kinds": {"state": "reading"}}, False),
    ({"sources": [source("gone"), source("lost", kinds=KINDS)]}, True),
    ({"sources": [source("gone"), {"source": "watch"}]}, True),
    ({"sources": [source("gone"), source("lost")]}, False),
    (None, False),
]


@pytest.mark.parametrize("role", ["past_covariates", "known_covariates"])
@pytest.mark.parametrize(("data", "categorical"), SAID)
def test_a_model_that_has_no_use_for_labels_refuses_before_any_data_is_read(here, site, data, categorical, role):
    site.plugin("fake-watch", PLUGIN)
    site.model("counts", **NUMBERS)
    site.model("knows", **KNOWS)
    given = {"task": TASK | {role: ["state"]}} | ({"data": data} if data else {})
    assert load("knows", read_config(given), "backtest")
    assert load("counts", read_config(given | {"task": TASK | {role: ["pulse"]}}), "backtest")
    if not categorical:
        assert load("counts", read_config(given), "backtest")
        return
    said = r"counts does not use categorical covariates \(state\); leave them out of the task, or give them as numbers"
    with pytest.raises(CapabilityError, match=said):
        load("counts", read_config(given), "backtest")


def test_codes_are_never_taken_for_numbers(here, site):
    site.plugin("fake-watch", PLUGIN)
    site.model("knows", **KNOWS)
    for channel, kinds, said in (
        (
            "double",
            {},
            "double is computed from state, which is a category; give state as numbers, or leave double out",
        ),
        ("double", {"double": "category"}, "double is computed, and data.kinds says that it is a category; map"),
    ):
        given = {"task": TASK | {"past_covariates": [channel]}, "data": {"source": "watch", "kinds": kinds}}
        config = read_config(given).config
        with pytest.raises(DataError, match=said):
            open_panel(config.data, config.task)
    config = read_config(
        {"task": TASK, "data": {"source": "csv", "path": "north.csv", "kinds": {"glucose": "category"}}}
    )
    with pytest.raises(DataError, match="the target 'glucose' is a category, and numbers are forecast"):
        open_panel(config.config.data, config.config.task)


def test_a_data_set_contributes_a_categorical_channel(here, site):
    site.plugin("fake-watch", PLUGIN)
    config = read_config({"task": STATE, "data": {"source": "watch"}}).config
    panel, _ = open_panel(config.data, config.task)
    assert panel.categories == {"state": ("run", "walk")}
    assert labels_of(panel, "p") == ["walk", None, "run", *[None] * 9]


def test_the_commands_name_the_labels_and_draw_the_items(here, tsfm):
    (here / "c.yaml").write_text(json.dumps({"task": STATE, "data": {"kinds": KINDS}}))
    answer = tsfm("data", "check", "north.csv", "--config", "c.yaml", "--plot", "p.png")
    assert answer.code == 0, answer
    assert "labels of state: run, sit\n" in answer.out
    assert "state (labels)" in answer.out
    assert (here / "p.png").stat().st_size > 1000
    key = json.loads(tsfm("data", "list", "--prepared", "--json").out)[0]["key"]
    assert "labels of state: run, sit\n" in tsfm("data", "show", key).out
    shown = json.loads(tsfm("data", "show", key, "--json").out)
    assert shown["categories"] == {"state": ["run", "sit"]}
    assert shown["items"][0]["channels"] == {"state": {"recorded": 45, "labels": 2}}


def test_a_backtest_takes_labels_and_scores_the_baselines_beside(here, site, tsfm):
    site.plugin("fake-watch", PLUGIN)
    site.model("knows", **KNOWS)
    config = {"data": {"source": "csv", "path": "north.csv", "kinds": KINDS}, "split": {"temporal_holdout": 0.5}}
    run = tsfm_core.backtest("knows", config | {"task": STATE, "evaluation": {"metrics": []}})
    assert run.facts["data"]["preparation"]["kinds"] == KINDS
    evaluation = {"protocol": "states", "metrics": []}
    (here / "c.yaml").write_text(json.dumps(config | {"task": STATE, "evaluation": evaluation}))
    answer = tsfm("backtest", "knows", "--config", "c.yaml")
    assert answer.code == 1
    assert answer.err.startswith("tsfm: evaluation.protocol needs the numbers of state, which is a category; give")


def test_predict_knows_the_labels_of_the_rows_to_come(here, site, tsfm):
    site.model("knows", **KNOWS)
    site.model("counts", **NUMBERS)
    task = TASK | {"known_covariates": ["state"]}
    (here / "c.yaml").write_text(json.dumps({"task": task, "data": {"kinds": KINDS}}))
    table = pd.read_csv("south.csv")
    last = table[table.item_id == "a"].timestamp.max()
    table.loc[table.timestamp > str(pd.Timestamp(last) - pd.Timedelta("30min")), "glucose"] = None
    coming = ["run", "walk", "run", "run", "eat", "run"]
    for item, labels in (("a", coming), ("b", coming[::-1])):
        table.loc[table.glucose.isna() & (table.item_id == item), "state"] = labels
    table.to_csv("south.csv", index=False)
    command = ("--data", "south.csv", "--config", "c.yaml", "--output", "o.csv")
    answer = tsfm("predict", "knows", *command)
    assert answer.code == 0, answer
    means = {item: list(rows["mean"]) for item, rows in pd.read_csv("o.csv").groupby("item_id")}
    expected = [200.0 if label == "run" else 100.0 for label in coming]
    assert means == {"a": expected, "b": expected[::-1]}
    refused = tsfm("predict", "counts", *command)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert refused.err.startswith("tsfm: counts does not use categorical covariates (state); leave them out")
    table.assign(state=table.state.where(table.glucose.notna())).to_csv("south.csv", index=False)
    unknown = tsfm("predict", "knows", *command)
    assert unknown.code == 1
    assert "known covariate 'state' of item 'a' is given for 0 of the 6 steps" in unknown.err
