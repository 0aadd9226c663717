"""``data.imputation: parity``: what is filled, what is not, and that nothing is by default."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import tsfm_core
from tsfm_core import Channel, Feature
from tsfm_core.config.resolve import read_config
from tsfm_core.prepare import prepare

NAN = np.nan
TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}


def with_gaps(*lengths, between=15, item="a", freq="5min", seed=0):
    """Return a table without the rows of gaps of so many slots, with ``between`` readings around each."""
    count = sum(lengths) + between * (len(lengths) + 1)
    random = np.random.default_rng(seed)
    stamps = pd.date_range("2024-01-01", periods=count, freq=freq)
    table = pd.DataFrame(
        {"item_id": item, "timestamp": stamps, "glucose": random.integers(60, 250, count).astype(float)}
    )
    missing, at = [], 0
    for length in lengths:
        at += between
        missing += range(at, at + length)
        at += length
    return table.drop(index=missing)


def filled_by_hand(table, longest, freq="5min"):
    """Return the readings of one item on its grid, each short inner gap on a line from its one reading to the other."""
    series = table.dropna(subset="glucose").set_index("timestamp").glucose
    every = table.set_index("timestamp").asfreq(freq).index
    values = series.reindex(every).to_numpy(copy=True)
    step = pd.Timedelta(freq)
    for before, after in pairwise(series.index):
        gap = round((after - before) / step) - 1
        if 0 < gap <= longest:
            first = every.get_loc(before)
            line = np.interp(np.arange(1, gap + 1), [0, gap + 1], [series[before], series[after]])
            values[first + 1 : first + 1 + gap] = line
    return values


@pytest.mark.parametrize(("freq", "longest"), [("5min", 11), ("15min", 3), ("55min", 1), ("1h", 0)])
def test_gaps_of_up_to_55_minutes_lie_on_a_straight_line(build, panel_of, make_task, freq, longest):
    lengths = (1, 2, longest, longest + 1, longest + 2, 40)
    table = with_gaps(*lengths, freq=freq)
    task = make_task(freq=freq)
    panel, quality = build(table, task, imputation="parity")
    by_hand = filled_by_hand(table, longest, freq)
    assert np.isnan(by_hand).sum() == sum(length for length in lengths if length > longest)
    np.testing.assert_allclose(panel.columns["glucose"], by_hand, rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(panel.columns["glucose"]), np.isnan(by_hand))
    filled = sum(length for length in lengths if length <= longest)
    what = "slots filled by data.imputation: parity, counted as readings"
    assert quality.notes == [{"item_id": "a", "what": what, "rows": filled}] * bool(filled)
    plain = panel_of(table, task)
    np.testing.assert_array_equal(plain.columns["glucose"], np.float32(filled_by_hand(table, 0, freq)))
    assert (panel.provenance["imputation"], plain.provenance["imputation"]) == ("parity", "none")


def test_nothing_is_filled_before_the_first_reading_after_the_last_or_between_items(build, panel_of):
    edges = [NAN, NAN, 100, NAN, 106, NAN, NAN]
    stamps = pd.date_range("2024-01-01", periods=7, freq="5min")
    table = pd.concat([pd.DataFrame({"item_id": item, "timestamp": stamps, "glucose": edges}) for item in "ab"])
    panel, quality = build(table, imputation="parity", mixed_freq="keep")
    assert [(note["item_id"], note["rows"]) for note in quality.notes] == [("a", 1), ("b", 1)]
    np.testing.assert_array_equal(panel.columns["glucose"], np.float32([NAN, NAN, 100, 103, 106, NAN, NAN] * 2))
    alone = panel_of(table[table.glucose != 106], imputation="parity")  # one reading has no line
    np.testing.assert_array_equal(alone.columns["glucose"], np.float32([NAN, NAN, 100, NAN, NAN, NAN, NAN] * 2))


def test_what_is_filled_is_in_the_tasks_unit_and_the_target_alone(build, make_task):
    table = with_gaps(2, 3).assign(pulse=60.0)
    table.loc[table.index[4], "pulse"] = NAN
    task = make_task(past_covariates=("pulse", "slope"))
    slope = Feature("slope", "of the target", "1", ("glucose",), lambda channels, *_: -channels["glucose"])
    panel, _ = build(table, task, {"unit": "mmol/L"}, {"slope": [slope]}, imputation="parity", suspect_unit="keep")
    by_hand = filled_by_hand(table, 11) * 18.018
    np.testing.assert_allclose(panel.columns["glucose"], by_hand, rtol=1e-6)
    np.testing.assert_allclose(panel.columns["slope"], -by_hand, rtol=1e-6)  # as the panel has it
    assert np.isnan(panel.columns["pulse"]).sum() == 1 + 2 + 3


def test_events_before_the_first_reading_are_no_reason_to_fill(build, make_task):
    stamps = pd.to_datetime(["2024-01-01 07:30", "2024-01-01 08:00", "2024-01-01 08:15"])
    table = pd.DataFrame({"item_id": "a", "timestamp": stamps, "glucose": [NAN, 100, 130], "carbs": [20, NAN, NAN]})
    channels = {"channels": {"carbs": Channel("amount", "g")}}
    panel, _ = build(table, make_task(past_covariates=("carbs",)), channels, imputation="parity", mixed_freq="keep")
    np.testing.assert_array_equal(panel.columns["glucose"], np.float32([100, 110, 120, 130]))
    assert np.isnan(panel.columns["carbs"]).all()


@pytest.fixture
def config(tmp_path):
    """A table with short gaps and long ones, as a configuration."""
    table = with_gaps(3, 11, 12, 1, 30, 8, between=40)
    table.to_csv(tmp_path / "data.csv", index=False)
    return {
        "task": TASK,
        "data": {"source": "csv", "path": str(tmp_path / "data.csv"), "min_observed": 0.1},
        "split": {"temporal_holdout": 0.99},
        "evaluation": {"metrics": [], "baselines": []},
        "output": {"root": str(tmp_path / "experiments")},
    }


def prepared(config, *settings):
    resolved = read_config(config, settings).config
    return prepare(resolved, resolved.task, "backtest")


@pytest.mark.parametrize("gap", ["45min", "65min", "3h"])
@pytest.mark.parametrize("least", [5, 12])
def test_every_step_of_a_window_must_have_a_value(config, gap, least):
    made = prepared(config, "data.imputation=parity", f"data.max_gap={gap}", f"data.min_context={least}")
    windows = made.sets["temporal_holdout"]
    values = filled_by_hand(pd.read_csv(config["data"]["path"], parse_dates=["timestamp"]), 11)
    longest = round(pd.Timedelta(gap) / pd.Timedelta("5min"))
    observed = np.flatnonzero(np.isfinite(values))
    breaks = [(before, after) for before, after in pairwise(observed) if after - before > longest]
    expected = []
    held = int(np.floor(len(values) * (1 - 0.99)))
    for cutoff in range(max(held - 1, 0), len(values) - 6):
        start = max([after for _, after in breaks if after <= cutoff] + [observed[0]])
        crosses = any(before < cutoff + 6 and cutoff < after for before, after in breaks)
        steps = values[max(cutoff - 11, start) : cutoff + 7]
        if not crosses and cutoff - start + 1 >= least and np.isfinite(steps).all():
            expected.append(cutoff)
    assert windows.cutoffs_at.tolist() == expected
    assert np.isfinite(windows.truth(slice(None))).all()
    missing = made.dropped["temporal_holdout"].get("a reading missing", 0)
    assert (missing > 0) == (gap != "45min")
    plain = prepared(config, f"data.max_gap={gap}", f"data.min_context={least}").sets["temporal_holdout"]
    assert not np.isfinite(plain.truth(slice(None))).all()


def test_by_default_no_truth_is_ever_filled(config):
    windows = prepared(config).sets["temporal_holdout"]
    table = pd.read_csv(config["data"]["path"], parse_dates=["timestamp"]).set_index("timestamp").glucose
    stamps = windows.cutoff[:, None] + (np.arange(-11, 7) * np.timedelta64(5, "m"))
    raw = table.reindex(stamps.reshape(-1)).to_numpy(np.float32).reshape(stamps.shape)
    np.testing.assert_array_equal(windows.truth(slice(None)), raw[:, 12:])
    np.testing.assert_array_equal(windows.inputs(slice(None)).target, raw[:, :12])
    assert 0 < np.isnan(raw[:, 12:]).sum() < raw[:, 12:].size


def test_a_run_under_parity_says_so_and_is_compared_with_no_other(config):
    runs = {kind: tsfm_core.backtest("naive", config, [f"data.imputation={kind}"]) for kind in ("none", "parity")}
    for kind, run in runs.items():
        assert run.facts["data"]["imputation"] == kind
        assert run.facts["data"]["preparation"]["imputation"] == kind
        truth = np.stack(pd.read_parquet(run.forecasts_path).truth)
        assert np.isnan(truth).any() == (kind == "none")
    assert runs["none"].facts["protocol_digest"] != runs["parity"].facts["protocol_digest"]
    assert runs["none"].facts["data"]["fingerprint"] != runs["parity"].facts["data"]["fingerprint"]
    again = tsfm_core.backtest("naive", runs["parity"].config_path)
    assert again.facts["protocol_digest"] == runs["parity"].facts["protocol_digest"]
    several = config | {"data": {"sources": [config["data"] | {"name": "one"}], "imputation": "parity"}}
    del several["data"]["sources"][0]["min_observed"]
    assert tsfm_core.backtest("naive", several).facts["data"]["imputation"] == "parity"
