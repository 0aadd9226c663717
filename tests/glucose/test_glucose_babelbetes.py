"""BabelBetes: events in parquet, study and patient in the path."""

import pandas as pd
import pytest

from tsfm_core import DataError

DAY = "2024-03-01 "


def write(root, kind, study, patient, **columns):
    path = root / kind / f"study_name={study}" / f"patient_id={patient}" / "part-0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(columns)
    frame["datetime"] = pd.to_datetime(frame["datetime"], format="ISO8601")
    frame.to_parquet(path, index=False)
    return path


@pytest.fixture
def root(tmp_path):
    write(tmp_path, "cgm", "Flair", "007", datetime=[DAY + "00:05:30", DAY + "00:00"], cgm=[120.0, 40.0])
    write(tmp_path, "cgm", "DCLP3", "a%2Fb", datetime=[DAY + "00:05"], cgm=[None])
    write(
        tmp_path,
        "bolus",
        "Flair",
        "007",
        datetime=[DAY + "07:00", DAY + "08:00", DAY + "09:00"],
        bolus=[1.5, 4.0, -1.0],
        delivery_duration=pd.to_timedelta([0, 1800, 0], unit="s"),
    )
    write(tmp_path, "basal", "Flair", "007", datetime=[DAY + "00:00", DAY + "01:00"], basal_rate=[0.8, 0.0])
    write(tmp_path, "carbs", "Flair", "007", datetime=[DAY + "07:00"], carbs=[45.0])
    (tmp_path / "age" / "study_name=Flair").mkdir(parents=True)
    return tmp_path


def test_each_kind_becomes_a_channel(read, root):
    rows = read("babelbetes", root)
    assert rows.of("Flair_007", "glucose") == [("2024-03-01 00:05:30", 120), ("2024-03-01 00:00:00", 40)]
    assert rows.of("Flair_007", "bolus_u") == [("2024-03-01 07:00:00", 1.5), ("2024-03-01 08:00:00", 4)]
    assert rows.of("Flair_007", "basal_u_per_h") == [("2024-03-01 00:00:00", 0.8), ("2024-03-01 01:00:00", 0)]
    assert rows.of("Flair_007", "carbs_g") == [("2024-03-01 07:00:00", 45)]
    assert set(rows.frame.item_id) == {"Flair_007"}


def test_what_is_left_out_or_simplified_is_counted(read, root):
    assert read("babelbetes", root).counts == {
        ("DCLP3_a/b", "cgm rows without a value"): 1,
        ("Flair_007", "bolus rows below 0"): 1,
        ("Flair_007", "extended boluses, whole at their stamp"): 1,
    }


def test_a_study_without_insulin_is_read(read, tmp_path):
    write(tmp_path, "cgm", "Loop", "12", datetime=[DAY + "00:05"], cgm=[99])
    rows = read("babelbetes", tmp_path)
    assert rows.of("Loop_12", "glucose") == [("2024-03-01 00:05:00", 99)]
    assert rows.frame.bolus_u.isna().all()


def test_a_file_in_the_wrong_place_is_named(read, root):
    (root / "cgm" / "x.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"x.parquet lies in no folder study_name=...; expected <kind>/study_name="):
        read("babelbetes", root)
    with pytest.raises(DataError, match=r"cgm holds no cgm/"):
        read("babelbetes", root / "cgm")
    with pytest.raises(DataError, match=r"is not there; babelbetes: cgm, bolus"):
        read("babelbetes", root / "nowhere")


def test_a_column_that_is_not_as_it_should_be_is_named(read, root):
    path = write(root, "cgm", "Flair", "007", datetime=[DAY + "00:05"], glucose=[100.0])
    with pytest.raises(
        DataError, match=r"part-0.parquet has no column 'cgm'; it has glucose, datetime|it has datetime"
    ):
        read("babelbetes", root)
    write(root, "cgm", "Flair", "007", datetime=[DAY + "00:05", None], cgm=[100.0, 101.0])
    with pytest.raises(DataError, match=r"row 2 of 'datetime' is empty, not a timestamp"):
        read("babelbetes", root)
    pd.DataFrame({"datetime": pd.to_datetime([DAY + "00:05"]).tz_localize("UTC"), "cgm": [1.0]}).to_parquet(path)
    with pytest.raises(DataError, match=r"'datetime' is in zone UTC; write naive local times"):
        read("babelbetes", root)


def test_a_duration_in_another_type_is_refused(read, root):
    write(root, "bolus", "Flair", "007", datetime=[DAY + "07:00"], bolus=[1.0], delivery_duration=[30])
    with pytest.raises(DataError, match=r"'delivery_duration' holds int64, not durations"):
        read("babelbetes", root)
