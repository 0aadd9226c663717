"""Insulin and carbohydrate on board: published check values, an ODE solver of our own, and what must not happen."""

import numpy as np
import pytest

from tsfm_core import DataError
from tsfm_core.plugins import host
from tsfm_glucose import on_board
from tsfm_glucose.features import FEATURES

BY_NAME = {(feature.name, feature.set): feature for feature in FEATURES}
NAMED = pytest.mark.parametrize("feature", FEATURES, ids=lambda one: f"{one.name}-{one.set}")
STREAMS = ("bolus_u", "basal_u_per_h", "carbs_g")
HOURS_8 = 8 * 60

MINUTES = (0, 30, 60, 120, 175, 180, 240, 360, 480)
TABLE = {
    ("iob", "parity"): (1, 0.9643, 0.7865, 0.4049, 0.1915, 0, 0, 0, 0),
    ("iob", "exact"): (1, 0.9307, 0.7502, 0.3938, 0.1927, 0.1799, 0.0764, 0.0122, 0.0018),
    ("cob", "parity"): (0.8, 0.7034, 0.4735, 0.1590, 0.0500, 0, 0, 0, 0),
    ("cob", "exact"): (0.8, 0.6613, 0.4463, 0.1593, 0.0541, 0.0489, 0.0139, 0.0010, 0.0001),
}


def compute(name, kind, step, **channels):
    """Return a feature of the given channels; the other channels it needs hold zeros."""
    feature = BY_NAME[name, kind]
    rows = len(next(iter(channels.values())))
    given = {need: np.asarray(channels.get(need, np.zeros(rows)), float) for need in feature.needs}
    return feature.compute(given, np.zeros(rows, np.int64), step)


def after_a_dose(name, kind, minutes, hours=24, dose=1.0):
    """Return what one dose gives at a step of ``minutes``, from the dose on, and the minutes of its rows.

    The stream has been recorded for 8 h, without a dose.
    """
    before, rows = HOURS_8 // minutes, (HOURS_8 + hours * 60) // minutes + 1
    doses = np.zeros(rows)
    doses[before] = dose
    stream = BY_NAME[name, kind].needs[0]
    return compute(name, kind, minutes * 60, **{stream: doses})[before:], np.arange(rows - before) * minutes


def solved(doses, rate, step, fine=0.25):
    """Return q1, q2 and I ``[n, 3]`` by Runge-Kutta: ``doses`` at the start of each slot, ``rate`` U/h through it."""
    chain = np.array([[-1 / 55, 0, 0], [1 / 55, -1 / 55, 0], [0, 1 / 55, -0.138]])
    state, rows = np.zeros(3), []
    for dose, inflow in zip(doses, rate, strict=True):
        state = state + np.array([dose, 0, 0])
        rows.append(state)
        drive = np.array([inflow / 60, 0, 0])
        for _ in range(round(step / 60 / fine)):
            one = chain @ state + drive
            two = chain @ (state + fine / 2 * one) + drive
            three = chain @ (state + fine / 2 * two) + drive
            four = chain @ (state + fine * three) + drive
            state = state + fine / 6 * (one + 2 * two + 2 * three + four)
    return np.array(rows)


def integral_of_activity(values, minutes):
    """Return the integral of ke I from the dose on, from the rows alone: Euler and Maclaurin's sum.

    The derivatives at the dose come from the equations, not from the closed solution.
    """
    chain = np.array([[-1 / 55, 0, 0], [1 / 55, -1 / 55, 0], [0, 1 / 55, -0.138]])
    total = minutes * (values.sum() - values[0] / 2 - values[-1] / 2)
    # B2k / (2k)!
    for order, weight in zip((1, 3, 5, 7, 9, 11, 13), (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160,
                             -691 / 1307674368000, 1 / 74724249600), strict=True):  # fmt: skip
        derivative = np.linalg.matrix_power(chain, order)[2, 0]
        total += weight * minutes ** (order + 1) * derivative
    return 0.138 * total


@pytest.mark.parametrize(("name", "kind"), TABLE, ids="-".join)
def test_check_values(name, kind):
    values, minutes = after_a_dose(name, kind, 5)
    # the table has four decimals
    np.testing.assert_allclose(values[np.isin(minutes, MINUTES)], TABLE[name, kind], atol=5e-5)


@pytest.mark.parametrize(
    ("name", "kind", "step", "peak", "at"),
    [
        ("insulin_availability", "parity", 5, 0.05068, 65),
        ("insulin_availability", "exact", 1, 0.0480, 63),
        ("carb_availability", "parity", 5, 0.3142, 40),
        ("carb_availability", "exact", 1, 0.2943, 40),
    ],
)
def test_peaks(name, kind, step, peak, at):
    values, minutes = after_a_dose(name, kind, step)
    assert values.max() == pytest.approx(peak, abs=5e-5)
    assert minutes[values.argmax()] == at


@pytest.mark.parametrize("minutes", [1, 5, 15])
def test_the_exact_form_conserves_the_dose(minutes):
    activity, _ = after_a_dose("insulin_availability", "exact", minutes, hours=40, dose=7.0)
    assert integral_of_activity(activity / 7.0, minutes) == pytest.approx(1.0, abs=1e-6)
    left, _ = after_a_dose("iob", "exact", minutes, hours=40, dose=7.0)
    assert left[0] == pytest.approx(7.0, abs=1e-12)
    assert abs(left[-1]) < 1e-6


@pytest.mark.parametrize("minutes", [1, 5, 15])
def test_what_the_exact_form_has_on_board_falls_by_what_is_eliminated(minutes):
    # the same dose, seen at twelve times as many moments between two rows: Gauss and Legendre's nodes
    nodes, weights = np.polynomial.legendre.leggauss(12)
    left, times = after_a_dose("iob", "exact", minutes, hours=12)
    inside = times[:-1, None] + (nodes + 1) / 2 * minutes
    activity = 0.138 * on_board.insulin_available(inside)
    np.testing.assert_allclose(-np.diff(left), activity @ weights / 2 * minutes, atol=1e-12)


@pytest.mark.parametrize("step", [60, 300, 900])
def test_a_second_solver_agrees(step):
    rng = np.random.default_rng(step)
    rows = 30 * 3600 // step
    doses = np.where(rng.random(rows) < 0.1, rng.uniform(0.1, 10, rows), 0.0)
    rate = rng.uniform(0, 3, rows)
    bolus, basal = solved(doses, np.zeros(rows), step), solved(np.zeros(rows), rate, step)
    known = HOURS_8 * 60 // step
    for name, truth in (
        ("iob", bolus.sum(axis=1)),
        ("insulin_availability", bolus[:, 2]),
        ("iob_basal", basal.sum(axis=1)),
        ("insulin_availability_basal", basal[:, 2]),
        ("iob_total", (bolus + basal).sum(axis=1)),
        ("insulin_availability_total", (bolus + basal)[:, 2]),
    ):
        values = compute(name, "exact", step, bolus_u=doses, basal_u_per_h=rate)
        assert np.isnan(values[:known]).all()
        np.testing.assert_allclose(values[known:], truth[known:], atol=1e-6, err_msg=name)


def test_carbohydrate_by_a_second_solver():
    # the chain of insulin at another speed: q1 + q2 and q2 of 0.8 g at 40 min are those of 1 U at 55 min
    left, minutes = after_a_dose("cob", "exact", 8)
    available, _ = after_a_dose("carb_availability", "exact", 8)
    chain = solved(np.eye(1, len(minutes))[0], np.zeros(len(minutes)), 11 * 60)
    np.testing.assert_allclose(left, 0.8 * (chain[:, 0] + chain[:, 1]), atol=1e-6)
    np.testing.assert_allclose(available, 0.8 * chain[:, 1], atol=1e-6)


def test_a_steady_rate_ends_where_inflow_is_elimination():
    # I = r / ke, and each of the two compartments before it holds r x 55 min
    rate = np.full(48 * 12, 1.2)
    on_it = compute("insulin_availability_basal", "exact", 300, basal_u_per_h=rate)[-1]
    assert on_it == pytest.approx(1.2 / 60 / 0.138, rel=1e-6)
    assert compute("iob_basal", "exact", 300, basal_u_per_h=rate)[-1] == pytest.approx(0.02 * 110 + on_it, rel=1e-6)


def test_parity_has_the_cliff_and_the_exact_form_has_none():
    parity, minutes = after_a_dose("iob", "parity", 5)
    assert parity[minutes == 175] == pytest.approx(0.1915, abs=5e-5)
    assert not parity[minutes >= 180].any()
    for name in ("iob", "cob"):
        exact, minutes = after_a_dose(name, "exact", 5)
        falls = -np.diff(exact)
        assert (falls >= 0).all()
        late = falls[minutes[:-1] >= 120]
        # it fades: no fall is larger than the one before it, up to the end of the response at 20 h
        assert (np.diff(late) <= 1e-8).all()


@pytest.mark.parametrize("name", ["iob", "insulin_availability", "cob", "carb_availability"])
@pytest.mark.parametrize("coarse", [5, 15, 30])
def test_the_exact_form_is_the_same_at_any_step(name, coarse):
    fine, _ = after_a_dose(name, "exact", 1)
    values, _ = after_a_dose(name, "exact", coarse)
    np.testing.assert_allclose(values, fine[::coarse], atol=2e-8)


def test_an_infusion_is_the_same_at_any_step():
    rate = np.repeat(np.random.default_rng(3).uniform(0, 4, 60), 30)
    for name in ("iob_basal", "insulin_availability_basal"):
        fine = compute(name, "exact", 60, basal_u_per_h=rate)
        for minutes in (5, 15, 30):
            values = compute(name, "exact", minutes * 60, basal_u_per_h=rate[::minutes])
            np.testing.assert_allclose(values, fine[::minutes], atol=1e-7)


def test_parity_comes_near_the_exact_form_as_its_step_shrinks():
    errors = []
    for minutes in (10, 5, 1):
        parity, times = after_a_dose("iob", "parity", minutes)
        exact, _ = after_a_dose("iob", "exact", minutes)
        errors.append(np.abs(parity - exact)[times < 180].max())
    assert 0.03 < errors[1] < 0.05
    assert errors[0] > errors[1] > 3 * errors[2]


def test_parity_takes_basal_as_a_bolus_of_each_slot():
    rate = np.random.default_rng(4).uniform(0, 3, 200)
    for suffix in ("iob", "insulin_availability"):
        as_bolus = compute(suffix, "parity", 300, bolus_u=rate * 5 / 60)
        basal = compute(f"{suffix}_basal", "parity", 300, basal_u_per_h=rate)
        np.testing.assert_allclose(basal, as_bolus, atol=1e-12)


def test_parity_adds_the_published_loop_over_doses():
    # the equations of the published code, one dose after the other
    rng = np.random.default_rng(5)
    doses = np.where(rng.random(150) < 0.2, rng.uniform(0, 8, 150), 0.0)
    on_it, acting = np.zeros(200), np.zeros(200)
    for row, dose in enumerate(doses):
        first = second = plasma = gone = 0.0
        for at in range(36):
            on_it[row + at] += max(dose - gone, 0)
            acting[row + at] += plasma
            d_first = -first / 55 + (dose / 5 if at == 0 else 0)
            d_second, d_plasma, d_gone = (first - second) / 55, second / 55 - 0.138 * plasma, 0.138 * plasma
            first, second = first + 5 * d_first, second + 5 * d_second
            plasma, gone = plasma + 5 * d_plasma, gone + 5 * d_gone
    np.testing.assert_allclose(compute("iob", "parity", 300, bolus_u=doses), on_it[:150], atol=1e-10)
    np.testing.assert_allclose(compute("insulin_availability", "parity", 300, bolus_u=doses), acting[:150], atol=1e-10)


@pytest.mark.parametrize("minutes", [15, 30])
def test_parity_refuses_a_step_at_which_it_is_unstable(minutes):
    for name in ("iob", "insulin_availability_basal", "iob_total"):
        with pytest.raises(DataError, match=f"unstable at a step of {minutes} min, over 14.5 min; set data.features"):
            compute(name, "parity", minutes * 60, bolus_u=np.ones(10))


def test_parity_of_carbohydrate_is_stable_up_to_80_minutes():
    assert np.isfinite(compute("cob", "parity", 15 * 60, carbs_g=np.ones(10))).all()
    with pytest.raises(DataError, match="unstable at a step of 90 min, over 80.0 min"):
        compute("cob", "parity", 90 * 60, carbs_g=np.ones(10))


@NAMED
def test_doses_add_up(feature):
    rng = np.random.default_rng(6)
    rows, minutes = 600, np.arange(600) * 5 % 1440
    for _ in range(5):
        one = {need: rng.exponential(2, rows) * (rng.random(rows) < 0.2) for need in feature.needs}
        two = {need: rng.exponential(2, rows) * (rng.random(rows) < 0.2) for need in feature.needs}
        both = {need: 3 * one[need] + two[need] for need in feature.needs}
        if not feature.needs:
            continue
        expected = 3 * feature.compute(one, minutes, 300) + feature.compute(two, minutes, 300)
        np.testing.assert_allclose(feature.compute(both, minutes, 300), expected, rtol=1e-12, atol=1e-12)


@NAMED
@pytest.mark.parametrize("future", ["other", "none", "unrecorded", "huge"])
def test_no_row_uses_a_later_one(feature, future):
    rng = np.random.default_rng(7)
    rows, cut = 700, 400
    channels = {need: rng.exponential(1, rows) for need in feature.needs}
    for channel in channels.values():
        channel[150:160] = np.nan
    changed = {name: channel.copy() for name, channel in channels.items()}
    for channel in changed.values():
        channel[cut:] = {"other": rng.exponential(9, rows - cut), "none": 0, "unrecorded": np.nan, "huge": 1e9}[future]
    minutes = np.arange(rows, dtype=np.int64) * 5 % 1440
    before = {name: channel.copy() for name, channel in channels.items()}
    first, second = feature.compute(channels, minutes, 300), feature.compute(changed, minutes, 300)
    np.testing.assert_array_equal(first[:cut], second[:cut])
    # the channels that were given are as they were
    assert all(np.array_equal(channels[name], before[name], equal_nan=True) for name in channels)
    if feature.needs:
        assert not np.array_equal(first[cut:], second[cut:], equal_nan=True)


@NAMED
@pytest.mark.parametrize("rows", [0, 1, 7, 3000])
def test_any_number_of_rows(feature, rows):
    values = feature.compute({need: np.ones(rows) for need in feature.needs}, np.zeros(rows, np.int64), 300)
    assert values.shape == (rows,)
    assert values.dtype == np.float64


@NAMED
def test_a_stream_that_nobody_recorded_gives_nothing(feature):
    if feature.needs:
        channels = {need: np.full(300, np.nan) for need in feature.needs}
        assert np.isnan(feature.compute(channels, np.zeros(300, np.int64), 300)).all()


def test_nothing_is_said_for_8_hours_after_a_start_of_recording():
    doses = np.zeros(600)
    doses[:50] = np.nan
    doses[60] = 5
    doses[300:310] = np.nan
    doses[295] = 2
    values = compute("iob", "exact", 300, bolus_u=doses)
    known = np.zeros(600, bool)
    known[50 + 96 : 300] = True
    known[310 + 96 :] = True
    np.testing.assert_array_equal(np.isfinite(values), known)
    # the dose before the break decays on through it
    expected = 2 * on_board.insulin_left(np.array([5.0 * (420 - 295)])) + 5 * on_board.insulin_left(np.array([1800.0]))
    assert values[420] == pytest.approx(expected[0], abs=1e-7)


def test_8_hours_are_8_hours_at_any_step():
    for minutes, rows in ((1, 480), (15, 32), (7, 69), (600, 1)):
        assert np.argmax(np.isfinite(compute("cob", "exact", minutes * 60, carbs_g=np.zeros(500)))) == rows


def test_zero_is_recorded_and_no_gap():
    values = compute("iob", "exact", 300, bolus_u=np.zeros(200))
    assert (values[96:] == 0).all()


def test_the_total_needs_both_streams():
    doses, rate = np.ones(300), np.ones(300)
    rate[200:] = np.nan
    total = compute("iob_total", "exact", 300, bolus_u=doses, basal_u_per_h=rate)
    parts = compute("iob", "exact", 300, bolus_u=doses) + compute("iob_basal", "exact", 300, basal_u_per_h=rate)
    np.testing.assert_array_equal(total, parts)
    assert np.isfinite(total[96:200]).all()
    assert np.isnan(total[200:]).all()


def test_parity_takes_what_is_missing_for_nothing():
    doses = np.ones(300)
    doses[100:200] = np.nan
    values = compute("iob", "parity", 300, bolus_u=doses)
    np.testing.assert_array_equal(values, compute("iob", "parity", 300, bolus_u=np.nan_to_num(doses)))
    assert values[0] == 1
    total = compute("iob_total", "parity", 300, bolus_u=doses, basal_u_per_h=np.full(300, np.nan))
    np.testing.assert_array_equal(total, values)


@pytest.mark.parametrize("kind", ["exact", "parity"])
def test_whether_a_stream_will_ever_be_recorded_is_not_known_before(kind):
    never, later = np.full(300, np.nan), np.full(300, np.nan)
    later[200:] = 1.0
    before = [compute("iob", kind, 300, bolus_u=doses)[:200] for doses in (never, later)]
    np.testing.assert_array_equal(*before)
    assert np.isnan(before[0]).all()


def test_the_dose_of_a_slot_counts_at_its_start_and_basal_after_it():
    doses = np.zeros(200)
    doses[150] = 1
    for kind in ("exact", "parity"):
        assert compute("iob", kind, 300, bolus_u=doses)[149:151] == pytest.approx([0, 1], abs=1e-12)
    basal = compute("iob_basal", "exact", 300, basal_u_per_h=doses)
    assert basal[149:152] == pytest.approx([0, 0, 5 / 60], abs=1e-3)
    assert compute("iob_basal", "parity", 300, basal_u_per_h=doses)[150] == pytest.approx(5 / 60, abs=1e-12)


def test_the_time_of_day_is_known_in_advance():
    minutes = np.array([0, 360, 720, 1080, 1439])
    sin, cos = (BY_NAME[name, None] for name in ("hour_sin", "hour_cos"))
    assert (sin.known, cos.known, sin.needs, cos.needs) == (True, True, (), ())
    np.testing.assert_allclose(sin.compute({}, minutes, 300)[:4], [0, 1, 0, -1], atol=1e-12)
    np.testing.assert_allclose(cos.compute({}, minutes, 300)[:4], [1, 0, -1, 0], atol=1e-12)
    assert cos.compute({}, minutes, 300)[4] < 1


def test_each_set_has_one_of_each_name_and_nothing_else_is_known():
    names = [feature.name for feature in FEATURES if feature.set == "exact"]
    assert len(names) == len(set(names)) == 8
    assert sorted(names) == sorted(feature.name for feature in FEATURES if feature.set == "parity")
    assert [feature.name for feature in FEATURES if feature.known] == [
        "hour_sin",
        "hour_cos",
        "half_day_sin",
        "half_day_cos",
    ]
    assert all(set(feature.needs) <= set(STREAMS) for feature in FEATURES)
    definitions = [feature.definition for feature in FEATURES]
    assert len(set(definitions)) == len(definitions)


def test_the_package_contributes_them():
    given = host().contributions("features")
    assert {(package, one.set) for package, one in given["iob"]} == {
        ("tsfm-glucose", "exact"),
        ("tsfm-glucose", "parity"),
    }
