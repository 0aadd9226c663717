"""T1D-UOM: files in the raw layout, written here, and the real ones where they are there."""

import os
from pathlib import Path

import pytest

from tsfm_core import DataError
from tsfm_core.plugins import host

SHARED = os.environ.get("TSFM_SHARED")
GLUCOSE = "Glucose Data/UoMGlucose{}.csv"
BOLUS = "Insulin Data/Bolus Data/UoMBolus{}.csv"
BASAL = "Insulin Data/Basal Data/UoMBasal{}.csv"
MEALS = "Nutrition Data/UoMNutrition{}.csv"
ACTIVITY = "Activity Data/UoMActivity{}.csv"
MEAL = "meal_ts,meal_type,meal_tag,carbs_g,prot_g,fat_g,fibre_g"
ACTIVE = (
    "activity_ts,activity_type,active_Kcal,step_count,distance_m,duration_s,active_time_s,start_time_s,"
    "start_time_offset_s,met,intensity,motion_intensity_mean,motion_intensity_max"
)


@pytest.fixture
def raw(tmp_path):
    """Return ``raw(name, *lines)``: a file as it is published, CRLF and some with a byte-order mark."""

    def write(name, *lines, mark=False):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + "".join(f"{line}\r\n" for line in lines).encode())
        return path

    write(GLUCOSE.format(9), "bg_ts,value", "01/02/2024 00:03,7.5", "01/02/2024 00:08,8")
    write.root = tmp_path
    return write


def active(stamp, kind, kcal, steps, start, offset=0):
    return f"{stamp},{kind},{kcal},{steps},9.3,900,60,{start},{offset},1,ACTIVE,3.0,4"


def refusal(read, raw, columns=None):
    with pytest.raises(DataError) as caught:
        read("t1d_uom", raw.root, columns)
    return str(caught.value).replace(str(raw.root), "RAW")


def test_days_come_before_months_and_rows_stay_as_they_are_recorded(read, raw):
    lines = ["02/01/2024 00:03,7.5", "02/01/2024 00:08,8", "02/01/2024 00:08,8", "01/01/2024 23:59,0.1"]
    raw(GLUCOSE.format(10), "bg_ts,value", *lines)
    rows = read("t1d_uom", raw.root)
    assert rows.of("uom10", "glucose") == [
        ("2024-01-02 00:03:00", 7.5),
        ("2024-01-02 00:08:00", 8.0),
        ("2024-01-02 00:08:00", 8.0),
        ("2024-01-01 23:59:00", 0.1),
    ]
    assert rows.frame.item_id.unique().tolist() == ["uom9", "uom10"]  # by number, not by letter


def test_every_stream_comes_under_its_channel(read, raw):
    raw(BOLUS.format(9), "bolus_ts,bolus_dose", "01/02/2024 07:01,4.725", "01/02/2024 06:30,0", mark=True)
    lines = ["01/02/2024 00:00,1.725,R,,", "01/02/2024 00:00,1.424,R,,", "01/02/2024 08:42,9,L,,"]
    raw(BASAL.format(9), "basal_ts,basal_dose,insulin_kind,,", *lines, mark=True)
    raw(MEALS.format(9), MEAL, "01/02/2024 07:00 ,Breakfast,Kwark,13.5,20,0,", mark=True)
    raw(ACTIVITY.format(9), ACTIVE, active("01/02/2024 12:45", "WALKING", 3, 120, 1706791500))
    rows = read("t1d_uom", raw.root)
    assert rows.of("uom9", "bolus_u") == [("2024-02-01 07:01:00", 4.725), ("2024-02-01 06:30:00", 0.0)]
    assert rows.of("uom9", "basal_u_per_h") == [("2024-02-01 00:00:00", 1.725), ("2024-02-01 00:00:00", 1.424)]
    assert rows.of("uom9", "basal_u") == [("2024-02-01 08:42:00", 9.0)]
    assert rows.of("uom9", "carbs_g") == [("2024-02-01 07:00:00", 13.5)]
    assert rows.of("uom9", "steps") == [("2024-02-01 12:55:00", 120.0)]  # its quarter of an hour is over at 13:00
    assert rows.of("uom9", "active_kcal") == [("2024-02-01 12:55:00", 3.0)]
    assert rows.counts == {}
    kinds = {name: (channel.kind, channel.unit) for name, channel in host().dataset("t1d_uom").channels.items()}
    assert kinds["basal_u_per_h"] == ("rate", "U/h")
    assert kinds["basal_u"] == ("amount", "U")


def test_blank_cells_are_left_out_and_counted(read, raw):
    raw(BOLUS.format(9), "bolus_ts,bolus_dose", "01/02/2024 07:00,", "01/02/2024 08:00,2", "01/02/2024 09:00, ")
    raw(MEALS.format(9), MEAL, "01/02/2024 07:00,Lunch,Soup,,,,")
    rows = read("t1d_uom", raw.root, ["item_id", "timestamp", "bolus_u", "carbs_g"])
    assert rows.of("uom9", "bolus_u") == [("2024-02-01 08:00:00", 2.0)]
    assert rows.of("uom9", "carbs_g") == []
    assert rows.counts == {("uom9", "blank bolus_dose cells"): 2, ("uom9", "blank carbs_g cells"): 1}


def test_activity_is_counted_once_for_each_start_and_type(read, raw):
    lines = [
        active("01/02/2024 00:00", "WALKING", 1, 10, 100),
        active("01/02/2024 00:00", "SEDENTARY", 0, 0, 100),  # another type: its own row
        active("01/02/2024 00:00", "WALKING", 1, 10, 100),  # the same row
        active("01/02/2024 01:00", "WALKING", 1, 10, 100, 3600),  # under another offset
        active("31/01/2024 19:00", "WALKING", 2, 99, 100, -18000),  # under a third, which says another amount
        active("01/02/2024 00:15", "WALKING", 1, 7, 1000),
    ]
    raw(ACTIVITY.format(9), ACTIVE, *lines)
    rows = read("t1d_uom", raw.root, ["item_id", "timestamp", "steps"])
    assert rows.of("uom9", "steps") == [
        ("2024-02-01 00:10:00", 10.0),
        ("2024-02-01 00:10:00", 0.0),
        ("2024-02-01 00:25:00", 7.0),
    ]
    assert rows.counts == {
        ("uom9", "activity rows given twice"): 3,
        ("uom9", "activity rows given twice that disagree"): 1,
    }


def test_a_year_that_the_place_in_the_file_rules_out_is_left_out(read, raw):
    lines = [f"{day:02d}/01/2024 12:00,1" for day in range(1, 21)]
    lines[9:9] = ["10/01/2023 08:00,50", "10/01/2023 09:00,50"]
    lines[15:15] = ["15/01/2025 08:00,50"]
    lines[4] = "03/01/2024 12:00,1"  # unsorted by days, as published: stays
    raw(BOLUS.format(9), "bolus_ts,bolus_dose", *lines)
    rows = read("t1d_uom", raw.root, ["item_id", "timestamp", "bolus_u"])
    assert [value for _, value in rows.of("uom9", "bolus_u")] == [1.0] * 20
    assert rows.counts == {("uom9", "bolus rows with a wrong year"): 3}


def test_a_silence_of_a_year_is_no_wrong_year(read, raw):
    lines = ["01/01/2023 12:00,9,L", "02/01/2023 12:00,9,L", *(f"{day:02d}/06/2024 12:00,9,L" for day in range(1, 21))]
    raw(BASAL.format(9), "basal_ts,basal_dose,insulin_kind", *lines)
    rows = read("t1d_uom", raw.root, ["item_id", "timestamp", "basal_u"])
    assert len(rows.of("uom9", "basal_u")) == 22
    assert rows.counts == {}


def test_a_date_without_a_time_of_day_does_not_become_midnight(read, raw):
    raw(MEALS.format(9), MEAL, "01/02/2024,Lunch,Soup,49,,,", "01/02/2024 19:20,Dinner,Rice,36,,,")
    rows = read("t1d_uom", raw.root, ["item_id", "timestamp", "carbs_g"])
    assert rows.of("uom9", "carbs_g") == [("2024-02-01 19:20:00", 36.0)]
    assert rows.counts == {("uom9", "meal rows without a time of day"): 1}


def test_streams_that_nobody_asked_for_are_not_opened(read, raw):
    raw(MEALS.format(9), "no such table")
    rows = read("t1d_uom", raw.root, ["item_id", "timestamp", "glucose"])
    assert len(rows.frame) == 2
    assert rows.counts == {}


def test_files_that_a_person_lacks_are_counted(read, raw):
    raw(BOLUS.format(11), "bolus_ts,bolus_dose", "01/02/2024 07:00,1")
    rows = read("t1d_uom", raw.root)
    assert rows.frame.item_id.unique().tolist() == ["uom9"]
    assert rows.counts == {
        **{("uom9", f"no {name} file"): 1 for name in ("bolus", "basal", "meal", "activity")},
        ("uom11", "no glucose file"): 1,
    }


def test_only_files_that_are_read_make_the_data(raw):
    (raw.root / "notes.txt").write_text("mine")
    meals = raw(MEALS.format(9), MEAL)
    assert host().dataset("t1d_uom").files(raw.root) == [raw.root / GLUCOSE.format(9), meals]


@pytest.mark.parametrize(
    ("name", "lines", "sentence"),
    [
        (
            GLUCOSE,
            ["bg_ts,value", "01/02/2024 00:03,7.5", "02/13/2024 00:08,8"],
            "RAW/Glucose Data/UoMGlucose9.csv: row 2 of 'bg_ts' is '02/13/2024 00:08', not a timestamp; "
            "expected %d/%m/%Y %H:%M",
        ),
        (
            GLUCOSE,
            ["bg_ts,value", "01/02/2024,7.5"],
            "RAW/Glucose Data/UoMGlucose9.csv: row 1 of 'bg_ts' is '01/02/2024', not a timestamp; "
            "expected %d/%m/%Y %H:%M",
        ),
        (
            GLUCOSE,
            ["bg_ts,value", "01/02/2024 00:03,High"],
            "RAW/Glucose Data/UoMGlucose9.csv: row 1 of 'value' is 'High', not a number; correct the cell",
        ),
        (
            GLUCOSE,
            ["bg_ts,glucose", "01/02/2024 00:03,7.5"],
            "RAW/Glucose Data/UoMGlucose9.csv has no column 'value'; it has bg_ts, glucose",
        ),
        (
            BOLUS,
            ["bolus_ts,bolus_dose", "01/02/2024 07:00,1", "01/02/2024 08:00,-2"],
            "RAW/Insulin Data/Bolus Data/UoMBolus9.csv: row 2 of 'bolus_dose' is '-2', below 0; correct the cell",
        ),
        (
            BOLUS,
            ["bolus_ts,bolus_dose", ",1"],
            "RAW/Insulin Data/Bolus Data/UoMBolus9.csv: row 1 of 'bolus_ts' is empty, not a timestamp; "
            "expected %d/%m/%Y %H:%M",
        ),
        (
            BASAL,
            ["basal_ts,basal_dose,insulin_kind", "01/02/2024 07:00,1,R", "01/02/2024 07:00,1,X"],
            "RAW/Insulin Data/Basal Data/UoMBasal9.csv: row 2 of 'insulin_kind' is 'X'; R (rapid) or L (long-acting)",
        ),
    ],
)
def test_a_file_that_is_not_as_published_is_named(read, raw, name, lines, sentence):
    raw(name.format(9), *lines)
    assert refusal(read, raw) == sentence


def test_a_folder_without_glucose_is_refused(read, raw, tmp_path):
    (raw.root / GLUCOSE.format(9)).unlink()
    raw(BOLUS.format(9), "bolus_ts,bolus_dose", "01/02/2024 07:00,1")
    assert refusal(read, raw) == (
        "RAW holds no Glucose Data/UoMGlucose*.csv; data.path is the folder of t1d_uom as it is published"
    )
    with pytest.raises(DataError, match="t1d_uom needs data.path"):
        read("t1d_uom", None)
    with pytest.raises(DataError, match="nowhere is not there"):
        read("t1d_uom", tmp_path / "nowhere")


def test_a_copy_of_a_file_is_not_another_person(read, raw):
    raw("Glucose Data/UoMGlucose9 (1).csv", "bg_ts,value", "01/02/2024 00:03,7.5")
    assert refusal(read, raw) == (
        "RAW/Glucose Data/UoMGlucose9 (1).csv is not named UoMGlucose<number>.csv; rename it, or take it out of the "
        "folder"
    )


@pytest.mark.skipif(not SHARED, reason="TSFM_SHARED does not name the folder of the shared data")
def test_what_is_known_to_be_wrong_with_the_real_files_is_counted(read):
    rows = read(
        "t1d_uom", Path(SHARED) / "data/t1d_uom/raw", ["item_id", "timestamp", "glucose", "bolus_u", "carbs_g", "steps"]
    )
    assert rows.counts["uom2309", "meal rows without a time of day"] == 4
    assert rows.counts["uom2302", "bolus rows with a wrong year"] == 2
    assert rows.counts["uom2305", "bolus rows with a wrong year"] == 1
    assert rows.counts["uom2305", "activity rows given twice"] == 12_741
