"""Instants: the grid is UTC, the time of day that of the people, whatever their clocks do."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tsfm_core import Dataset, Feature
from tsfm_core.config.resolve import read_config
from tsfm_core.config.schema import DataConfig
from tsfm_core.data.build import build_panel
from tsfm_core.data.panel import segments
from tsfm_core.errors import ConfigError, DataError
from tsfm_core.opening import open_panel

LONDON, UTC = ZoneInfo("Europe/London"), ZoneInfo("UTC")
#: The two hours around which London's clock changes, in UTC.
CHANGES = {"spring": datetime(2024, 3, 30, 22, tzinfo=UTC), "autumn": datetime(2024, 10, 26, 22, tzinfo=UTC)}


@pytest.fixture
def opened(tmp_path, make_task):
    """Return ``opened(table, **data)``, which writes a table and opens it as ``train`` does."""

    def of(table, source="csv", covariates=(), **data):
        path = tmp_path / f"data.{source}"
        table.to_csv(path, index=False) if source == "csv" else table.to_parquet(path, index=False)
        task = make_task(past_covariates=covariates)
        return open_panel(DataConfig(source=source, path=str(path), **data), task)

    return of


def instants(start, n=80, zone="UTC", item="a"):
    """Return a table of readings 5 min apart, their number as their value."""
    stamps = pd.date_range(start, periods=n, freq="5min").tz_convert(zone)
    return pd.DataFrame({"item_id": item, "timestamp": stamps, "glucose": np.arange(100.0, 100 + n)})


def as_text(table, form=None):
    """Return a table whose stamps are text, each with the offset of its moment."""
    write = datetime.isoformat if form is None else lambda stamp: stamp.strftime(form)
    return table.assign(timestamp=[write(stamp) for stamp in table.timestamp])


def minutes_by_hand(start, n, zone):
    moments = (start + timedelta(minutes=5 * step) for step in range(n))
    return [local.hour * 60 + local.minute for local in (moment.astimezone(zone) for moment in moments)]


WAYS = {
    "iso": (lambda table: as_text(table), "csv", {}),
    "formatted": (
        lambda table: as_text(table, "%d/%m/%Y %H:%M %z"),
        "csv",
        {"timestamp_format": "%d/%m/%Y %H:%M %z"},
    ),
    "typed": (lambda table: table, "parquet", {}),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_the_grid_is_utc_and_has_neither_a_hole_nor_doubles_when_the_clock_changes(opened, change, way):
    start, (written, source, said) = CHANGES[change], WAYS[way]
    table = instants(start, zone="Europe/London")
    assert table.timestamp.dt.tz_localize(None).is_unique == (change == "spring")
    panel, quality = opened(written(table), source, timezone="Europe/London", **said)
    assert quality.problems == []
    [item] = quality.items
    assert (item.duplicates, item.unsorted, item.readings, item.slots) == (0, 0, 80, 80)
    assert (item.gaps["45min"], item.cadence, item.zone) == (0, "5min", "Europe/London")
    np.testing.assert_array_equal(panel.columns["glucose"], np.arange(100, 180, dtype=np.float32))
    assert panel.starts[0] == np.datetime64(start.replace(tzinfo=None))
    assert (panel.zones, panel.clock) == (("Europe/London",), "utc")
    np.testing.assert_array_equal(panel.minutes(), minutes_by_hand(start, 80, LONDON))
    parts = segments(panel, 45 * 60)
    assert (parts.first.tolist(), parts.last.tolist()) == ([0], [79])


def test_the_minutes_jump_with_the_clock(opened):
    shown = {}
    for change, start in CHANGES.items():
        panel, _ = opened(as_text(instants(start)), timezone="Europe/London")
        shown[change] = panel.minutes()[35:49].tolist()
    assert shown["spring"] == [55, *range(120, 180, 5), 180]  # no clock showed 01:00
    assert shown["autumn"] == [115, *range(60, 120, 5), 120]  # 01:00 to 01:55 came twice
    # a zone moves what the local clock says, and nothing else
    panel, _ = opened(as_text(instants(CHANGES["spring"])), timezone="Asia/Kolkata")
    assert panel.minutes()[:3].tolist() == [210, 215, 220]
    assert panel.starts[0] == np.datetime64("2024-03-30T22:00")


def test_offsets_of_any_kind_are_one_moment(opened):
    same = [
        "2024-07-01T08:00:00Z",
        "2024-07-01T09:05:00+01:00",
        "2024-07-01 04:10:00-0400",
        "2024-07-01T13:45:00+05:30",
    ]
    table = pd.DataFrame({"item_id": "a", "timestamp": same, "glucose": [1.0, 2, 3, 4]})
    panel, quality = opened(table, timezone="Europe/London")
    assert panel.columns["glucose"].tolist() == [1, 2, 3, 4]
    assert panel.starts[0] == np.datetime64("2024-07-01T08:00")
    assert panel.minutes().tolist() == [540, 545, 550, 555]
    assert quality.items[0].first == "2024-07-01T08:00:00"


def test_every_item_has_a_zone_of_its_own(opened):
    start = CHANGES["autumn"]
    table = pd.concat([
        instants(start, item="a").assign(zone="Europe/London"),
        instants(start, item="b").assign(zone="America/New_York"),
        instants(start, item="c").assign(zone=[None] * 79 + ["Asia/Tokyo"]),  # said once
        instants(start, item="d").assign(zone=None),
    ])  # fmt: skip
    columns = {"timezone": "zone"}
    names = ("Europe/London", "America/New_York", "Asia/Tokyo")
    for written, source in ((as_text(table), "csv"), (table, "parquet")):
        panel, quality = opened(written, source, columns=columns, timezone="Australia/Adelaide")
        assert panel.zones == (*names, "Australia/Adelaide")
        assert [item.zone for item in quality.items] == list(panel.zones)
        hands = [minutes_by_hand(start, 80, ZoneInfo(name)) for name in panel.zones]
        np.testing.assert_array_equal(panel.minutes(), np.concatenate(hands))
        np.testing.assert_array_equal(panel.part(1, 3).minutes(), np.concatenate(hands[1:3]))
        without, _ = opened(written, source, columns=columns)
        assert without.zones == (*names, "")
        np.testing.assert_array_equal(without.part(0, 3).minutes(), np.concatenate(hands[:3]))
        with pytest.raises(DataError, match="the time zone is not known; set data.timezone"):
            without.minutes()
        assert without.fingerprint != panel.fingerprint


def test_one_item_has_one_zone(opened):
    table = as_text(instants(CHANGES["spring"]))
    columns = {"timezone": "zone"}
    two = table.assign(zone=["Europe/London"] * 79 + ["Europe/Paris"])
    said = (
        r"item 'a' has the time zones (Europe/London and Europe/Paris|Europe/Paris and Europe/London); local midnight"
    )
    with pytest.raises(DataError, match=said):
        opened(two, columns=columns)
    beside = pd.concat([two, as_text(instants(CHANGES["spring"], item="b")).assign(zone="Europe/Paris")])
    panel, _ = opened(beside, columns=columns, exclude=("a",))  # the way out that the sentence names
    assert (panel.item_ids, panel.zones) == (("b",), ("Europe/Paris",))
    with pytest.raises(DataError, match=r"item 'a': 'Europe/Lodnon' is no time zone; did you mean 'Europe/London'\?"):
        opened(table.assign(zone="Europe/Lodnon"), columns=columns)
    numbers = table.assign(timestamp=pd.to_datetime(table.timestamp), zone=1)
    with pytest.raises(DataError, match="'zone' holds int64, not time zones; map the right column"):
        opened(numbers, "parquet", columns=columns)


FORM = "%d/%m/%Y %H:%M"


@pytest.mark.parametrize(
    ("written", "source", "said"),
    [
        (lambda table: as_text(table), "csv", {}),
        (lambda table: as_text(table, f"{FORM} %z"), "csv", {"timestamp_format": f"{FORM} %z"}),
        (lambda table: as_text(table[:10], f"{FORM} %z"), "csv", {"timestamp_format": f"{FORM} %z"}),  # of one offset
        (lambda table: table, "parquet", {}),
    ],
)
def test_offsets_need_the_zone_of_the_people(opened, written, source, said):
    table = instants(CHANGES["spring"], zone="Europe/London")
    with pytest.raises(DataError) as refused:
        opened(written(table), source, **said)
    assert refused.value.hint == "write naive local times, or set data.timezone to the people's zone"


@pytest.mark.parametrize(
    ("written", "source", "said"),
    [
        (lambda table: as_text(table), "csv", {}),
        (lambda table: as_text(table, FORM), "csv", {"timestamp_format": FORM}),
        (lambda table: table, "parquet", {}),
    ],
)
@pytest.mark.parametrize("zone", [{"timezone": "Europe/London"}, {"columns": {"timezone": "zone"}}])
def test_naive_stamps_have_no_zone(opened, written, source, said, zone):
    table = instants(CHANGES["spring"]).assign(zone="Europe/London")
    table["timestamp"] = table.timestamp.dt.tz_localize(None)
    with pytest.raises(DataError) as refused:
        opened(written(table), source, **said, **zone)
    hint = "the stamps are local already: leave data.timezone out, and data.columns.timezone"
    assert refused.value.hint == hint


@pytest.mark.parametrize("zone", ["Europe/Lodnon", "GMT+1", "", "../UTC", "Europe"])
def test_an_unknown_zone_is_refused_with_the_nearest(zone):
    with pytest.raises(
        ConfigError, match=re.escape(f"data.timezone is {zone!r}: {zone!r} is no time zone; ")
    ) as refused:
        read_config({"data": {"source": "csv", "timezone": zone}})
    assert ("did you mean 'Europe/London'?" in str(refused.value)) == (zone == "Europe/Lodnon")


def test_a_panel_of_instants_is_found_again_with_its_zones(opened):
    table = as_text(instants(CHANGES["spring"]))
    built, _ = opened(table, timezone="Europe/London")
    again, quality = opened(table, timezone="Europe/London")
    assert again.folder == built.folder
    assert (again.zones, again.clock, quality.items[0].zone) == (("Europe/London",), "utc", "Europe/London")
    elsewhere, _ = opened(table, timezone="Europe/Paris")
    assert elsewhere.folder != built.folder
    assert elsewhere.fingerprint != built.fingerprint
    np.testing.assert_array_equal(elsewhere.columns["glucose"], built.columns["glucose"])


def test_a_source_in_utc_needs_no_offsets_and_a_feature_gets_local_minutes(make_task):
    stamps = pa.array(pd.date_range("2024-10-27 00:50", periods=4, freq="5min"))
    items = pa.array(["a", "a", "b", "b"])
    zones = pa.array(["Europe/London", None, None, None], pa.string())
    batch = pa.record_batch({"item_id": items, "timestamp": stamps, "glucose": pa.array([1.0, 2, 3, 4]), "zone": zones})
    dataset = Dataset("cloud", "", "", lambda source: iter([batch]), {"timezone": "zone"}, clock="utc")
    clock = Feature("clock", "minute", "min", (), lambda channels, minutes, step: minutes.astype(float))
    task, features = make_task(past_covariates=("clock",)), {"clock": [clock]}
    panel, _ = build_panel(dataset, DataConfig(source="cloud"), task, features=features)
    assert panel.columns["clock"].tolist() == [
        110,
        115,
        -1,
        -1,
    ]  # 00:50 and 00:55 UTC are summer time; b's is not known
    assert panel.zones == ("Europe/London", "")
    zoned, _ = build_panel(dataset, DataConfig(source="cloud", timezone="UTC"), task, features=features)
    assert zoned.columns["clock"].tolist() == [110, 115, 60, 65]
    task = make_task(known_covariates=("clock",))
    known = {"clock": [Feature("clock", "minute", "min", (), clock.compute, known=True)]}
    with pytest.raises(DataError, match="local times are asked for, and the time zone is not known; set data.timezone"):
        build_panel(dataset, DataConfig(source="cloud"), task, features=known)
