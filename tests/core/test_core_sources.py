"""Several sources as one panel: what each item keeps of its own, what is refused, and scores by source."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import tsfm_core
from tsfm_core.config.resolve import read_config
from tsfm_core.data.cache import prepared
from tsfm_core.errors import ConfigError, DataError
from tsfm_core.opening import open_panel
from tsfm_core.report import synthetic_note

TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}
NORTH = {"name": "north", "source": "csv", "path": "north.csv"}
SOUTH = {
    "name": "south",
    "source": "csv",
    "path": "south.csv",
    "columns": {"item_id": "who", "timestamp": "when", "target": "mmol"},
    "unit": "mmol/L",
    "exclude": ["out"],
    "off_grid": "floor",
}

STREAMS = """
from tsfm_core import Channel, Feature

SYNTHETIC = True

def read(source):
    import pyarrow as pa

    def stream(channel, stamps, values):
        moments = pa.array([f"2024-01-01T{stamp}:00" for stamp in stamps])
        items = pa.array(["p"] * len(stamps))
        return pa.record_batch({"item_id": items, "timestamp": moments, channel: pa.array(values)})

    yield stream("glucose", ("08:00", "08:10"), (5.0, 6.0))
    yield stream("carbs", ("08:05",), (30.0,))

def double(channels, minutes, step):
    return 2 * channels["carbs"]

@hookimpl
def datasets():
    channels = {"carbs": Channel("amount", "g"), "basal": Channel("rate", "U/h")}
    facts = {"unit": "mmol/L", "target": "glucose", "channels": channels, "rules": {"mixed_freq": "keep"}}
    return [
        Dataset("clinic", "a clinic", "MIT", read, synthetic=True, **facts),
        Dataset("lab", "another", "closed", read, **facts | {"channels": {"pulse": Channel("reading", "1/min")}}),
        Dataset("cloud", "in UTC", "MIT", read, clock="utc", **facts),
    ]

@hookimpl
def features():
    return [Feature("double", "2 carbs", "g", ("carbs",), double)]
"""


@pytest.fixture
def folder(readings, tmp_path, monkeypatch):
    """Two csv files, made differently, in the folder that we stand in, with a cache of its own."""
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    readings(("x", "z", "a"), n=120).to_csv("north.csv", index=False)
    south = readings(("out", "x", "b"), n=90, seed=5, start="2023-05-05 00:01")
    south = south.rename(columns={"item_id": "who", "timestamp": "when", "glucose": "mmol"})
    south.assign(mmol=(south.mmol / 18.018).round(2)).to_csv("south.csv", index=False)
    return tmp_path


def opened(sources, *settings, task=(), **data):
    config = {"task": TASK | dict(task), "data": {"sources": sources, **data}}
    config = read_config(config, settings).config
    return open_panel(config.data, config.task)


def alone(source, **task):
    given = {key: value for key, value in source.items() if key != "name"}
    config = read_config({"task": TASK | task, "data": given}).config
    return open_panel(config.data, config.task)


def test_items_are_called_by_their_source_and_are_as_they_are_alone(folder):
    panel, quality = opened([SOUTH, NORTH])
    assert panel.item_ids == ("north:a", "north:x", "north:z", "south:b", "south:x")
    assert quality.problems == []
    single = {"north": alone(NORTH), "south": alone(SOUTH)}
    assert [item.item_id for item in quality.items] == list(panel.item_ids)
    for number, name in enumerate(panel.item_ids):
        source, _, item = name.partition(":")
        own, report = single[source]
        at = own.item_ids.index(item)
        values = panel.columns["glucose"][panel.offsets[number] : panel.offsets[number + 1]]
        np.testing.assert_array_equal(values, own.columns["glucose"][own.offsets[at] : own.offsets[at + 1]])
        assert panel.starts[number] == own.starts[at]
        assert quality.items[number].__dict__ == report.items[at].__dict__ | {"item_id": name}
    table = pd.read_csv("south.csv").query("who == 'x'")
    values = panel.columns["glucose"][panel.offsets[4] :]
    np.testing.assert_array_equal(values, (table.mmol.to_numpy() * 18.018).astype(np.float32))
    assert panel.starts[4] == np.datetime64("2023-05-05T00:00")  # floored; north's stamps are not
    about = panel.provenance["sources"]
    assert {name: one["fingerprint"] for name, one in about.items()} == {
        name: own.fingerprint for name, (own, _) in single.items()
    }
    assert (about["south"]["path"], about["south"]["preparation"]["off_grid"]) == ("south.csv", "floor")
    assert about["north"]["preparation"]["off_grid"] == "refuse"
    assert panel.provenance["source"] == "south+north"


def test_each_panel_is_built_once_and_so_is_the_whole(folder):
    first, _ = opened([NORTH, SOUTH])
    rows = {row["key"]: row for row in prepared()}
    assert len(rows) == 3
    opened([NORTH, SOUTH], "data.stride=3")
    assert {row["key"]: row for row in prepared()} == rows
    assert rows[first.folder.name]["source"] == "north+south"
    other, _ = opened([NORTH, SOUTH | {"exclude": []}])
    assert other.fingerprint != first.fingerprint
    assert len(prepared()) == 5


def test_what_stands_beside_the_sources_holds_where_they_say_nothing(folder):
    near = {key: value for key, value in SOUTH.items() if key != "off_grid"}
    _, quality = opened([NORTH, near])
    said = [problem for problem, _ in quality.problems]
    assert said == ["south: 180 rows have stamps off the 5min grid: b (90), x (90)"]
    both, quality = opened([NORTH, near], off_grid="floor")
    assert quality.problems == []
    floored = both.provenance["sources"]
    assert {one["preparation"]["off_grid"] for one in floored.values()} == {"floor"}
    own, _ = opened([NORTH, SOUTH | {"off_grid": "round"}], off_grid="floor")
    kept = {name: one["preparation"]["off_grid"] for name, one in own.provenance["sources"].items()}
    assert kept == {"north": "floor", "south": "round"}


def test_ids_are_sorted_as_a_whole(folder):
    panel, _ = opened([NORTH | {"name": "a"}, NORTH | {"name": "a-b", "items": ["x"]}])
    assert panel.item_ids == ("a-b:x", "a:a", "a:x", "a:z")  # "-" comes before ":"
    assert panel.item_ids == tuple(sorted(panel.item_ids))
    x = [panel.columns["glucose"][panel.offsets[at] : panel.offsets[at + 1]] for at in (0, 2)]
    np.testing.assert_array_equal(*x)


def test_a_channel_that_a_source_lacks_is_not_observed_there(folder, site):
    site.plugin("fake-data", STREAMS)
    pd.read_csv("north.csv").assign(carbs=1.0).to_csv("north.csv", index=False)
    wanted = {"past_covariates": ["carbs", "basal", "double"]}
    panel, quality = opened(["clinic", "lab", NORTH], task=wanted)
    assert list(panel.columns) == ["glucose", "carbs", "basal", "double"]
    assert panel.item_ids == ("clinic:p", "lab:p", "north:a", "north:x", "north:z")
    clinic, lab, north = slice(0, 3), slice(3, 6), slice(6, None)
    expected = np.float32([5, np.nan, 6]) * np.float64(18.018)
    np.testing.assert_array_equal(panel.columns["glucose"][clinic], expected.astype(np.float32))
    np.testing.assert_array_equal(panel.columns["glucose"][lab], expected.astype(np.float32))
    np.testing.assert_array_equal(panel.columns["carbs"][clinic], np.float32([np.nan, 30, np.nan]))
    np.testing.assert_array_equal(panel.columns["double"][clinic], np.float32([np.nan, 60, np.nan]))
    assert np.isnan([panel.columns[name][lab] for name in ("carbs", "basal", "double")]).all()
    assert np.isnan(panel.columns["basal"][north]).all()
    assert (panel.columns["carbs"][north] == 1).all()
    assert (panel.columns["double"][north] == 2).all()
    absent = [
        {"item_id": "lab:", "what": "no carbs: NaN here", "rows": 0},
        {"item_id": "lab:", "what": "no basal: NaN here", "rows": 0},
        {"item_id": "lab:", "what": "no double: NaN here", "rows": 0},
        {"item_id": "north:", "what": "no basal: NaN here", "rows": 0},
    ]
    assert quality.notes == absent
    assert {name: one["absent"] for name, one in panel.provenance["sources"].items()} == {
        "clinic": [], "lab": ["carbs", "basal", "double"], "north": ["basal"],
    }  # fmt: skip
    for wanted in ("basal", "double"):
        with pytest.raises(DataError, match=f"no source has the channel '{wanted}'; sources: lab, south"):
            opened(["lab", SOUTH], task={"past_covariates": [wanted]})
    with pytest.raises(DataError, match="lab has no channel 'basal'"):
        alone({"source": "lab"}, past_covariates=["basal"])
    # a column that is promised is no column that may lack
    promised = NORTH | {"columns": {"basal": "rate"}}
    with pytest.raises(DataError, match="north.csv has no column 'rate'"):
        opened(["clinic", promised], task={"past_covariates": ["basal"]})


def test_local_times_and_instants_do_not_meet_on_one_grid(folder, site):
    site.plugin("fake-data", STREAMS)
    with pytest.raises(
        DataError, match=r"the sources' clocks differ \(cloud: utc, north: local\); train on them apart"
    ):
        opened(["cloud", NORTH])
    zoned = pd.read_csv("north.csv").assign(timestamp=lambda table: table.timestamp + "+01:00")
    zoned.to_csv("zoned.csv", index=False)
    london = NORTH | {"path": "zoned.csv", "timezone": "Europe/London"}
    panel, quality = opened(["cloud", london])
    assert (panel.zones, panel.clock) == (("", *["Europe/London"] * 3), "utc")
    assert [item.zone for item in quality.items] == list(panel.zones)
    assert opened(["cloud", london])[0].zones == panel.zones


REFUSED = {
    "twice": ([NORTH, NORTH], "data.sources names 'north' twice; give each a name"),
    "twice by source": (["csv", {"source": "csv", "path": "south.csv"}], "data.sources names 'csv' twice"),
    "colon": ([NORTH | {"name": "far:north"}], "names a source 'far:north'; give it a name without a colon"),
    "nested": ([{"name": "both", "sources": [NORTH, SOUTH]}], "'both' has sources of its own; list them beside it"),
    "none": ([{"name": "north"}], "give data.source, or several data.sources"),
    "key": ([NORTH | {"offgrid": "floor"}], "offgrid is no key of .*; did you mean 'off_grid'?"),
    "value": ([NORTH | {"off_grid": "ceil"}], "data.sources 'north': off_grid is 'ceil': input should be 'refuse'"),
    "window": ([NORTH | {"max_gap": "2h"}], "'north' says max_gap, and windows are cut from all sources alike"),
    "item": ([NORTH | {"items": ["y"]}, SOUTH], "data.items names y, which the data does not hold"),
    "column": ([NORTH | {"columns": {"carbs": "c"}}, SOUTH], "data.columns.carbs is no role or covariate"),
    "source": (["csw"], "no dataset is called 'csw'"),
    "path": ([NORTH | {"path": "east.csv"}, SOUTH], "east.csv is not there"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_list_of_sources_that_makes_no_sense_is_refused(folder, case):
    sources, said = REFUSED[case]
    with pytest.raises(tsfm_core.TsfmError, match=said):
        opened(sources)


@pytest.mark.parametrize("key", ["items", "exclude", "start", "path", "columns", "options"])
def test_what_is_of_one_source_does_not_stand_beside_them(folder, key):
    given = {"items": ["x"], "exclude": ["x"], "start": {"x": "2024-01-01"}, "path": "north.csv"}
    value = given.get(key, {"target": "glucose"})
    with pytest.raises(ConfigError, match=f"{key} belongs to one of the sources, not beside them"):
        opened([NORTH, SOUTH], **{key: value})
    with pytest.raises(ConfigError, match="give data.source, or several data.sources"):
        opened([NORTH, SOUTH], source="csv")


@pytest.fixture
def config(folder, site):
    """A configuration of two sources, with a metric."""
    site.metric("fake-scores", "fake_error")
    return {
        "experiment": "two",
        "task": TASK,
        "data": {"sources": [NORTH, SOUTH]},
        "split": {"temporal_holdout": 0.4, "patient_holdout": ["south:b"], "validation": 0.2},
        "evaluation": {"metrics": ["fake_error"], "baselines": ["mean"]},
        "output": {"root": str(folder / "experiments")},
    }


def errors_by_hand(run):
    """Return the mean absolute error of every set and source, and its windows."""
    frame = pd.read_parquet(run.forecasts_path)
    frame["source"] = frame.item_id.astype(str).str.split(":").str[0]
    found = {}
    for (name, source), rows in frame.groupby(["set", "source"], observed=True):
        error = np.abs(np.stack(rows["mean"]).astype(np.float64) - np.stack(rows["truth"]))
        found[name, source] = (len(rows), np.nanmean(error))
    return found


def test_every_set_is_scored_by_source(config, folder, tsfm):
    table = pd.read_csv("north.csv")
    table.loc[105:110, "glucose"] = np.nan  # a gap, so that the sources' shares of readings differ
    table.to_csv("north.csv", index=False)
    run = tsfm_core.backtest("naive", config, ["data.min_observed=0.3"])
    by_hand = errors_by_hand(run)
    assert set(by_hand) == {
        ("validation", "north"), ("validation", "south"), ("temporal_holdout", "north"), ("temporal_holdout", "south"),
        ("patient_holdout", "south"),
    }  # fmt: skip
    sets = run.metrics["sets"]
    for (name, source), (windows, error) in by_hand.items():
        scored = sets[name]["by_source"][source]
        assert scored["windows"] == windows
        assert scored["overall"] == {"fake_error": pytest.approx(error, rel=1e-6)}
    assert set(sets["patient_holdout"]["by_source"]) == {"south"}
    assert sets["patient_holdout"]["by_source"]["south"]["overall"] == sets["patient_holdout"]["overall"]
    items = pd.read_csv(run.items_path).query("set == 'temporal_holdout'")
    assert list(items.item_id) == ["north:a", "north:x", "north:z", "south:x"]
    beside = run.metrics["baselines"]["mean"]["sets"]
    assert {name: set(one["by_source"]) for name, one in beside.items()} == {
        name: set(one["by_source"]) for name, one in sets.items()
    }
    text = run.results_path.read_text()
    for name in ("temporal_holdout", "patient_holdout"):
        part = text[text.index(f"{name}: {sets[name]['windows']} windows") :].split("windows", 1)[1]
        for source, scored in sets[name]["by_source"].items():
            other = beside[name]["by_source"][source]["overall"]["fake_error"]
            cells = [source, str(scored["windows"]), f"{scored['overall']['fake_error']:.2f}", f"{other:.2f}"]
            assert cells in [[cell.strip() for cell in line.split("|")] for line in part.splitlines()]
    # and when the stored forecasts are scored again
    again = json.loads(tsfm("evaluate", run.path, "--json").out)["sets"]
    assert {name: one["by_source"] for name, one in again.items()} == {
        name: one["by_source"] for name, one in sets.items()
    }
    shown = tsfm("evaluate", run.path, "--metric", "fake_error").out
    assert "fake_error, all steps | windows | naive" in shown
    mmol = tsfm_core.evaluate(run, unit="mmol/L").sets["temporal_holdout"]["by_source"]["south"]
    error = by_hand["temporal_holdout", "south"][1] / 18.018
    assert mmol["overall"]["fake_error"] == pytest.approx(error, rel=1e-6)


def test_a_single_source_has_no_scores_by_source(config, folder):
    config["data"], config["split"] = {"source": "csv", "path": "north.csv"}, {"temporal_holdout": 0.4}
    run = tsfm_core.backtest("naive", config)
    assert "by_source" not in run.metrics["sets"]["temporal_holdout"]
    assert ", all steps" not in run.results_path.read_text()


def test_items_are_held_out_by_their_whole_names(config, folder, tsfm):
    config["split"] = {"patient_holdout": ["north:x", "south:x"], "temporal_holdout": {"north:a": "2024-01-01T06:00"}}
    Path("c.yaml").write_text(yaml.safe_dump(config))
    facts = json.loads(tsfm("data", "split", "--config", "c.yaml", "--json").out)
    assert facts["patient_holdout"] == ["north:x", "south:x"]
    rows = {(row["item_id"], row["set"]): row["rows"] for row in facts["items"]}
    assert rows == {
        ("north:a", "train"): 72, ("north:a", "temporal_holdout"): 48, ("north:x", "patient_holdout"): 120,
        ("north:z", "train"): 120, ("south:b", "train"): 90, ("south:x", "patient_holdout"): 90,
    }  # fmt: skip
    config["split"] = {"patient_holdout": ["x"]}
    with pytest.raises(DataError, match="split.patient_holdout names x, which the data does not hold"):
        tsfm_core.backtest("naive", config)


def test_the_stored_configuration_runs_again_from_anywhere(config, folder, monkeypatch):
    run = tsfm_core.backtest("naive", config)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    again = tsfm_core.backtest("naive", run.config_path)
    for key in ("fingerprint", "sources"):
        before, after = run.facts["data"][key], again.facts["data"][key]
        if key == "sources":
            before, after = ({name: one["fingerprint"] for name, one in each.items()} for each in (before, after))
        assert after == before
    for key in ("protocol_digest", "split", "windows"):
        assert again.facts[key] == run.facts[key]
    assert yaml.safe_load(again.config_path.read_text()) == yaml.safe_load(run.config_path.read_text())
    parent = tsfm_core.backtest(str(run.path), None)
    assert parent.facts["data"]["changed_since_parent"] == []


def test_a_model_of_several_sources_forecasts_any_file(config, folder):
    run = tsfm_core.train("linear", config, ["evaluation.baselines=[]"])
    frame, without = tsfm_core.predict(str(run.path), "north.csv")
    assert (sorted(set(frame.item_id)), without) == (["a", "x", "z"], {})
    south = {"data": {"source": "csv", **{key: SOUTH[key] for key in ("columns", "unit", "off_grid")}}}
    frame, _ = tsfm_core.predict(str(run.path), "south.csv", south)
    assert sorted(set(frame.item_id)) == ["b", "out", "x"]


def test_what_a_reader_is_told_is_no_matter_of_the_file_that_is_forecast(folder):
    config = {"task": TASK, "data": {"source": "clinic"}}
    expected, _ = tsfm_core.predict("naive", "north.csv", {"task": TASK})
    for options in ({}, {"person": 7}):
        config["data"]["options"] = options
        frame, _ = tsfm_core.predict("naive", "north.csv", config)
        pd.testing.assert_frame_equal(frame, expected)
    with pytest.raises(ConfigError, match="data.options: person is no key of the configuration; known: item_id"):
        alone(NORTH | {"options": {"person": 7}})


def test_a_part_that_is_simulated_is_named(folder, site):
    site.plugin("fake-data", STREAMS)
    mixed, _ = opened(["clinic", "lab"])
    assert mixed.provenance["synthetic"] is True
    assert mixed.provenance["licence"] == "MIT; closed"
    assert synthetic_note(mixed.provenance) == "clinic is SYNTHETIC: simulated, no real person"
    real, _ = opened(["lab", NORTH])
    assert real.provenance["synthetic"] is False


def test_one_person_in_two_sources_is_found(folder):
    table = pd.read_csv("north.csv")
    table.assign(item_id=table.item_id.map({"x": "me", "z": "z2", "a": "a2"})).query("item_id == 'me'").to_csv(
        "copy.csv", index=False
    )
    copy = {"name": "copy", "source": "csv", "path": "copy.csv"}
    _, quality = opened([NORTH, copy])
    assert quality.problems == [
        (
            "copy:me and north:x share 120 rows (same slot, same value)",
            "one person in two sources leaks: exclude it from one of them, or set data.shared_rows: keep",
        )
    ]
    assert opened([NORTH, copy], shared_rows="keep")[1].problems == []
    assert opened([NORTH | {"exclude": ["x"]}, copy])[1].problems == []
