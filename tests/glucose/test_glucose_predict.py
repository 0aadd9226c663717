"""A run on a data set forecasts a person's own file: prepared as the data set was, with what is computed from it."""

import numpy as np
import pandas as pd
import pytest

import tsfm_core
from tsfm_core import Task
from tsfm_core.ahead import _read_for
from tsfm_glucose.features import FEATURES

TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 24, "prediction_length": 6}
SPLIT = {"patient_holdout": ["simglucose_adult:sim_02"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    other = pd.DataFrame({"item_id": "me", "timestamp": pd.date_range("2024-01-01", periods=300, freq="5min")})
    other["glucose"] = 120 + 20 * np.sin(np.arange(300) / 9)
    other.to_csv(folder / "me.csv", index=False)
    config = {
        "task": TASK,
        "data": {
            "sources": [
                {"source": "simglucose_adult", "items": ["sim_01", "sim_02"]},
                {"source": "csv", "path": str(folder / "me.csv")},
            ],
            "off_grid": "floor",
        },
        "split": SPLIT,
        "evaluation": {"metrics": [], "baselines": []},
        "output": {"root": str(folder / "experiments")},
    }
    return tsfm_core.train("linear", config)


def test_a_run_on_several_sources_forecasts_a_file(run, tmp_path):
    table = pd.DataFrame({"item_id": "new", "timestamp": pd.date_range("2024-02-01 00:01", periods=40, freq="5min")})
    table["glucose"] = np.linspace(90, 130, 40)
    table.to_csv(tmp_path / "new.csv", index=False)
    forecasts, without = tsfm_core.predict(str(run.path), tmp_path / "new.csv")
    assert without == {}
    # stamps are floored, as they were for the run
    assert forecasts.cutoff.unique() == [np.datetime64("2024-02-01T03:15")]
    assert len(forecasts) == 6
    assert forecasts["mean"].between(60, 200).all()


def test_what_a_computed_channel_needs_is_prepared_as_for_the_run():
    task = Task(**TASK, past_covariates=["iob"])
    assert _read_for(task) == {"glucose", "iob", *next(one.needs for one in FEATURES if one.name == "iob")}


def test_a_run_on_an_archive_forecasts_a_table_and_an_export(tmp_path):
    """What the archive offers beside is nothing to a table; an export keeps the rules of its reader."""
    stamps = pd.date_range("2024-03-01T00:01:47", periods=300, freq="5min")
    glucose = (120 + 20 * np.sin(np.arange(300) / 9)).round()
    bolus = np.where(np.arange(300) % 60 == 0, 2.0, 0)
    head = "Index,Timestamp,Event Type,Event Subtype,Glucose Value (mg/dL),Insulin Value (u),Carb Value (grams)"
    rows = [f"1,{stamp:%Y-%m-%dT%H:%M:%S},EGV,,{value},," for stamp, value in zip(stamps, glucose, strict=True)]
    rows += [f"1,{stamps[at]:%Y-%m-%dT%H:%M:%S},Insulin,Fast-Acting,,2.0," for at in np.flatnonzero(bolus)]
    (tmp_path / "p1.csv").write_text("\n".join([head, *rows, ""]))
    config = {
        "task": TASK,
        "data": {"source": "clarity", "path": str(tmp_path / "p1.csv")},
        "split": {"temporal_holdout": 0.3},
        "evaluation": {"metrics": [], "baselines": []},
        "output": {"root": str(tmp_path / "experiments")},
    }
    run = str(tsfm_core.train("linear", config).path)
    table = pd.DataFrame({"item_id": "p1", "timestamp": stamps, "glucose": glucose, "bolus_u": bolus})
    table.to_csv(tmp_path / "table.csv", index=False)
    export, _ = tsfm_core.predict(run, tmp_path / "p1.csv")
    forecast, without = tsfm_core.predict(run, tmp_path / "table.csv")
    assert without == {}
    np.testing.assert_allclose(forecast["mean"], export["mean"], rtol=1e-5)
