"""The baselines beside a model are those that a run of their own would give."""

import pytest

from tsfm_core import backtest, train

CONFIG = {
    "seed": 1,
    "task": {
        "target": "glucose",
        "unit": "mg/dL",
        "freq": "5min",
        "context_length": 48,
        "prediction_length": 12,
        "quantile_levels": [0.1, 0.5, 0.9],
    },
    "data": {"source": "simglucose_adult", "items": ["sim_01", "sim_02", "sim_03"]},
    "split": {"patient_holdout": ["sim_03"], "temporal_holdout": 0.2},
    "evaluation": {"stride": 12, "metrics": ["rmse", "pinball"], "baselines": ["naive", "linear"]},
}


@pytest.mark.parametrize("stride", [1, 6])
def test_the_ridge_map_beside_a_model_is_fitted_on_every_window(tmp_path, stride):
    flags = {"output.root": str(tmp_path)}
    # however thinly the model's own training windows are cut, the bar stays where it is
    beside = backtest("mean", CONFIG, [f"data.stride={stride}"], flags)
    alone = train("linear", CONFIG, (), flags)
    assert beside.metrics["baselines"]["linear"]["sets"] == alone.metrics["sets"]


def test_a_baseline_is_not_set_beside_itself(tmp_path):
    run = backtest("naive", CONFIG, (), {"output.root": str(tmp_path)})
    assert list(run.metrics["baselines"]) == ["linear"]
    assert (
        run.metrics["sets"]
        == backtest("mean", CONFIG, (), {"output.root": str(tmp_path)}).metrics["baselines"]["naive"]["sets"]
    )
