"""Virtual people of a population: their bodies against the simulator's own, and what their days are like."""

from types import SimpleNamespace

import numpy as np
import pytest

from tsfm_core import DataError
from tsfm_glucose.population import VALUES, blocks, simulate_blocks
from tsfm_glucose.population.bodies import Bodies
from tsfm_glucose.population.habits import plan
from tsfm_glucose.population.people import CLOSED_LOOP, INJECTIONS, PUMP, draw_person
from tsfm_glucose.population.simulate import simulate_people
from tsfm_glucose.population.therapy import Therapy
from tsfm_glucose.simulation import DAY
from tsfm_glucose.sources import simglucose

pytest.importorskip("simglucose", reason='pip install "tsfm-glucose[simglucose]"')


@pytest.fixture(scope="module")
def tables():
    """Return the simulator's tables."""
    return simglucose._tables(simglucose._simulator())


@pytest.fixture(scope="module")
def people(tables):
    """Return three days of forty people, ``[people, slots, columns]``."""
    return simulate_people(range(1, 41), 5, 3, 0, **tables, settling=2)


def column(people, name):
    return people[..., VALUES.index(name)]


def parameters(tables, names):
    rows = tables["bodies"].loc[names]
    return {name: rows[name].to_numpy(float) for name in rows.columns}


# --- bodies ---


def test_a_body_is_that_of_the_simulator(tables):
    simulator = simglucose._simulator()
    name = "adult#003"
    bodies = Bodies(parameters(tables, [name]))
    usual, state, _ = simglucose._parameters(simulator, name)
    order = [5, 9, 10, 11, 6, 7, 8]
    np.testing.assert_allclose(bodies.glucose[:, 0], state[[0, 1, 2, 3, 4, 12]], rtol=1e-9)
    np.testing.assert_allclose(bodies.insulin[:, 0], state[order], rtol=1e-9)
    patient = simulator.T1DPatient(usual, init_state=state)
    basal = float(bodies.basal[0])
    for slot in range(24):
        carbs, insulin = 50.0 * (slot == 2) + 12.0 * (slot == 8), basal + 12 * 4.0 * (slot == 3)
        bodies.live(np.array([carbs]), np.array([insulin]), {})
        for minute in range(5):
            patient.step(simulator.Action(CHO=0.0 if minute else carbs, insulin=insulin / 60))
        assert bodies.sensed[0] == pytest.approx(patient.observation.Gsub, abs=2)  # mg/dL
    np.testing.assert_allclose(bodies.insulin[:, 0], patient.state[order], rtol=1e-3)
    assert bodies.sensed[0] > 160


def test_a_varied_body_rests_at_its_basal_glucose_and_falls_with_insulin(tables):
    drawn = [draw_person(np.random.default_rng(number), **tables) for number in range(20)]
    body = {key: np.array([person.body[key] for person in drawn]) for key in drawn[0].body}
    bodies = Bodies(body)
    for _ in range(24):
        bodies.live(np.zeros(20), bodies.basal, {})
    np.testing.assert_allclose(bodies.sensed, body["Gb"], rtol=1e-6)
    for _ in range(48):
        bodies.live(np.zeros(20), 2 * bodies.basal, {})
    assert (bodies.sensed < body["Gb"] - 1).all()


def test_carbohydrate_is_conserved(tables):
    """Without losses on the way, what appears in plasma is the share ``f`` of what was eaten."""
    body = parameters(tables, ["child#002"])
    bodies = Bodies(body)
    appeared = 0.0
    for slot in range(200):
        bodies.live(np.array([30.0 * (slot == 0)]), bodies.basal, {})
        appeared += float(5 * body["f"][0] * body["kabs"][0] * bodies.glucose[2, 0])
    assert appeared == pytest.approx(0.9 * 30_000, rel=0.02)


# --- what is recorded ---


def test_readings_are_those_of_sensors(people):
    glucose = column(people, "glucose")
    shown = glucose[np.isfinite(glucose)]
    assert shown.min() >= 40
    assert shown.max() <= 400
    whole = np.isclose(glucose % 1, 0).mean(axis=1) > 0.3  # mg/dL; the others read tenths of mmol/L
    tenths = glucose[~whole & (np.nanmin(glucose, axis=1) > 40) & (np.nanmax(glucose, axis=1) < 400)] / 1.8018
    np.testing.assert_allclose(tenths, np.round(tenths), atol=1e-3)
    assert 0 < whole.sum() < 40
    assert len(tenths)
    share = np.isfinite(glucose).mean(axis=1)
    thin = share < 0.4
    assert 1 <= thin.sum() <= 15
    assert (share[~thin] > 0.8).all()
    for row in glucose[thin]:
        assert set(np.diff(np.flatnonzero(np.isfinite(row))) % 3) == {0}


def test_the_people_are_like_people(people):
    """Bounds are wide: they hold the consensus targets and what worn sensors show, and no flat or exploding lives."""
    glucose = column(people, "glucose")
    assert 135 < np.nanmean(glucose) < 170
    assert 18 < np.median(np.nanstd(glucose, axis=1)) < 70
    assert 0.001 < np.nanmean(glucose < 70) < 0.06
    assert 0.1 < np.nanmean(glucose > 180) < 0.4
    eaten = column(people, "carbs_eaten_g").sum(axis=1) / 3
    assert 80 < np.median(eaten) < 350
    logged = column(people, "carbs_g").sum(axis=1) / 3
    assert 0.3 < (logged / eaten).mean() < 1


def test_a_therapy_records_its_own_streams(people, tables):
    drawn = [draw_person(np.random.default_rng([5, 1000, number]), **tables) for number in range(1, 41)]
    injects = np.array([person.therapy == INJECTIONS for person in drawn])
    assert {person.therapy for person in drawn} == {PUMP, CLOSED_LOOP, INJECTIONS}
    assert np.isnan(column(people, "basal_u_per_h")[injects]).all()
    assert np.isnan(column(people, "basal_u")[~injects]).all()
    doses = column(people, "basal_u")[injects]
    assert ((doses > 0).sum(axis=1) <= 4).all()
    assert (doses > 0).any()
    boluses = column(people, "bolus_u")[injects]
    np.testing.assert_allclose(boluses * 2, np.round(boluses * 2), atol=1e-5)


def test_a_person_does_not_depend_on_who_else_is_simulated(people, tables):
    two = simulate_people([7, 30], 5, 3, 0, **tables, settling=2)
    np.testing.assert_array_equal(two, people[[6, 29]])
    assert not np.array_equal(simulate_people([7], 6, 1, 0, **tables, settling=0)[0], people[6, :DAY], equal_nan=True)


def test_blocks_of_other_processes_are_the_same_and_in_order(monkeypatch, tables):
    monkeypatch.setattr(blocks, "BLOCK", 2)
    found = np.concatenate(list(simulate_blocks(3, 5, 1, 0, tables)))
    np.testing.assert_array_equal(found, simulate_people([1, 2, 3], 5, 1, 0, **tables))
    with pytest.raises(DataError, match="virtual people could not be simulated: KeyError: 'BW'"):
        list(simulate_blocks(3, 5, 1, 0, tables | {"bodies": tables["bodies"].drop(columns="BW")}))


def test_the_reader_gives_every_stream_of_everybody(read):
    rows = read("simglucose", None, n=2, days=1, cohort="population", seed=5).frame
    assert rows.item_id.unique().tolist() == ["virtual_00001", "virtual_00002"]
    assert len(rows) == 2 * DAY
    assert {"glucose", "bolus_u", "basal_u_per_h", "basal_u", "carbs_g", "carbs_eaten_g"} <= set(rows)


# --- what people do ---


def someone(tables, **changed):
    """Return a therapy of one exact person on a pump: 10 g/U, 40 mg/dL per U, 120 mg/dL, 1 U/h."""
    exact = {"therapy": PUMP, "carb_ratio": 10.0, "correction_factor": 40.0, "target": 120.0, "dose_step": 0.05}
    exact |= {"late": 0.0, "dawn": 0.0, "low": 70.0, "rescue": 16.0, "portion": 1.0, "gain": 0.5, "discipline": 1.0}
    drawn = vars(draw_person(np.random.default_rng(0), **tables))
    return Therapy([SimpleNamespace(**{**drawn, **exact, **changed})], np.array([1.0]))


NOON = 144
LUCK = np.array([[0.5, 0.5, 0.5]], np.float32)


def see(therapy, *readings, at=NOON):
    for step, reading in enumerate(readings):
        therapy.look(at - len(readings) + 1 + step, np.array([float(reading)]))


def test_a_meal_is_dosed_with_a_correction_less_insulin_on_board(tables):
    therapy = someone(tables)
    see(therapy, *[200] * 7)
    assert therapy.bolus(NOON, np.array([50.0]), LUCK[:, 0])[0] == pytest.approx(7)  # 50/10 + (200 - 120)/40
    for slot in range(NOON + 1, NOON + 30):
        therapy.look(slot, np.array([200.0]))
        therapy.bolus(slot, np.zeros(1), LUCK[:, 0])
    therapy.look(NOON + 30, np.array([200.0]))
    # the 7 U are at place 29 of 60: 31/60 of them are on board, over the correction of 2
    assert therapy.bolus(NOON + 30, np.array([30.0]), LUCK[:, 0])[0] == pytest.approx(3)
    low = someone(tables)
    see(low, *[80] * 7)
    assert low.bolus(NOON, np.array([30.0]), LUCK[:, 0])[0] == pytest.approx(2)  # 3 - 1
    unseen = someone(tables)
    see(unseen, *[np.nan] * 7)
    assert unseen.bolus(NOON, np.array([900.0]), LUCK[:, 0])[0] == 25  # the pump's limit


def test_a_pump_suspends_on_the_way_down_and_a_loop_steers(tables):
    pump, loop = someone(tables), someone(tables, therapy=CLOSED_LOOP)
    for therapy in (pump, loop):
        see(therapy, 120, 112, 104, 96, 88)
    assert pump.basal(np.zeros(1))[0] == 0  # at 88, falling by 8 a slot: 40 in half an hour
    assert loop.basal(np.zeros(1))[0] == pytest.approx(1 + 0.5 * (40 - 120) / 60)
    high = someone(tables, therapy=CLOSED_LOOP)
    see(high, *[180] * 6)
    assert high.basal(np.zeros(1))[0] == pytest.approx(1.5)
    pen = someone(tables, therapy=INJECTIONS)
    see(pen, *[180] * 6)
    assert pen.basal(np.array([0.7]))[0] == pytest.approx(0.7)


def test_a_low_is_eaten_away_and_felt_in_a_sensor_gap(tables):
    def eaten(reading, glucose, **changed):
        therapy = someone(tables, **changed)
        grams = []
        for slot in range(NOON, NOON + 6):
            therapy.look(slot, np.array([reading]))
            grams.append(therapy.rescue(slot, np.array([glucose]), LUCK)[0])
        return max(grams)

    assert eaten(65.0, 100.0) == round(16 * (0.7 + 0.45))
    assert eaten(65.0, 100.0, portion=0.5) == round(8 * (0.7 + 0.45))
    assert eaten(90.0, 40.0) == 0  # the sensor is believed
    assert eaten(np.nan, 55.0) > 0
    assert eaten(np.nan, 65.0) == 0


def test_the_clinic_titrates_towards_the_aim_and_away_from_lows(tables):
    therapy = someone(tables, aim=140.0)
    therapy.titrate(np.full((500, 1), 160, np.float32))
    assert therapy.scale[0] == pytest.approx(np.exp(0.1))
    therapy.titrate(np.full((500, 1), 60, np.float32))
    assert therapy.scale[0] == pytest.approx(np.exp(0.1 - 0.125))
    therapy.titrate(np.full((500, 1), np.nan, np.float32))
    assert therapy.scale[0] == pytest.approx(np.exp(0.1 - 0.125))


def test_long_acting_insulin_flows_as_much_as_is_injected(tables):
    numbers = (n for n in range(100) if draw_person(np.random.default_rng(n), **tables).therapy == INJECTIONS)
    for number in [next(numbers) for _ in range(3)]:
        days = plan(draw_person(np.random.default_rng(number), **tables), 60, 0)
        assert days.background[20 * DAY : 50 * DAY].mean() == pytest.approx(
            days.long_acting[20 * DAY : 50 * DAY].sum() / 30, abs=0.05
        )
        assert days.background[20 * DAY : 50 * DAY].std() > 0.02
