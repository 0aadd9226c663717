"""From rows to a panel: the grid, what is irregular and counted, units, and the fingerprint."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tsfm_core.data.panel import segments
from tsfm_core.errors import DataError


def rows_of(*rows):
    """Return a table of ``(item, clock, glucose)`` on one day."""
    table = pd.DataFrame(rows, columns=["item_id", "timestamp", "glucose"])
    return table.assign(timestamp=pd.to_datetime("2024-01-01 " + table.timestamp, format="ISO8601"))


def cells(panel, channel="glucose"):
    """Return ``{(item, stamp): value}`` of what was observed."""
    items = np.asarray(panel.item_ids, object)[panel.row_items]
    stamps = pd.to_datetime(panel.stamps(np.arange(len(panel))))
    column = panel.columns[channel]
    return {
        key: value for *key, value in zip(items, stamps, column, strict=True) for key in [tuple(key)] if value == value
    }


def test_every_reading_lands_on_its_own_stamp_and_nothing_else_is_there(readings, panel_of):
    table = readings(("b", "a", "c"), n=50, missing=0.3).sample(frac=0.7, random_state=1).sort_index()
    panel = panel_of(table)
    observed = table.dropna()
    expected = {(row.item_id, row.timestamp): np.float32(row.glucose) for row in observed.itertuples()}
    assert cells(panel) == expected
    assert panel.item_ids == ("a", "b", "c")
    for at, item in enumerate(panel.item_ids):
        stamps = table[table.item_id == item].timestamp
        assert panel.starts[at] == np.datetime64(stamps.min())
        assert panel.offsets[at + 1] - panel.offsets[at] == (stamps.max() - stamps.min()) / pd.Timedelta("5min") + 1


def test_slots_are_the_clock(readings, panel_of):
    panel = panel_of(readings(n=40, start="2024-02-28 23:00"))
    minutes = (pd.to_datetime(panel.stamps(np.arange(len(panel)))) - pd.Timestamp(0)) / pd.Timedelta("5min")
    np.testing.assert_array_equal(panel.slots(), minutes)


def test_the_order_of_items_and_rows_of_other_items_changes_nothing(readings, panel_of):
    table = readings(("a", "b", "c"), n=60, missing=0.2)
    panel = panel_of(table)
    interleaved = table.sort_values(["timestamp", "item_id"], ascending=[True, False])
    assert panel_of(interleaved).fingerprint == panel.fingerprint
    shuffled = table.sample(frac=1, random_state=0)
    assert panel_of(shuffled, unsorted="sort").fingerprint == panel.fingerprint


def test_the_report_counts_what_is_irregular(build):
    table = rows_of(
        ("a", "08:00", 100), ("a", "08:05", 110), ("a", "08:05", 110), ("a", "08:10", np.nan), ("a", "08:21", 120),
        ("a", "08:15", 130), ("a", "09:20", 140), ("b", "08:00", 90), ("b", "08:15", 91), ("b", "08:30", 92),
    )  # fmt: skip
    _, quality = build(table)
    a, b = quality.items
    assert (a.rows, a.readings, a.unsorted, a.off_grid, a.duplicates) == (7, 5, 1, 1, 1)
    assert (a.first, a.last, a.gaps, a.longest_gap, a.cadence) == (
        "2024-01-01T08:00:00", "2024-01-01T09:20:00", {"45min": 1, "2h": 0, "6h": 0, "1D": 0}, "1h", "5min",
    )  # fmt: skip
    assert a.coverage == pytest.approx(5 / 17, abs=1e-4)
    assert (b.rows, b.unsorted, b.off_grid, b.duplicates, b.cadence) == (3, 0, 0, 0, "15min")
    said = [problem for problem, _ in quality.problems]
    assert said == [
        "1 rows go back in time: a (1)",
        "1 rows have stamps off the 5min grid: a (1)",
        "1 rows share their slot with another: a (1)",
        "task.freq is 5min, but the readings come at another step in b (15min)",
    ]


@pytest.mark.parametrize(
    ("rule", "expected"), [("median", 110.0), ("mean", 120.0), ("sum", 360.0), ({"glucose": "sum"}, 360.0)]
)
def test_duplicates_are_combined_as_the_config_says(panel_of, rule, expected):
    table = rows_of(("a", "08:00", 100), ("a", "08:00", 150), ("a", "08:00", 110), ("a", "08:05", 90))
    panel = panel_of(table, duplicates=rule)
    np.testing.assert_array_equal(panel.columns["glucose"], np.float32([expected, 90]))


def test_a_sum_of_nothing_observed_is_not_observed_and_missing_doubles_are_passed_over(panel_of):
    table = rows_of(("a", "08:00", np.nan), ("a", "08:00", np.nan), ("a", "08:05", 90), ("a", "08:05", np.nan))
    for rule in ("sum", "median", "mean"):
        np.testing.assert_array_equal(panel_of(table, duplicates=rule).columns["glucose"], np.float32([np.nan, 90]))


def test_each_channel_may_have_its_own_rule(panel_of, make_task, build):
    task = make_task(past_covariates=("bolus",))
    table = rows_of(("a", "08:00", 100), ("a", "08:00", 120), ("a", "08:05", 1)).assign(bolus=[1.0, 2.0, 0.5])
    panel = panel_of(table, task, duplicates={"glucose": "median", "bolus": "sum"})
    assert panel.columns["glucose"].tolist() == [110.0, 1.0]
    assert panel.columns["bolus"].tolist() == [3.0, 0.5]
    with pytest.raises(DataError, match=r"data.duplicates says nothing of bolus; add bolus"):
        build(table, task, duplicates={"glucose": "median"})


def test_stamps_are_floored_to_the_slot_they_lie_in(panel_of):
    table = rows_of(("a", "08:04:59", 1), ("a", "08:05", 2), ("a", "08:14:59", 3))
    panel = panel_of(table, off_grid="floor", mixed_freq="keep")
    assert {stamp.strftime("%H:%M"): value for (_, stamp), value in cells(panel).items()} == {
        "08:00": 1, "08:05": 2, "08:10": 3,
    }  # fmt: skip


def test_stamps_before_1970_are_floored_down(panel_of):
    table = rows_of(("a", "08:04", 1), ("a", "08:05", 2))
    table["timestamp"] -= pd.Timedelta("36500D")
    panel = panel_of(table, off_grid="floor")
    assert panel.stamps(np.array([0]))[0] == np.datetime64(table.timestamp[0].floor("5min"))


def test_daylight_saving_shows_as_doubles_and_as_a_gap(readings, build, panel_of):
    utc = pd.date_range("2024-10-26 22:00", periods=80, freq="5min", tz="UTC")
    autumn = readings(("a",), n=80).assign(timestamp=utc.tz_convert("Europe/London").tz_localize(None))
    _, quality = build(autumn)
    assert quality.items[0].duplicates == 12  # 01:00 to 01:55 twice
    assert quality.items[0].unsorted == 1
    spring = autumn.assign(timestamp=(utc - pd.Timedelta("210D")).tz_convert("Europe/London").tz_localize(None))
    panel = panel_of(spring)
    assert len(panel) == 80 + 12  # the hour that no clock showed is there, and not observed
    parts = segments(panel, 45 * 60)
    missing = pd.to_datetime(panel.stamps(np.array([parts.last[0], parts.first[1]])))
    assert [f"{stamp:%d %H:%M}" for stamp in missing] == ["31 00:55", "31 02:00"]


def test_the_target_is_converted_and_nothing_else(panel_of, make_task):
    task = make_task(past_covariates=("bolus",))
    table = rows_of(("a", "08:00", 5.0), ("a", "08:05", 10.0)).assign(bolus=[1.0, 2.0])
    panel = panel_of(table, task, unit="mmol/L")
    np.testing.assert_allclose(panel.columns["glucose"], [90.09, 180.18], rtol=1e-6)
    assert panel.columns["bolus"].tolist() == [1.0, 2.0]
    assert panel.unit == "mg/dL"


def test_a_data_set_that_fixes_its_unit_is_not_contradicted(build):
    table = rows_of(("a", "08:00", 5.0), ("a", "08:05", 10.0))
    panel, _ = build(table, dataset={"unit": "mmol/L"})
    assert panel.columns["glucose"][0] == pytest.approx(90.09)
    with pytest.raises(DataError, match=r"table is in mmol/L; data.unit says mg/dL; leave data.unit out"):
        build(table, dataset={"unit": "mmol/L"}, unit="mg/dL")
    with pytest.raises(DataError, match=r"table holds 'power'; task.target is 'glucose'"):
        build(table, dataset={"target": "power"})


def test_columns_are_mapped_by_role(panel_of, readings):
    table = readings(("1", "2"), n=20)
    other = table.rename(columns={"item_id": "patient", "timestamp": "time", "glucose": "cgm"})
    other["patient"] = other.patient.astype(int)
    columns = {"item_id": "patient", "timestamp": "time", "target": "cgm"}
    assert panel_of(other, columns=columns).fingerprint == panel_of(table).fingerprint


def test_rows_are_chosen_by_item_and_start(readings, panel_of):
    table = readings(("a", "b", "c"), n=30)
    expected = table[((table.item_id == "a") & (table.timestamp >= "2024-01-01 01:00")) | (table.item_id == "b")]
    chosen = panel_of(table, items=("a", "b"), start={"a": "2024-01-01T01:00"})
    assert chosen.fingerprint == panel_of(expected).fingerprint
    assert panel_of(table, exclude=("c",), start={"a": "2024-01-01T01:00"}).fingerprint == chosen.fingerprint


@pytest.mark.parametrize("change", ["value", "stamp", "item_id", "missing", "covariate", "unit", "row"])
def test_the_fingerprint_changes_with_every_value_stamp_and_id(readings, panel_of, make_task, change):
    task = make_task(past_covariates=("steps",))
    table = readings(n=30).assign(steps=1.0)
    before = panel_of(table, task).fingerprint
    if change == "value":
        table.loc[17, "glucose"] += 0.01
    elif change == "stamp":
        table["timestamp"] += pd.Timedelta("5min")
    elif change == "item_id":
        table["item_id"] = table.item_id.replace("b", "c")
    elif change == "missing":
        table.loc[17, "glucose"] = np.nan
    elif change == "covariate":
        table.loc[17, "steps"] = 2.0
    elif change == "unit":
        task = make_task(past_covariates=("steps",), unit="custom:x")
    else:
        table = table.drop(index=59)
    assert panel_of(table, task).fingerprint != before


def test_the_fingerprint_does_not_depend_on_the_lengths_or_on_the_kind_of_nan(readings, panel_of, make_task):
    table = readings(n=30, missing=0.2)
    before = panel_of(table).fingerprint
    assert panel_of(table, make_task(context_length=3, prediction_length=2)).fingerprint == before
    negative = pa.array(np.where(table.glucose.isna(), -np.nan, table.glucose), from_pandas=False)
    assert np.signbit(negative.to_numpy()[table.glucose.isna()]).all()
    other = pa.Table.from_pandas(table, preserve_index=False).set_column(2, "glucose", negative)
    assert panel_of(other).fingerprint == before


def test_segments_break_at_gaps_and_between_items(panel_of):
    clocks = ["08:00", "08:05", "08:50", "09:40", "09:45"]
    table = rows_of(*[("a", clock, 1) for clock in clocks], ("b", "10:00", 1), ("b", "10:05", 1))
    parts = segments(panel_of(table), 45 * 60)
    assert parts.first.tolist() == [0, 20, 22]
    assert parts.last.tolist() == [10, 21, 23]
    first, last = parts.bounds(np.array([0, 5, 10, 11, 19, 20, 23]))
    assert first.tolist() == [0, 0, 0, 0, 0, 20, 22]
    assert last.tolist() == [10, 10, 10, -1, -1, 21, 23]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("a", "08:00", 3e38), ("a", "08:05", 1)], "glucose of item 'a' reaches 5.4054e"),
        ([("a", "08:00", np.nan), ("b", "08:05", np.nan)], "column 'glucose' holds no reading"),
    ],
)
def test_what_a_panel_cannot_hold_is_refused(build, rows, said):
    with pytest.raises(DataError, match=said):
        build(rows_of(*rows), unit="mmol/L")


@pytest.mark.parametrize("n", [100, 20_000])
@pytest.mark.parametrize("stray", ["2203-01-01", "1923-01-01"])
def test_a_stray_stamp_does_not_stretch_a_record_over_centuries(readings, build, n, stray):
    table = readings(("a",), n=n)
    table.loc[n, :] = ["a", pd.Timestamp(stray), 100.0]
    with pytest.raises(DataError, match=rf"item 'a' has {n + 1} rows from .*{stray[:4]}.* stray stamp"):
        build(table, unsorted="sort")


def test_decades_of_daily_rows_are_a_record(readings, make_task, panel_of):
    table = readings(("a",), n=25_000, start="1950-01-01", freq="D")
    assert len(panel_of(table, make_task(freq="1D"))) == 25_000
