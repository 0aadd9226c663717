"""What every reader of text and of parquet meets: open quotes, headers without rows, columns that are there twice."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm_core import DataError

NOTES = "date,id,CGM,insulin,carbs,is_test,workout_label"
ROW = "2024-03-01 08:{:02}:00,7,{},,,False,{}"


def lines_of(notes):
    return "\n".join([NOTES, *(ROW.format(5 * at, 100 + at, note) for at, note in enumerate(notes))]) + "\n"


@pytest.mark.parametrize(
    ("notes", "line"), [(["walk", '"run', "", ""], 3), (["", '"run', "", '"swim', ""], 5), (["", "", '"'], 4)]
)
def test_a_quote_that_nothing_closes_hides_no_row(read, tmp_path, notes, line):
    path = tmp_path / "study.csv"
    path.write_text(lines_of(notes))
    with pytest.raises(
        DataError, match=rf"study.csv is not a csv table: line {line} opens a quote that nothing closes"
    ):
        read("glupredkit", path)


def test_a_note_may_lie_across_two_blocks_of_a_file(read, tmp_path, monkeypatch):
    monkeypatch.setattr("tsfm_glucose.sources.tables._BLOCK", 512)
    notes = ['"a walk\nand a ""run"""', "none", '5" deep', ""] * 3
    path = tmp_path / "study.csv"
    path.write_text(lines_of(notes))
    assert [value for _, value in read("glupredkit", path).of("7", "glucose")] == [100.0 + at for at in range(12)]


def test_a_file_of_one_stream_may_hold_its_header_alone(read, tmp_path):
    for name, text in {
        "Glucose Data/UoMGlucose9.csv": "bg_ts,value\n01/02/2024 00:03,7.5\n",
        "Nutrition Data/UoMNutrition9.csv": "meal_ts,meal_type,meal_tag,carbs_g,prot_g,fat_g,fibre_g\n",
        "Glucose Data/UoMGlucose10.csv": "bg_ts,value\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    rows = read("t1d_uom", tmp_path)
    assert rows.of("uom9", "glucose") == [("2024-02-01 00:03:00", 7.5)]
    assert len(rows.frame) == 1


def test_a_person_of_the_cache_may_have_a_header_alone(read, tmp_path):
    (tmp_path / "p1_full.csv").write_text("datetime,p_num,bg_mM\n")
    (tmp_path / "p2_full.csv").write_text("datetime,p_num,bg_mM\n2024-03-01 00:00:00,p2,7.5\n")
    assert read("p_num_full", tmp_path).frame.item_id.tolist() == ["p2"]


@pytest.mark.parametrize("column", ["datetime", "cgm"])
def test_a_column_that_a_parquet_file_has_twice_is_named(read, tmp_path, column):
    path = tmp_path / "cgm" / "study_name=Flair" / "patient_id=7" / "0.parquet"
    path.parent.mkdir(parents=True)
    table = pa.table({"datetime": pd.to_datetime(["2024-03-01"]), "cgm": [100.0]})
    pq.write_table(table.append_column(column, table[column]), path)
    with pytest.raises(
        DataError, match=rf"0.parquet has the column '{column}' twice; take the file as it is published"
    ):
        read("babelbetes", tmp_path)


def test_names_that_are_no_text_are_no_parquet_file(read, tmp_path):
    path = tmp_path / "cgm" / "study_name=Flair" / "patient_id=7" / "0.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"datetime": pd.to_datetime(["2024-03-01"]), "cgm": [100.0]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"\x03cgm", b"\x03\xff\xfe\xfd"))
    with pytest.raises(DataError, match=r"0.parquet is no parquet file: 'utf-8' codec can't decode"):
        read("babelbetes", tmp_path)
