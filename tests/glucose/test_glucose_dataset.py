"""The simulated data set: what the wheel ships, read as a user reads it."""

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from tsfm_core import DataError, Task
from tsfm_core.config.schema import DataConfig
from tsfm_core.plugins import host
from tsfm_core.prepare import open_panel
from tsfm_glucose.plugin import _FILE


@pytest.fixture(scope="module")
def panel():
    task = Task(
        target="glucose",
        unit="mg/dL",
        freq="5min",
        context_length=1,
        prediction_length=1,
        past_covariates=("bolus_u", "basal_u_per_h", "carbs_g"),
    )
    made, quality = open_panel(DataConfig(source="simglucose_adult"), task)
    assert not quality.problems
    return made


def test_it_is_ten_adults_for_fourteen_days_at_five_minutes(panel):
    assert panel.item_ids == tuple(f"sim_{at:02d}" for at in range(1, 11))
    assert np.diff(panel.offsets).tolist() == [14 * 288] * 10
    assert panel.step == 300


def test_it_says_that_it_is_synthetic_wherever_it_is_shown(panel):
    assert panel.provenance["synthetic"] is True
    dataset = host().dataset("simglucose_adult")
    assert dataset.synthetic
    assert "SYNTHETIC" in dataset.summary
    assert b"synthetic" in pq.read_schema(_FILE).metadata


def test_its_values_are_what_a_sensor_and_a_pump_can_record(panel):
    glucose = panel.columns["glucose"]
    readings = glucose[np.isfinite(glucose)]
    assert readings.min() >= 40
    assert readings.max() <= 400
    assert 0.01 < np.isnan(glucose).mean() < 0.03
    for name in ("bolus_u", "basal_u_per_h", "carbs_g"):
        assert (panel.columns[name] >= 0).all()


def test_its_people_are_no_calmer_than_real_ones(panel):
    # reference: SD 32-61 mg/dL, time in range 60-90 %, below 70 between 1 and 5 % over the cohort
    people = np.stack(np.split(panel.columns["glucose"], 10))
    spread = np.nanstd(people, axis=1)
    assert (spread > 25).all()
    assert 32 < spread.mean() < 61
    assert 0.60 < np.nanmean((people >= 70) & (people <= 180)) < 0.90
    low = np.nansum(people < 70) / np.isfinite(people).sum()
    assert 0.01 < low < 0.05


def test_meals_and_insulin_move_glucose(panel):
    # in the two hours after a logged meal of 40 g and more glucose rises on average; a property no noise would have
    glucose, carbs = panel.columns["glucose"], panel.columns["carbs_g"]
    meals = np.flatnonzero(carbs >= 40)
    meals = meals[meals + 24 < len(glucose)]
    rise = np.nanmax(np.stack([glucose[meals + step] for step in range(1, 24)]), axis=0) - glucose[meals]
    assert np.nanmean(rise) > 20


def test_a_path_is_refused():
    task = Task(target="glucose", unit="mg/dL", freq="5min", context_length=1, prediction_length=1)
    with pytest.raises(DataError, match="ships with tsfm-glucose"):
        open_panel(DataConfig(source="simglucose_adult", path="x.csv"), task)


def test_data_check_lists_its_people_without_a_config():
    code = "from tsfm_core.cli import main; main()"
    command = [sys.executable, "-c", code, "data", "check", "simglucose_adult", "--json"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert report["synthetic"] is True
    assert [item["rows"] for item in report["items"]] == [4032] * 10


def test_another_unit_converts_the_readings():
    task = Task(target="glucose", unit="mmol/L", freq="5min", context_length=1, prediction_length=1)
    in_mmol = open_panel(DataConfig(source="simglucose_adult"), task)[0].columns["glucose"]
    in_mgdl = open_panel(DataConfig(source="simglucose_adult"), task.model_copy(update={"unit": "mg/dL"}))[0].columns[
        "glucose"
    ]
    assert in_mmol * 18.018 == pytest.approx(in_mgdl, rel=1e-6, nan_ok=True)


def test_the_entry_module_loads_nothing_heavy():
    code = "import sys, tsfm_glucose.plugin; print([m for m in ('torch', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
