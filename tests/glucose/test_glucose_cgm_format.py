"""The unified csv of cgm-format: small files written here, in its exact layout."""

import pytest

from tsfm_core import DataError

HEADER = (
    "sequence_id,original_datetime,original_glucose,quality,event_type,datetime,glucose,carbs,insulin_slow,"
    "insulin_fast,exercise"
)


def row(stamp, event="EGV_READ", quality=0, glucose="", carbs="", slow="", fast="", original="", datetime=None):
    return f"0,{stamp},{original},{quality},{event},{datetime or stamp},{glucose},{carbs},{slow},{fast},"


@pytest.fixture
def unified(tmp_path):
    """Return ``unified(*lines, name, header)``: a file in the unified layout."""

    def write(*lines, name="ana.csv", header=HEADER):
        path = tmp_path / name
        path.write_text("\n".join([header, *lines]) + "\n")
        return path

    return write


def refusal(read, path, columns=None):
    with pytest.raises(DataError) as caught:
        read("cgm_format", path, columns)
    return str(caught.value).replace(str(path), "FILE")


def test_each_event_goes_to_its_channel_at_its_recorded_stamp(read, unified):
    path = unified(
        row("2024-05-01T12:31:07.000", glucose="101.0"),
        row("2024-05-01T12:32:00.500", "CARBS_IN", carbs="45.0"),
        row("2024-05-01T12:32:00.500", "INS_FAST", fast="4.5"),
        row("2024-05-01T22:00:00.000", "INS_SLOW", slow="18.0"),
        row("2024-05-01T12:30:00", glucose="99"),  # earlier than the row before it: not sorted here
    )
    rows = read("cgm_format", path)
    assert rows.of("ana", "glucose") == [("2024-05-01 12:31:07", 101.0), ("2024-05-01 12:30:00", 99.0)]
    assert rows.of("ana", "carbs_g") == [("2024-05-01 12:32:00.500000", 45.0)]
    assert rows.of("ana", "bolus_u") == [("2024-05-01 12:32:00.500000", 4.5)]
    assert rows.of("ana", "basal_u") == [("2024-05-01 22:00:00", 18.0)]
    assert rows.counts == {}


def test_only_the_sensor_gives_glucose(read, unified):
    path = unified(
        row("2024-05-01T12:00:00", glucose="100"),
        row("2024-05-01T12:01:00", "CALIBRAT", glucose="250"),
        row("2024-05-01T12:02:00", "BG_METER", glucose="260"),
        row("2024-05-01T12:03:00", "ALRT_LOG", glucose="70"),
        row("2024-05-01T12:04:00", "XRCS_MED"),
    )
    rows = read("cgm_format", path)
    assert rows.of("ana", "glucose") == [("2024-05-01 12:00:00", 100.0)]
    assert rows.counts == {
        ("ana", "finger-stick readings (CALIBRAT, BG_METER), left out"): 2,
        ("ana", "rows of other events, such as alerts and exercise, left out"): 2,
    }


def test_an_imputed_row_is_left_out_and_a_flagged_one_is_kept_and_counted(read, unified):
    path = unified(
        row("2024-05-01T12:00:00", quality=4, glucose="100"),
        row("2024-05-01T12:05:00", quality=4 + 16 + 2, glucose="101"),
        row("2024-05-01T12:10:00", quality=1, glucose="401"),
        row("2024-05-01T12:15:00", quality=2, glucose="103"),
        row("2024-05-01T12:15:00", quality=8 + 2, glucose="104"),
        row("2024-05-01T12:20:00", quality=32, glucose="105"),
    )
    rows = read("cgm_format", path)
    assert [value for _, value in rows.of("ana", "glucose")] == [401.0, 103.0, 104.0, 105.0]
    assert rows.counts == {
        ("ana", "imputed rows (quality bit 4), left out"): 2,
        ("ana", "readings out of the sensor's range, kept"): 1,
        ("ana", "readings on a calibration day, kept"): 2,
        ("ana", "readings at a time that another row has, kept"): 1,
        ("ana", "readings merged of two sensors, kept"): 1,
    }


def test_a_moved_reading_goes_back_to_where_it_was_recorded(read, unified):
    path = unified(
        # synchronised: the value is the sensor's, only the stamp moved
        row("2024-05-01T12:03:40", quality=16, glucose="110", original="110", datetime="2024-05-01T12:05:00"),
        # re-timed: the value was interpolated at the other instant too
        row("2024-05-01T12:08:40", quality=64, glucose="117.5", original="115", datetime="2024-05-01T12:10:00"),
    )
    rows = read("cgm_format", path)
    assert rows.of("ana", "glucose") == [("2024-05-01 12:03:40", 110.0), ("2024-05-01 12:08:40", 115.0)]
    assert rows.counts == {("ana", "readings that had been moved in time, at their recorded stamp"): 2}


def test_a_basal_rate_needs_the_column_that_gives_its_unit(read, unified):
    rate = row("2024-05-01T12:00:00", "BASAL_RT")
    rows = read("cgm_format", unified(row("2024-05-01T12:00:00", glucose="100"), rate))
    said = "BASAL_RT rows without a column basal_rate: their unit is not known, left out"
    assert rows.counts == {("ana", said): 1}
    assert rows.frame.basal_u_per_h.isna().all()

    extended = HEADER + ",basal_rate,insulin_duration,annotations"
    path = unified(
        row("2024-05-01T12:00:00", "BASAL_RT") + ",0.85,,",
        row("2024-05-01T13:00:00", "BASAL_RT") + ",0.0,,",
        row("2024-05-01T14:00:00", "BASAL_RT") + ",,,",
        row("2024-05-01T15:00:00", "INS_FAST", fast="3") + ",,90,",
        header=extended,
    )
    rows = read("cgm_format", path)
    assert rows.of("ana", "basal_u_per_h") == [("2024-05-01 12:00:00", 0.85), ("2024-05-01 13:00:00", 0.0)]
    assert rows.of("ana", "bolus_u") == [("2024-05-01 15:00:00", 3.0)]
    assert rows.counts == {
        ("ana", "BASAL_RT rows that end what is known of the rate; the last one holds"): 1,
        ("ana", "boluses given over some time, put at their begin"): 1,
    }


def test_a_folder_holds_a_person_in_each_file(read, unified, tmp_path):
    unified(row("2024-05-01T12:00:00", glucose="100"), name="bo.csv")
    unified(row("2024-05-01T12:00:00", glucose="200"), name="ana.csv")
    rows = read("cgm_format", tmp_path)
    assert rows.of("ana", "glucose") == [("2024-05-01 12:00:00", 200.0)]
    assert rows.of("bo", "glucose") == [("2024-05-01 12:00:00", 100.0)]


def test_a_channel_that_is_not_wanted_is_not_read(read, unified):
    path = unified(row("2024-05-01T12:00:00", glucose="100"), row("2024-05-01T12:00:00", "CARBS_IN", carbs="many"))
    rows = read("cgm_format", path, ["item_id", "timestamp", "glucose"])
    assert rows.of("ana", "glucose") == [("2024-05-01 12:00:00", 100.0)]


def test_what_is_wrong_is_said_with_its_row(read, unified):
    good = row("2024-05-01T12:00:00", glucose="100")
    assert refusal(read, unified(good, row("2024-05-01T12:05:00", glucose="high"))) == (
        "FILE: row 2 of 'glucose' is 'high', not a number; correct the cell"
    )
    assert "row 2 of 'original_datetime' is '01.05.2024', not a timestamp" in refusal(
        read, unified(good, row("01.05.2024", glucose="100"))
    )
    for quality in ("1.5", "-4", ""):
        said = refusal(read, unified(good, row("2024-05-01T12:05:00", quality=quality, glucose="100")))
        assert "row 2 of 'quality' is" in said
        assert "not a sum of flags" in said
    assert "row 1 has no event_type" in refusal(read, unified(row("2024-05-01T12:00:00", "", glucose="100")))
    assert refusal(read, unified(row("2024-05-01T12:00:00", "INS_FAST", fast="-2"))) == (
        "FILE: row 1 of 'insulin_fast' is '-2', below 0; correct the cell"
    )
    header = HEADER.replace("quality", "flags")
    assert "FILE has no column 'quality'; it has sequence_id" in refusal(read, unified(good, header=header))


def test_a_path_that_leads_nowhere_is_said(read, tmp_path):
    assert "cgm_format needs data.path" in refusal(read, None)
    assert "is not there" in refusal(read, tmp_path / "none.csv")
    assert "holds no *.csv" in refusal(read, tmp_path)
