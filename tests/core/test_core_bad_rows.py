"""Bad rows through the real commands: one sentence, exit 1, nothing written, never a wrong number."""

import numpy as np
import pandas as pd
import pytest


def settings(*given):
    return [part for one in given for part in ("--set", one)]


def with_cell(table, value, column="glucose", row=5):
    changed = table.astype(object)
    changed.loc[row, column] = value
    return changed


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        *(
            ("glucose", value, f"row 6 of column 'glucose' is '{value}', not a number")
            for value in ("high", "5,6", "1_000", "0x10", " 120 ", "True", "-", "12f", "1d2", "１２")
        ),
        *(("glucose", value, "row 6 of column 'glucose' is infinite") for value in ("inf", "-Infinity", "1e400")),
        ("glucose", "1e39", "glucose of item 'a' reaches 1e+39"),
        *(
            (
                "timestamp",
                value,
                f"row 6 of column 'timestamp' is '{value}', not a timestamp; set data.timestamp_format",
            )
            for value in (
                "01/02/2024 10:00",
                "2024-13-01",
                "2024-02-30",
                "2024-01-01 24:00",
                "10:30",
                "2024",
                "2024-01",
                "20240101",
                "1704067200",
                "1704067200.5",
                "now",
                "today",
                "NaT",
                "99999-01-01",
            )
        ),
        *(
            ("timestamp", f"2024-01-01T00:25:00{zone}", "not a timestamp without an offset from UTC; write naive local")
            for zone in ("Z", "+01:00", "-0500")
        ),
        ("timestamp", "", "row 6 has no timestamp; every row needs a timestamp"),
        ("timestamp", "2203-01-01", "item 'a' has 100 rows from 2024-01-01T00:00:00 to 2203-01-01T00:00:00"),
        ("item_id", "", "row 6 has no item_id; every row needs an item id"),
    ],
)
def test_one_bad_cell_is_named_by_its_row(commands, write, refused, readings, column, value, said):
    write(with_cell(readings(), value, column))
    for command in ("check", "backtest", "predict"):
        assert said in refused(*commands[command])


@pytest.mark.parametrize(
    ("form", "stamps", "said"),
    [
        ("%d/%m/%Y", "2024-01-01 00:00:00", "is '2024-01-01 00:00:00', not a timestamp; data.timestamp_format is"),
        ("%d/%m/%Y", "30/02/2024", "is '30/02/2024', not a timestamp"),
        ("%d/%m/%Y", "now", "is 'now', not a timestamp"),
        ("%d/%m/%Y %z", "01/01/2024 +0100", "has an offset from UTC, such as '01/01/2024 +0100'"),
        ("%Q", "01/01/2024", "'Q' is a bad directive"),
        ("mixed", "01/02/2024", "data.timestamp_format 'mixed' is no strptime format"),
    ],
)
def test_a_format_that_does_not_fit(commands, write, refused, readings, form, stamps, said):
    write(readings().assign(timestamp=stamps))
    for command in ("check", "backtest", "predict"):
        assert said in refused(*commands[command], "--set", f"data.timestamp_format={form}")


IRREGULAR = {
    "unsorted": (lambda t: t.iloc[[5, *range(5), *range(6, 200)]], "1 rows go back in time: a (1)", "unsorted: sort"),
    "the same row twice": (
        lambda t: t.iloc[[*range(6), *range(5, 200)]],
        "1 rows share their slot",
        "duplicates: median",
    ),
    "two values for one stamp": (
        lambda t: pd.concat([t.iloc[:1].assign(glucose=1.0), t]),
        "1 rows share their slot with another: a (1)",
        "duplicates: median",
    ),
    "off the grid": (
        lambda t: t.assign(timestamp=t.timestamp + pd.Timedelta("1min")),
        "200 rows have stamps off the 5min grid: a (100), b (100)",
        "off_grid: floor",
    ),
    "another step": (
        lambda t: t.assign(
            timestamp=t.timestamp.where(t.item_id == "a", t.timestamp[0] + (t.timestamp - t.timestamp[0]) * 3)
        ),
        "the readings come at another step in b (15min)",
        "data.mixed_freq: keep",
    ),
    "an hour twice": (
        lambda t: t.assign(
            timestamp=t.timestamp.where(t.timestamp < "2024-01-01 02:00", t.timestamp - pd.Timedelta("1h"))
        ),
        "24 rows share their slot",
        "duplicates: median",
    ),
}


@pytest.mark.parametrize("name", IRREGULAR)
def test_what_is_irregular_is_refused_until_the_config_says_what_to_do(commands, write, tsfm, refused, readings, name):
    change, said, way_out = IRREGULAR[name]
    write(change(readings()))
    for command in ("train", "backtest", "predict"):
        sentence = refused(*commands[command])
        assert said in sentence or "tsfm data check" in sentence
    checked = tsfm(*commands["check"])
    assert checked.code == 1
    assert said in checked.err
    assert way_out in checked.err
    allowed = settings("data.unsorted=sort", "data.duplicates=median", "data.off_grid=floor", "data.mixed_freq=keep")
    assert tsfm(*commands["check"], *allowed).code == 0
    assert tsfm(*commands["backtest"], *allowed).code == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["data.items=[zz]"], "data.items names zz, which the data does not hold; the data holds a, b"),
        (["data.exclude=[aa]"], "data.exclude names aa, which the data does not hold; did you mean 'a'?"),
        (["data.start={c: 2024-01-01}"], "data.start names c, which the data does not hold"),
        (["split.patient_holdout=[c]"], "split.patient_holdout names c, which the data does not hold"),
        (["data.items=[]"], "data.csv: no row is left; check data.items, data.exclude and data.start"),
        (["data.exclude=[a, b]"], "data.csv: no row is left"),
        (["data.start={a: 2025-01-01, b: 2025-01-01}"], "data.csv: no row is left"),
        (["data.unit=custom:x"], "'custom:x' cannot be converted to 'mg/dL'; known: mg/dL, mmol/L"),
        (["data.unit=mg/dL", "task.unit=custom:x"], "'mg/dL' cannot be converted to 'custom:x'"),
        (["split.temporal_holdout=2030-01-01"], "no test window is left of 2 items"),
        (["split.temporal_holdout=0.01"], "every part is shorter than task.prediction_length"),
        (
            ["task.context_length=95"],
            "no test window is left of 2 items; left out: temporal_holdout: 50 (context shorter",
        ),
        (["split.temporal_holdout=2024-01-01T00:30"], "no training window is left"),
        (["split.patient_holdout=[a, b]"], "no training window is left"),
        (["split.validation=0.01"], "split.validation leaves no window to choose by"),
        (["data.columns.target=item_id"], "row 1 of column 'item_id' is 'a', not a number"),
        (["data.columns.timestamp=glucose"], "row 1 of column 'glucose' is"),
    ],
)
def test_good_data_of_which_nothing_can_be_made(commands, write, refused, readings, given, said):
    write(readings())
    assert said in refused(*commands["train"], *settings(*given))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.iloc[:1], "no test window is left of 1 items"),
        (lambda t: t.assign(glucose=np.nan), "data.csv: column 'glucose' holds no reading of the rows asked for"),
        (lambda t: t.groupby("item_id").head(17), "no test window is left of 2 items"),
    ],
)
def test_too_little_data(commands, write, refused, readings, change, said):
    write(change(readings()))
    assert said in refused(*commands["train"])


@pytest.mark.parametrize(
    ("content", "given"),
    [
        (lambda t: b"\xef\xbb\xbf" + t.to_csv(index=False).encode(), []),
        (lambda t: t.to_csv(index=False).replace("\n", "\r\n").encode(), []),
        (lambda t: t.join(pd.DataFrame(0, t.index, [f"c{at}" for at in range(10_000)])), []),
        (lambda t: t.assign(other="not a number", note=""), []),
        (
            lambda t: t.assign(timestamp=t.timestamp.dt.strftime("%d/%m/%Y %H:%M")),
            ["data.timestamp_format=%d/%m/%Y %H:%M"],
        ),
        (lambda t: t.assign(timestamp=t.timestamp.dt.strftime("%Y-%m-%dT%H:%M")), []),
        (lambda t: t.assign(glucose=t.glucose.astype(str)), []),
    ],
    ids=["BOM", "CRLF", "10,000 columns", "other columns", "a format", "ISO with T", "text"],
)
def test_what_only_looks_bad_gives_the_same_numbers(commands, write, folder, tsfm, readings, content, given):
    answers = []
    for version in (lambda table: table, content):
        write(version(readings()))
        answer = tsfm(*commands["predict"], *(settings(*given) if version is content else []))
        assert answer.code == 0, answer.err
        answers.append((folder / "out.csv").read_text())
    assert answers[0] == answers[1]
    assert answers[0].count("\n") == 1 + 2 * 6


def test_an_item_without_a_reading_is_passed_over_and_said(commands, write, folder, tsfm, readings):
    table = readings(("a", "b"))
    write(table.assign(glucose=table.glucose.where(table.item_id == "a")))
    assert tsfm(*commands["train"]).code == 0
    answer = tsfm(*commands["predict"])
    assert "no forecast for b: no reading" in answer.err
    assert set(pd.read_csv(folder / "out.csv").item_id) == {"a"}
