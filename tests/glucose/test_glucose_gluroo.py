"""Gluroo: three tables of parquet, read in the layout of the archive."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm_core import DataError

INSTANT = pa.timestamp("us", "UTC")


def at(hour, minute=0, second=0):
    return datetime(2024, 5, 1, hour, minute, second, tzinfo=UTC)


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {"date": INSTANT, "bgl": pa.int32(), "food_g": pa.float64(), "dose_units": pa.float64()}
    arrays = {name: pa.array(cells, kinds.get(name, pa.string())) for name, cells in columns.items()}
    pq.write_table(pa.table(arrays), path)


def groups(root, gids=("a", "b"), numbers=("gluroo_7", "012"), zones=("America/Toronto", None)):
    write(root / "groups" / "0.parquet", gid=gids, p_num=numbers, group_timezone=zones)


def messages(root, **columns):
    rows = len(columns["gid"])
    empty = {"type": ["TEXT"] * rows, "food_g": [None] * rows, "dose_units": [None] * rows, "dose_type": [None] * rows}
    write(root / "messages" / "part" / "0.parquet", **(empty | columns))


@pytest.fixture
def archive(tmp_path):
    groups(tmp_path)
    write(
        tmp_path / "readings" / "0.parquet",
        gid=["a", "b", "a", "stranger"],
        date=[at(4, 1, 30), at(5), at(4), at(5)],
        bgl=[101, 250, None, 99],
        trend=["FLAT", None, None, None],
        source=["dexcom"] * 4,
    )
    messages(
        tmp_path,
        gid=["a", "a", "a", "b", "b", "b"],
        date=[at(6), at(7), at(22), at(8), at(9), at(10)],
        food_g=[30.0, None, None, -5.0, None, None],
        dose_units=[2.5, 1.0, 18.0, 4.0, 3.0, None],
        dose_type=["RAPID", "Rapid-Acting", "LONG_INSULIN", "MIXED", None, "RAPID"],
    )
    return tmp_path


def test_rows_are_given_as_recorded_with_the_persons_zone(read, archive):
    rows = read("gluroo", archive)
    assert rows.of("glu_7", "glucose") == [("2024-05-01 04:01:30+00:00", 101)]
    assert rows.of("glu_12", "glucose") == [("2024-05-01 05:00:00+00:00", 250)]
    assert rows.of("glu_7", "carbs_g") == [("2024-05-01 06:00:00+00:00", 30)]
    assert rows.of("glu_7", "bolus_u") == [("2024-05-01 06:00:00+00:00", 2.5), ("2024-05-01 07:00:00+00:00", 1)]
    assert rows.of("glu_7", "basal_u") == [("2024-05-01 22:00:00+00:00", 18)]
    assert set(rows.frame.item_id) == {"glu_7", "glu_12"}
    assert set(rows.frame.timezone[rows.frame.item_id == "glu_7"]) == {"America/Toronto"}
    assert rows.frame.timezone[rows.frame.item_id == "glu_12"].isna().all()
    assert len(rows.frame) == 5


def test_what_is_left_out_is_counted(read, archive):
    assert read("gluroo", archive).counts == {
        ("", "readings of a gid without a number in groups"): 1,
        ("glu_7", "readings without a value"): 1,
        ("glu_12", "food_g below 0"): 1,
        ("glu_12", "doses of type 'MIXED'"): 1,
        ("glu_12", "doses without a type"): 1,
    }


def test_options_say_what_dose_types_mean(read, archive):
    rows = read("gluroo", archive, rapid=("rapid", ""), long=("long", "mixed"))
    assert rows.of("glu_12", "bolus_u") == [("2024-05-01 09:00:00+00:00", 3)]
    assert rows.of("glu_12", "basal_u") == [("2024-05-01 08:00:00+00:00", 4)]
    assert not [what for _, what in rows.counts if what.startswith("doses")]
    with pytest.raises(DataError, match=r"data.options: 'long' is among rapid and long"):
        read("gluroo", archive, rapid=("long_insulin",))


def test_only_wanted_columns_are_read(read, archive):
    rows = read("gluroo", archive, columns=["item_id", "timestamp", "carbs_g"])
    assert rows.frame.carbs_g.tolist() == [30]
    assert not [what for _, what in rows.counts if what.startswith("doses")]


def test_folders_may_say_the_gid(read, tmp_path):
    groups(tmp_path)
    for gid, value in (("a", 80), ("b", 90)):
        write(tmp_path / "readings" / "year=2024" / f"gid={gid}" / "0.parquet", date=[at(1)], bgl=[value])
    messages(tmp_path, gid=["a"], date=[at(1)])
    frame = read("gluroo", tmp_path).frame
    assert dict(zip(frame.item_id, frame.glucose, strict=True)) == {"glu_7": 80, "glu_12": 90}


def test_a_person_without_a_number_and_an_unknown_zone_are_counted(read, archive):
    groups(archive, numbers=("7", None), zones=("Somewhere", None))
    rows = read("gluroo", archive)
    assert rows.counts["", "groups without a number"] == 1
    assert rows.counts["glu_7", "group_timezone that is no IANA zone"] == 1
    assert rows.frame.timezone.isna().all()
    assert set(rows.frame.item_id) == {"glu_7"}


@pytest.mark.parametrize(
    ("gids", "numbers", "said"),
    [
        (("a", "b"), ("7", "07"), r"row 2 gives glu_7, or its gid, again; one row for each person"),
        (("a", "a"), ("7", "8"), r"row 2 gives glu_8, or its gid, again"),
        (("a", "b"), ("7", "x9"), r"row 2 of 'p_num' is 'x9'; a number, or gluroo_<number>"),
    ],
)
def test_two_people_are_never_one(read, archive, gids, numbers, said):
    groups(archive, gids=gids, numbers=numbers)
    with pytest.raises(DataError, match=said):
        read("gluroo", archive)


def test_a_file_that_is_not_as_it_should_be_is_named(read, archive):
    path = archive / "readings" / "1.parquet"
    write(path, gid=["a"], date=[None], bgl=[1])
    with pytest.raises(DataError, match=r"1\.parquet: row 1 of 'date' is empty, not a timestamp"):
        read("gluroo", archive)
    write(path, gid=["a"], date=[at(1)], value=["1"])
    with pytest.raises(DataError, match=r"1\.parquet has no column 'bgl'; it has gid, date, value"):
        read("gluroo", archive)
    pq.write_table(pa.table({"gid": ["a"], "date": ["2024-05-01"], "bgl": [1]}), path)
    with pytest.raises(DataError, match=r"'date' holds string, not timestamps; write the column as timestamps"):
        read("gluroo", archive)
    pq.write_table(pa.table({"gid": ["a"], "date": pa.array([at(1)], INSTANT), "bgl": ["x"]}), path)
    with pytest.raises(DataError, match=r"'bgl' holds string, not numbers"):
        read("gluroo", archive)
    pq.write_table(pa.table({"gid": ["a"], "date": pa.array([at(1)], INSTANT), "bgl": [float("inf")]}), path)
    with pytest.raises(DataError, match=r"row 1 of 'bgl' is inf; leave the cell empty"):
        read("gluroo", archive)
    path.write_text("no parquet")
    with pytest.raises(DataError, match=r"1\.parquet is no parquet file: .*take it out of the folder"):
        read("gluroo", archive)


def test_a_table_that_is_missing_is_named(read, tmp_path):
    with pytest.raises(DataError, match=r"gluroo needs data.path"):
        read("gluroo", None)
    groups(tmp_path)
    with pytest.raises(DataError, match=r"holds no readings"):
        read("gluroo", tmp_path)
