"""More that is not as it should be, through the commands: one sentence, exit 1, nothing written, no wrong number."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm_core.data.read import read_csv

CHECK = ("data", "check", "data.csv", "--config", "c.yaml")
BACKTEST = ("backtest", "naive", "--config", "c.yaml")
STAMP = "2024-01-01 00:10:00"
CLOSE_IT = (
    "a quote that nothing closes, or closes one too early; close it, or write a quote inside a cell twice, in quotes"
)


def settings(*given):
    return [part for one in given for part in ("--set", one)]


@pytest.fixture
def noted(readings):
    """Return the text of a csv file with a column that nothing asks for."""
    return readings().assign(note="ok").to_csv(index=False)


CELLS = {
    "a quote never closed": (("ok\n", '"ok\n'), f"data.csv is not a csv table: line 2 opens {CLOSE_IT}"),
    "two quotes never closed": (("ok\na", '"ok\na', 2), f"data.csv is not a csv table: line 3 opens {CLOSE_IT}"),
    "a quote at the end": ((",ok\nb", ',"\nb'), f"data.csv is not a csv table: line 101 opens {CLOSE_IT}"),
    "an id over two lines": (
        ("\na,", '\n"a\nb",'),
        r"row 1 of column 'item_id' is 'a\nb'; take the control character out",
    ),
    "an id with a NUL": (
        ("\na,", "\na\0,"),
        r"row 1 of column 'item_id' is 'a\x00'; take the control character out of the",
    ),
    "a line separator in an id": (("\nb,", "\nb\u2028,"), r"row 101 of column 'item_id' is 'b\u2028'"),
    "an id that means nothing": (("\na,", "\nNA,"), "row 1 has no item_id; every row needs an item id"),
    "nanoseconds": (
        (STAMP, f"{STAMP}.123456789"),
        f"row 3 of column 'timestamp' is '{STAMP}.123456789', not a timestamp",
    ),
    "the year 0": (
        (STAMP, "0000-01-01 00:10:00"),
        "row 3 of column 'timestamp' lies outside the years 1 to 9999; map the",
    ),
    "half a quoted number": ((f"{STAMP},", f'{STAMP},"1,2'), "line 4 opens a quote that nothing closes"),
    "a leap second": ((STAMP, "2024-01-01 00:09:60"), "row 3 of column 'timestamp' is '2024-01-01 00:09:60', not a"),
    "tabs": ((",", "\t"), r"no column 'item_id'; it has 'item_id\ttimestamp\tglucose\tnote'; map it (data.columns"),
    "a name over two lines": (
        ("glucose", '"glu\ncose"', 1),
        r"no column 'glucose'; it has item_id, timestamp, 'glu\ncose'",
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_csv_file_with_one_thing_wrong(folder, write, refused, noted, name):
    (old, new, *times), said = CELLS[name]
    write(noted.replace(old, new, times[0] if times else 1 if old != "," else -1))
    assert said in refused(*CHECK)
    assert said in refused(*BACKTEST)


def test_quotes_that_are_closed_are_read_to_the_last_row(folder, noted):
    rows = (
        noted.replace(",ok\n", ',"two\nlines, a ""word"" and 5"\n', 3)
        .replace(",ok\n", ',5" wide\n', 2)
        .replace("\n", "\r\n")
    )
    (folder / "data.csv").write_text(rows + 60_000 * 'a,2024-01-01,1,"o\nk"\n', newline="")
    batches = list(read_csv(folder / "data.csv", ["glucose", "note"]))
    assert len(batches) > 1  # a cell may lie across two blocks of the file
    table = pa.Table.from_batches(batches)
    assert len(table) == 200 + 60_000
    assert table["note"][:6].to_pylist() == [*['two\r\nlines, a "word" and 5'] * 3, '5" wide', '5" wide', "ok"]
    assert set(table["note"][200:].to_pylist()) == {"o\nk"}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%d/%d/%Y", "'timestamp' cannot be read: redefinition of group name 'd'"),
        ("%Y-%m-%d %", "'timestamp' cannot be read: stray % in format"),
        ("%U", "Cannot use '%W' or '%U' without day and year"),
    ],
)
def test_a_format_that_is_none(write, refused, readings, form, said):
    write(readings())
    for command in (CHECK, BACKTEST):
        assert said in (sentence := refused(*command, "--set", f"data.timestamp_format={form}"))
        assert f"data.timestamp_format is {form!r}" in sentence


@pytest.mark.parametrize("unit", ["mg/dL", "mmol/L"])
@pytest.mark.parametrize("rule", ["median", "mean", "sum"])
def test_numbers_that_no_float32_holds(write, refused, readings, unit, rule):
    table = readings()
    write(
        pd.concat([table, table[-1:], table[-1:]]).assign(
            glucose=lambda rows: rows.glucose.mask(rows.index == 199, 1e308)
        )
    )
    said = refused(*CHECK, *settings(f"data.unit={unit}", f"data.duplicates={rule}"))
    assert "glucose of item 'b' reaches " in said
    assert said.endswith("; float32 cannot hold it: correct it")


def test_numbers_that_a_float32_just_holds_have_a_finite_median(write, tsfm, readings):
    write(readings(n=2).assign(glucose=[3.4e38, 3.3e38, -3.4e38, -3.3e38]))
    answer = tsfm(*CHECK, "--json", *settings("data.suspect_unit=keep"))
    assert (answer.code, answer.err) == (0, "")
    assert [item["median"] for item in json.loads(answer.out)["items"]] == pytest.approx([3.35e38, -3.35e38])


def with_zone(table, zones):
    instants = table.column("timestamp").cast(pa.timestamp("us", "UTC"))
    return table.set_column(1, "timestamp", instants).append_column("zone", zones)


def years(table, year):
    stamps = (np.datetime64(f"{year}-01-01", "s") + np.arange(200) * np.timedelta64(300)).astype("datetime64[s]")
    return table.set_column(1, "timestamp", pa.array(stamps.astype(np.int64), pa.timestamp("s")))


ZONE = "data.columns.timezone=zone"
TABLES = {
    "the year 12000": (
        lambda t: years(t, 12000),
        [],
        "row 1 of column 'timestamp' lies outside the years 1 to 9999; map",
    ),
    "before the year 1": (lambda t: years(t, -2), [], "row 1 of column 'timestamp' lies outside the years 1 to 9999"),
    "no row": (lambda t: t[:0], [], "d.parquet has a header and no rows; check data.path"),
    "a column twice": (
        lambda t: pa.table([*t.columns, t["glucose"]], [*t.column_names, "glucose"]),
        [],
        "d.parquet has the column 'glucose' twice; rename one of them",
    ),
    "zones in lists": (
        lambda t: with_zone(t, pa.array([["x"]] * 200)),
        [ZONE],
        "'zone' holds list<element: string>, not time zones; map the right column with data.columns",
    ),
    "zones as bytes": (lambda t: with_zone(t, pa.array([b"x"] * 200)), [ZONE], "'zone' holds binary, not time zones"),
    "a zone of no place": (
        lambda t: with_zone(t, pa.array(["Europe/Lodnon"] * 200)),
        [ZONE],
        "'Europe/Lodnon' is no time zone; did you mean 'Europe/London'?",
    ),
    "a traveller": (
        lambda t: with_zone(t, pa.array(["Europe/London"] * 50 + ["Europe/Paris"] * 150)),
        [ZONE],
        "item 'a' has the time zones Europe/London and Europe/Paris; local midnights need one: leave it out with",
    ),
    "a covariate called timezone": (
        lambda t: t.append_column("timezone", pa.array(np.arange(200.0))),
        ["task.past_covariates=[timezone]"],
        "no covariate may be called timezone: it is a role of data.columns; map it by another name",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_parquet_table_with_one_thing_wrong(folder, refused, readings, name):
    change, given, said = TABLES[name]
    pq.write_table(change(pa.Table.from_pandas(readings(), preserve_index=False)), folder / "d.parquet")
    assert said in refused("data", "check", "d.parquet", "--config", "c.yaml", *settings(*given))


def test_a_parquet_file_whose_names_are_no_text(folder, refused, readings):
    pq.write_table(pa.Table.from_pandas(readings(), preserve_index=False), folder / "d.parquet", store_schema=False)
    (folder / "d.parquet").write_bytes((folder / "d.parquet").read_bytes().replace(b"glucose", b"glucos\xff"))
    said = refused("data", "check", "d.parquet", "--config", "c.yaml")
    assert "d.parquet is not a parquet file: 'utf-8' codec can't decode byte 0xff" in said


GOOD = "item_id=a/1.parquet"
FOLDERS = {
    "no parquet file": ({"1.txt": b"a"}, "f is a folder without a parquet file; check data.path"),
    "a file that is none": (
        {GOOD: [], "item_id=b/1.parquet": b"PAR1"},
        "f/item_id=b/1.parquet is not a parquet file: Parquet file size is 4 bytes",
    ),
    "an empty file": ({GOOD: [], "item_id=b/1.parquet": b""}, "f/item_id=b/1.parquet is not a parquet file"),
    "a file that lacks a column": (
        {GOOD: [], "item_id=b/1.parquet": ["glucose"]},
        "f/item_id=b/1.parquet has no column 'glucose'; it has timestamp, item_id; map it (data.columns, such as",
    ),
    "a folder that names nothing": ({GOOD: [], "b/1.parquet": []}, "f/b/1.parquet has no column 'item_id'; it has"),
    "a column in the file and in its folder": (
        {"timestamp=2024/1.parquet": []},
        "f/timestamp=2024/1.parquet has the column 'timestamp' twice; rename one of them",
    ),
    "a folder for what is null": (
        {GOOD: [], "item_id=__HIVE_DEFAULT_PARTITION__/1.parquet": []},
        "row 1 has no item_id; every row needs an item id",
    ),
    "a folder for nothing": ({"item_id=/1.parquet": []}, "f: row 1 has no item_id; every row needs an item id"),
    "a control character": ({"item_id=a%0Ab/1.parquet": []}, r"row 1 of column 'item_id' is 'a\nb'; take the control"),
    "a stamp for a folder": (
        {"timestamp=noon/1.parquet": ["timestamp"]},
        "f: row 1 of column 'timestamp' is 'noon', not a timestamp; set data.timestamp_format",
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_parquet_files_with_one_thing_wrong(folder, refused, readings, name):
    files, said = FOLDERS[name]
    table = pa.Table.from_pandas(readings(("a",)), preserve_index=False)
    for place, content in files.items():
        path = folder / "f" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            unsaid = [] if "timestamp" in place else ["item_id"]
            pq.write_table(table.drop_columns(unsaid + content), path)
    assert said in refused(*BACKTEST, *settings("data={source: parquet, path: f}"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{folds: 5, fold: 0}", "split.folds 5 needs 5 items or more, and the data holds 2"),
        ("{folds: leave_one_out, fold: 7}", "split.fold is 7, and the data holds 2 items; give 0 to 1"),
        ("{fold: 0}", "folds and fold are given together: in how many parts, and which one is held out"),
        ("{temporal_holdout: {a: soon}}", "a is 'soon': input should be a date or a date and time, such as"),
        ("{temporal_holdout: {aa: 2024-01-01}}", "split.temporal_holdout names aa, which the data does not hold; did"),
        ("{temporal_holdout: 0.3, validation: {zz: 2024-01-01}}", "split.validation names zz, which the data does not"),
        ("{temporal_holdout: 0.3, digest: abc}", "split.digest is 'abc': string should match pattern '^[0-9a-f]{64}$'"),
        (f"{{temporal_holdout: 0.3, digest: {'a' * 64}}}", "split.digest begins with aaaaaaaaaaaa, and today's with"),
        ("{holdout: no.yaml}", "split.holdout: no.yaml does not exist; did you mean 'c.yaml'?"),
        (f"{{holdout: {'x' * 300}}}", "xxx does not exist"),
        ("{holdout: .}", ". cannot be read"),
    ],
)
def test_a_split_that_cannot_be(write, refused, readings, given, said):
    write(readings())
    assert said in refused(*BACKTEST, "--set", f"split={given}")


PATIENTS = """\
dataset_name: x
holdout_type: patient_based
patient_config: {%s, min_train_patients: 1, min_holdout_patients: %d}
"""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bytes(range(256)), "h.yaml cannot be read: 'utf-8' codec can't decode byte"),
        (
            PATIENTS % ("holdout_patients: [a, a]", 2),
            "h.yaml:3: 1 holdout_patients are fewer than min_holdout_patients 2",
        ),
        (
            PATIENTS % ("holdout_patients: [a, bb]", 1),
            "h.yaml: holdout_patients names bb, which the data does not hold; did",
        ),
        (
            PATIENTS % ("holdout_patients: [a, b]", 1),
            "2 of 2 items are held out, which leaves 0 to train on, fewer than",
        ),
        (PATIENTS % ("holdout_percentage: .nan", 1), "h.yaml:3: patient_config.holdout_percentage is '.nan'"),
        (
            PATIENTS % ("holdout_percentage: 0.5, random_seed: 4294967296", 1),
            "random_seed is 4294967296: input should be less",
        ),
        (PATIENTS % (r'holdout_patients: ["\ud800"]', 1), "h.yaml:1: invalid JSON"),
        (PATIENTS.replace("%s", "holdout_patients: *b") % 1, "h.yaml:3: found undefined alias"),
    ],
)
def test_a_holdout_file_that_cannot_be(folder, write, refused, readings, content, said):
    write(readings())
    (folder / "h.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert said in refused(*BACKTEST, "--set", "split={holdout: h.yaml}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "data.timezone=Europe/London",
            "row 1 of column 'timestamp' is '2024-01-01 00:00:00', not a timestamp with an off",
        ),
        (
            "data.timezone=../../etc/passwd",
            "data.timezone is '../../etc/passwd': '../../etc/passwd' is no time zone; use",
        ),
        ("data.kinds={glucos: amount}", "data.kinds.glucos is no covariate of this task; known here: none"),
        (
            "data.kinds={glucose: dose}",
            "data.kinds.glucose is 'dose': input should be 'reading', 'amount', 'rate' or 'category'",
        ),
        ("data.valid_range=[400, 40]", "data.valid_range is [400, 40]: the lowest possible reading comes first"),
        ("data.valid_range=[low, high]", "data.valid_range.0 is 'low': input should be a valid number"),
        (
            "data.valid_range=[1000, 2000]",
            "column 'glucose' holds no reading of the rows asked for; check data.columns.target",
        ),
        ("data.options={person: 1}", "data.options: person is no key of the configuration; known: item_id"),
        (
            "evaluation.options={hour: 1}",
            "the protocol sliding has no options; evaluation.options says hour; leave them out",
        ),
        (f"data.path={'x' * 300}", "xxx cannot be read: File name too long; check data.path"),
        (r'data.columns={target: "a\nb"}', r"no column 'a\nb'; it has item_id, timestamp, glucose"),
        (
            "task.target=item_id",
            "row 1 of column 'item_id' is 'a', not a number; leave a reading that is not there empty",
        ),
        (
            "data={sources: [{source: csv, pth: data.csv}]}",
            "data.sources 'csv': pth is no key of the configuration; did you",
        ),
        (
            "data={sources: [{source: csv, path: data.csv, stride: 0}]}",
            "data.sources 'csv': stride is 0: input should be",
        ),
        (
            "data={sources: [{source: csv, path: data.csv, max_gap: 1h}]}",
            "data.sources 'csv' says max_gap, and windows are cut from all sources alike; say it beside the sources",
        ),
        (
            "data={sources: [{source: csv, path: data.csv, name: [a]}]}",
            "data.sources names a source ['a']; give it a name",
        ),
        (
            r'data={sources: [{source: csv, path: data.csv, name: "a\nb"}]}',
            r"data.sources names a source 'a\nb'; give it",
        ),
        ("data={sources: [{source: csv, path: no.csv, name: x}]}", "no.csv is not there; check data.path"),
        ("data={sources: [cvs]}", "no dataset is called 'cvs'"),
    ],
)
def test_a_value_that_the_data_cannot_be_read_by(write, refused, readings, given, said):
    write(readings())
    assert said in refused(*BACKTEST, "--set", given)


@pytest.fixture
def cached(folder, write, tsfm, readings, monkeypatch):
    """Return the one prepared panel of a cache of its own."""
    monkeypatch.setenv("TSFM_CACHE", str(folder / "cache"))
    write(readings())
    assert tsfm(*CHECK).code == 0
    (panel,) = (folder / "cache" / "panels").iterdir()
    return panel


DAMAGES = {
    "no table of items": ("items.arrow", None, "holds no whole panel, and is in the way: "),
    "half a table of items": ("items.arrow", lambda data: data[: len(data) // 2], "holds no whole panel: "),
    "an empty table of items": ("items.arrow", lambda data: b"", "holds no whole panel: "),
    "another report": ("items.arrow", lambda data: data.replace(b'"cadence"', b'"cadance"'), "holds no report: "),
    "no unit": ("items.arrow", lambda data: data.replace(b'"unit"', b'"unti"'), "holds no whole panel: 'unit'"),
    "no column": ("channel_0.npy", None, "holds no whole panel: "),
    "an empty column": ("channel_0.npy", lambda data: b"", "holds no whole panel: No data left in file"),
    "half a column": ("channel_0.npy", lambda data: data[:-400], "holds no whole panel: "),
    "half a head": ("channel_0.npy", lambda data: data[:40], "holds no whole panel: "),
    "another head": ("channel_0.npy", lambda data: data.replace(b"}", b"{"), "holds no whole panel: "),
    "another kind of number": ("channel_0.npy", lambda data: data.replace(b"<f4", b"<i4"), "holds no whole panel: "),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_panel_is_named_and_cleared(cached, tsfm, refused, name):
    file, damage, said = DAMAGES[name]
    whole = (cached / file).read_bytes()
    (cached / file).unlink()
    if damage:
        (cached / file).write_bytes(damage(whole))
    for command in (CHECK, BACKTEST):
        sentence = refused(*command)
        assert f"{cached.name} {said}" in sentence
        assert sentence.endswith("; tsfm data clear removes what is prepared")
    assert tsfm("data", "clear").code == 0
    assert tsfm(*CHECK).code == 0
    assert (cached / file).read_bytes() == whole


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "null", "{", '{"data.csv": 5}', '{"data.csv": []}', '{"data.csv": ["a"]}']
)
def test_a_damaged_memory_of_files_changes_nothing(cached, tsfm, text):
    (memory,) = (cached.parents[1] / "sources").iterdir()
    memory.write_text(text)
    answer = tsfm(*CHECK)
    assert (answer.code, answer.err) == (0, "")
    assert [path.name for path in cached.parent.iterdir()] == [cached.name]


@pytest.mark.parametrize("place", ["data.csv", "data.csv/cache", "/proc/no"])
def test_a_cache_that_cannot_be_written(write, refused, readings, monkeypatch, place):
    write(readings())
    monkeypatch.setenv("TSFM_CACHE", place)
    for command in (CHECK, BACKTEST):
        said = refused(*command)
        assert said.startswith(f"the cache {place} cannot be written: ")
        assert said.endswith("; set TSFM_CACHE to a folder")


def test_another_file_beside_it_is_no_change_of_a_file(cached, tsfm):
    shutil.copy("data.csv", "other.csv")
    for name in ("other.csv", "data.csv", "other.csv"):
        assert tsfm("data", "check", name, "--config", "c.yaml").err == ""
    Path("data.csv").write_text(Path("data.csv").read_text().replace("\na,", "\nc,"))
    assert "changed since the source was last read: data.csv" in tsfm(*CHECK).err
