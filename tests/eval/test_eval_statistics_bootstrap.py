"""Intervals over patients: against a plain loop, scipy's bootstrap and studies whose truth is known."""

import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tsfm_core import DataError
from tsfm_eval.pairs import ratio
from tsfm_eval.statistics.bootstrap import bootstrap, bootstrap_mean, patient_bootstrap
from tsfm_eval.statistics.methods import jackknife, studentised, tails
from tsfm_eval.statistics.resampling import LeftOut, Resampled
from tsfm_eval.statistics.sums import PatientSums, patient_sums

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
METHODS = ("studentised", "bca", "percentile")


def rmse(sums):
    mean = ratio(sums["loss"], sums["count"])
    return {"rmse": np.sqrt(mean), "mse": mean}


def recall(sums):
    return {"recall": ratio(sums["found"], sums["events"])}


def names(count):
    return [f"p{at:02}" for at in range(count)]


@pytest.fixture
def windows():
    """Rows of 14 patients with unlike errors and unlike numbers of windows."""
    rng = np.random.default_rng(5)
    who = np.repeat(np.arange(14), rng.integers(1, 40, 14))
    loss = rng.chisquare(3, len(who)) * (1.0 + who)
    ids = np.array(names(14))[who]
    return ids, {"loss": loss, "count": np.ones(len(who))}


def by_loop(ids, parts, resamples, level, method):
    """The same with each patient's rows repeated: no sums, no weights but those that say who was drawn."""
    people = sorted(set(ids))
    rows = [parts["loss"][ids == one] for one in people]
    n = len(rows)

    def score(chosen):
        joined = np.concatenate([rows[one] for one in chosen])
        return float(np.sqrt(joined.mean()))

    def error(chosen):
        rest = [score(chosen[:at] + chosen[at + 1 :]) for at in range(n)]
        return float(np.sqrt((n - 1) * np.var(rest)))

    everyone = list(range(n))
    estimate = score(everyone)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), resamples)
    draws = [np.repeat(everyone, weight).tolist() for weight in weights]
    values = np.array([score(draw) for draw in draws])
    tail = (1 - level) / 2
    rank = int((resamples + 1) * tail)
    if method == "studentised":
        t = np.sort([(value - estimate) / error(draw) for value, draw in zip(values, draws, strict=True)])
        rank = int((resamples + 1) * stats.norm.cdf(stats.t(n - 1).ppf(tail)))
        return estimate - t[-rank] * error(everyone), estimate - t[rank - 1] * error(everyone)
    ordered = np.sort(values)
    if method == "percentile":
        return ordered[rank - 1], ordered[-rank]
    bias = stats.norm.ppf((values < estimate).mean())
    rest = np.array([score(everyone[:at] + everyone[at + 1 :]) for at in everyone])
    acceleration = stats.skew(-rest) / (6 * np.sqrt(n))
    low, high = (
        stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in stats.norm.ppf([tail, 1 - tail])
    )
    return ordered[int((resamples + 1) * low) - 1], ordered[int(np.ceil((resamples + 1) * high)) - 1]


@pytest.mark.parametrize("method", METHODS)
def test_against_a_loop_over_repeated_patients(windows, method):
    ids, parts = windows
    found = patient_bootstrap(ids, parts, rmse, resamples=1000, level=0.9, method=method)["rmse"]
    assert found.estimate == pytest.approx(np.sqrt(parts["loss"].mean()), rel=1e-12)
    assert (found.low, found.high) == pytest.approx(by_loop(ids, parts, 1000, 0.9, method), rel=1e-9)
    assert (found.level, found.patients, found.contributing, found.undefined, found.reliable) == (0.9, 14, 14, 0, True)


@pytest.mark.parametrize(("method", "scipys"), [("bca", "BCa"), ("percentile", "percentile")])
def test_against_scipy(method, scipys):
    values = np.random.default_rng(2).lognormal(0, 0.8, 25)
    seed = "rng" if "rng" in inspect.signature(stats.bootstrap).parameters else "random_state"  # before scipy 1.15
    expected = stats.bootstrap((values,), np.mean, n_resamples=30_000, method=scipys, **{seed: 1}).confidence_interval
    found = bootstrap_mean(names(25), values, resamples=30_000, method=method)
    assert found.estimate == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.02 * (expected.high - expected.low))


def test_studentised_is_students_t_where_that_is_right():
    values = stats.norm.ppf((np.arange(60) + 0.5) / 60)
    found = bootstrap_mean(names(60), values, resamples=20_000)
    t = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(t, rel=0.05)


@pytest.mark.parametrize(("design", "percentile_is_enough"), [("mean, normal", True), ("rmse, skewed", False)])
def test_covers_the_truth(monkeypatch, design, percentile_is_enough):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    found = importlib.import_module("intervals").coverage(design, patients=30, studies=600, resamples=600)
    assert 0.93 <= found["studentised"]["covered"] <= 0.97
    assert (found["percentile"]["covered"] >= 0.93) is percentile_is_enough


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_patients_does_not_matter_and_the_seed_does(windows, method):
    ids, parts = windows
    people = np.array(names(14))
    order = np.concatenate([np.flatnonzero(ids == one) for one in people[::-1]])
    options = {"resamples": 1000, "method": method}
    found = patient_bootstrap(ids, parts, rmse, **options)
    assert patient_bootstrap(ids[order], {name: part[order] for name, part in parts.items()}, rmse, **options) == found
    assert patient_bootstrap(ids, parts, rmse, seed=1, **options) != found
    sums = patient_sums(ids, parts)
    turned = PatientSums(sums.item_id[::-1], {name: part[::-1] for name, part in sums.parts.items()})
    assert bootstrap(turned, rmse, **options) == found


@pytest.mark.parametrize("method", METHODS)
def test_a_finish_that_takes_one_row_at_a_time(windows, method):
    ids, parts = windows
    # two levels in a part: the mean of their roots
    split = np.stack([parts["loss"], 4 * parts["loss"]], axis=1)

    def mean_of_roots(sums):
        return {"rmse": float(np.sqrt(sums["loss"] / sums["count"]).mean())}

    found = patient_bootstrap(ids, parts | {"loss": split}, mean_of_roots, resamples=1000, method=method)["rmse"]
    plain = patient_bootstrap(ids, parts, rmse, resamples=1000, method=method)["rmse"]
    assert (found.estimate, found.low, found.high) == pytest.approx(
        tuple(1.5 * one for one in (plain.estimate, plain.low, plain.high)), rel=1e-9
    )


def test_many_patients_are_drawn_in_pieces():
    values = np.random.default_rng(3).normal(5, 1, 1500)
    found = bootstrap_mean(names(1500), values, resamples=1000, method="percentile")
    weights = np.random.default_rng(0).multinomial(1500, np.full(1500, 1 / 1500), 1000)
    by_name = values[np.argsort(names(1500))]
    drawn = np.sort([(weight * by_name).mean() for weight in weights])
    assert (found.low, found.high) == pytest.approx((drawn[24], drawn[-25]), rel=1e-12)


@pytest.mark.parametrize(("patients", "reliable"), [(5, False), (9, False), (10, True)])
def test_few_patients_are_marked(patients, reliable):
    found = bootstrap_mean(names(patients), np.arange(patients) % 5 + 1.0, resamples=2000, level=0.9)
    assert found.low < found.estimate < found.high
    assert (found.patients, found.reliable) == (patients, reliable)


@pytest.mark.parametrize("patients", range(5))
def test_fewer_than_five_are_refused(patients):
    with pytest.raises(DataError, match=f"{patients} patients? (is|are) too few .* read as certainty; .*at least 5"):
        bootstrap_mean(names(patients), np.arange(patients) + 1.0)


def test_patients_without_anything_scored_do_not_count(windows):
    ids, parts = windows
    more = {name: np.append(part, [0.0, 0.0]) for name, part in parts.items()}
    assert patient_bootstrap([*ids, "x", "y"], more, rmse) == patient_bootstrap(ids, parts, rmse)
    values = np.append(np.arange(12.0), np.nan)
    assert bootstrap_mean(names(13), values) == bootstrap_mean(names(12), values[:12])


def test_resamples_without_a_value_are_counted():
    # 6 of 20 have events: (14 / 20)^20 = 0.08 % of the resamples have none
    events = np.array([4.0, 2, 3, 5, 1, 2, *[0] * 14])
    sums = PatientSums(
        names(20), {"events": events, "found": np.array([3.0, 2, 1, 4, 0, 1, *[0] * 14]), "days": events + 1}
    )
    weights = np.random.default_rng(0).multinomial(20, np.full(20, 0.05), 10_000)
    found = bootstrap(sums, recall, method="studentised", bounds={"recall": (0, 1)})["recall"]
    assert found.undefined == (weights @ events == 0).sum() > 0
    assert (found.patients, found.contributing, found.reliable) == (20, 6, False)
    assert found.estimate == pytest.approx(11 / 17)
    assert 0 <= found.low < found.estimate < found.high <= 1
    free = bootstrap(sums, recall, method="studentised")["recall"]
    assert (found.low, found.high) == (max(free.low, 0), min(free.high, 1)) != (free.low, free.high)


@pytest.mark.parametrize(("events", "estimate"), [([3, 1, 2, 4, *[0] * 16], 0.8), ([0] * 20, np.nan)])
def test_a_number_of_fewer_than_five_has_no_interval(events, estimate):
    found = np.maximum(np.array(events) - np.eye(20)[0] - np.eye(20)[3], 0)
    sums = PatientSums(names(20), {"events": np.array(events), "found": found, "days": np.ones(20)})
    found = bootstrap(sums, recall, method="percentile")["recall"]
    assert found.estimate == pytest.approx(estimate, nan_ok=True)
    assert np.isnan([found.low, found.high]).all()
    assert (found.patients, found.contributing) == (20, np.count_nonzero(events))
    assert (found.reliable, found.excludes_zero) == (False, False)


def test_what_never_happened_has_no_interval():
    found = bootstrap(PatientSums(names(30), {"events": np.full(30, 50), "found": np.zeros(30)}), recall)["recall"]
    assert (found.estimate, found.contributing, found.reliable) == (0, 30, False)
    assert np.isnan([found.low, found.high]).all()


def test_too_many_resamples_without_a_value():
    # all 20 have quiet nights, 3 had others: (17 / 20)^20 = 3.9 % of the resamples have none of these
    sums = PatientSums(names(20), {"quiet": np.arange(1.0, 21), "other": np.array([1.0, 2, 3, *[0] * 17])})
    found = bootstrap(sums, lambda part: {"odds": ratio(part["quiet"], part["other"])}, method="percentile")["odds"]
    assert 300 < found.undefined < 480
    assert (found.contributing, found.reliable) == (20, False)
    assert found.low < found.estimate < found.high


def test_a_patient_that_has_it_all():
    sums = PatientSums(names(12), {"loss": np.array([0.1, *[0.0] * 11]), "count": np.full(12, 0.3)})
    found = bootstrap(sums, rmse)["rmse"]
    assert found.estimate == pytest.approx(np.sqrt(0.1 / 3.6))
    assert not np.isnan(found.low)
    assert np.isnan(found.high)  # a third of the resamples do not hold that patient: they set no bound
    assert not found.reliable


def test_resamples_by_hand():
    # x = 10; t = -2 (40 times), 0/0 that is 0 (19 times), 1 (20 times), 4 (20 times): 99 resamples, ranks 10 and 90
    values = np.repeat([6.0, 10, 11, 18], [40, 19, 20, 20])
    errors = np.repeat([2.0, 0, 1, 2], [40, 19, 20, 20])
    # leaving one of 5 out gives 8 9 10 11 12: error sqrt(4/5 x 10)
    drawn = Resampled(10.0, np.arange(8.0, 13), np.ones(5, bool), values, errors)
    assert studentised(drawn, 0.1) == pytest.approx((10 - 4 * np.sqrt(8), 10 + 2 * np.sqrt(8)))
    assert studentised(drawn, 0.3) == pytest.approx((10 - 1 * np.sqrt(8), 10 + 2 * np.sqrt(8)))
    assert studentised(drawn, 0.45) == pytest.approx((10, 10))
    assert tails(values, 0.1, 0.9) == (6, 18)


T = stats.t(3).ppf(0.975)  # 5 patients contribute: 3 degrees
ROOT = np.sqrt(8)  # leaving one of 5 out gives x - 2 to x + 2: error sqrt(4/5 x 10)


@pytest.mark.parametrize(
    ("x", "bounds", "expected"),
    [
        (10, (-np.inf, np.inf), (10 - T * ROOT, 10 + T * ROOT)),
        (10, (-np.inf, 20), (10 - T * ROOT, 10 + T * ROOT)),
        (10, (-np.inf, 12), (10 - T * ROOT, 12)),
        (10, (0, np.inf), (10 * np.exp(-T * ROOT / 10), 10 * np.exp(T * ROOT / 10))),
        (10, (4, np.inf), (4 + 6 * np.exp(-T * ROOT / 6), 4 + 6 * np.exp(T * ROOT / 6))),
        # log(10 / 10) = 0, and s is divided by 10 x 10 / 20
        (10, (0, 20), (20 / (1 + np.exp(T * ROOT / 5)), 20 / (1 + np.exp(-T * ROOT / 5)))),
        # log(6 / 2) = log 3, and s by 6 x 2 / 8 = 1.5 at most: less than s
        (10, (4, 12), (4, 12)),
        (10, (-10, 30), (-10 + 40 / (1 + np.exp(T * ROOT / 10)), -10 + 40 / (1 + np.exp(-T * ROOT / 10)))),
        # s above x: a step of t on the log scale, or plain where that reaches further
        (2, (0, np.inf), (0, 2 * np.exp(T))),
        (0.1, (0, np.inf), (0, 0.1 + T * ROOT)),
        (0, (0, np.inf), (0, T * ROOT)),
    ],
)
def test_the_jackknife_by_hand(x, bounds, expected):
    without = np.append(x + np.arange(-2.0, 3), x)
    left = LeftOut(x, without, np.array([True] * 5 + [False]))
    assert jackknife(left, 0.025, bounds) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "without", [[1, 2, 3, 4, np.nan], [2.5] * 5, [0.3, 0.3, 0.1 + 0.2, 0.3, 0.3], [-np.inf, 1, 2, 3, 4]]
)
def test_the_jackknife_without_a_spread_sets_no_bounds(without):
    assert np.isnan(jackknife(LeftOut(3.0, np.array(without), np.ones(5, bool)), 0.025, (0, np.inf))).all()


@pytest.mark.parametrize("patients", [5, 9])
def test_the_jackknife_of_a_mean_is_students_t_with_a_degree_less(patients):
    values = np.random.default_rng(4).lognormal(0, 1, patients)
    found = bootstrap_mean(names(patients), values, level=0.9)
    expected = stats.t.interval(0.9, patients - 2, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)
    assert (found.method, found.undefined, found.reliable) == ("jackknife", 0, False)
    assert bootstrap_mean(names(patients), values, level=0.9, seed=3) == found  # nothing is drawn
    assert bootstrap_mean(names(patients), values, level=0.9, method="percentile").method == "percentile"


@pytest.mark.parametrize(("affected", "method"), [(6, "jackknife"), (9, "jackknife"), (10, "studentised")])
def test_auto_goes_by_those_who_contribute(affected, method):
    rng = np.random.default_rng(6)
    events = np.append(rng.integers(2, 9, affected), np.zeros(20 - affected))
    sums = PatientSums(
        names(20), {"events": events, "found": rng.binomial(events.astype(int), 0.6), "days": rng.integers(2, 6, 20)}
    )

    def finish(part):
        return recall(part) | {"per_day": ratio(part["events"], part["days"])}

    bounds = {"recall": (0, 1)}
    found = bootstrap(sums, finish, resamples=1000, bounds=bounds)
    assert (found["recall"].contributing, found["per_day"].contributing) == (affected, 20)
    for number, used in {"recall": method, "per_day": "studentised"}.items():
        assert found[number] == bootstrap(sums, finish, resamples=1000, bounds=bounds, method=used)[number]
        assert found[number].method == used
    if method == "jackknife":  # whoever has no event changes nothing
        alone = PatientSums(names(affected), {name: part[:affected] for name, part in sums.parts.items()})
        only = bootstrap(alone, recall, bounds=bounds)["recall"]
        assert (only.low, only.high) == pytest.approx((found["recall"].low, found["recall"].high))


@pytest.mark.parametrize(
    ("design", "narrower"), [("rmse, skewed", 0.6), ("difference, unequal windows", 0.4), ("share of 2 %", 0.4)]
)
def test_of_six_patients_it_covers_the_truth_and_says_something(monkeypatch, design, narrower):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    found = importlib.import_module("intervals").coverage(design, patients=6, studies=400, resamples=400, few=True)
    assert 0.9 <= found["jackknife"]["covered"] <= 0.975
    assert found["percentile"]["covered"] < 0.88
    assert found["jackknife"]["width"] < narrower * found["studentised"]["width"]


PARTS = {"loss": np.arange(6.0), "count": np.ones(6)}


@pytest.mark.parametrize(
    ("ids", "parts", "options", "said"),
    [
        (names(6), {}, {}, "no parts to sum"),
        (names(6), PARTS | {"loss": np.ones(5)}, {}, r"part loss has shape \[5\], item_id \[6\]"),
        (names(6), PARTS | {"loss": 3.0}, {}, r"part loss has shape \[\], item_id \[6\]"),
        (names(6), PARTS | {"loss": [np.nan] * 6}, {}, "part loss has values that are not finite"),
        (names(6), PARTS | {"loss": [np.inf] * 6}, {}, "part loss has values that are not finite"),
        (names(6), PARTS | {"loss": list("abcdef")}, {}, "part loss is not an array of numbers"),
        (names(6), PARTS | {"loss": np.array(["1", 2, 3, 4, 5, 6], dtype=object)}, {}, "part loss is not an array"),
        (names(6), PARTS | {"loss": [[1], [1, 2], 3, 4, 5, 6]}, {}, "part loss is not an array of numbers"),
        ([*names(5), None], PARTS, {}, "item_id has a missing value"),
        ([*names(5), np.nan], PARTS, {}, "item_id has a missing value"),
        ([names(6)], PARTS, {}, r"item_id has shape \[1, 6\]"),
        (names(6), PARTS, {"level": 95}, "level 95 is not between 0 and 1"),
        (names(6), PARTS, {"level": np.nan}, "level nan is not between 0 and 1"),
        (names(6), PARTS, {"level": "high"}, "level 'high' is not between 0 and 1"),
        (names(6), PARTS, {"resamples": 100}, "100 resamples are too few"),
        (names(6), PARTS, {"resamples": 1e4}, "10000.0 resamples"),
        (names(6), PARTS, {"seed": -1}, "seed -1 is not a whole number"),
        (names(6), PARTS, {"seed": None}, "seed None is not a whole number"),
        (
            names(6),
            PARTS,
            {"method": "basic"},
            "method 'basic' is not known; known: auto, studentised, bca,",
        ),
        (names(6), PARTS, {"bounds": {"mae": (0, 1)}}, "no number 'mae' to bound; the numbers are rmse, mse"),
    ],
)
def test_mistakes_are_sentences(ids, parts, options, said):
    with pytest.raises(DataError, match=said):
        patient_bootstrap(ids, parts, rmse, **options)


def test_mistakes_in_sums_are_sentences():
    with pytest.raises(DataError, match="patient p01 has two rows of sums"):
        PatientSums(["p01", "p00", "p01"], {"loss": np.ones(3)})
    with pytest.raises(DataError, match=r"values has shape \[2\], item_id \[3\]"):
        bootstrap_mean(names(3), [1.0, 2.0])
    with pytest.raises(DataError, match="finish gave x the shape"):
        bootstrap(PatientSums(names(6), PARTS), lambda sums: {"x": sums["loss"].mean()})
