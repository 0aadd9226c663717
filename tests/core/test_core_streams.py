"""Streams of events, each recorded on its own, become channels: by kind, by rule, counted, and computed from others."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import tsfm_core
from tsfm_core import Channel, Dataset, Feature, read_csv
from tsfm_core.config.resolve import read_config
from tsfm_core.config.schema import DataConfig
from tsfm_core.data.build import build_panel
from tsfm_core.errors import ConfigError, DataError

CHANNELS = {"carbs": Channel("amount", "g"), "basal": Channel("rate", "U/h"), "pulse": Channel("reading", "1/min")}
RULES = {"unsorted": "sort", "off_grid": "floor", "duplicates": "median", "mixed_freq": "keep"}
NAN = np.nan


def at(moment):
    """Return ``day clock`` of January 2024 as a stamp."""
    return pd.Timestamp(f"2024-01-{moment}")


def stream(channel, *entries, item="a"):
    """Return a batch of one channel alone: ``(day clock, value)``."""
    stamps = pa.array([at(moment) for moment, _ in entries], pa.timestamp("us"))
    values = pa.array([value for _, value in entries], pa.float64())
    return pa.record_batch({"item_id": pa.array([item] * len(entries)), "timestamp": stamps, channel: values})


def steady(*moments, item="a", value=100.0):
    return stream("glucose", *((moment, value) for moment in moments), item=item)


@pytest.fixture
def laid(make_task):
    """Return ``laid(*batches, covariates=...)``, which gives the panel of streams and its report."""

    def of(*batches, covariates=("carbs", "basal"), known=(), computed=(), channels=CHANNELS, extend=0, **data):
        task = make_task(past_covariates=covariates, known_covariates=known, **data.pop("task", {}))
        dataset = Dataset("clinic", "", "", lambda source: iter(batches), channels=channels)
        offered = {one.name: [other for other in computed if other.name == one.name] for one in computed}
        config = DataConfig(source="clinic", **RULES | data)
        return build_panel(dataset, config, task, features=offered, extend=extend)

    return of


def column(panel, name, item="a"):
    """Return the values of an item by their clock."""
    number = panel.item_ids.index(item)
    rows = np.arange(panel.offsets[number], panel.offsets[number + 1])
    clocks = pd.to_datetime(panel.stamps(rows)).strftime("%d %H:%M")
    return dict(zip(clocks, panel.columns[name][rows].tolist(), strict=True))


def assert_same(found, expected):
    assert list(found) == list(expected)
    np.testing.assert_array_equal(list(found.values()), np.float32(list(expected.values())))


def notes_of(quality):
    return {(note["item_id"], note["what"]): note["rows"] for note in quality.notes}


def test_each_kind_of_channel_means_what_it_says(laid):
    panel, quality = laid(
        stream("carbs", ("02 08:09", 20), ("02 08:06", 10), ("02 08:21", 5)),
        stream(
            "glucose", ("02 08:00", 100), ("02 08:01", 130), ("02 08:01", 130), ("02 08:04", 110), ("02 08:05", 90),
            ("02 08:30", 120),
        ),
        stream("basal", ("02 08:11", 0.75), ("02 08:25", 0), ("02 08:14", 1.25)),
        stream("pulse", ("02 08:10", 60), ("02 08:12", 62), ("02 08:13", 70), ("02 08:15", None)),
        covariates=("carbs", "basal", "pulse"),
    )  # fmt: skip
    clocks = ("02 08:00", "02 08:05", "02 08:10", "02 08:15", "02 08:20", "02 08:25", "02 08:30")
    expected = {
        "glucose": (110, 90, NAN, NAN, NAN, NAN, 120),  # of the distinct 100, 110, 130
        "carbs": (NAN, 30, 0, 0, 5, NAN, NAN),  # nobody knows of a meal before the first or after the last
        "basal": (NAN, NAN, 1.25, 1.25, 1.25, 0, 0),  # 08:14 was the last of its slot
        "pulse": (NAN, NAN, 62, NAN, NAN, NAN, NAN),
    }
    for name, values in expected.items():
        assert_same(column(panel, name), dict(zip(clocks, values, strict=True)))
    [item] = quality.items
    assert item.channels == {
        "carbs": {"recorded": 4, "total": 35.0},
        "basal": {"recorded": 5, "mean": 0.75},
        "pulse": {"recorded": 1, "mean": 62.0},
    }
    # the rows of the target alone are its rows, its doubles and its order
    assert (item.rows, item.duplicates, item.repeats, item.off_grid, item.unsorted) == (6, 3, 1, 3, 0)


def test_a_rate_is_held_for_a_day_and_no_longer(laid):
    panel, _ = laid(steady("02 00:00", "03 01:00"), stream("basal", ("02 00:04", 1)), covariates=("basal",))
    basal = column(panel, "basal")
    held = [clock for clock, value in basal.items() if value == 1]
    assert held == list(basal)[:289]
    assert held[-1] == "03 00:00"
    assert np.isnan(list(basal.values())[289:]).all()


def test_an_entry_of_the_day_before_is_still_in_force(laid):
    basal = stream("basal", ("01 07:59", 3), ("01 08:03", 2))
    panel, _ = laid(steady("02 08:00", "02 08:10"), basal, covariates=("basal",))
    assert_same(column(panel, "basal"), {"02 08:00": 2, "02 08:05": NAN, "02 08:10": NAN})


def test_an_item_lasts_as_long_as_its_target(laid):
    panel, quality = laid(
        stream("carbs", ("02 06:00", 10), ("02 10:02", 20), ("02 10:04", 30), ("02 11:00", 40)),
        stream("carbs", ("02 08:00", 1), item="b"),
        steady("02 08:00", "02 08:10"),
        stream("glucose", ("02 08:00", None), item="c"),
    )
    assert panel.item_ids == ("a",)
    assert_same(column(panel, "carbs"), {"02 08:00": 0, "02 08:05": 0, "02 08:10": 0})  # between two entries
    assert notes_of(quality) == {
        ("a", "slots of other streams before the first or after the last reading"): 3,
        ("b", "no reading: left out"): 0,
        ("c", "no reading: left out"): 0,
    }
    _, quality = laid(steady("02 08:00", "02 08:10"), stream("carbs", ("02 08:00", 1), item="b"), exclude=("b",))
    assert quality.notes == []


def test_what_came_within_a_day_before_the_first_reading_feeds_a_feature(laid):
    given = {}

    def remember(channels, minutes, step):
        given.update(channels, minutes=minutes, step=step)
        return np.nancumsum(channels["carbs"])

    panel, quality = laid(
        steady("02 08:00", "02 08:15"),
        stream("carbs", ("01 07:55", 100), ("01 08:00", 7), ("02 07:00", 5), ("02 08:05", 3)),
        stream("basal", ("01 20:00", 1.5)),
        covariates=("eaten",),
        computed=[Feature("eaten", "sum", "g", ("carbs", "basal", "glucose"), remember)],
    )
    assert_same(column(panel, "eaten"), {"02 08:00": 12, "02 08:05": 15, "02 08:10": 15, "02 08:15": 15})
    assert given["step"] == 300
    assert {name: len(values) for name, values in given.items() if name != "step"} == {
        "carbs": 292, "basal": 292, "glucose": 292, "minutes": 292,
    }  # fmt: skip
    np.testing.assert_array_equal(given["minutes"], (480 + 5 * np.arange(292)) % 1440)
    assert all(given[name].dtype == np.float64 for name in ("carbs", "basal", "glucose"))
    carbs = np.zeros(292)
    carbs[[0, 276, 289]] = 7, 5, 3
    carbs[290:] = NAN
    np.testing.assert_array_equal(given["carbs"], carbs)
    np.testing.assert_array_equal(given["basal"], np.where(np.arange(292) >= 144, 1.5, NAN))
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(given["glucose"])), [288, 291])
    # three meals and a rate lie outside the panel
    assert notes_of(quality) == {("a", "slots of other streams before the first or after the last reading"): 4}


def test_a_table_of_ones_own_says_what_its_columns_hold(make_task, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "item_id,timestamp,glucose,carbs,basal,pulse\n"
        "a,2024-01-02 08:00,100,,,\n"
        "a,2024-01-02 08:05,,10,0.5,60\n"
        "a,2024-01-02 08:05,101,5,1.5,62\n"
        "a,2024-01-02 08:10,,,,\n"
        "a,2024-01-02 08:20,104,2,,\n"
        "a,2024-01-02 08:25,,,,\n"
    )
    task = make_task(past_covariates=("carbs", "basal", "pulse"))
    dataset = Dataset("csv", "", "", lambda source: read_csv(source.path, source.columns))
    said = {"source": "csv", "path": str(path), "duplicates": "mean", "mixed_freq": "keep"}
    data = DataConfig(**said, kinds={"carbs": "amount", "basal": "rate"})
    panel, quality = build_panel(dataset, data, task)
    clocks = ("02 08:00", "02 08:05", "02 08:10", "02 08:15", "02 08:20", "02 08:25")
    expected = {
        "glucose": (100, 101, NAN, NAN, 104, NAN),
        "carbs": (NAN, 15, 0, 0, 2, NAN),
        "basal": (NAN, 1.5, 1.5, 1.5, 1.5, 1.5),
        "pulse": (NAN, 61, NAN, NAN, NAN, NAN),
    }
    for name, values in expected.items():
        assert_same(column(panel, name), dict(zip(clocks, values, strict=True)))
    assert quality.items[0].duplicates == 1
    assert quality.notes == []
    plain, _ = build_panel(dataset, DataConfig(**said), task)  # readings, where nothing else is said
    assert_same(column(plain, "carbs"), dict(zip(clocks, (NAN, 7.5, NAN, NAN, 2, NAN), strict=True)))
    with pytest.raises(DataError, match=r"data.kinds.crabs is no covariate of this task; did you mean 'carbs'\?"):
        build_panel(dataset, DataConfig(**said, kinds={"crabs": "amount"}), task)
    with pytest.raises(DataError, match=r"data.kinds.glucose is no covariate"):
        build_panel(dataset, DataConfig(**said, kinds={"glucose": "rate"}), task)
    with pytest.raises(
        ConfigError, match=r"data.kinds.carbs is 'dose': input should be 'reading', 'amount', 'rate' or 'category'"
    ):
        read_config({"data": {"source": "csv", "kinds": {"carbs": "dose"}}})


def test_the_config_says_more_than_the_data_set(laid):
    meals = stream("carbs", ("02 08:00", 10), ("02 08:02", 30), ("02 08:10", 20))
    panel, _ = laid(steady("02 08:00", "02 08:10"), meals, kinds={"carbs": "reading"}, duplicates="mean")
    assert_same(column(panel, "carbs"), {"02 08:00": 20, "02 08:05": NAN, "02 08:10": 20})


def test_readings_that_cannot_be_are_counted_and_are_none(laid):
    readings = [("02 08:00", 1.1), ("02 08:05", 1.0), ("02 08:10", 33.3), ("02 08:15", 33.4), ("02 08:16", 5)]
    last = ("02 08:20", 0.1)  # nor do they last
    panel, quality = laid(stream("glucose", *readings, last), valid_range=(1.1, 33.3), unit="mmol/L")
    expected = {"02 08:00": 1.1, "02 08:05": NAN, "02 08:10": 33.3, "02 08:15": 5}
    assert_same(column(panel, "glucose"), {clock: np.float32(value * 18.018) for clock, value in expected.items()})
    [item] = quality.items
    assert (item.impossible, item.rows, item.readings, item.duplicates) == (3, 6, 3, 0)
    assert quality.notes == []
    with pytest.raises(ConfigError, match="data.valid_range is .*: the lowest possible reading comes first"):
        read_config({"data": {"source": "csv", "valid_range": [400, 40]}})


@pytest.mark.parametrize(
    ("rule", "slots"),
    [
        ("floor", {"02 08:00": 1, "02 08:05": 2, "02 08:10": 4, "02 08:15": NAN, "02 08:20": 5}),
        ("round", {"02 08:00": 1, "02 08:05": 2, "02 08:10": 3, "02 08:15": 4, "02 08:20": NAN, "02 08:25": 5}),
    ],
)
def test_a_stamp_between_two_slots_goes_where_the_rule_says(laid, rule, slots):
    moments = ("02 08:02:29.999999", "02 08:05", "02 08:07:30", "02 08:14:59", "02 08:23")
    moments = moments if rule == "round" else (*moments[:2], *moments[3:])
    values = (1, 2, 3, 4, 5) if rule == "round" else (1, 2, 4, 5)
    readings = stream("glucose", *zip(moments, values, strict=True))
    panel, quality = laid(readings, stream("carbs", ("02 08:03", 7)), covariates=("carbs",), off_grid=rule)
    assert_same(column(panel, "glucose"), slots)
    assert quality.items[0].off_grid == len(moments) - 1
    eaten = [clock for clock, value in column(panel, "carbs").items() if value == 7]
    assert eaten == ["02 08:05" if rule == "round" else "02 08:00"]


def test_doubles_are_exact_repeats_or_not(laid):
    readings = stream(
        "glucose",
        ("02 08:00", 100), ("02 08:00", 100), ("02 08:00", 100),  # two repeats
        ("02 08:05", 100), ("02 08:05", 101),  # another value
        ("02 08:10", 100), ("02 08:12", 100),  # another moment
        ("02 08:15", 100), ("02 08:16", 101), ("02 08:15", 100),  # one of each
    )  # fmt: skip
    meals = stream("carbs", ("02 08:00", 1), ("02 08:00", 1), ("02 08:15", 1))
    panel, quality = laid(readings, meals)
    [item] = quality.items
    assert (item.duplicates, item.repeats, item.rows, item.unsorted) == (6, 3, 10, 1)
    assert column(panel, "carbs")["02 08:00"] == 2
    _, quality = laid(readings, meals, duplicates="refuse", unsorted="refuse")
    assert [problem for problem, _ in quality.problems] == [
        "1 rows go back in time: a (1)",
        "6 rows share their slot with another: a (6)",
    ]


def every(minutes, count, start="02 00:00", jitter=(0,)):
    """Return so many moments, so far apart, each moved by the next of ``jitter`` seconds."""
    stamps = [
        at(start) + pd.Timedelta(minutes=minutes * step, seconds=jitter[step % len(jitter)]) for step in range(count)
    ]
    return [stamp.strftime("%d %H:%M:%S.%f") for stamp in stamps]


@pytest.mark.parametrize(
    ("moments", "cadence"),
    [
        (every(5, 50, jitter=(0, -1, 0, 1)), "5min"),  # 299 and 301 s
        (every(5, 50, jitter=(0, 25, -25)), "5min"),
        (sorted([*every(15, 50), *every(15, 10, "02 00:07")]), "15min"),  # history with scans
        (["02 08:00", "02 08:05", "02 08:15"], "5min"),  # the shorter of two that are as frequent
        (["02 08:00", "02 08:00", "02 08:10"], "10min"),  # one moment twice is no step
        (["02 08:00"], None),
    ],
)
def test_the_cadence_is_how_often_the_sensor_spoke(laid, moments, cadence):
    _, quality = laid(steady(*moments), mixed_freq="refuse", suspect_unit="keep")
    assert quality.items[0].cadence == cadence
    slow = cadence not in (None, "5min")
    said = f"task.freq is 5min, but the readings come at another step in a ({cadence})"
    assert [problem for problem, _ in quality.problems] == [said] * slow


@pytest.mark.parametrize(
    ("unit", "median", "other"),
    [
        ("mg/dL", 34.9, "mmol/L"), ("mg/dL", 35.5, None), ("mmol/L", 35.5, "mg/dL"), ("mmol/L", 34.9, None),
        ("custom:MW", 5.0, None),
    ],
)  # fmt: skip
def test_readings_that_look_like_another_unit_are_refused(laid, unit, median, other):
    task = {"unit": unit}
    readings = steady(*every(5, 288), value=median)
    _, quality = laid(readings, task=task)
    expected = [] if other is None else [f"the readings look like {other}: a (median {median:g} {unit})"]
    assert [problem for problem, _ in quality.problems] == expected
    assert [hint for _, hint in quality.problems] == [f"set data.unit: {other}, or data.suspect_unit: keep"] * bool(
        other
    )
    few, kept = laid(readings.slice(1), task=task), laid(readings, task=task, suspect_unit="keep")
    assert few[1].problems == kept[1].problems == []


def test_gaps_are_counted_by_the_length_that_they_exceed(laid):
    waits = (5, 45, 50, 120, 125, 360, 365, 1440, 1445, 5)
    moments = [at("02 00:00") + pd.Timedelta(minutes=sum(waits[:many])) for many in range(len(waits) + 1)]
    _, quality = laid(steady(*(moment.strftime("%d %H:%M") for moment in moments)))
    [item] = quality.items
    assert item.gaps == {"45min": 7, "2h": 5, "6h": 3, "1D": 1}
    assert item.longest_gap == "1445min"
    assert item.slots == sum(waits) // 5 + 1
    assert item.coverage == round(11 / item.slots, 4)


def scaled(name, by, need="carbs", known=False, label=None):
    """Return a feature that multiplies a channel."""

    def compute(channels, minutes, step):
        return channels[need] * by

    return Feature(name, f"{by} {need}", "g", (need,), compute, set=label, known=known)


MEAL = [steady("02 08:00", "02 08:05"), stream("carbs", ("02 08:00", 10), ("02 08:05", 20))]


def test_the_set_chooses_among_features_of_one_name(laid):
    offered = [scaled("on_board", 2, label="exact"), scaled("on_board", 3, label="parity"), scaled("half", 0.5)]
    for data, by in (({}, 2), ({"features": "exact"}, 2), ({"features": "parity"}, 3)):
        panel, _ = laid(*MEAL, covariates=("on_board", "half"), computed=offered, **data)
        assert_same(column(panel, "on_board"), {"02 08:00": 10 * by, "02 08:05": 20 * by})
        assert_same(column(panel, "half"), {"02 08:00": 5, "02 08:05": 10})  # the only one of its name is in every set
        assert panel.provenance["computed"] == {"on_board": f"{by} carbs", "half": "0.5 carbs"}
        assert list(panel.columns) == ["glucose", "on_board", "half"]  # what they need is no channel by that
    with pytest.raises(DataError, match="on_board is not in the set data.features: other; sets: exact, parity"):
        laid(*MEAL, covariates=("on_board",), computed=offered, features="other")


@pytest.mark.parametrize("labels", [("exact", "exact"), (None, "exact"), (None, None)])
def test_two_features_of_one_name_and_set_are_not_chosen_from(laid, labels):
    offered = [scaled("on_board", by, label=label) for by, label in zip((2, 3), labels, strict=True)]
    with pytest.raises(DataError, match="two features are called 'on_board' in the set exact; uninstall one"):
        laid(*MEAL, covariates=("on_board",), computed=offered)


def test_a_feature_of_a_feature_is_computed_after_it(laid):
    offered = [scaled("four", 2, need="two"), scaled("two", 2), scaled("eight", 2, need="four")]
    panel, _ = laid(*MEAL, covariates=("eight", "two"), computed=offered)
    assert_same(column(panel, "eight"), {"02 08:00": 80, "02 08:05": 160})
    assert_same(column(panel, "two"), {"02 08:00": 20, "02 08:05": 40})
    assert list(panel.provenance["computed"]) == ["two", "four", "eight"]
    circle = [scaled("one", 1, need="other"), scaled("other", 1, need="one")]
    with pytest.raises(DataError, match="one is computed from itself: one, other, one"):
        laid(*MEAL, covariates=("one",), computed=circle)


def test_what_a_feature_needs_must_be_there(laid):
    with pytest.raises(DataError, match=r"clinic has no channel 'crabs'; did you mean 'carbs'\?"):
        laid(*MEAL, covariates=("double",), computed=[scaled("double", 2, need="crabs")])


def test_a_channel_that_the_source_has_is_read_and_not_computed(laid, make_task):
    panel, _ = laid(*MEAL, covariates=("carbs",), computed=[scaled("carbs", 5, need="glucose")])
    assert_same(column(panel, "carbs"), {"02 08:00": 10, "02 08:05": 20})
    table = pa.Table.from_batches([MEAL[0].append_column("mine", pa.array([7.0, 8.0]))])
    task, features = make_task(past_covariates=("double",)), {"double": [scaled("double", 2, need="glucose")]}
    dataset = Dataset("table", "", "", lambda source: iter(table.select(source.columns).to_batches()))
    for columns, expected in (({}, 200), ({"double": "mine"}, 7)):
        panel, _ = build_panel(dataset, DataConfig(source="table", columns=columns), task, features=features)
        assert column(panel, "double")["02 08:00"] == expected
        assert bool(panel.provenance["computed"]) == (not columns)
    named = replace(dataset, channels={"double": Channel("reading", "g")}, columns={"double": "mine"})
    panel, _ = build_panel(named, DataConfig(source="table"), task, features=features)
    assert column(panel, "double")["02 08:05"] == 8


def test_what_is_not_known_in_advance_is_no_known_covariate(laid):
    with pytest.raises(DataError, match="double is not known in advance; list it in task.past_covariates: 2 carbs"):
        laid(*MEAL, covariates=(), known=("double",), computed=[scaled("double", 2)])


CLOCK = Feature(
    "clock", "minute of the day", "min", (), lambda channels, minutes, step: minutes.astype(float), known=True
)


def test_what_is_known_in_advance_goes_on_after_the_last_row(laid):
    lengths = {}

    def past(channels, minutes, step):
        lengths["past"] = {len(values) for values in (*channels.values(), minutes)}
        return channels["clock"] + np.nan_to_num(channels["carbs"])

    def plan(channels, minutes, step):
        lengths["plan"] = {len(values) for values in (*channels.values(), minutes)}
        return minutes + np.nan_to_num(channels["carbs"])

    computed = [
        CLOCK,
        Feature("past", "of what is known and of what is not", "1", ("clock", "carbs"), past),
        Feature("plan", "known, by what it is told", "1", ("carbs",), plan, known=True),
    ]
    given = {"covariates": ("past", "carbs", "basal"), "known": ("clock", "plan"), "computed": computed}
    batches = [*MEAL, stream("basal", ("02 08:00", 1))]
    panel, _ = laid(*batches, extend=2, **given)
    clocks = ("02 08:00", "02 08:05", "02 08:10", "02 08:15")
    expected = {
        "glucose": (100, 100, NAN, NAN),
        "carbs": (10, 20, NAN, NAN),
        "basal": (1, 1, NAN, NAN),
        "past": (490, 505, NAN, NAN),
        "clock": (480, 485, 490, 495),
        "plan": (490, 505, 490, 495),
    }
    for name, values in expected.items():
        assert_same(column(panel, name), dict(zip(clocks, values, strict=True)))
    assert lengths == {"past": {290}, "plan": {292}}
    without, _ = laid(*batches, **given)
    for name, values in expected.items():
        assert_same(column(without, name), dict(zip(clocks[:2], values[:2], strict=True)))


SEER = {
    "model_card": """
@hookimpl
def model_card():
    return ModelCard("repeats what it knows", "MIT", ("zero_shot",), Options, Training, known_covariates=True)
""",
    "predict": """
@hookimpl
def predict(model, data, task):
    from tsfm_core import Forecasts

    return Forecasts.of(data, mean=data.inputs(slice(None)).known_covariates[:, task.context_length :, -1])
""",
}

FEATURES = """
from tsfm_core import Feature

@hookimpl
def features():
    return [Feature("clock", "minute of the day", "min", (), clock, known=True)]

def clock(channels, minutes, step):
    return minutes.astype(float)
"""


def test_a_forecast_needs_no_rows_for_what_can_be_computed(site, readings, tmp_path):
    site.model("seer", **SEER)
    site.plugin("fake-clock", FEATURES)
    table = readings(("a", "b"), n=40, start="2024-01-01 20:30").assign(plan=5.0)
    table = table.drop(index=range(70, 80))
    table.to_csv(tmp_path / "data.csv", index=False)
    task = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}
    config = {"task": task | {"known_covariates": ["clock"]}}
    frame, without = tsfm_core.predict("seer", tmp_path / "data.csv", config)
    assert (list(frame.item_id.unique()), len(frame), without) == (["a", "b"], 12, {})
    clock = frame.timestamp.dt.hour * 60 + frame.timestamp.dt.minute
    assert frame["mean"].tolist() == clock.tolist()
    assert frame["mean"].tolist()[:6] == [1430, 1435, 0, 5, 10, 15]  # over midnight
    # rows ahead, given for what only the file can know, change nothing of what is computed
    ahead = pd.DataFrame({"item_id": "a", "timestamp": pd.date_range("2024-01-01 23:50", periods=6, freq="5min")})
    ahead = pd.concat([table[table.item_id == "a"], ahead.assign(plan=range(6))])
    ahead.to_csv(tmp_path / "ahead.csv", index=False)
    again, _ = tsfm_core.predict("seer", tmp_path / "ahead.csv", config)
    pd.testing.assert_frame_equal(again, frame[frame.item_id == "a"])
    planned = {"task": task | {"known_covariates": ["clock", "plan"]}}
    found, _ = tsfm_core.predict("seer", tmp_path / "ahead.csv", planned)
    assert found["mean"].tolist() == [0, 1, 2, 3, 4, 5]
    said = "known covariate 'plan' of item 'a' is given for 0 of the 6 steps after its last reading"
    with pytest.raises(DataError, match=said):
        tsfm_core.predict("seer", tmp_path / "data.csv", planned)
