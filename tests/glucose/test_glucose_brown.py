"""DCLP3: two ways to write a stamp, corrected stamps, and a column without a name."""

import pytest

from tsfm_core import DataError
from tsfm_glucose.sources import brown

CGM = "PtID|Period|DataDtTm|"
BASAL = "RecID|PtID|DataDtTm|CommandedBasalRate|DataDtTm_adjusted"
BOLUS = "RecID|PtID|DataDtTm|BolusAmount|BolusType|DataDtTm_adjusted"


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "Data Files").mkdir()
    write(
        tmp_path,
        "cgm",
        CGM,
        "7|1. Baseline|11DEC17:23:59:25|140",
        "7|1. Baseline|12DEC17:00:04:25|39",
        "7|2. Post Randomization|2018-02-01 07:30:00|151",
        "120|1. Baseline|01JAN18:00:00:00|",
    )
    write(
        tmp_path,
        "Pump_BasalRateChange",
        BASAL,
        "1|7|2017-12-11 22:00:00|0.85|",
        "2|7|2010-01-01 02:00:00|0|2018-01-01 04:30:00",
        "3|7|2017-12-11 22:10:00|-0.1|",
    )
    write(
        tmp_path,
        "Pump_BolusDelivered",
        BOLUS,
        "1|7|2017-12-11 18:00:07|4.25|Standard|",
        "2|7|2017-12-11 20:00:07|1.5|Extended|",
        "3|7|2010-01-01 02:00:00|2|Standard|02JAN18:03:00:00",
    )
    return tmp_path


def write(archive, name, *lines):
    (archive / "Data Files" / f"{name}.txt").write_text("\n".join(lines) + "\n")


def test_stamps_are_read_as_iso_and_as_sas_writes_them(archive, read):
    rows = read("brown", archive)
    assert rows.of("bro_7", "glucose") == [
        ("2017-12-11 23:59:25", 140.0),
        ("2017-12-12 00:04:25", 39.0),
        ("2018-02-01 07:30:00", 151.0),
    ]


def test_a_corrected_stamp_wins_over_a_wrong_year(archive, read):
    rows = read("brown", archive)
    assert rows.of("bro_7", "basal_u_per_h") == [("2017-12-11 22:00:00", 0.85), ("2018-01-01 04:30:00", 0.0)]
    assert rows.of("bro_7", "bolus_u") == [
        ("2017-12-11 18:00:07", 4.25),
        ("2017-12-11 20:00:07", 1.5),
        ("2018-01-02 03:00:00", 2.0),
    ]


def test_what_was_met_is_counted(archive, read):
    assert read("brown", archive).counts == {
        ("bro_7", "stamps that the study corrected (DataDtTm_adjusted)"): 2,
        ("bro_7", "rows without a basal_u_per_h of 0 or more"): 1,
        ("bro_7", "extended boluses: no duration is published, put at their stamp"): 1,
        ("bro_7", "readings below 40 or above 400, the sensor's limits (kept)"): 1,
        ("bro_120", "rows without a glucose of 0 or more"): 1,
    }


def test_people_without_pump_rows_have_glucose_alone(archive, read):
    write(archive, "cgm", CGM, "0120|1. Baseline|01JAN18:00:00:00|88")
    rows = read("brown", archive)
    assert rows.of("bro_120", "glucose") == [("2018-01-01 00:00:00", 88.0)]
    assert rows.of("bro_120", "bolus_u") == rows.of("bro_120", "basal_u_per_h") == []


def test_a_named_glucose_column_is_read_too_but_no_other(archive, read):
    write(archive, "cgm", "PtID|Period|DataDtTm|CGM", "7|1. Baseline|11DEC17:23:59:25|140")
    assert read("brown", archive).of("bro_7", "glucose") == [("2017-12-11 23:59:25", 140.0)]
    write(archive, "cgm", "PtID|Period|DataDtTm", "7|1. Baseline|11DEC17:23:59:25")
    with pytest.raises(DataError, match=r"cgm.txt has neither a column 'CGM' nor a fourth one without a name"):
        read("brown", archive)


def test_the_tables_themselves_are_a_path_too(archive, read):
    assert read("brown", archive / "Data Files").frame.equals(read("brown", archive).frame)
    names = [path.name for path in brown.DATASET.files(archive)]
    assert names == ["Pump_BasalRateChange.txt", "Pump_BolusDelivered.txt", "cgm.txt"]


def test_rows_by_chunk_are_the_same(archive, read, monkeypatch):
    whole = read("brown", archive)
    monkeypatch.setattr("tsfm_glucose.sources.tables._CHUNK", 2)
    parts = read("brown", archive)
    assert parts.frame.equals(whole.frame)
    assert parts.counts == whole.counts


@pytest.mark.parametrize(
    ("name", "lines", "sentence"),
    [
        ("cgm", (CGM, "7|1|11DEC17:23:59:25|high"), r"row 1 of 'the fourth column, .*' is 'high', not a number"),
        ("cgm", (CGM, "7|1|12/11/2017|120"), r"cgm.txt: row 1 of 'DataDtTm' is '12/11/2017', not a timestamp"),
        ("cgm", (CGM, "7|1||120"), r"row 1 of 'DataDtTm' is empty, not a timestamp"),
        ("cgm", (CGM, "x|1|11DEC17:23:59:25|120"), r"row 1 of 'PtID' is 'x', not a person's number; correct the cell"),
        ("Pump_BolusDelivered", (BOLUS, "1|7|2018-01-01 00:00:00|1|Standard|soon"), r"'DataDtTm_adjusted' is 'soon'"),
        ("Pump_BolusDelivered", (BASAL,), r"Pump_BolusDelivered.txt has no column 'BolusAmount'"),
        (
            "Pump_BasalRateChange",
            (BASAL, "1|7|2018-01-01 00:00:00|1,5|"),
            r"'CommandedBasalRate' is '1,5', not a number",
        ),
    ],
)
def test_a_file_that_is_not_as_published_is_one_sentence(archive, read, name, lines, sentence):
    write(archive, name, *lines)
    with pytest.raises(DataError, match=sentence):
        read("brown", archive)


def test_a_table_that_is_missing_is_one_sentence(archive, read):
    (archive / "Data Files" / "Pump_BolusDelivered.txt").unlink()
    assert len(read("brown", archive, ["item_id", "timestamp", "glucose"]).frame) == 3
    with pytest.raises(DataError, match=r"holds no Pump_BolusDelivered.txt; data.path is the folder of brown"):
        read("brown", archive)
