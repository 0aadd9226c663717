"""The csv that GluPredKit's parsers write: small files written here, in its layout."""

import pytest

from tsfm_core import DataError

HEADER = "date,id,CGM,insulin,carbs,is_test"
FULL = "date,id,CGM,insulin,carbs,is_test,basal,bolus,hour,heartrate,steps,workout_label"


@pytest.fixture
def parsed(tmp_path):
    """Return ``parsed(header, *lines)``: a file as a parser writes it."""

    def write(header, *lines):
        path = tmp_path / "study.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return path

    return write


def refusal(read, path, **options):
    with pytest.raises(DataError) as caught:
        read("glupredkit", path, **options)
    return str(caught.value).replace(str(path), "FILE")


def test_every_column_goes_to_its_channel(read, parsed):
    path = parsed(
        FULL,
        "2024-03-01 08:00:00,559,101.0,0.10,0.0,False,0.1,0.0,8,61.5,12,",
        "2024-03-01 08:05:00,559,,3.08,45.0,False,0.08,3.0,8,,,walk",
        "2024-03-01 08:00:00,sub 2,90.0,,,True,,,8,,,",
    )
    rows = read("glupredkit", path)
    first, second = "2024-03-01 08:00:00", "2024-03-01 08:05:00"
    assert rows.of("559", "glucose") == [(first, 101.0)]
    assert rows.of("559", "insulin_u") == [(first, 0.1), (second, 3.08)]
    assert rows.of("559", "bolus_u") == [(first, 0.0), (second, 3.0)]
    assert rows.of("559", "basal_u_per_h") == [(first, pytest.approx(1.2)), (second, pytest.approx(0.96))]
    assert rows.of("559", "carbs_g") == [(first, 0.0), (second, 45.0)]
    assert rows.of("559", "heart_rate") == [(first, 61.5)]
    assert rows.of("559", "steps") == [(first, 12.0)]
    assert rows.of("sub 2", "glucose") == [(first, 90.0)]
    assert rows.of("sub 2", "carbs_g") == []  # empty is not recorded, never 0
    assert rows.counts == {}


def test_the_columns_that_some_parsers_leave_out_are_simply_empty(read, parsed):
    rows = read("glupredkit", parsed(HEADER, "2024-03-01,7,100,0.1,0,False"))
    assert rows.of("7", "glucose") == [("2024-03-01 00:00:00", 100.0)]
    assert rows.frame[["bolus_u", "basal_u_per_h", "heart_rate", "steps"]].isna().all(axis=None)


def test_an_offset_is_left_out_and_counted(read, parsed):
    path = parsed(
        HEADER,
        "2024-10-27 02:55:00+02:00,7,100,,,False",
        "2024-10-27 02:00:00+01:00,7,101,,,False",  # five minutes later: the clock was set back
        "2024-10-27T02:05:00.250Z,8,102,,,False",
        "2024-10-27 02:10:00,8,103,,,False",
    )
    rows = read("glupredkit", path)
    assert rows.of("7", "glucose") == [("2024-10-27 02:55:00", 100.0), ("2024-10-27 02:00:00", 101.0)]
    assert rows.of("8", "glucose") == [("2024-10-27 02:05:00.250000", 102.0), ("2024-10-27 02:10:00", 103.0)]
    said = "stamps whose offset was left out"
    assert rows.counts == {("7", said): 2, ("8", said): 1}


def test_a_basal_in_units_per_hour_is_told_by_the_insulin_beside_it(read, parsed):
    lines = ["2024-03-01 08:00:00,7,100,2.1,0,False,1.2,2.0", "2024-03-01 08:05:00,7,100,0.1,0,False,1.2,0"]
    path = parsed(f"{HEADER},basal,bolus", *lines)
    assert refusal(read, path) == (
        "FILE: row 1 holds insulin 2.1, bolus 2.0, basal 1.2: basal is in U/h, not in U; data.options.basal: U/h"
    )
    rows = read("glupredkit", path, basal="U/h")
    assert [value for _, value in rows.of("7", "basal_u_per_h")] == pytest.approx([1.2, 1.2])
    right = parsed(f"{HEADER},basal,bolus", "2024-03-01 08:00:00,7,100,2.1,0,False,0.1,2.0")
    assert "basal is in U, not in U/h; data.options.basal: U" in refusal(read, right, basal="U/h")


def test_a_row_that_does_not_add_up_is_counted(read, parsed):
    path = parsed(f"{HEADER},basal,bolus", "2024-03-01 08:00:00,7,100,9,0,False,0.1,2.0")
    rows = read("glupredkit", path)
    assert rows.of("7", "basal_u_per_h") == [("2024-03-01 08:00:00", pytest.approx(1.2))]
    assert rows.counts == {("7", "rows whose insulin is not bolus and basal together"): 1}


def test_an_injection_in_the_basal_column_is_no_rate(read, parsed):
    path = parsed(
        f"{HEADER},basal,bolus",
        "2024-03-01 08:00:00,7,100,20,0,False,20,0",
        "2024-03-01 08:05:00,7,100,0.1,0,False,0.1,0",
    )
    rows = read("glupredkit", path)
    assert rows.of("7", "basal_u_per_h") == [("2024-03-01 08:05:00", pytest.approx(1.2))]
    assert rows.counts == {("7", "basal above 35 U/h, which is no rate of a pump, left out"): 1}


def test_what_is_wrong_is_said_with_its_row(read, parsed):
    good = "2024-03-01 08:00:00,7,100,0.1,0,False"
    assert refusal(read, parsed(HEADER, good, "2024-03-01 08:05:00,7,LOW,0.1,0,False")) == (
        "FILE: row 2 of 'CGM' is 'LOW', not a number; correct the cell"
    )
    assert refusal(read, parsed(HEADER, good, "2024-03-01 08:05:00,7,99,-0.1,0,False")) == (
        "FILE: row 2 of 'insulin' is '-0.1', below 0; correct the cell"
    )
    assert "row 2 of 'date' is '01/03/2024 08:05', not a timestamp" in refusal(
        read, parsed(HEADER, good, "01/03/2024 08:05,7,99,0.1,0,False")
    )
    assert "row 2 of 'date' is empty" in refusal(read, parsed(HEADER, good, ",7,99,0.1,0,False"))
    assert "row 2 has no id" in refusal(read, parsed(HEADER, good, "2024-03-01 08:05:00,,99,0.1,0,False"))
    assert "FILE has no column 'CGM'; it has date, id, glucose" in refusal(
        read, parsed("date,id,glucose,insulin,carbs", "2024-03-01 08:05:00,7,99,0.1,0")
    )


def test_a_path_that_is_no_file_is_said(read, tmp_path):
    assert "glupredkit needs data.path" in refusal(read, None)
    assert "is a folder; name the csv" in refusal(read, tmp_path)
    assert "is not there; name the csv" in refusal(read, tmp_path / "none.csv")
