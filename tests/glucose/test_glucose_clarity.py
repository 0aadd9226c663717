"""Dexcom Clarity: exports as the site writes them, of invented people."""

import pytest

from tsfm_core import DataError
from tsfm_glucose.sources.clarity import DATASET

HEADER = (
    "Index,Timestamp (YYYY-MM-DDThh:mm:ss),Event Type,Event Subtype,Patient Info,Device Info,Source Device ID,"
    "Glucose Value ({unit}),Insulin Value (u),Carb Value (grams),Duration (hh:mm:ss),"
    "Glucose Rate of Change ({unit}/min),Transmitter Time (Long Integer),Transmitter ID"
)
HEAD = """1,,FirstName,,Ingrid,,,,,,,,,
2,,LastName,,Quarles,,,,,,,,,
3,,DateOfBirth,,1971-02-03,,,,,,,,,
4,,Device,,,Dexcom G7 Mobile App,iOS G7,,,,,,,
5,,Alert,High,,,iOS G7,200,,,,,,
6,,Alert,Urgent Low,,,iOS G7,55,,,,,,
"""
ROWS = """7,2024-03-01T00:01:47,EGV,,,,iOS G7,120,,,,,1,8AM1EY
8,2024-03-01 0:06:47,EGV,,,,iOS G7,Low,,,,,2,8AM1EY
9,2024-03-01T00:11:47,EGV,,,,iOS G7,High,,,,,3,8AM1EY
10,2024-03-01T00:16:47,Fasting Glucose,,,,iOS G7,118,,,,,4,8AM1EY
11,2024-03-01T00:17:00,Calibration,,,,iOS G7,300,,,,,,
12,2024-03-01T07:00:00,Insulin,Fast-Acting,,,iOS G7,,4.5,,,,,
13,2024-03-01T22:00:00,Insulin,Long-Acting,,,iOS G7,,18,,,,,
14,2024-03-01T23:00:00,Insulin,,,,iOS G7,,1,,,,,
15,2024-03-01T07:05:00,Carbs,,,,iOS G7,,,45,,,,
16,2024-03-01T08:00:00,Ingrid felt well,,,,iOS G7,100,,,,,,
"""


def write(folder, rows=ROWS, unit="mg/dL", head=HEAD, header=HEADER, name="p01.csv", mark=""):
    path = folder / name
    path.write_bytes(f"{mark}{header.format(unit=unit)}\n{head}{rows}".replace("\n", "\r\n").encode())
    return path


def test_streams_are_given_as_recorded(read, tmp_path):
    rows = read("clarity", write(tmp_path))
    assert rows.of("p01", "glucose") == [
        ("2024-03-01 00:01:47", 120),
        ("2024-03-01 00:06:47", 39),
        ("2024-03-01 00:11:47", 401),
        ("2024-03-01 00:16:47", 118),
    ]
    assert rows.of("p01", "bolus_u") == [("2024-03-01 07:00:00", 4.5)]
    assert rows.of("p01", "basal_u") == [("2024-03-01 22:00:00", 18)]
    assert rows.of("p01", "carbs_g") == [("2024-03-01 07:05:00", 45)]
    assert len(rows.frame) == 7


def test_what_is_left_out_or_censored_is_counted(read, tmp_path):
    assert read("clarity", write(tmp_path)).counts == {
        ("p01", "rows without a timestamp"): 6,
        ("p01", "Calibration rows"): 1,
        ("p01", "rows of another event type"): 1,
        ("p01", "readings Low, given as 39 mg/dL"): 1,
        ("p01", "readings High, given as 401 mg/dL"): 1,
        ("p01", "doses neither Fast-Acting nor Long-Acting"): 1,
    }


def test_mmol_files_are_converted_and_counted(read, tmp_path):
    extra = HEAD + "7,,Alert,Fall,,,iOS G7,,,,,0.2,,\n"
    rows = "8,2024-03-01T00:01:47,EGV,,,,iOS G7,5.5,,,,,1,\n9,2024-03-01T00:06:47,EGV,,,,iOS G7,High,,,,,1,\n"
    read_rows = read("clarity", write(tmp_path, rows, unit="mmol/L", head=extra))
    assert read_rows.frame.glucose.tolist() == pytest.approx([5.5 * 18.018, 401])
    assert read_rows.counts["p01", "readings converted from mmol/L"] == 1
    assert read_rows.counts["p01", "rows without a timestamp"] == 7


@pytest.mark.parametrize("mark", ["\ufeff", "\ufeff\ufeff"])
def test_byte_order_marks_and_short_rows_are_passed_over(read, tmp_path, mark):
    header = HEADER.replace(",Transmitter ID", "")
    rows = "7,2024-03-01T00:01:47,EGV,,,,iOS G7,120\n8,2024-03-01T00:06:47,EGV,,,,iOS G7,\n"
    got = read("clarity", write(tmp_path, rows, head="1,,FirstName,,Ingrid\n", header=header, mark=mark))
    assert got.of("p01", "glucose") == [("2024-03-01 00:01:47", 120)]
    assert got.counts["p01", "readings without a value"] == 1


def test_a_folder_holds_a_file_for_each_person(read, tmp_path):
    write(tmp_path)
    write(tmp_path, "7,2024-03-01T00:01:47,EGV,,,,iOS G7,99,,,,,1,\n", head="", name="p02.csv")
    assert read("clarity", tmp_path).of("p02", "glucose") == [("2024-03-01 00:01:47", 99)]
    with pytest.raises(DataError, match=r"holds 2 files; data.options.item_id names one person"):
        read("clarity", tmp_path, item_id="me")
    assert set(read("clarity", tmp_path / "p01.csv", item_id="me").frame.item_id) == {"me"}


def test_only_wanted_columns_are_given(read, tmp_path):
    frame = read("clarity", write(tmp_path), columns=["item_id", "timestamp", "carbs_g"]).frame
    assert frame.carbs_g.tolist() == [45]


MALFORMED = {
    "stamp": (ROWS.replace("2024-03-01T00:11:47", "01/03/2024 00:11"), {}),
    "value": (ROWS.replace("iOS G7,120,", "iOS G7,12O,"), {}),
    "dose": (ROWS.replace(",4.5,", ",4u5,"), {}),
    "header": (ROWS, {"header": "1,,FirstName,,Ingrid,,,,,,,,,"}),
    "unit": (ROWS, {"unit": "g/L"}),
    "quote": (ROWS + '17,2024-03-01T09:00:00,"EGV', {}),
    "swallowed": (ROWS, {"head": HEAD.replace("1,,FirstName", '1,"FirstName').replace("6,,Alert", '6",EGV')}),
    "long": (ROWS.replace("8AM1EY", "8AM1EY,", 1), {}),
    "name": (ROWS.replace("2024-03-01T00:11:47", "Ingrid"), {}),
    "birth": (ROWS.replace(",120,", ",1971-02-03,"), {}),
}


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("stamp", r"p01.csv: row 9 of 'Timestamp .*' is '01/03/2024 00:11', not a timestamp; expected %Y-%m-%d"),
        ("value", r"p01.csv: row 7 of 'Glucose Value \(mg/dL\)' is '12O', not a number; correct the cell"),
        ("dose", r"p01.csv: row 12 of 'Insulin Value \(u\)' is '4u5', not a number"),
        ("header", r"p01.csv has no column 'Timestamp' in its first row; export it from Clarity in English"),
        ("unit", r"p01.csv: the column of glucose names no unit; expected \(mg/dL\) or \(mmol/L\)"),
        ("quote", r"p01.csv is no table: unexpected end of data"),
        ("long", r"p01.csv is no table: row 7 has 15 cells, the header 14"),
        ("swallowed", r"p01.csv: row 1 of 'Timestamp .*' is '\*\*\*', not a timestamp"),
        ("name", r"p01.csv: row 9 of 'Timestamp .*' is '\*\*\*', not a timestamp"),
        ("birth", r"p01.csv: row 7 of 'Glucose Value \(mg/dL\)' is '\*\*\*', not a number"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_named(read, tmp_path, case, said):
    rows, changed = MALFORMED[case]
    with pytest.raises(DataError, match=said):
        read("clarity", write(tmp_path, rows, **changed))


def test_a_file_that_is_missing_or_empty_is_named(read, tmp_path):
    with pytest.raises(DataError, match=r"clarity needs data.path"):
        read("clarity", None)
    with pytest.raises(DataError, match=r"p09.csv is not there; clarity: a csv file, or a folder"):
        read("clarity", tmp_path / "p09.csv")
    with pytest.raises(DataError, match=r"holds no \*.csv"):
        read("clarity", tmp_path)
    (tmp_path / "p01.csv").write_text("")
    with pytest.raises(DataError, match=r"p01.csv has no column 'Timestamp' in its first row"):
        read("clarity", tmp_path)
    (tmp_path / "p01.csv").write_bytes(HEADER.format(unit="mg/dL").encode() + b"\n1,,FirstName,,Jos\xe9\n")
    with pytest.raises(DataError, match=r"p01.csv is not UTF-8: invalid continuation byte"):
        read("clarity", tmp_path)


PERSONAL = ("ingrid", "quarles", "1971")


def test_personal_data_is_neither_given_nor_said(read, tmp_path, capsys):
    rows = read("clarity", write(tmp_path))
    shown = f"{rows.frame.to_csv()}{rows.counts}".casefold()
    for rows_of, changed in MALFORMED.values():
        with pytest.raises(DataError) as error:
            read("clarity", write(tmp_path, rows_of, **changed))
        shown += str(error.value).casefold()
    shown += "".join(capsys.readouterr())
    assert not [word for word in PERSONAL if word in shown]


@pytest.mark.parametrize("name", ["Clarity_Export_Quarles_Ingrid_2024-03-01.csv", "ingrid.csv"])
def test_a_file_that_is_named_after_its_person_is_refused_without_the_name(read, tmp_path, name):
    for options in ({}, {"item_id": "p01"}):
        with pytest.raises(DataError, match=r"bears the name of its person; name it otherwise") as error:
            read("clarity", write(tmp_path, name=name), **options)
        assert not [word for word in PERSONAL if word in str(error.value).casefold()]


def test_a_file_without_the_columns_of_insulin_and_meals_is_read(read, tmp_path):
    header = HEADER.partition(",Insulin Value")[0].replace("Event Subtype,", "")
    rows = "1,2024-03-01T00:01:47,EGV,,,iOS,120\n2,2024-03-01T07:00:00,Insulin\n3,2024-03-01T07:05:00,Carbs\n"
    got = read("clarity", write(tmp_path, rows, head="", header=header))
    assert got.frame.glucose.tolist() == [120]
    assert got.counts["p01", "doses and meals without an amount"] == 2


@pytest.mark.parametrize("unit", ["mg/dL", "mmol/L"])
def test_an_export_is_recognised_with_its_unit(tmp_path, unit):
    assert DATASET.recognises(write(tmp_path, unit=unit)) == unit
    assert DATASET.recognises(write(tmp_path, unit=unit, mark="\ufeff", header=HEADER.replace(",", ";"))) == unit
    # the reader is to say why it refuses such a file; a guess at its columns would show what is in it
    assert DATASET.recognises(write(tmp_path, unit=unit, name="Ingrid.csv")) == unit


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"item_id,timestamp,glucose\na,2024-01-01,100\n",
        b"Timestamp,Event Type,Glucose Value\n2024-01-01,EGV,100\n",  # names no unit
        b"Timestamp,Glucose Value (mg/dL)\n2024-01-01,100\n",
        b"PAR1\x00\xff\xfe" * 50,
        b'"Timestamp\n' * 3,
    ],
)
def test_no_other_file_is_taken_for_an_export(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    assert DATASET.recognises(tmp_path / "x.csv") is None
    assert DATASET.recognises(tmp_path / "none.csv") is None
    assert DATASET.recognises(tmp_path) is None
