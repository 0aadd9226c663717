"""Nights and meals of real people: where cutoffs stand, and that neither the future nor a filled gap counts."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tsfm_core import train
from tsfm_core.config.resolve import read_config
from tsfm_core.pipeline import forecast_windows_of
from tsfm_core.prepare import load, prepare

EXPERIMENTS = Path(__file__).parents[2] / "configs" / "experiments" / "t1d_uom"
SHARED = os.environ.get("TSFM_SHARED")
RAW = Path(SHARED or "") / "data/t1d_uom/raw"
TEST_SETS = ("temporal_holdout", "patient_holdout")

pytestmark = pytest.mark.skipif(not SHARED, reason="TSFM_SHARED is not set: no real data here")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    flags = {"output.root": str(tmp_path_factory.mktemp("experiments"))}
    return train("linear", EXPERIMENTS / "nocturnal.yaml", ["evaluation.baselines=[]"], flags)


@pytest.fixture(scope="module")
def stored(run):
    table = pq.read_table(run.forecasts_path).to_pandas()
    return table[table["set"].isin(TEST_SETS)]


@pytest.fixture(scope="module")
def readings():
    """Return the readings of each slot as published, in mg/dL, by another way: pandas on the raw csv."""
    found = {}
    for path in sorted((RAW / "Glucose Data").glob("*.csv")):
        item = f"uom{path.stem.removeprefix('UoMGlucose')}"
        rows = pd.read_csv(path, encoding="utf-8-sig")
        rows["stamp"] = pd.to_datetime(rows.bg_ts, format="%d/%m/%Y %H:%M")
        found[item] = rows.drop_duplicates(["stamp", "value"])
    pairs = found["uom2303"][["stamp", "value"]]
    own = found["uom2304"].merge(pairs, on=["stamp", "value"], how="left", indicator=True)
    found["uom2304"] = own[(own._merge == "left_only") & (own.stamp >= "2023-12-31")]
    return {
        item: rows[rows.value.between(1.1, 33.3)].groupby(rows.stamp.dt.floor("5min")).value.median() * 18.018
        for item, rows in found.items()
    }


def test_the_last_reading_shown_is_the_one_before_midnight(stored):
    assert len(stored) == 32 + 162
    assert set(stored.cutoff.dt.strftime("%H:%M:%S")) == {"23:55:00"}
    assert not stored.duplicated(["item_id", "cutoff"]).any()


def test_a_truth_is_what_the_sensor_reported_and_nothing_else(stored, readings):
    missing = 0
    for row in stored.itertuples():
        stamps = pd.date_range(row.cutoff + pd.Timedelta("5min"), periods=96, freq="5min")
        expected = readings[row.item_id].reindex(stamps).to_numpy()
        np.testing.assert_allclose(np.asarray(row.truth, float), expected, rtol=1e-6)
        missing += np.isnan(expected).sum()
    assert missing > 0  # gaps are there, and they stay


def test_a_score_counts_observed_readings_alone(run, stored, readings):
    for name, rows in stored.groupby("set", observed=True):
        errors = []
        for row in rows.itertuples():
            stamps = pd.date_range(row.cutoff + pd.Timedelta("5min"), periods=96, freq="5min")
            truth = readings[row.item_id].reindex(stamps)
            errors += list((np.asarray(row.mean, float) - truth.to_numpy())[truth.notna()])
        rmse = run.metrics["sets"][name]["overall"]["rmse"]
        assert rmse == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-5)


@pytest.mark.parametrize("experiment", ["nocturnal", "prandial"])
def test_no_value_after_a_cutoff_moves_a_forecast(experiment):
    resolved = read_config(EXPERIMENTS / f"{experiment}.yaml")
    task = resolved.config.task
    prepared = prepare(resolved.config, task, "backtest")
    naive = load("naive", read_config({"task": task.model_dump(mode="json")}), "backtest")
    for name in TEST_SETS:
        windows = prepared.sets[name]
        for at in range(0, len(windows), 7):
            one = windows.take(np.array([at]))
            cutoff = int(one.cutoffs_at[0])
            columns = {channel: np.array(column) for channel, column in windows.panel.columns.items()}
            for column in columns.values():
                column[cutoff + 1 :] = 1e6
            changed = replace(one, panel=replace(windows.panel, columns=columns, folder=None))
            np.testing.assert_array_equal(one.inputs(slice(None)).target, changed.inputs(slice(None)).target)
            forecasts = [forecast_windows_of(naive, naive.model, each).mean for each in (one, changed)]
            np.testing.assert_array_equal(*forecasts)


def test_every_context_has_the_same_nights():
    config = read_config(EXPERIMENTS / "nocturnal.yaml").config
    nights = []
    for context in (64, 128, 256, 512):
        task = config.task.model_copy(update={"context_length": context})
        sets = prepare(config, task, "backtest").sets
        nights.append(
            {(name, *pair) for name in TEST_SETS for pair in zip(sets[name].item_id, sets[name].cutoff, strict=True)}
        )
    assert nights[0] == nights[1] == nights[2] == nights[3]


def test_a_meal_comes_right_after_its_cutoff():
    config = read_config(EXPERIMENTS / "prandial.yaml").config
    sets = prepare(config, config.task, "backtest").sets
    for name in TEST_SETS:
        windows = sets[name]
        carbs = windows.panel.columns["carbs_g"]
        assert (carbs[windows.cutoffs_at + 1] >= 10).all()
        for cutoff in windows.cutoffs_at:
            assert not (carbs[cutoff + 1 - 24 : cutoff + 1] >= 10).any()


def test_published_nights_have_no_gap_and_their_own_protocol(run, tmp_path):
    flags = {"output.root": str(tmp_path)}
    parity = ["data.imputation=parity", "data.off_grid=round", "data.duplicates=mean", "evaluation.baselines=[]"]
    other = train("linear", EXPERIMENTS / "nocturnal.yaml", parity, flags)
    truths = np.stack(pq.read_table(other.forecasts_path).to_pandas().truth)
    assert np.isfinite(truths).all()
    assert other.facts["protocol_digest"] != run.facts["protocol_digest"]
    assert other.facts["data"]["imputation"] == "parity"
