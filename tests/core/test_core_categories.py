"""Categorical channels, from the cell of a file to the panel and its copies, against the csv module."""

import csv
import hashlib
import pickle
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tsfm_core import Dataset
from tsfm_core.config.resolve import read_config
from tsfm_core.config.schema import DataConfig
from tsfm_core.data.build import build_panel
from tsfm_core.data.saved import open_saved
from tsfm_core.errors import DataError
from tsfm_core.opening import open_panel
from tsfm_core.task import Task

TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}
STATE = TASK | {"past_covariates": ["state"]}
KINDS = {"kinds": {"state": "category"}}
START = datetime(2024, 1, 1)
CELLS = ["run", " run ", "", " ", "NA", "zz top", 'say "x, y"', "10", "9", "épée", "Run"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder that we stand in, with a cache of its own."""
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(cells, items=("b", "a"), every=5):
    """Return rows of csv, those of each item ``every`` minutes apart, their last cell one of ``cells`` in turn."""
    stamps = [START + timedelta(minutes=every * at) for at in range(len(cells))]
    return [
        [item, stamp.isoformat(" "), 100 + at, cell]
        for item in items
        for at, (stamp, cell) in enumerate(zip(stamps, cells, strict=True))
    ]


def write(rows, path="data.csv"):
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["item_id", "timestamp", "glucose", "state"], *rows])


def opened(task=(), **data):
    given = {"source": "csv", "path": "data.csv"} | KINDS | data
    config = read_config({"task": STATE | dict(task), "data": given}).config
    return open_panel(config.data, config.task)


def labels_of(panel, channel="state"):
    """Return ``{(item, slot): label}`` of what is recorded."""
    items, column = np.asarray(panel.item_ids, object)[panel.row_items], panel.columns[channel]
    cells = zip(items, panel.slots().tolist(), column.tolist(), strict=True)
    return {(item, slot): panel.categories[channel][int(code)] for item, slot, code in cells if code == code}


def read_by_hand(path="data.csv", keep=lambda row: True):
    """Return the same by the csv module; the last row of a slot that has a label counts."""
    found = {}
    with Path(path).open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    for row in table:
        label = row["state"].strip()
        if label and row["state"] != "NA" and keep(row):
            minutes = (datetime.fromisoformat(row["timestamp"]) - datetime(1970, 1, 1)).total_seconds() // 60
            found[row["item_id"], minutes // 5] = label
    return found


def test_labels_are_those_of_the_file_and_only_of_the_rows_that_are_kept(here):
    cells = [CELLS[at] for at in np.random.default_rng(3).integers(0, len(CELLS), 60)]
    write([*rows_of(cells), *rows_of(["never seen", "x"], items=("out",)), *rows_of(["early"] * 3, items=("c",))])
    late = {"c": "2024-01-01T00:10"}
    panel, quality = opened(exclude=["out"], start=late, unsorted="sort")
    expected = read_by_hand(keep=lambda row: row["item_id"] in ("a", "b"))
    expected["c", (START - datetime(1970, 1, 1)) // timedelta(minutes=5) + 2] = "early"
    assert labels_of(panel) == expected
    assert len(expected) > 50
    assert panel.categories == {"state": tuple(sorted(set(expected.values())))}
    assert panel.columns["state"].dtype == np.float32
    recorded = [sum(item == name for item, _ in expected) for name in panel.item_ids]
    assert [one.channels["state"]["recorded"] for one in quality.items] == recorded
    assert quality.items[2].channels["state"] == {"recorded": 1, "labels": 1}


def test_the_last_row_of_a_slot_counts_and_nothing_is_held(here):
    write(rows_of(["walk", "run", "", "sit", "", "", "", "nap"], items=("a",), every=2))  # 0, 2, 4 | 6, 8 | 10, 12, 14
    panel, _ = opened(duplicates={}, off_grid="floor")
    assert list(labels_of(panel).values()) == ["run", "sit", "nap"]
    assert panel.categories["state"] == ("nap", "run", "sit")  # walk stands nowhere in the panel
    write(rows_of(["a", "", "", "b"], items=("a",)))
    np.testing.assert_array_equal(opened()[0].columns["state"], np.float32([0, np.nan, np.nan, 1]))


@settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_neither_the_order_of_rows_nor_the_batches_change_a_panel(data):
    cells = data.draw(st.lists(st.sampled_from([None, "b", "a ", "c", "10", "9"]), min_size=1, max_size=12))
    rows = [(item, START + timedelta(minutes=5 * at), 1.0, one) for item in "xy" for at, one in enumerate(cells)]
    mixed, size = data.draw(st.permutations(rows)), data.draw(st.integers(1, 24))
    panels = []
    for order, length in ((rows, 99), (mixed, size)):
        columns = zip(("item_id", "timestamp", "glucose", "state"), map(list, zip(*order, strict=True)), strict=True)
        table = pa.table({name: pa.array(values, pa.string() if name == "state" else None) for name, values in columns})
        source = Dataset("t", "", "", lambda source, t=table, n=length: iter(t.select(source.columns).to_batches(n)))
        panels.append(build_panel(source, DataConfig(source="t", unsorted="sort", **KINDS), Task(**STATE))[0])
    assert labels_of(panels[0]) == labels_of(panels[1])
    assert panels[0].fingerprint == panels[1].fingerprint
    assert panels[0].categories == {"state": tuple(sorted({one.strip() for one in cells if one}))}


def test_a_panel_takes_its_labels_along(here):
    write(rows_of(["run", "", "sit", "run"]))
    first, again = opened()[0], opened()[0]
    assert first.folder == again.folder
    for one in (again, open_saved(first.folder), pickle.loads(pickle.dumps(first)), first.part(0, 1)):
        assert one.categories == {"state": ("run", "sit")}
    part = pickle.loads(pickle.dumps(first.part(1, 2)))
    assert list(labels_of(part).values()) == ["run", "sit", "run"]
    assert open_saved(first.folder, ("glucose",)).categories == {}
    write(rows_of(["run", "", "stand", "run"]), "other.csv")
    other, _ = opened(path="other.csv")
    np.testing.assert_array_equal(other.columns["state"], first.columns["state"])
    assert other.fingerprint != first.fingerprint
    plain = replace(first, categories={}, stored_fingerprint=None)  # hashed as before there were categories
    digest = hashlib.sha256("".join(f"{part}\0" for part in ("a", "b", *first.columns, "mg/dL", 300)).encode())
    for array in (first.offsets, first.starts.astype("datetime64[s]").astype(np.int64), *first.columns.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    assert plain.fingerprint == digest.hexdigest() != first.fingerprint


def test_more_than_a_thousand_labels_are_free_text(here):
    write(rows_of([f"note {at}" for at in range(1000)], items=("a",)))
    assert len(opened()[0].categories["state"]) == 1000
    more = [*rows_of([f"note {at}" for at in range(999)], items=("a",)), *rows_of(["x", "y"], items=("b",))]
    write(more)
    with pytest.raises(DataError, match=r"data.csv: 'state' looks like free text: it holds 1,001 different labels"):
        opened()
    assert len(opened(exclude=["b"])[0].categories["state"]) == 999


FLOATS = "'state' holds double, not labels; number the categories as integers, or give them as text"


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        (pa.array(["b", None, "", " a "]), ["b", None, None, "a"]),
        (pa.array(["b", None, "", "a"]).dictionary_encode(), ["b", None, None, "a"]),
        (pa.array(["b", "a"] * 2, pa.large_string()), ["b", "a"] * 2),
        (pa.array([10, None, 9, -1], pa.int8()), ["10", None, "9", "-1"]),
        (pa.array([True, False, None, True]), ["true", "false", None, "true"]),
        (pa.nulls(4), [None] * 4),
        (pa.array([1.0, 2.0, 1.0, None]), FLOATS),
        (pa.array([1.0, 2.0] * 2).dictionary_encode(), FLOATS),
        (pa.array([b"x"] * 4), "'state' holds binary, not labels"),
        (pa.array([["x"]] * 4), "'state' holds list<.*>, not labels"),
        (pa.array(["x", "a\tb"] * 2), r"row 2 of column 'state' is 'a\\tb'; take the control character out"),
        (pa.array([b"\xff"] * 4).view(pa.string()), "'state' is not UTF-8"),
    ],
)
def test_parquet_gives_text_integers_and_booleans(here, column, labels):
    rows = rows_of(range(4), items=("a",))
    table = {"item_id": ["a"] * 4, "timestamp": [row[1] for row in rows], "glucose": [1.0] * 4, "state": column}
    pq.write_table(pa.table(table), "data.parquet")
    if isinstance(labels, str):
        with pytest.raises(DataError, match=f"data.parquet: {labels}"):
            opened(source="parquet", path="data.parquet")
        return
    panel, _ = opened(source="parquet", path="data.parquet")
    there = sorted({label for label in labels if label})
    expected = [np.nan if label is None else there.index(label) for label in labels]
    np.testing.assert_array_equal(panel.columns["state"], np.float32(expected))
    assert panel.categories == {"state": tuple(there)}
