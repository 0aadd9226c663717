"""A run on a data set forecasts a person's own file: prepared as the data set was, with what is computed from it."""

import numpy as np
import pandas as pd
import pytest

import tsfm_core

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
