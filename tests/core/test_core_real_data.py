"""One real data set, where it is there: 17 people's CGM, of which the shared copy holds eight."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsfm_core
from tsfm_core.config.resolve import read_config
from tsfm_core.prepare import open_panel, prepare

SHARED = os.environ.get("TSFM_SHARED")
pytestmark = pytest.mark.skipif(not SHARED, reason="TSFM_SHARED does not name the folder of the shared data")
PATH = Path(SHARED or "") / "data/t1d_uom/t1d_uom_5min.parquet"
COLUMNS = {"item_id": "patient_id", "timestamp": "time", "target": "glucose"}
CONFIG = {
    "task": {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 144, "prediction_length": 24},
    "data": {"source": "parquet", "path": str(PATH), "columns": COLUMNS, "unit": "mg/dL"},
    "split": {"temporal_holdout": 0.2, "patient_holdout": ["uom2310"], "validation": 0.1},
    "evaluation": {"stride": 12, "metrics": [], "baselines": []},
}


def test_the_report_finds_what_is_known_of_the_data():
    resolved = read_config(CONFIG)
    panel, quality = open_panel(resolved.config.data, resolved.config.task)
    table = pd.read_parquet(PATH)
    assert sum(item.rows for item in quality.items) == len(table) == 206_811
    by_item = {item.item_id: item for item in quality.items}
    assert {item for item, one in by_item.items() if one.cadence == "15min"} == {"uom2302", "uom2305"}
    assert all(one.duplicates == one.unsorted == one.off_grid == 0 for one in quality.items)
    problems = [problem for problem, _ in quality.problems]
    assert problems == ["task.freq is 5min, but the readings come at another step in uom2302 (15min), uom2305 (15min)"]
    for item, rows in table.groupby("patient_id", observed=True):
        readings = rows.dropna(subset="glucose").sort_values("time")
        assert by_item[item].readings == len(readings)
        assert by_item[item].gaps["45min"] == (readings.time.diff() > pd.Timedelta("45min")).sum()
        at = panel.item_ids.index(item)
        column = panel.columns["glucose"][panel.offsets[at] : panel.offsets[at + 1]]
        np.testing.assert_array_equal(column[np.isfinite(column)], readings.glucose.to_numpy(np.float32))


def test_windows_of_the_data_hold_what_the_table_holds():
    resolved = read_config(CONFIG, ["data.exclude=[uom2302, uom2305]"])
    prepared = prepare(resolved.config, resolved.config.task, "backtest")
    table = pd.read_parquet(PATH).set_index(["patient_id", "time"]).glucose
    assert set(prepared.sets) == {"validation", "temporal_holdout", "patient_holdout"}
    random = np.random.default_rng(0)
    for windows in (prepared.train, *prepared.sets.values()):
        some = windows.take(random.choice(len(windows), 20, replace=False))
        inputs, truth = some.inputs(slice(None)).target, some.truth(slice(None))
        for at, (item, cutoff) in enumerate(zip(some.item_id, pd.to_datetime(some.cutoff), strict=True)):
            stamps = pd.date_range(cutoff - pd.Timedelta("5min") * 143, periods=168, freq="5min")
            expected = table[item].reindex(stamps).to_numpy(np.float32)
            np.testing.assert_array_equal(np.concatenate([inputs[at], truth[at]]), expected)
            readings = np.flatnonzero(np.isfinite(expected))
            assert np.diff(readings).max() * 5 <= 45
    assert "uom2310" not in set(prepared.train.item_id)
    assert set(prepared.sets["patient_holdout"].item_id) == {"uom2310"}


def test_the_last_value_scores_what_a_loop_scores(tmp_path):
    settings = ["data.items=[uom2303, uom2310]", "evaluation.stride=144", f"output.root={tmp_path}"]
    run = tsfm_core.backtest("naive", CONFIG, settings)
    frame = pd.read_parquet(run.forecasts_path)
    table = pd.read_parquet(PATH).set_index(["patient_id", "time"]).glucose
    for row in frame[frame.set == "patient_holdout"].itertuples():
        past = table[row.item_id][: row.cutoff].dropna()
        np.testing.assert_array_equal(row.mean, np.full(24, past.iloc[-1], np.float32))
    assert run.status == "completed"
