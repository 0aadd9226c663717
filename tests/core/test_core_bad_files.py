"""Files that are no table, through every command that reads one: one sentence, exit 1, nothing written."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

HEADER = "item_id,timestamp,glucose\n"


FILES = {
    "missing": (None, "data.csv is not there; check data.path"),
    "empty": (b"", "data.csv is empty"),
    "blank": (b"\n\n", "data.csv is not a csv table"),
    "only a byte-order mark": (b"\xef\xbb\xbf", "data.csv is not a csv table: Empty CSV file"),
    "header only": (HEADER, "data.csv has a header and no rows"),
    "ragged": (HEADER + "a,2024-01-01,1\na,2024\n", "Expected 3 columns, got 2: a,2024"),
    "not UTF-8": (HEADER.encode() + b"\xe9,2024-01-01,1\n", "invalid UTF8 data"),
    "header not UTF-8": (b"item_id,timestamp,glucose,\xe9\na,2024-01-01,1,2\n", "data.csv is not UTF-8"),
    "UTF-16": (HEADER.encode("utf-16"), "data.csv is not a csv table"),
    "binary": (bytes(range(256)) * 4, "data.csv is not a csv table"),
    "semicolons": (HEADER.replace(",", ";") + "a;b;c\n", "no column 'item_id'; it has item_id;timestamp;glucose"),
    "column missing": ("item_id,timestamp,glucos\na,2024-01-01,1\n", "no column 'glucose'; it has item_id, timestamp"),
    "near column": ("item_id,timestamp,glucos\na,2024-01-01,1\n", "did you mean 'glucos'?"),
    "column twice": ("item_id,timestamp,glucose,glucose\na,2024-01-01,1,2\n", "has the column 'glucose' twice"),
}


@pytest.mark.parametrize("command", ["check", "train", "backtest", "predict"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_table(commands, write, refused, command, name):
    content, said = FILES[name]
    if content is not None:
        write(content)
    assert said in refused(*commands[command])


def test_a_folder_in_the_files_place(commands, folder, refused):
    (folder / "data.csv").mkdir()
    for command in commands.values():
        assert "data.csv is a folder, not a file" in refused(*command)


COLUMNS = {
    "boolean": ("glucose", pa.array([True] * 200), "'glucose' holds bool, not numbers"),
    "list": ("glucose", pa.array([[1.0]] * 200), "'glucose' holds list<element: double>, not numbers"),
    "struct": ("glucose", pa.array([{"x": 1.0}] * 200), "'glucose' holds struct<x: double>, not numbers"),
    "date": ("glucose", pa.array([1] * 200, pa.date32()), "'glucose' holds date32[day], not numbers"),
    "bytes": ("glucose", pa.array([b"5"] * 200), "'glucose' holds binary, not numbers"),
    "categories of text": ("glucose", pa.array(["x"] * 200).dictionary_encode(), "row 1 of column 'glucose' is 'x'"),
    "infinite": ("glucose", pa.array([1.0, np.inf] * 100), "row 2 of column 'glucose' is infinite (inf)"),
    "nothing": ("glucose", pa.nulls(200), "column 'glucose' holds no reading"),
    "epoch": ("timestamp", pa.array(range(200)), "'timestamp' holds int64, not timestamps"),
    "zone": ("timestamp", pa.array([0] * 200, pa.timestamp("us", "UTC")), "'timestamp' is in zone UTC; write naive"),
    "no stamp": ("timestamp", pa.array([0, None] * 100, pa.timestamp("s")), "row 2 has no timestamp"),
    "too late": ("timestamp", pa.array([10**14] * 200, pa.timestamp("s")), "'timestamp' cannot be read"),
    "float id": ("item_id", pa.array([1.0, np.nan] * 100), "'item_id' holds double, not item ids"),
    "list id": ("item_id", pa.array([["a"]] * 200), "not item ids"),
    "no id": ("item_id", pa.array(["a", None] * 100), "row 2 has no item_id"),
    "empty id": ("item_id", pa.array(["a", ""] * 100), "row 2 has no item_id"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_parquet_column_of_another_kind(folder, refused, readings, name):
    column, values, said = COLUMNS[name]
    table = pa.Table.from_pandas(readings(), preserve_index=False)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, values), folder / "d.parquet")
    assert said in refused("data", "check", "d.parquet", "--config", "c.yaml")
    assert said in refused("predict", "naive", "--data", "d.parquet", "--output", "o.csv", "--config", "c.yaml")


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"item_id,timestamp\n" * 9, lambda b: b[: len(b) // 2], lambda b: b[:50] + bytes(200) + b[250:]],
)
def test_a_parquet_file_that_is_none(folder, refused, readings, damage):
    readings().to_parquet(folder / "d.parquet", index=False)
    (folder / "d.parquet").write_bytes(damage((folder / "d.parquet").read_bytes()))
    assert "d.parquet is not a parquet file" in refused("data", "check", "d.parquet", "--config", "c.yaml")


@pytest.mark.parametrize(
    ("data", "output", "said"),
    [
        ("data.csv", "out.txt", "out.txt ends in neither .csv nor .parquet"),
        ("data.csv", "no/out.csv", "the folder no is not there; make it first"),
        ("data.csv", "sub.csv", "sub.csv is a folder; name a file"),
        ("data.csv", "./data.csv", "data.csv is the data that is read; name another file"),
        ("data.txt", "out.csv", "data.txt is neither .csv nor .parquet"),
        ("data.csv", "data.csv/out.csv", "the folder data.csv is not there"),
    ],
)
def test_an_output_that_cannot_be_written(write, folder, refused, readings, data, output, said):
    write(readings())
    (folder / "sub.csv").mkdir()
    assert said in refused("predict", "naive", "--data", data, "--output", output, "--config", "c.yaml")


@pytest.mark.parametrize("debug", [False, True])
def test_the_command_in_a_process_of_its_own(folder, debug):
    options = ["--debug"] if debug else []
    command = [sys.executable, "-c", "from tsfm_core.cli import main; main()", *options, "data", "check", "data.csv"]
    ended = subprocess.run([*command, "--config", "c.yaml"], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[-1] == "tsfm: data.csv is not there; check data.path"
    assert ("Traceback" in ended.stderr) == debug
