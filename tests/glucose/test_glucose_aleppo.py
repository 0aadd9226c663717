"""REPLACE-BG: day offsets, calibrations, suspends and extended boluses, in files laid out as the archive's."""

import pytest

from tsfm_core import DataError
from tsfm_glucose.sources import aleppo

HEAD = "RecID|ParentHDeviceUploadsID|PtID|SiteID|DeviceDtTmDaysFromEnroll|DeviceTm|"
HEADS = {
    "HDeviceCGM": HEAD + "DexInternalDtTmDaysFromEnroll|DexInternalTm|RecordType|GlucoseValue",
    "HDeviceBolus": HEAD
    + "BolusType|InjValue|Insulin|Normal|ExpectedNormal|Extended|ExpectedExtended|Duration|ExpectedDuration",
    "HDeviceBasal": HEAD + "BasalType|Duration|ExpectedDuration|Percnt|Rate|SuprBasalType|SuprDuration|SuprRate",
    # the wizard's table spells the person otherwise
    "HDeviceWizard": HEAD.replace("PtID", "PtId")
    + "RecommendedCarb|RecommendedCorrection|RecommendedNet|BgInput|CarbInput|InsulinOnBoard",
}
ROWS = {
    "HDeviceCGM": [
        "1|7|014|3|-2|23:59:00|-2|23:58:00|CGM|180.00",
        "2|7|014|3|0|00:02:31|0|00:01:31|CGM|101.00",
        "3|7|014|3|0|00:07:31|0|00:06:31|Calibration|99.00",
        "4|7|014|3|1|13:00:00|1|12:59:00|CGM|39.00",
        "5|8|200|3|0|06:00:00|0|06:00:00|CGM|401.00",
        "6|8|200|3|0|05:55:00|0|05:55:00|CGM|",
    ],
    "HDeviceBolus": [
        "10|7|014|3|-1|08:00:00|Normal|||9.00|||||",
        "11|7|014|3|0|08:00:00|Normal|||3.50|||||",
        "12|9|014|3|0|08:00:00|normal|||3.5|||||",
        "13|7|014|3|0|12:00:00|Dual/Square|||1.50||2.40||1200000|",
        "14|7|014|3|0|23:58:00|Square|||||1.00||420000|",
        "15|8|200|3|2|07:00:00|Combination|||2.00||1.00||60|",
        "16|8|200|3|2|09:00:00|Normal||||||||",
        "17|8|200|3|2|10:00:00|Normal|||-1.00|||||",
    ],
    "HDeviceBasal": [
        "20|7|014|3|0|00:00:00|Scheduled|10800000|||.650|||",
        "21|7|014|3|0|03:00:00|Suspend|3600000||||||",
        "22|7|014|3|0|04:00:00|Temp|3600000||50|.325|||",
        "23|7|014|3|0|05:00:00|Temp|3600000||50||||",
        "24|7|014|3|-4|05:00:00|Suspend|3600000||||||",
    ],
    "HDeviceWizard": [
        "30|7|014|3|0|07:59:58|3.5|.0|3.5|150.0|42.00|.00",
        "31|9|014|3|0|07:59:58|3.5|.0|3.5|150.0|42|.00",
        "32|7|014|3|0|11:00:00|.0|.0|.0|110.0|.00|1.00",
        "33|7|014|3|0|12:00:00|.0|.0|.0|110.0||1.00",
        "34|8|200|3|-9|12:00:00|.0|.0|.0|110.0|30|1.00",
    ],
}


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "Data Tables").mkdir()
    for name, rows in ROWS.items():
        write(tmp_path, name, rows)
    return tmp_path


def write(archive, name, rows, head=None):
    path = archive / "Data Tables" / f"{name}.txt"
    path.write_text("\r\n".join([head or HEADS[name], *rows]) + "\r\n", newline="")
    return path


def test_stamps_are_days_after_the_base_date_and_the_time_of_day(archive, read):
    rows = read("aleppo", archive)
    assert rows.of("ale_14", "glucose") == [("2020-01-01 00:02:31", 101.0), ("2020-01-02 13:00:00", 39.0)]
    assert rows.of("ale_200", "glucose") == [("2020-01-01 06:00:00", 401.0)]
    assert aleppo.DATASET.clock == "time_of_day"


def test_calibrations_the_run_in_and_empty_readings_are_counted(archive, read):
    counts = read("aleppo", archive, ["item_id", "timestamp", "glucose"]).counts
    assert counts == {
        ("ale_14", "rows of the run-in, before day 0"): 1,
        ("ale_14", "sensor records that are no reading (calibrations)"): 1,
        ("ale_200", "rows without GlucoseValue of 0 or more"): 1,
        ("ale_14", "readings below 40 or above 400, the sensor's limits (kept)"): 1,
        ("ale_200", "readings below 40 or above 400, the sensor's limits (kept)"): 1,
    }


def test_an_extended_bolus_is_spread_over_its_milliseconds(archive, read):
    rows = read("aleppo", archive, ["item_id", "timestamp", "bolus_u"])
    assert rows.of("ale_14", "bolus_u") == [
        ("2020-01-01 08:00:00", 3.5),
        ("2020-01-01 12:00:00", 1.5),
        # 2.4 U in 20 min
        ("2020-01-01 12:00:00", pytest.approx(0.6)),
        ("2020-01-01 12:05:00", pytest.approx(0.6)),
        ("2020-01-01 12:10:00", pytest.approx(0.6)),
        ("2020-01-01 12:15:00", pytest.approx(0.6)),
        # 1 U in 7 min, over midnight
        ("2020-01-01 23:58:00", 0.5),
        ("2020-01-02 00:03:00", 0.5),
    ]
    # 60 are no milliseconds: minutes of another upload
    assert rows.of("ale_200", "bolus_u") == [("2020-01-03 07:00:00", 2.0), ("2020-01-03 07:00:00", 1.0)]
    assert rows.counts == {
        ("ale_14", "rows of the run-in, before day 0"): 1,
        ("ale_14", "rows that give Normal and Extended again for the same second"): 1,
        ("ale_14", "extended boluses, spread over their duration"): 2,
        ("ale_200", "extended boluses without a usable duration, put at their stamp"): 1,
        ("ale_200", "rows without Normal or Extended of 0 or more"): 2,
    }


def test_a_suspend_is_0_and_a_temporary_rate_that_is_not_given_is_counted(archive, read):
    rows = read("aleppo", archive, ["item_id", "timestamp", "basal_u_per_h"])
    assert rows.of("ale_14", "basal_u_per_h") == [
        ("2020-01-01 00:00:00", 0.65),
        ("2020-01-01 03:00:00", 0.0),
        ("2020-01-01 04:00:00", 0.325),
    ]
    assert rows.counts == {
        ("ale_14", "rows of the run-in, before day 0"): 1,
        ("ale_14", "rows without Rate of 0 or more"): 1,
    }


def test_carbohydrates_come_from_the_wizard_once(archive, read):
    rows = read("aleppo", archive, ["item_id", "timestamp", "carbs_g"])
    assert rows.of("ale_14", "carbs_g") == [("2020-01-01 07:59:58", 42.0), ("2020-01-01 11:00:00", 0.0)]
    assert rows.counts == {
        ("ale_14", "rows that give CarbInput again for the same second"): 1,
        ("ale_14", "rows without CarbInput of 0 or more"): 1,
        ("ale_200", "rows of the run-in, before day 0"): 1,
    }


def test_a_dose_is_known_again_in_a_later_chunk(archive, read, monkeypatch):
    whole = read("aleppo", archive)
    monkeypatch.setattr("tsfm_glucose.sources.tables._CHUNK", 1)
    parts = read("aleppo", archive)
    assert parts.counts == whole.counts
    for channel in ("glucose", "bolus_u", "basal_u_per_h", "carbs_g"):
        assert sorted(parts.of("ale_14", channel)) == sorted(whole.of("ale_14", channel))


def test_the_tables_themselves_are_a_path_too_and_only_they_are_read(archive, read):
    (archive / "Data Tables" / "HPtRoster.txt").write_text("RecID|PtID\n")
    assert read("aleppo", archive / "Data Tables").frame.equals(read("aleppo", archive).frame)
    names = sorted(path.name for path in aleppo.DATASET.files(archive))
    assert names == [f"{name}.txt" for name in sorted(HEADS)]
    assert list(aleppo.DATASET.files(None)) == []


def test_a_table_is_needed_where_its_channel_is_wanted(archive, read):
    (archive / "Data Tables" / "HDeviceBasal.txt").unlink()
    assert len(read("aleppo", archive, ["item_id", "timestamp", "glucose", "carbs_g"]).frame) == 5
    with pytest.raises(DataError, match=r"holds no HDeviceBasal.txt; data.path is the folder of aleppo"):
        read("aleppo", archive)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("9|7|P14|3|0|00:00:00|0|00:00:00|CGM|100", r"HDeviceCGM.txt: row 2 of 'PtID' is 'P14', not a person's number"),
        ("9|7||3|0|00:00:00|0|00:00:00|CGM|100", r"row 2 of 'PtID' is empty, not a person's number; correct the cell"),
        ("9|7|14|3|0.5|00:00:00|0|00:00:00|CGM|100", r"row 2 of '\w+Enroll' is '0.5', not a whole number of days"),
        ("9|7|14|3||00:00:00|0|00:00:00|CGM|100", r"row 2 of '\w+Enroll' is empty, not a whole number of days"),
        ("9|7|14|3|99999999999|00:00:00|0|00:00:00|CGM|1", r"is '99999999999', not a whole number of days"),
        ("9|7|14|3|0|24:00:00|0|00:00:00|CGM|100", r"row 2 of 'DeviceTm' is '24:00:00', not a timestamp"),
        ("9|7|14|3|0|00:00:00|0|00:00:00|CGM|high", r"row 2 of 'GlucoseValue' is 'high', not a number"),
    ],
)
def test_a_cell_that_is_not_as_published_is_one_sentence(archive, read, row, sentence):
    write(archive, "HDeviceCGM", ["1|7|14|3|0|00:02:31|0|00:01:31|CGM|101.00", row])
    with pytest.raises(DataError, match=sentence):
        read("aleppo", archive)


def test_a_column_or_a_folder_that_is_missing_is_one_sentence(archive, read, tmp_path):
    with pytest.raises(DataError, match=r"aleppo needs data.path; .*Data Tables"):
        read("aleppo", None)
    with pytest.raises(DataError, match=r"holds no HDeviceCGM.txt"):
        read("aleppo", archive.parent)
    write(archive, "HDeviceCGM", [], HEADS["HDeviceCGM"].replace("RecordType", "Kind"))
    with pytest.raises(DataError, match=r"HDeviceCGM.txt has no column 'RecordType'"):
        read("aleppo", archive)
    write(archive, "HDeviceCGM", ["1|7|14|3|0|00:02:31|0|00:01:31|CGM|1"], HEADS["HDeviceCGM"].replace("PtID", "Who"))
    with pytest.raises(DataError, match=r"HDeviceCGM.txt has no column 'PtID'; take the file as it is published"):
        read("aleppo", archive)
