"""Simulated people: the life around the body always, the body itself where the package simglucose is installed."""

import importlib.util
import math
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from tsfm_core import DataError
from tsfm_core.plugins import host
from tsfm_glucose.simulation import DAY, draw_person, physiology, plan_meals, sensor_gaps, shown
from tsfm_glucose.sources import simglucose

needs_the_package = pytest.mark.skipif(
    importlib.util.find_spec("simglucose") is None,
    reason='the package simglucose is not installed: pip install "tsfm-glucose[simglucose]"',
)
NOON = 144  # a slot in which nobody sleeps


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def person():
    """Return an adult of exact settings: 10 g/U, 40 mg/dL per U, 1.2 U/h."""
    made = draw_person(1.2, 10.0, 30.0, 1.0, rng())
    made.carb_ratio, made.correction_factor, made.basal_profile = 10.0, 40.0, [1.2] * DAY
    return made


def refusal(read, path=None, **options):
    with pytest.raises(DataError) as caught:
        read("simglucose", path, **options)
    return str(caught.value)


# --- the reader, without a simulator ---


@pytest.fixture
def flat(monkeypatch):
    """Replace the simulation by one that shows what it was asked for."""

    def simulate(name, seed, days, weekday):
        values = np.zeros((days * DAY, 5))
        values[:, 0] = 100 + int(name[-3:])
        values[1, 0] = math.nan
        values[:, 1:] = seed, days, weekday, 7
        return values

    monkeypatch.setattr(simglucose, "simulate", simulate)


def test_it_says_that_it_is_synthetic_and_reads_no_file():
    dataset = host().dataset("simglucose")
    assert dataset.synthetic
    assert "SYNTHETIC" in dataset.summary
    assert dataset.files(None) == []
    assert "simglucose" in dataset.version


def test_a_person_has_the_whole_grid_and_an_empty_cell_in_a_sensor_gap(read, flat):
    rows = read("simglucose", None, n=2, days=1, seed=3).frame
    assert rows.item_id.unique().tolist() == ["adult_01", "adult_02"]
    own = rows[rows.item_id == "adult_02"]
    assert len(own) == DAY
    assert str(own.timestamp.iloc[0]) == "2001-01-01 00:00:00"
    assert str(own.timestamp.iloc[-1]) == "2001-01-01 23:55:00"
    assert own.glucose.isna().tolist() == [False, True] + [False] * (DAY - 2)
    assert own.glucose.iloc[2] == 102
    assert own[["bolus_u", "basal_u_per_h", "carbs_g", "carbs_eaten_g"]].iloc[5].tolist() == [3, 1, 0, 7]


def test_the_weekend_follows_the_placeholder_for_the_first_day(read, flat):
    rows = read("simglucose", None, n=1, days=1, start=date(2024, 6, 8)).frame  # a Saturday
    assert str(rows.timestamp.iloc[0]) == "2024-06-08 00:00:00"
    assert rows.carbs_g.iloc[0] == 5


def test_only_what_is_wanted_is_given(read, flat):
    rows = read("simglucose", None, ["item_id", "timestamp", "glucose"], n=1, days=1)
    assert list(rows.frame) == ["item_id", "timestamp", "glucose"]


def test_all_takes_the_cohorts_in_turn(read, flat):
    ids = read("simglucose", None, n=5, days=1, cohort="all").frame.item_id.unique().tolist()
    assert ids == ["adult_01", "adolescent_01", "child_01", "adult_02", "adolescent_02"]
    assert read("simglucose", None, n=30, days=1, cohort="all").frame.item_id.nunique() == 30
    assert read("simglucose", None, n=10, days=1, cohort="child").frame.item_id.unique()[-1] == "child_10"


def test_what_cannot_be_simulated_is_said(read, flat, tmp_path):
    assert refusal(read, tmp_path) == (
        f"simglucose simulates its people; data.path says {tmp_path}; leave data.path out"
    )
    assert refusal(read, n=11, cohort="child") == (
        "the cohort child has 10 virtual people; data.options.n is 11; at most 10, or data.options.cohort: all"
    )
    for wrong in ({"n": 0}, {"n": 100_001}, {"days": 0}, {"seed": -1}, {"cohort": "elder"}, {"people": 3}):
        with pytest.raises(ValidationError):
            simglucose.Options(**wrong)


def test_without_the_package_it_says_what_to_install(read, monkeypatch):
    loaded = [name for name in sys.modules if name.startswith("simglucose.")]
    for name in ("simglucose", *loaded):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(simglucose, "_version", lambda: None)
    assert refusal(read, n=1, days=1) == (
        "the data set simglucose needs the package simglucose, which is not installed; "
        'pip install "tsfm-glucose[simglucose]" brings it and the setuptools that it needs'
    )
    monkeypatch.setattr(simglucose, "_version", lambda: "0.2.11")  # as with a setuptools without pkg_resources
    assert "which cannot be imported (" in refusal(read, n=1, days=1)


def test_listing_it_does_not_import_the_simulator():
    code = "import sys, tsfm_glucose.sources.simglucose; print('simglucose' in sys.modules, 'gym' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


# --- the life around the body ---


def test_the_bolus_calculator_takes_carbs_correction_and_insulin_on_board(person):
    person.readings = [200.0]
    assert person.bolus(NOON, 50.0) == 7.0  # 50/10 + (200 - 120)/40
    # 33 slots later half of the 7 U are on board, more than the correction of 2
    assert person.bolus(NOON + 33, 30.0) == 3.0
    person.readings = [80.0]
    assert person.bolus(NOON + 66, 30.0) == 2.0  # below the aim it takes away: 3 - 1
    person.readings = [math.nan]
    assert person.bolus(NOON + 66, 30.0) == 3.0  # no reading: carbs alone
    assert person.bolus(NOON + 66, 900.0) == 25.0


def test_the_pump_suspends_on_the_way_down_for_half_an_hour_at_least(person):
    given = []
    for slot, reading in enumerate([120.0, 112, 104, 96, 88, *[110] * 8]):
        person.readings.append(reading)
        given.append(person.basal(slot))
    # at 88, falling by 8 a slot: 40 in half an hour
    assert given == [1.2] * 4 + [0.0] * 6 + [1.2] * 3


def test_a_low_is_eaten_away_within_minutes_by_day_and_felt_in_a_sensor_gap(person):
    def first(reading, glucose, made):
        eaten = {}
        for slot in range(NOON, NOON + 12):
            made.readings.append(reading)
            eaten[slot - NOON] = made.rescue(slot, glucose)
        return next((at, grams) for at, grams in eaten.items() if grams)

    at, grams = first(65.0, 80.0, person)
    assert 1 <= at <= 4
    assert grams in (15.0, 20.0)
    child = draw_person(0.4, 20.0, 40.0, 0.5, rng())
    at, grams = first(math.nan, 55.0, child)
    assert grams in (8.0, 10.0)  # half a portion
    with pytest.raises(StopIteration):
        first(math.nan, 65.0, draw_person(0.4, 20.0, 40.0, 0.5, rng()))  # no symptoms yet


def test_what_a_person_does_is_told_in_one_line(person):
    bolus, basal, logged, rescue = person.act(NOON, 120.0, 120.0, 40.0)
    assert (bolus, basal, logged, rescue) == (4.0, 1.2, 40.0, 0.0)


def test_meals_are_logged_late_wrong_or_not_at_all_and_an_hour_later_at_weekends():
    eaten, logged = plan_meals(rng(), 200, 1.0, 0)
    assert all(grams % 5 == 0 and grams > 0 for grams in logged.values())
    assert len(logged) < len(eaten)
    assert 0.7 < sum(logged.values()) / sum(grams for grams, _ in eaten.values()) < 1.1
    for weekday in (0, 5):  # of the first day
        slots = np.array(sorted(plan_meals(rng(), 200, 1.0, weekday)[0]))
        breakfast = slots[np.unique(slots // DAY, return_index=True)[1]]
        weekend = (breakfast // DAY - 1 + weekday) % 7 >= 5
        hours = breakfast % DAY / 12
        assert np.median(hours[weekend]) - np.median(hours[~weekend]) == pytest.approx(1, abs=0.25)
    half = plan_meals(rng(), 200, 0.5, 0)[0]
    assert sum(grams for grams, _ in half.values()) < 0.6 * sum(grams for grams, _ in eaten.values())


def test_sensitivity_swings_around_one_and_the_liver_wakes_at_dawn():
    sensitivity, production = physiology(rng(), 200, 0.15, 1.0)
    assert len(sensitivity) == len(production) == 201 * DAY
    assert abs(np.log(sensitivity).mean()) < 0.1
    assert np.log(physiology(rng(), 200, 0.15, 0.4)[0]).std() < 0.6 * np.log(sensitivity).std()
    day = np.reshape(production, (201, DAY)).mean(axis=0)
    assert day.argmax() == 78  # 06:30
    assert day.max() == pytest.approx(1.16, abs=0.02)
    assert day[0] == pytest.approx(1, abs=0.01)


def test_a_sensor_misses_a_few_per_cent_and_is_changed_every_ten_days():
    assert sensor_gaps(rng(), 1).shape == (2 * DAY,)
    gaps = sensor_gaps(rng(), 140)
    assert not gaps[:DAY].any()
    assert 0.005 < gaps[DAY:].mean() < 0.03
    edges = np.flatnonzero(np.diff(np.concatenate([[0], gaps.astype(int), [0]])))
    warm_ups = (edges[1::2] - edges[::2] >= 24).sum()
    assert 12 <= warm_ups <= 40  # 14 changes, and the longest dropouts


def test_a_reading_is_whole_softly_wrong_and_clipped():
    assert shown(103.4, 100.0, False) == 103.0
    assert shown(300.0, 100.0, False) == 125.0  # an error of 200 shows as 25
    assert shown(20.0, 20.0, False) == 40.0
    assert shown(450.0, 450.0, False) == 400.0
    assert math.isnan(shown(100.0, 100.0, True))


def test_the_same_seed_gives_the_same_life():
    assert plan_meals(rng(1), 7, 1.0, 0) == plan_meals(rng(1), 7, 1.0, 0)
    assert plan_meals(rng(1), 7, 1.0, 0) != plan_meals(rng(2), 7, 1.0, 0)
    assert physiology(rng(1), 7, 0.1, 1.0) == physiology(rng(1), 7, 0.1, 1.0)
    assert (sensor_gaps(rng(1), 7) == sensor_gaps(rng(1), 7)).all()


# --- the body ---


@needs_the_package
def test_a_simulated_day_is_what_a_sensor_and_a_pump_record(read):
    rows = read("simglucose", None, n=1, days=1, seed=5)
    own = rows.frame
    assert len(own) == DAY
    glucose = own.glucose.dropna()
    assert glucose.between(40, 400).all()
    assert (glucose % 1 == 0).all()
    assert glucose.std() > 5
    assert 0.2 < own.basal_u_per_h.max() < 5
    assert own.bolus_u.sum() > 1
    assert own.carbs_eaten_g.sum() > 50
    assert (own[["bolus_u", "basal_u_per_h", "carbs_g", "carbs_eaten_g"]] >= 0).all(axis=None)
    assert rows.counts == {}


@needs_the_package
def test_a_person_does_not_depend_on_who_else_is_simulated(read):
    both = read("simglucose", None, n=2, days=1, cohort="all").frame
    child = simglucose.simulate("child#001", 0, 1)
    alone = simglucose.simulate("adult#001", 0, 1)
    np.testing.assert_array_equal(both[both.item_id == "adult_01"][list(simglucose.VALUES)].to_numpy(), alone)
    assert not np.array_equal(child, alone, equal_nan=True)


def test_other_code_is_another_version(monkeypatch, tmp_path):
    """Else a panel of people as they were would come from the cache."""
    was = simglucose._code()
    copied = shutil.copytree(Path(simglucose.population.__file__).parent, tmp_path / "population")
    monkeypatch.setattr(simglucose.population, "__file__", str(copied / "__init__.py"))
    assert simglucose._code() == was
    with (copied / "habits.py").open("a") as file:
        file.write("# hungrier\n")
    assert simglucose._code() != was
