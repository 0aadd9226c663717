"""IOBP2: insulin of the step before, markers of the sensor's range, and stamps without a time at midnight."""

import pytest

from tsfm_core import DataError
from tsfm_glucose.sources import lynch

HEAD = "PtID|UploadIndex|DeviceDtTm|CGMVal|BGTarget|BasalDelivPrev|BolusDelivPrev|MealBolusDelivPrev|MealSize"
LINES = [
    "03|1|5/11/2020 11:54:56 PM|118|120|0.05|0|0|",
    "03|2|5/12/2020|39|120|0.1|0.25|3|Usual For Me",
    "03|3|5/12/2020 12:04:56 AM||120|0.02|1||",
    "03|4|5/12/2020 12:09:56 AM|401|120||||",
    "03|5|5/12/2020 12:14:56 AM||120||||",
    "41|1|12/31/2020 1:00:00 PM|95|120|-0.5||2|",
]


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "Data Tables").mkdir()
    write(tmp_path, *LINES)
    return tmp_path


def write(archive, *lines, head=HEAD):
    (archive / "Data Tables" / "IOBP2DeviceiLet.txt").write_text("\n".join([head, *lines]) + "\n")


def test_readings_are_where_they_are_and_markers_become_the_range(archive, read):
    rows = read("lynch", archive)
    assert rows.of("lyn_3", "glucose") == [
        ("2020-05-11 23:54:56", 118.0),
        ("2020-05-12 00:00:00", 40.0),
        ("2020-05-12 00:09:56", 400.0),
    ]
    assert rows.of("lyn_41", "glucose") == [("2020-12-31 13:00:00", 95.0)]


def test_insulin_is_of_the_step_before_also_without_a_reading(archive, read):
    rows = read("lynch", archive)
    assert rows.of("lyn_3", "bolus_u") == [
        ("2020-05-11 23:49:56", 0.0),
        ("2020-05-11 23:55:00", 3.25),
        ("2020-05-11 23:59:56", 1.0),
    ]
    assert rows.of("lyn_3", "basal_u_per_h") == [
        ("2020-05-11 23:49:56", pytest.approx(0.6)),
        ("2020-05-11 23:55:00", pytest.approx(1.2)),
        ("2020-05-11 23:59:56", pytest.approx(0.24)),
    ]
    # a meal bolus alone counts; the negative basal does not
    assert rows.of("lyn_41", "bolus_u") == [("2020-12-31 12:55:00", 2.0)]
    assert rows.of("lyn_41", "basal_u_per_h") == []


def test_what_was_met_is_counted(archive, read):
    assert read("lynch", archive).counts == {
        ("lyn_3", "readings below the sensor's range, set to 40"): 1,
        ("lyn_3", "readings above the sensor's range, set to 400"): 1,
        ("lyn_3", "rows without a reading and without insulin"): 1,
        ("lyn_41", "BasalDelivPrev cells below 0"): 1,
    }


def test_a_meal_is_a_word_so_there_are_no_carbohydrates():
    assert set(lynch.DATASET.channels) == {"bolus_u", "basal_u_per_h"}


def test_the_tables_themselves_are_a_path_too(archive, read):
    (archive / "Data Tables" / "IOBP2DeviceCGM.txt").write_text("PtID\n")
    assert read("lynch", archive / "Data Tables").frame.equals(read("lynch", archive).frame)
    assert [path.name for path in lynch.DATASET.files(archive)] == ["IOBP2DeviceiLet.txt"]


def test_rows_by_chunk_are_the_same(archive, read, monkeypatch):
    whole = read("lynch", archive)
    monkeypatch.setattr("tsfm_glucose.sources.tables._CHUNK", 1)
    parts = read("lynch", archive)
    assert parts.counts == whole.counts
    for channel in ("glucose", "bolus_u", "basal_u_per_h"):
        assert parts.of("lyn_3", channel) == whole.of("lyn_3", channel)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "3|9|2020-05-12 00:00:00|100|120|0|0|0|",
            r"iLet.txt: row 7 of 'DeviceDtTm' is '2020-05-12 00:00:00', not a time",
        ),
        (
            "3|9|31/12/2020 1:00:00 PM|100|120|0|0|0|",
            r"row 7 of 'DeviceDtTm' is '31/12/2020 1:00:00 PM', not a timestamp",
        ),
        ("3|9||100|120|0|0|0|", r"row 7 of 'DeviceDtTm' is empty, not a timestamp; expected"),
        ("3|9|5/12/2020|low|120|0|0|0|", r"row 7 of 'CGMVal' is 'low', not a number"),
        ("3|9|5/12/2020|100|120|0|0|Usual|", r"row 7 of 'MealBolusDelivPrev' is 'Usual', not a number"),
        ("-3|9|5/12/2020|100|120|0|0|0|", r"row 7 of 'PtID' is '-3', not a person's number; correct the cell"),
    ],
)
def test_a_cell_that_is_not_as_published_is_one_sentence(archive, read, line, sentence):
    write(archive, *LINES, line)
    with pytest.raises(DataError, match=sentence):
        read("lynch", archive)


def test_a_column_or_a_file_that_is_missing_is_one_sentence(archive, read):
    write(archive, head=HEAD.replace("CGMVal", "CGMValue"))
    with pytest.raises(DataError, match=r"iLet.txt has no column 'CGMVal'; .*; did you mean 'CGMValue'"):
        read("lynch", archive)
    (archive / "Data Tables" / "IOBP2DeviceiLet.txt").unlink()
    with pytest.raises(DataError, match=r"holds no IOBP2DeviceiLet.txt; data.path is the folder of lynch"):
        read("lynch", archive)
    with pytest.raises(DataError, match=r"is not there; lynch: the folder Data Tables"):
        read("lynch", archive / "elsewhere")
