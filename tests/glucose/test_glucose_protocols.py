"""Nights and meals as test windows, on panels made by hand."""

import numpy as np
import pytest
from pydantic import ValidationError

from tsfm_core import ConfigError, DataError, Panel
from tsfm_core.plugins import host
from tsfm_glucose.protocols import PROTOCOLS

NOCTURNAL, PRANDIAL = PROTOCOLS
NAN = float("nan")


def panel_of(*items, step=300, clock="local", zones=(), **channels):
    """Return a panel of ``items``, (start, rows); channels as one list over all rows, zeros where not given."""
    rows = [one[1] for one in items]
    offsets = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
    columns = {"glucose": np.full(offsets[-1], 120, np.float32)}
    for name in ("bolus_u", "carbs_g"):
        columns[name] = np.asarray(channels.get(name, np.zeros(offsets[-1])), np.float32)
    starts = np.array([one[0] for one in items], "datetime64[s]")
    ids = tuple(f"p{at}" for at in range(len(items)))
    return Panel(ids, offsets, starts, step, columns, "mg/dL", clock=clock, zones=zones)


def nights(panel, stride=1, **options):
    return marked(NOCTURNAL, panel, stride, options)


def meals(panel, stride=1, **options):
    return marked(PRANDIAL, panel, stride, options)


def marked(protocol, panel, stride, options):
    """Return the rows that a protocol marks, after checking that the items alone give the same."""
    given = protocol.options_schema(**options)
    rows = protocol.cutoffs(panel, stride, given)
    assert rows.dtype == np.bool_
    assert rows.shape == (len(panel),)
    apart = [protocol.cutoffs(panel.part(at, at + 1), stride, given) for at in range(len(panel.item_ids))]
    np.testing.assert_array_equal(rows, np.concatenate([[False] * 0, *apart]).astype(bool))
    return np.flatnonzero(rows)


def first_targets(panel, rows):
    """Return the stamps of the first target of each cutoff."""
    return [str(stamp) for stamp in panel.stamps(rows + 1)]


class TestNocturnal:
    def test_a_cutoff_is_the_last_row_before_each_midnight(self):
        panel = panel_of(("2024-01-01T10:00", 3 * 288), ("2024-01-05T00:00", 2 * 288))
        rows = nights(panel)
        assert first_targets(panel, rows) == [
            "2024-01-02T00:00:00",
            "2024-01-03T00:00:00",
            "2024-01-04T00:00:00",
            # the second person's first midnight has no row before it
            "2024-01-06T00:00:00",
        ]
        assert [str(stamp)[11:] for stamp in panel.stamps(rows)] == ["23:55:00"] * 4

    def test_any_time_of_day(self):
        panel = panel_of(("2024-01-01T10:00", 2 * 288))
        assert first_targets(panel, nights(panel, at="22:40")) == ["2024-01-01T22:40:00", "2024-01-02T22:40:00"]

    def test_the_first_slot_at_or_after_it_where_the_grid_has_another_phase(self):
        panel = panel_of(("2024-01-01T10:00", 200), step=900)
        assert first_targets(panel, nights(panel, at="22:40")) == ["2024-01-01T22:45:00", "2024-01-02T22:45:00"]
        shifted = panel_of(("2024-01-01T10:07", 2 * 288))
        assert first_targets(shifted, nights(shifted)) == ["2024-01-02T00:02:00", "2024-01-03T00:02:00"]

    def test_a_grid_of_seconds_and_one_of_days(self):
        panel = panel_of(("2024-01-01T23:59", 10), step=30)
        assert first_targets(panel, nights(panel)) == ["2024-01-02T00:00:00"]
        daily = panel_of(("2024-01-01T06:00", 4), step=86400)
        assert nights(daily).tolist() == [0, 1, 2]

    def test_it_does_not_follow_the_item_that_begins_later_in_the_day(self):
        panel = panel_of(("2024-01-01T23:00", 5), ("2024-01-02T01:00", 5), ("2024-01-01T23:50", 5))
        assert nights(panel).tolist() == [11]

    def test_no_rows(self):
        empty = panel_of(("2024-01-01T00:00", 0))
        assert NOCTURNAL.cutoffs(empty, 1, NOCTURNAL.options_schema()).shape == (0,)

    def test_an_item_without_rows_between_others(self):
        panel = panel_of(("2024-01-01T23:00", 24), ("2024-01-01T00:00", 0), ("2024-01-01T23:00", 24))
        assert nights(panel).tolist() == [11, 35]

    def test_midnights_are_those_of_the_persons_zone(self):
        panel = panel_of(
            ("2024-01-01T00:00", 2 * 288),
            ("2024-01-01T00:00", 2 * 288),
            clock="utc",
            zones=("Asia/Tokyo", "America/New_York"),
        )
        assert first_targets(panel, nights(panel)) == [
            "2024-01-01T15:00:00",
            "2024-01-02T15:00:00",
            "2024-01-01T05:00:00",
            "2024-01-02T05:00:00",
        ]

    def test_the_hour_that_is_skipped(self):
        # London, 2024-03-31: 00:55 GMT is followed by 02:00 BST
        panel = panel_of(("2024-03-30T12:00", 3 * 288), clock="utc", zones=("Europe/London",))
        assert first_targets(panel, nights(panel, at="01:30")) == [
            "2024-03-31T01:00:00",
            "2024-04-01T00:30:00",
            "2024-04-02T00:30:00",
        ]
        assert first_targets(panel, nights(panel)) == [
            "2024-03-31T00:00:00",
            "2024-03-31T23:00:00",
            "2024-04-01T23:00:00",
        ]

    def test_the_hour_that_is_repeated(self):
        # London, 2024-10-27: 01:55 BST (00:55 UTC) is followed by 01:00 GMT
        panel = panel_of(("2024-10-26T12:00", 2 * 288), clock="utc", zones=("Europe/London",))
        assert first_targets(panel, nights(panel, at="01:30")) == ["2024-10-27T00:30:00", "2024-10-28T01:30:00"]
        assert first_targets(panel, nights(panel, at="01:00")) == ["2024-10-27T00:00:00", "2024-10-28T01:00:00"]
        assert first_targets(panel, nights(panel)) == ["2024-10-26T23:00:00", "2024-10-28T00:00:00"]

    def test_midnight_itself_skipped_and_repeated(self):
        # Beirut, 2024-03-31: 23:55 is followed by 01:00; 2024-10-27: 23:55 of the 26th by 23:00
        panel = panel_of(("2024-03-30T12:00", 288), clock="utc", zones=("Asia/Beirut",))
        assert first_targets(panel, nights(panel)) == ["2024-03-30T22:00:00"]
        panel = panel_of(("2024-10-26T12:00", 288), clock="utc", zones=("Asia/Beirut",))
        assert first_targets(panel, nights(panel)) == ["2024-10-26T22:00:00"]
        assert first_targets(panel, nights(panel, at="23:30")) == ["2024-10-26T20:30:00"]

    def test_a_true_time_of_day_on_placeholder_dates_is_enough(self):
        assert len(nights(panel_of(("2024-01-01T10:00", 288), clock="time_of_day"))) == 1

    @pytest.mark.parametrize(
        ("clock", "message"), [("none", "are placeholders: no night"), ("utc", "UTC in no known zone: no night")]
    )
    def test_stamps_that_hold_no_night_are_refused(self, clock, message):
        with pytest.raises(DataError, match=message):
            NOCTURNAL.cutoffs(panel_of(("2024-01-01T10:00", 288), clock=clock), 1, NOCTURNAL.options_schema())

    @pytest.mark.parametrize("at", ["24:00", "7:30", "22:60", "midnight", "22:40:00"])
    def test_a_time_that_is_none(self, at):
        with pytest.raises(ValidationError, match="at"):
            NOCTURNAL.options_schema(at=at)

    def test_quiet_nights(self):
        # five midnights, at rows 144 + 288 k; the last one's 8 h are cut
        rows = 5 * 288 - 100
        bolus, carbs = np.zeros(rows), np.zeros(rows)
        midnights = 144 + 288 * np.arange(5)
        bolus[midnights[0] - 1] = 3  # before the night
        carbs[midnights[1]] = 10  # its first slot
        bolus[midnights[2] + 95] = 0.1  # its last slot
        carbs[midnights[3] + 96] = 50  # after it
        panel = panel_of(("2024-01-01T12:00", rows), bolus_u=bolus, carbs_g=carbs)
        assert nights(panel).tolist() == (midnights - 1).tolist()
        assert nights(panel, quiet=True).tolist() == (midnights[[0, 3]] - 1).tolist()
        assert nights(panel, quiet=True, hours=7.9).tolist() == (midnights[[0, 2, 3]] - 1).tolist()
        assert nights(panel, quiet=True, hours=1).tolist() == (midnights[[0, 2, 3, 4]] - 1).tolist()

    def test_a_night_that_nobody_recorded_is_not_quiet(self):
        rows = 3 * 288
        bolus = np.zeros(rows)
        bolus[144 + 50] = NAN
        panel = panel_of(("2024-01-01T12:00", rows), bolus_u=bolus)
        assert nights(panel, quiet=True).tolist() == [143 + 288, 143 + 2 * 288]

    def test_a_quiet_night_ends_with_its_item(self):
        panel = panel_of(("2024-01-01T12:00", 144 + 95), ("2024-01-01T12:00", 144 + 96))
        assert nights(panel, quiet=True).tolist() == [144 + 95 + 143]

    def test_what_it_needs(self):
        assert NOCTURNAL.needs(NOCTURNAL.options_schema()) == ()
        assert NOCTURNAL.needs(NOCTURNAL.options_schema(quiet=True)) == ("bolus_u", "carbs_g")


class TestPrandial:
    def meals_at(self, rows, **at):
        """Return a panel of one item with the given grams at ``r<row>``."""
        carbs = np.zeros(rows)
        for name, grams in at.items():
            carbs[int(name[1:])] = grams
        return panel_of(("2024-01-01T00:00", rows), carbs_g=carbs)

    def test_the_meal_hidden_or_known(self):
        panel = self.meals_at(200, r50=40, r120=10, r150=9.9)
        assert meals(panel).tolist() == [49, 119]
        assert meals(panel, meal="known").tolist() == [50, 120]
        assert meals(panel, min_carbs_g=20).tolist() == [49]
        assert meals(panel, min_carbs_g=5).tolist() == [49, 119, 149]

    def test_a_meal_in_the_first_row_has_nothing_before_it(self):
        panel = panel_of(("2024-01-01T00:00", 30), ("2024-01-01T00:00", 30), carbs_g=np.eye(1, 60, 30)[0] * 40)
        assert meals(panel).tolist() == []
        assert meals(panel, meal="known").tolist() == [30]

    def test_meals_within_an_hour_are_one(self):
        # 0, 60 and 120 min: one group, as each is within 60 min of the one before; 65 min later: another
        panel = self.meals_at(200, r50=20, r62=20, r74=20, r87=20)
        assert meals(panel).tolist() == [49, 86]
        assert meals(panel, merge="2h").tolist() == [49]
        assert meals(panel, merge="30min").tolist() == [49, 61, 73, 86]
        assert meals(panel, merge="0min").tolist() == [49, 61, 73, 86]

    def test_what_is_no_meal_neither_joins_nor_begins_a_group(self):
        panel = self.meals_at(200, r50=20, r60=5, r70=20)
        assert meals(panel).tolist() == [49, 69]

    def test_a_group_ends_with_its_item(self):
        carbs = np.zeros(60)
        carbs[[28, 32]] = 40
        panel = panel_of(("2024-01-01T00:00", 30), ("2024-01-01T00:00", 30), carbs_g=carbs)
        assert meals(panel).tolist() == [27, 31]

    def test_a_meal_alone(self):
        panel = self.meals_at(400, r100=30, r130=30, r140=30, r200=30)
        # 130 and 140 are one; 100 to 130 are 150 min, 140 to 200 are 300 min
        assert meals(panel).tolist() == [99, 129, 199]
        assert meals(panel, alone_before="150min").tolist() == [99, 199]
        assert meals(panel, alone_before="149min").tolist() == [99, 129, 199]
        assert meals(panel, alone_after="150min").tolist() == [129, 199]
        assert meals(panel, alone_after="149min").tolist() == [99, 129, 199]
        assert meals(panel, alone_after="5h").tolist() == [199]
        assert meals(panel, alone_after="150min", alone_before="2h").tolist() == [129, 199]

    def test_a_span_beyond_the_item_is_not_recorded(self):
        panel = self.meals_at(100, r20=30, r80=30)
        assert meals(panel, alone_before="100min").tolist() == [19, 79]
        assert meals(panel, alone_before="105min").tolist() == [79]
        assert meals(panel, alone_after="95min").tolist() == [19, 79]
        assert meals(panel, alone_after="100min").tolist() == [19]

    def test_what_is_not_recorded_is_no_evidence_of_no_meal(self):
        panel = self.meals_at(300, r100=30, r200=30, r90=NAN, r230=NAN)
        assert meals(panel).tolist() == [99, 199]
        assert meals(panel, alone_before="1h").tolist() == [199]
        assert meals(panel, alone_before="45min").tolist() == [99, 199]
        assert meals(panel, alone_after="3h").tolist() == [99]

    def test_no_meals_and_no_rows(self):
        assert meals(self.meals_at(50)).tolist() == []
        assert meals(panel_of(("2024-01-01T00:00", 5), carbs_g=[NAN] * 5)).tolist() == []
        empty = panel_of(("2024-01-01T00:00", 0))
        assert PRANDIAL.cutoffs(empty, 1, PRANDIAL.options_schema()).shape == (0,)

    def test_placeholder_stamps_do_not_matter(self):
        panel = panel_of(("2024-01-01T00:00", 20), clock="none", carbs_g=np.eye(1, 20, 10)[0] * 40)
        assert meals(panel).tolist() == [9]

    def test_what_it_needs(self):
        assert PRANDIAL.needs(PRANDIAL.options_schema()) == ("carbs_g",)

    @pytest.mark.parametrize("key", ["merge", "alone_before", "alone_after"])
    def test_a_duration_that_is_none(self, key):
        with pytest.raises(ValidationError, match="'an hour' is not a fixed step"):
            PRANDIAL.options_schema(**{key: "an hour"})

    @pytest.mark.parametrize("options", [{"min_carbs_g": 0}, {"meal": "both"}, {"minimum": 5}])
    def test_options_that_are_none(self, options):
        with pytest.raises(ValidationError):
            PRANDIAL.options_schema(**options)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.name)
def test_a_stride_has_no_meaning(protocol):
    panel = panel_of(("2024-01-01T00:00", 300))
    with pytest.raises(ConfigError, match=f"{protocol.name} finds its own cutoffs; evaluation.stride is 12; leave"):
        protocol.cutoffs(panel, 12, protocol.options_schema())


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.name)
def test_the_package_contributes_it_and_its_options_are_in_its_definition(protocol):
    assert host().protocol(protocol.name) is protocol
    named = {"at", "quiet", "hours"} if protocol.name == "nocturnal" else set(protocol.options_schema.model_fields)
    assert set(protocol.options_schema.model_fields) == named
    assert all(option in protocol.definition for option in named)
