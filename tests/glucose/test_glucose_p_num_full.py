"""The cache of the upstream project: <p_num>_full.csv, as pandas wrote it."""

import pytest

from tsfm_core import DataError
from tsfm_core.plugins import host

HEADER = (
    "datetime,p_num,bg_mM,dose_units,bolus,food_g,msg_type,rate,hr_bpm,steps,cals,"
    "iob,insulin_availability,cob,carb_availability,hour_sin"
)
ROW = "2024-03-01 00:{}:00,{},{},1.05,1.0,30.0,ANNOUNCE_MEAL,0.6,71.5,12.0,5.25,0.96,0.01,24.0,0.5,0.0"
BARE = "2024-03-01 00:{}:00,{},{},,,,,,,,,,,,,"


@pytest.fixture
def cache(tmp_path):
    def write(name, *lines, header=HEADER):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    write.root = tmp_path
    return write


def refusal(read, cache, path=None):
    with pytest.raises(DataError) as caught:
        read("p_num_full", path or cache.root)
    return str(caught.value).replace(str(cache.root), "CACHE")


def test_every_column_comes_under_its_canonical_name(read, cache):
    cache("bro_14_full.csv", ROW.format("00", "bro_14", 7.5), BARE.format("05", "bro_14", ""))
    rows = read("p_num_full", cache.root)
    expected = {
        "glucose": 7.5,
        "bolus_u": 1.0,
        "dose_u": 1.05,
        "basal_u_per_h": 0.6,
        "carbs_g": 30.0,
        "heart_rate": 71.5,
        "steps": 12.0,
        "active_kcal": 5.25,
        "iob": 0.96,
        "insulin_availability": 0.01,
        "cob": 24.0,
        "carb_availability": 0.5,
    }
    for channel, value in expected.items():
        assert rows.of("bro_14", channel) == [("2024-03-01 00:00:00", value)]
    dataset = host().dataset("p_num_full")
    assert set(dataset.channels) == set(expected) - {"glucose"}
    assert dataset.channels["dose_u"].kind == "amount"
    assert {dataset.channels[name].kind for name in ("iob", "insulin_availability", "cob", "carb_availability")} == {
        "reading"
    }
    assert rows.counts == {}


@pytest.mark.parametrize("header", ["", "datetime", "date", '"Unnamed: 0"', "\ufeffdatetime"])
def test_the_first_column_is_the_stamp_whatever_it_is_called(read, cache, header):
    cache("ale_1_full.csv", "2024-03-01 00:05:00,ale_1,7.5", header=f"{header},p_num,bg_mM")
    assert read("p_num_full", cache.root).of("ale_1", "glucose") == [("2024-03-01 00:05:00", 7.5)]


def test_rows_stay_as_they_are_written(read, cache):
    lines = ["2024-03-01 00:05:00,ale_1,7.5", "2024-03-01 00:00:00,ale_1,0.2", "2024-03-01 00:05,ale_1,7.7"]
    cache("ale_1_full.csv", *lines, header="datetime,p_num,bg_mM")
    assert read("p_num_full", cache.root).of("ale_1", "glucose") == [
        ("2024-03-01 00:05:00", 7.5),
        ("2024-03-01 00:00:00", 0.2),
        ("2024-03-01 00:05:00", 7.7),
    ]


def test_the_id_inside_wins_over_the_name_of_the_file(read, cache):
    own = cache("p14_full.csv", BARE.format("00", "", 6.0), ROW.format("05", "bro_14", 7.5))
    nameless = cache("bro_15_full.csv", BARE.format("00", "", 6.5))
    assert read("p_num_full", own).of("bro_14", "glucose") == [("2024-03-01 00:00:00", 6), ("2024-03-01 00:05:00", 7.5)]
    assert read("p_num_full", nameless).of("bro_15", "glucose") == [("2024-03-01 00:00:00", 6.5)]


def test_people_are_found_in_the_folder_and_below_processed(read, cache):
    top = cache("ale_1_full.csv", ROW.format("00", "ale_1", 7.5))
    below = cache("brown_2019/processed/bro_14_full.csv", ROW.format("00", "bro_14", 7.5))
    cache("brown_2019/raw/bro_99_full.csv", ROW.format("00", "bro_99", 7.5))
    cache("notes.csv", "mine")
    assert set(read("p_num_full", cache.root).frame.item_id) == {"ale_1", "bro_14"}
    assert host().dataset("p_num_full").files(cache.root) == [top, below]
    assert set(read("p_num_full", below.parent).frame.item_id) == {"bro_14"}


def test_a_column_that_a_file_lacks_is_empty_there(read, cache):
    cache("ale_1_full.csv", ROW.format("00", "ale_1", 7.5))
    cache("ale_2_full.csv", "2024-03-01 00:05:00,ale_2,7.5", header="datetime,p_num,bg_mM")
    rows = read("p_num_full", cache.root, ["item_id", "timestamp", "glucose", "bolus_u"])
    assert rows.frame.item_id.tolist() == ["ale_1", "ale_2"]
    assert rows.of("ale_2", "bolus_u") == []


def test_two_people_in_one_file_are_refused(read, cache):
    cache("ale_1_full.csv", *(ROW.format(at, who, 7.5) for at, who in (("00", "ale_1"), ("05", ""), ("10", "ale_2"))))
    assert refusal(read, cache) == (
        "CACHE/ale_1_full.csv: row 3 of 'p_num' is 'ale_2', the rows before it say 'ale_1'; "
        "write one file for each person"
    )


def test_one_person_in_two_files_is_refused(read, cache):
    cache("a_full.csv", ROW.format("00", "ale_1", 7.5))
    cache("b_full.csv", ROW.format("05", "ale_1", 7.5))
    assert refusal(read, cache) == (
        "CACHE/b_full.csv and CACHE/a_full.csv both hold 'ale_1'; take one of them out of the folder"
    )


@pytest.mark.parametrize(
    ("header", "line", "sentence"),
    [
        ("datetime,p_num,bg", "2024-03-01 00:00:00,a,7.5", "has no column 'bg_mM'; it has datetime, p_num, bg"),
        ("datetime,bg_mM", "2024-03-01 00:00:00,7.5", "has no column 'p_num'; it has datetime, bg_mM"),
        (
            "p_num,datetime,bg_mM",
            "a,2024-03-01 00:00:00,7.5",
            "begins with the column 'p_num', not with the stamps; write it with its index",
        ),
    ],
)
def test_a_missing_column_is_named(read, cache, header, line, sentence):
    cache("a_full.csv", line, header=header)
    assert refusal(read, cache).startswith(f"CACHE/a_full.csv {sentence}")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("2024-03-01 00:00:00,a,High", "row 2 of 'bg_mM' is 'High', not a number; correct the cell"),
        (",a,7.5", "row 2 of 'datetime' is empty, not a timestamp; expected %Y-%m-%d %H:%M:%S or "),
        ("2024-03-01 00:00:00+00:00,a,7.5", "row 2 of 'datetime' is '2024-03-01 00:00:00+00:00', not a timestamp; "),
        ("01/03/2024 00:00,a,7.5", "row 2 of 'datetime' is '01/03/2024 00:00', not a timestamp; expected %Y-%m-%d "),
    ],
)
def test_a_cell_that_is_none_is_named(read, cache, line, sentence):
    cache("a_full.csv", "2024-02-29 23:55:00,a,7.5", line, header="datetime,p_num,bg_mM")
    assert refusal(read, cache).startswith(f"CACHE/a_full.csv: {sentence}")


def test_a_path_without_files_is_refused(read, cache):
    assert refusal(read, cache) == (
        "CACHE holds no *_full.csv or **/processed/*_full.csv; data.path is the folder of p_num_full as it is published"
    )
    assert refusal(read, cache, cache.root / "x_full.csv") == (
        "CACHE/x_full.csv is not there; data.path is a file *_full.csv or the folder that holds them"
    )
    with pytest.raises(DataError, match="p_num_full needs data.path; name a file \\*_full.csv or the folder"):
        read("p_num_full", None)
    empty = cache.root / "empty_full.csv"
    empty.write_text("")
    assert refusal(read, cache).startswith("CACHE/empty_full.csv is no table: Empty CSV file")
