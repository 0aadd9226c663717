"""Forecasts past each item's last reading, by the Python API and by the command, against values worked by hand."""

import numpy as np
import pandas as pd
import pytest

import tsfm_core
from tsfm_core.errors import CapabilityError, ConfigError, DataError

TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}
CONFIG = {"task": TASK}
RUN = {
    "task": TASK,
    "data": {"source": "csv", "path": "train.csv", "unsorted": "sort"},
    "split": {"temporal_holdout": 0.3},
    "evaluation": {"metrics": [], "baselines": []},
}


@pytest.fixture
def table(readings, tmp_path, monkeypatch):
    """Three items of different ends, in data.csv and data.parquet of the folder that we stand in."""
    monkeypatch.chdir(tmp_path)
    table = readings(("a", "b", "c"), n=60)
    table = table[(table.item_id != "b") | (table.timestamp <= "2024-01-01 03:00")].reset_index(drop=True)
    table.to_csv("data.csv", index=False)
    table.to_parquet("data.parquet", index=False)
    readings(("x", "y"), n=120, seed=5).to_csv("train.csv", index=False)
    return table


def test_the_last_value_of_each_item_is_held(table):
    frame, without = tsfm_core.predict("naive", "data.csv", CONFIG)
    assert without == {}
    expected = []
    for item, rows in table.groupby("item_id"):
        last = rows.iloc[-1]
        for step in range(1, 7):
            stamp = last.timestamp + pd.Timedelta("5min") * step
            expected.append((item, last.timestamp, stamp, step, np.float32(last.glucose)))
    assert list(frame) == ["item_id", "cutoff", "timestamp", "step", "mean"]
    assert list(frame.itertuples(index=False, name=None)) == expected


def test_csv_parquet_and_the_order_of_items_give_the_same(table):
    frame, _ = tsfm_core.predict("mean", "data.csv", CONFIG)
    pd.testing.assert_frame_equal(tsfm_core.predict("mean", "data.parquet", CONFIG)[0], frame)
    table.sort_values(["timestamp", "item_id"], ascending=[True, False]).to_csv("other.csv", index=False)
    pd.testing.assert_frame_equal(tsfm_core.predict("mean", "other.csv", CONFIG)[0], frame)


def test_an_item_does_not_depend_on_the_others(table):
    frame, _ = tsfm_core.predict("mean", "data.csv", CONFIG, ["task.quantile_levels=[0.1, 0.9]"])
    table[table.item_id == "b"].to_csv("b.csv", index=False)
    alone, _ = tsfm_core.predict("mean", "b.csv", CONFIG, ["task.quantile_levels=[0.1, 0.9]"])
    pd.testing.assert_frame_equal(alone, frame[frame.item_id == "b"].reset_index(drop=True))


def test_only_the_context_counts(table):
    frame, _ = tsfm_core.predict("mean", "data.csv", CONFIG)
    expected = table.groupby("item_id").glucose.apply(
        lambda values: values.to_numpy(np.float32)[-12:].astype(float).mean()
    )
    np.testing.assert_allclose(frame.groupby("item_id")["mean"].first(), expected, rtol=1e-6)


def test_data_in_another_unit_is_forecast_in_the_tasks(table):
    frame, _ = tsfm_core.predict("naive", "data.csv", CONFIG)
    table.assign(glucose=table.glucose / 18.018).to_csv("mmol.csv", index=False)
    other, _ = tsfm_core.predict("naive", "mmol.csv", CONFIG, ["data.unit=mmol/L"])
    np.testing.assert_allclose(other["mean"], frame["mean"], rtol=1e-6)


def test_columns_are_mapped_as_the_config_says(table):
    renamed = table.rename(columns={"item_id": "patient", "timestamp": "time", "glucose": "cgm"})
    renamed.assign(time=renamed.time.dt.strftime("%d/%m/%Y %H:%M")).to_csv("other.csv", index=False)
    given = {
        "columns": {"item_id": "patient", "timestamp": "time", "target": "cgm"},
        "timestamp_format": "%d/%m/%Y %H:%M",
    }
    frame, _ = tsfm_core.predict(
        "naive", "other.csv", CONFIG | {"data": {"source": "parquet", "path": "gone", **given}}
    )
    pd.testing.assert_frame_equal(frame, tsfm_core.predict("naive", "data.csv", CONFIG)[0])


def test_the_items_of_the_configs_own_data_do_not_choose_among_those_forecast(table):
    data = {"source": "csv", "items": ["x"], "exclude": ["y"], "start": {"x": "2030-01-01"}}
    frame, _ = tsfm_core.predict("naive", "data.csv", CONFIG | {"data": data})
    assert set(frame.item_id) == {"a", "b", "c"}


def test_items_without_a_forecast_are_named_with_the_reason(table):
    short = table[(table.item_id != "b") | (table.timestamp >= "2024-01-01 02:30")]
    short.assign(glucose=short.glucose.where(short.item_id != "c")).to_csv("short.csv", index=False)
    frame, without = tsfm_core.predict("naive", "short.csv", CONFIG)
    assert set(frame.item_id) == {"a"}
    assert without == {"b": "7 steps since its last longer gap; 12 are needed", "c": "no reading"}
    frame, without = tsfm_core.predict("naive", "short.csv", CONFIG, ["data.min_context=7"])
    assert set(frame.item_id) == {"a", "b"}


def test_a_run_forecasts_with_its_own_model_and_task(table):
    run = tsfm_core.train("linear", RUN)
    frame, _ = tsfm_core.predict(str(run.path), "data.csv")
    by_hand, _ = tsfm_core.predict("linear", "data.csv", CONFIG, flags={"model.checkpoint": str(run.best_checkpoint)})
    pd.testing.assert_frame_equal(frame, by_hand)
    assert (frame.groupby("item_id")["mean"].nunique() > 1).all()
    shorter = CONFIG | {"task": TASK | {"prediction_length": 5}}
    with pytest.raises(ConfigError, match=r"the task is not that of .*; leave the task out"):
        tsfm_core.predict(str(run.path), "data.csv", shorter)


def test_of_a_runs_configuration_only_the_data_may_change(table):
    run = str(tsfm_core.train("linear", RUN).path)
    expected, _ = tsfm_core.predict(run, "data.csv")
    table.assign(glucose=table.glucose / 18.018).to_csv("mmol.csv", index=False)
    frame, _ = tsfm_core.predict(run, "mmol.csv", settings=["data.unit=mmol/L"])
    np.testing.assert_allclose(frame["mean"], expected["mean"], rtol=1e-5)
    backwards = pd.read_csv("mmol.csv")[::-1]
    backwards.to_csv("mmol.csv", index=False)  # the run's own way with rows out of order stays
    again, _ = tsfm_core.predict(run, "mmol.csv", {"data": {"source": "csv", "unit": "mmol/L"}})
    pd.testing.assert_frame_equal(again, frame)
    for setting in ("task.prediction_length=5", "model.lags=3", "training.ridge=2"):
        with pytest.raises(ConfigError, match=f"--set {setting}: model, task and training come from .*; leave it out"):
            tsfm_core.predict(run, "data.csv", settings=[setting])
    with pytest.raises(ConfigError, match=r"--model.checkpoint: model, task and training come from"):
        tsfm_core.predict(run, "data.csv", flags={"model.checkpoint": "x"})


def test_the_command_writes_what_the_function_returns(table, tsfm, tmp_path):
    (tmp_path / "c.yaml").write_text(f"task: {TASK}\n")
    expected, _ = tsfm_core.predict("naive", "data.csv", CONFIG)
    for output, read in (("o.csv", pd.read_csv), ("o.parquet", pd.read_parquet)):
        answer = tsfm("predict", "naive", "--data", "data.csv", "--config", "c.yaml", "--output", output)
        assert answer.code == 0
        assert answer.err == f"3 items forecast, 18 rows in mg/dL: {output}\n"
        written = read(output).astype({"cutoff": "datetime64[s]", "timestamp": "datetime64[s]", "mean": "float32"})
        pd.testing.assert_frame_equal(
            written, expected.astype({"cutoff": "datetime64[s]", "timestamp": "datetime64[s]"}), check_dtype=False
        )
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("model", "data", "settings", "error", "said"),
    [
        ("naive", "data.txt", [], DataError, "data.txt is neither .csv nor .parquet"),
        ("naive", "none.csv", [], DataError, "none.csv is not there"),
        ("naive", "data.csv", ["task.context_length=61"], DataError, r"no item can be forecast \(a: 60 steps since"),
        ("naive", "data.csv", ["task.past_covariates=[steps]"], CapabilityError, "naive does not use past_covariates"),
        ("linear", "data.csv", [], CapabilityError, "tsfm predict trains nothing"),
    ],
)
def test_what_cannot_be_forecast_is_refused(table, model, data, settings, error, said):
    with pytest.raises(error, match=said):
        tsfm_core.predict(model, data, CONFIG, settings)
