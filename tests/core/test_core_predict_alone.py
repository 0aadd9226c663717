"""``tsfm predict`` without a config: the task of a model's checkpoint, and how a file says the rest or is refused."""

import numpy as np
import pandas as pd
import pytest

import tsfm_core

CARD = """
@hookimpl
def model_card():
    from tsfm_core import KnownCheckpoint

    task = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}
    known = KnownCheckpoint("held/weights", 1, "MIT", task=task, min_context=4)
    strategies = ("zero_shot",)
    return ModelCard("a fake", "MIT", strategies, Options, Training, known.name, checkpoints=(known,))
"""
READER = """
def recognises(path):
    first = path.read_bytes().split(b"\\n")[0]
    return {b"mine mmol": "mmol/L", b"mine mg": "mg/dL"}.get(first)

def read(source):
    import numpy as np
    import pyarrow as pa

    unit, *values = source.path.read_text().split("\\n")
    factor = 18.018 if unit == "mine mmol" else 1
    stamps = np.datetime64("2024-01-01T00:01", "us") + np.arange(len(values)) * np.timedelta64(300, "s")
    glucose = np.array(values, float) * factor
    table = pa.table({"item_id": ["me"] * len(values), "timestamp": stamps, "glucose": glucose})
    yield from table.select(list(source.columns)).to_batches()

@hookimpl
def datasets():
    facts = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "rules": {"off_grid": "floor"}}
    columns = {"item_id": "item_id", "timestamp": "timestamp", "target": "glucose"}
    return [Dataset(NAME, "mine", "MIT", read, columns, recognises=recognises, **facts)]
"""
VALUES = np.linspace(90, 145, 12)


@pytest.fixture(autouse=True)
def held(site, tmp_path, monkeypatch):
    """The model ``held``: the last value, and a checkpoint that has a task. We stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    site.model("held", model_card=CARD)


@pytest.fixture
def reader(site):
    """Return ``reader(name)``, which installs a reader of files that begin with ``mine``."""
    return lambda name: site.plugin(f"reads-{name}", f"NAME = {name!r}\n{READER}")


@pytest.fixture
def table():
    """Return ``table(name, **changes)``, which writes an hour of one person's readings to a csv file."""

    def written(name="data.csv", rows=slice(None), **changes):
        stamps = pd.date_range("2024-01-01 08:00", periods=12, freq="5min")
        made = pd.DataFrame({"item_id": "a", "timestamp": stamps, "glucose": VALUES})
        made.assign(**changes).dropna(axis=1, how="all").iloc[rows].to_csv(name, index=False)
        return name

    return written


def test_the_task_is_the_checkpoints(table):
    frame, without = tsfm_core.predict("held", table(), flags={"data.unit": "mg/dL"})
    assert without == {}
    assert frame.step.tolist() == [1, 2, 3, 4, 5, 6]
    assert frame["mean"].unique() == [145]
    assert frame.timestamp.iloc[-1] == pd.Timestamp("2024-01-01 09:25")
    shorter, _ = tsfm_core.predict("held", "data.csv", settings=["task.prediction_length=2", "data.unit=mg/dL"])
    pd.testing.assert_frame_equal(shorter, frame.head(2))
    named, _ = tsfm_core.predict("held", "data.csv", flags={"data.unit": "mg/dL", "model.checkpoint": "held/weights"})
    pd.testing.assert_frame_equal(named, frame)


def test_a_configs_task_is_its_own(table):
    task = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 3}
    frame, _ = tsfm_core.predict("held", table(), {"task": task})
    assert len(frame) == 3


def test_the_forecasts_are_in_the_datas_unit(table, tsfm):
    name = table(glucose=VALUES / 18.018)
    answer = tsfm("predict", "held", "--data", name, "--output", "out.csv", "--unit", "mmol/L")
    assert answer.err == "1 items forecast, 6 rows in mmol/L: out.csv\n"
    assert pd.read_csv("out.csv")["mean"].unique() == pytest.approx(145 / 18.018)


@pytest.mark.parametrize("name", ["me.csv", "me.parquet"])
def test_a_table_without_ids_is_one_persons(table, tsfm, name):
    table(item_id=None)
    if name == "me.parquet":
        pd.read_csv("data.csv", parse_dates=["timestamp"]).to_parquet("me.parquet", index=False)
    else:
        table("me.csv", item_id=None)
    answer = tsfm("predict", "held", "--data", name, "--output", "out.csv", "--unit", "mg/dL")
    assert answer.err.startswith(f"{name} has no column item_id: it is read as one person's, me\n")
    assert pd.read_csv("out.csv").item_id.unique() == ["me"]


def test_columns_are_named_by_flags(table, tsfm):
    table()
    pd.read_csv("data.csv").set_axis(["who", "time", "gl"], axis=1).to_csv("own.csv", index=False)
    columns = ("--item-id", "who", "--timestamp", "time", "--target", "gl")
    answer = tsfm("predict", "held", "--data", "own.csv", "--output", "out.csv", "--unit", "mg/dL", *columns)
    assert answer.code == 0, answer.err
    expected, _ = tsfm_core.predict("held", "data.csv", flags={"data.unit": "mg/dL"})
    assert pd.read_csv("out.csv")["mean"].tolist() == expected["mean"].tolist()
    assert pd.read_csv("out.csv").item_id.tolist() == expected.item_id.tolist()


def test_irregular_rows_are_put_in_order_and_counted(table, tsfm):
    stamps = pd.date_range("2024-01-01 08:00", periods=12, freq="5min") + pd.Timedelta("70s")
    table(timestamp=[*stamps[:10], stamps[9], stamps[11]], rows=slice(None, None, -1))
    answer = tsfm("predict", "held", "--data", "data.csv", "--output", "out.csv", "--unit", "mg/dL")
    assert answer.err.splitlines()[:3] == [
        "10 rows went back in time and were sorted",
        "12 stamps were moved to the 5min grid",
        "1 rows shared their slot with another and were combined",
    ]
    frame = pd.read_csv("out.csv")
    assert frame.cutoff.unique() == ["2024-01-01 08:55:00"]
    assert frame["mean"].unique() == [145]


@pytest.mark.parametrize(
    ("rows", "rule", "said"),
    [
        (slice(None, None, -1), "unsorted=sort", "11 rows go back in time: data"),
        ([0, 0, *range(1, 12)], "duplicates=median", "1 rows share their slot with another: data"),
    ],
)
def test_without_ids_rows_that_may_be_of_several_people_are_refused(table, tsfm, refused, rows, rule, said):
    table(item_id=None, rows=rows)
    asked = ("predict", "held", "--data", "data.csv", "--output", "out.csv", "--unit", "mg/dL")
    sentence = refused(*asked)
    assert said in sentence
    assert "name the column that says whose: --item-id, or data.columns.item_id" in sentence
    assert tsfm(*asked, "--set", f"data.{rule}").code == 0


def test_a_short_history_is_forecast_and_said(table, tsfm, refused):
    stamps = pd.date_range("2024-01-01 08:00", periods=12, freq="5min")
    glucose = np.where(np.arange(12) == 9, np.nan, VALUES)
    table(glucose=glucose, timestamp=stamps - pd.to_timedelta(np.where(np.arange(12) < 6, 24, 0), "h"))
    asked = ("predict", "held", "--data", "data.csv", "--output", "out.csv", "--unit", "mg/dL")
    assert "\na: 5 readings of 12\n" in "\n" + tsfm(*asked).err
    table(rows=slice(9, None))
    assert "a: 3 steps since its last longer gap; 4 are needed" in refused(*asked)
    assert tsfm(*asked, "--set", "data.min_context=3").code == 0


def test_a_file_that_one_reader_recognises(reader, tmp_path, tsfm):
    reader("mine")
    (tmp_path / "x.txt").write_text("\n".join(["mine mmol", *map(str, VALUES / 18.018)]))
    answer = tsfm("predict", "held", "--data", "x.txt", "--output", "out.csv")
    assert answer.err.splitlines()[0] == "x.txt is read as mine; --source names another format"
    assert "6 rows in mmol/L" in answer.err
    assert pd.read_csv("out.csv")["mean"].unique() == pytest.approx(145 / 18.018)
    tsfm("predict", "held", "--data", "x.txt", "--output", "out.csv", "--unit", "mg/dL", "--source", "mine")
    assert pd.read_csv("out.csv")["mean"].unique() == pytest.approx(145)


def test_a_file_that_two_readers_recognise_is_read_by_neither(reader, tmp_path, tsfm, refused):
    reader("mine")
    reader("yours")
    (tmp_path / "x.csv").write_text("\n".join(["mine mg", *map(str, VALUES)]))
    asked = ("predict", "held", "--data", "x.csv", "--output", "out.csv")
    assert "has no column 'timestamp'" in refused(*asked, "--unit", "mg/dL")
    assert tsfm(*asked, "--source", "yours").code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "the unit of glucose in data.csv is not said; add --unit mg/dL or --unit mmol/L"),
        (("--unit", "mg"), "unit 'mg' is not known"),
        (("--unit", "mg/dL", "--target", "cgm"), "data.csv has no column 'cgm'"),
        (("--unit", "mg/dL", "--source", "nowhere"), "nowhere"),
        (("--unit", "mg/dL", "--checkpoint", "other/weights"), "tsfm predict needs the section 'task'"),
    ],
)
def test_what_is_not_said_or_not_so_is_refused(table, refused, options, said):
    table()
    assert said in refused("predict", "held", "--data", "data.csv", "--output", "out.csv", *options)


def test_the_only_persons_id_is_an_option_of_a_table(table):
    table(item_id=None)
    task = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 3, "prediction_length": 2}
    config = {"task": task, "data": {"source": "csv", "path": "data.csv", "options": {"item_id": "p1"}}}
    config |= {"split": {"temporal_holdout": 0.4}, "evaluation": {"metrics": [], "baselines": []}}
    run = tsfm_core.backtest("naive", config)
    assert run.facts["data"]["items"] == 1
    assert pd.read_parquet(run.forecasts_path).item_id.unique() == ["p1"]
    table()
    with pytest.raises(tsfm_core.DataError, match="says that data.csv holds 'p1' alone, and it has a column of ids"):
        tsfm_core.backtest("naive", config)
