"""JDRF CGM RCT: the device's own stamps, in every file of the archive."""

import pytest

from tsfm_core import DataError
from tsfm_glucose.sources import tamborlane

HEAD = "RecID,PtID,DeviceDtTm,Glucose"
BASELINE, CONTROL = "tblADataRTCGM_Blind_Baseline.csv", "tblADataRTCGM_Unblinded_ControlGroup_1.csv"


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "DataTables").mkdir()
    write(
        tmp_path,
        BASELINE,
        HEAD,
        "1,8,2000-01-29 13:44:11.000000,117",
        "2,8,2000-01-29 13:54:11.5,121",
        "3,8,2000-02-02 00:00:00,",
    )
    write(tmp_path, CONTROL, HEAD, "9,8,2000-06-05 00:01:00,64", "8,008,2000-06-04 23:56:00,70", "7,31,2000-06-04,39")
    (tmp_path / "DataTables" / "tblAPtSummary.csv").write_text("PtID,Gender\n8,F\n")
    return tmp_path


def write(archive, name, *lines):
    (archive / "DataTables" / name).write_text("\n".join(lines) + "\n")


def test_every_file_is_read_at_the_stamps_of_the_device(archive, read):
    rows = read("tamborlane", archive)
    assert rows.of("tam_8", "glucose") == [
        ("2000-01-29 13:44:11", 117.0),
        ("2000-01-29 13:54:11.500000", 121.0),
        ("2000-06-05 00:01:00", 64.0),
        ("2000-06-04 23:56:00", 70.0),
    ]
    assert rows.of("tam_31", "glucose") == [("2000-06-04 00:00:00", 39.0)]
    assert rows.counts == {("tam_8", "rows without a Glucose of 0 or more"): 1}


@pytest.mark.parametrize("stamp", ["6/5/2000 3:04:05 PM", "06/05/2000 15:04:05", "2000-06-05 15:04:05"])
def test_american_dates_are_month_first(archive, read, stamp):
    write(archive, CONTROL, HEAD, f"9,9,{stamp},64")
    assert read("tamborlane", archive).of("tam_9", "glucose") == [("2000-06-05 15:04:05", 64.0)]


def test_a_calendar_is_never_made_up(archive, read):
    write(archive, CONTROL, "RecID,PtID,DeviceDate,DeviceTime,Glucose", "9,8,2000-06-05,00:01:00,64")
    with pytest.raises(DataError, match=r"ControlGroup_1.csv has no column 'DeviceDtTm'; no other column is read as a"):
        read("tamborlane", archive)


def test_the_tables_themselves_are_a_path_too(archive, read):
    assert read("tamborlane", archive / "DataTables").frame.equals(read("tamborlane", archive).frame)
    assert [path.name for path in tamborlane.DATASET.files(archive)] == [BASELINE, CONTROL]
    assert dict(tamborlane.DATASET.channels) == {}


def test_rows_by_chunk_are_the_same(archive, read, monkeypatch):
    whole = read("tamborlane", archive)
    monkeypatch.setattr("tsfm_glucose.sources.tables._CHUNK", 1)
    parts = read("tamborlane", archive)
    assert parts.frame.equals(whole.frame)
    assert parts.counts == whole.counts


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ((HEAD, "1,8,2000-01-29 13:44:11,x"), r"ControlGroup_1.csv: row 1 of 'Glucose' is 'x', not a number"),
        ((HEAD, "1,8,29.01.2000 13:44,90"), r"row 1 of 'DeviceDtTm' is '29.01.2000 13:44', not a timestamp; expected"),
        ((HEAD, "1,8,,90"), r"row 1 of 'DeviceDtTm' is empty, not a timestamp"),
        ((HEAD, "1,,2000-01-29 13:44:11,90"), r"row 1 of 'PtID' is empty, not a person's number; correct the cell"),
        (("RecID,PtID,DeviceDtTm,Gl", "1,8,2000-01-29 13:44:11,90"), r"ControlGroup_1.csv has no column 'Glucose'"),
    ],
)
def test_a_file_that_is_not_as_published_is_one_sentence(archive, read, lines, sentence):
    write(archive, CONTROL, *lines)
    with pytest.raises(DataError, match=sentence):
        read("tamborlane", archive)


def test_an_archive_without_such_files_is_one_sentence(tmp_path, read):
    with pytest.raises(DataError, match=r"holds no \*DataRTCGM\*.csv; data.path is the folder of tamborlane"):
        read("tamborlane", tmp_path)
    with pytest.raises(DataError, match=r"tamborlane needs data.path"):
        read("tamborlane", None)
