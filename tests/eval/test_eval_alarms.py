"""Alarms: the case by hand, a loop over every alarm and event, and whole series put together again from windows."""

from dataclasses import replace

import numpy as np
import pytest

from tsfm_core import Block, DataError
from tsfm_eval.alarms import hypo_alarms, sustained_alarms
from tsfm_eval.events import HypoEvents, hypo_events
from tsfm_eval.hypo import METRICS

NAN = np.nan


def events_at(*spans, step=5.0):
    start, stop = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    return HypoEvents(start, stop, np.zeros(len(start), bool), step, 3)


def slowly(issued, start, stop, step, ahead, refractory=30, least=5):
    """Return events, detected, true, false, ignored and leads by the words of the rule, one alarm after the other."""
    free = [t for t in sorted(set(issued)) if not any(s <= t < e for s, e in zip(start, stop, strict=True))]
    episodes = []
    for t in free:
        if episodes and (t - episodes[-1][-1]) * step < refractory:
            episodes[-1].append(t)
        else:
            episodes.append([t])
    leads = []
    for s in start:
        in_time = [t for t in free if s - ahead <= t < s and (s - t) * step >= least]
        leads += [(s - min(in_time)) * step] if in_time else []
    true = sum(any(t < s <= t + ahead for t in episode for s in start) for episode in episodes)
    return len(start), len(leads), true, len(episodes) - true, len(set(issued)) - len(free), leads


def summary(found):
    return found.events, found.detected, found.true, found.false, found.ignored, found.lead_minutes.tolist()


def test_worked_case():
    found = hypo_alarms([20, 21, 57, 58, 62], events_at((60, 70)), 6, observed_days=1.0)
    assert summary(found) == (1, 1, 1, 1, 1, [15.0])
    assert (found.episodes, found.recall, found.precision, found.false_per_day) == (2, 1.0, 0.5, 1.0)
    assert (found.mean_lead, found.median_lead, found.f1) == (15.0, 15.0, pytest.approx(2 / 3))


@pytest.mark.parametrize(("step", "refractory", "least"), [(5, 30, 5), (5, 31, 10), (1, 30, 5), (15, 30, 5), (5, 0, 0)])
def test_random_alarms_against_a_loop(step, refractory, least):
    rng = np.random.default_rng(step + refractory)
    for _ in range(60):
        edges = np.sort(rng.choice(200, 2 * rng.integers(0, 8), replace=False))
        issued = rng.choice(200, rng.integers(0, 40))
        ahead = int(rng.integers(1, 15))
        events = events_at(*edges.reshape(-1, 2), step=float(step))
        found = hypo_alarms(issued, events, ahead, 2.0, refractory_minutes=refractory, min_lead_minutes=least)
        assert summary(found) == slowly(issued, edges[::2], edges[1::2], step, ahead, refractory, least)


def test_an_alarm_just_before_the_start_is_neither_a_detection_nor_false():
    found = hypo_alarms([57], events_at((60, 70), step=1.0), 30, 1.0)
    assert summary(found) == (1, 0, 1, 0, 0, [])
    assert found.f1 == 0.0
    assert summary(hypo_alarms([55], events_at((60, 70), step=1.0), 30, 1.0)) == (1, 1, 1, 0, 0, [5.0])


def test_nothing_to_take_a_share_of_is_nan():
    silent = hypo_alarms([], events_at((5, 9)), 6, 1.0)
    assert (silent.recall, silent.f1, silent.false_per_day) == (0.0, 0.0, 0.0)
    assert np.isnan([silent.precision, silent.mean_lead, silent.median_lead]).all()
    quiet = hypo_alarms([3], events_at(), 6, 0.0)
    assert quiet.precision == 0.0
    assert np.isnan([quiet.recall, quiet.f1, quiet.false_per_day]).all()


def test_sustained_alarms():
    below = np.array([[0, 1, 1, 0, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=bool)
    assert sustained_alarms(below).tolist() == [False, True, True, False]
    assert sustained_alarms(below, 1).tolist() == [True, True, True, False]
    assert sustained_alarms(below, 2).tolist() == [True, True, True, False]
    assert not sustained_alarms(below, 6).any()
    assert sustained_alarms(np.zeros((0, 5), bool)).shape == (0,)


@pytest.mark.parametrize(
    ("work", "sentence"),
    [
        (lambda: sustained_alarms([[60.0]]), r"marks are float64 of shape \[1, 1\]; give bool \[n, H\]"),
        (lambda: sustained_alarms([True]), r"marks are bool of shape \[1\]"),
        (lambda: sustained_alarms([[True]], 0), "0 consecutive steps raise no alarm"),
        (lambda: sustained_alarms([[True]], "3"), "'3' consecutive steps raise no alarm"),
        (lambda: hypo_alarms([1.5], events_at(), 6, 1.0), r"issue times are float64 of shape \[1\]"),
        (lambda: hypo_alarms(["a"], events_at(), 6, 1.0), "issue times are <U1"),
        (lambda: sustained_alarms([[True]], True), "True consecutive steps raise no alarm"),
        (lambda: hypo_alarms([-1, 3], events_at(), 6, 1.0), "an issue time is -1; give indices into the series"),
        (lambda: hypo_alarms(np.uint64([2**63]), events_at(), 6, 1.0), "an issue time is 9223372036854775808"),
        (lambda: hypo_alarms([[1], [1, 2]], events_at(), 6, 1.0), "issue times are lists of unequal length"),
        (lambda: hypo_alarms([1], [(3, 5)], 6, 1.0), "events are of type list; give what hypo_events returns"),
        (lambda: hypo_alarms([1], None, 6, 1.0), "events are of type NoneType"),
        *[
            (
                lambda ahead=ahead: hypo_alarms([1], events_at(), ahead, 1.0),
                "prediction_length is .*; give a number of st",
            )
            for ahead in (-1, 0, 6.0, 1.5, True, "6", None, [6], 10**30)
        ],
        (lambda: hypo_alarms([1], events_at(), 6, NAN), "observed_days is nan"),
        (lambda: hypo_alarms([1], events_at(), 6, True), "observed_days is True"),
        (lambda: hypo_alarms([1], events_at(), 6, 10**400), "observed_days is 1000"),
        (lambda: hypo_alarms([1], events_at(), 6, 1.0, refractory_minutes=-1), "refractory_minutes is -1"),
        (lambda: hypo_alarms([1], events_at(), 6, 1.0, min_lead_minutes=-5), "min_lead_minutes is -5"),
    ],
)
def test_mistakes_are_sentences(work, sentence):
    with pytest.raises(DataError, match=sentence):
        work()


def series(rng, length):
    steps = rng.normal(0, 6, length)
    glucose = np.clip(80 + np.cumsum(steps) - 0.05 * np.cumsum(np.cumsum(steps)) / 20, 41, 300)
    for at in rng.integers(0, length, 4):
        glucose[at : at + rng.integers(1, 25)] = NAN
    return glucose


def windows(rng, glucose, cutoffs, step, unit="mg/dL", context=24, ahead=12):
    """Cut a series into a block, with forecasts that know the future badly."""
    padded = np.concatenate([np.full(context, NAN), glucose, np.full(ahead, NAN)])
    at = cutoffs[:, None] + context
    truth, seen = padded[at + np.arange(1, ahead + 1)], padded[at + np.arange(1 - context, 1)]
    forecast = np.where(np.isfinite(truth), truth, 90) + rng.normal(0, 15, (len(cutoffs), 1))
    stamps = np.datetime64("2024-03-31T00:00:00") + cutoffs * np.timedelta64(60 * step, "s")
    items = np.full(len(cutoffs), "p", dtype=object)
    return Block(truth, {"median": forecast}, unit, context=seen, item_id=items, cutoff=stamps, step=60 * step)


def score(metric, block, order=slice(None)):
    columns = {name: part[order] for name, part in metric.parts(block).items()}
    return metric.finish(metric.per_item(columns))


def harmonic(recall, precision):
    return 2 / (1 / recall + 1 / precision) if recall and precision else 0.0


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize(("stride", "step"), [(1, 5), (3, 5), (12, 5), (1, 15)])
def test_metric_against_the_whole_series(metric, stride, step):
    rng = np.random.default_rng(stride)
    ahead, level = 12, int(metric.name[-1])
    totals = np.zeros(6)
    for _ in range(6):
        glucose = series(rng, 900)
        cutoffs = np.arange(23, 880, stride)
        block = windows(rng, glucose, cutoffs, step)
        # the last horizon ends the record
        known = glucose[: cutoffs[-1] + ahead + 1]
        events = hypo_events(known, step, level=level)
        below = block.points["median"] < (70 if level == 1 else 54)
        issued = cutoffs[sustained_alarms(below, events.samples)]
        judged = [
            t
            for t in issued
            if np.isfinite(known[t + 1 : t + 1 + ahead]).sum() >= 0.8 * ahead
            or any(t < s <= t + ahead for s in events.start)
        ]
        days = np.isfinite(known[24:]).sum() * step / 1440
        counted = [s for s in events.start if s >= 24]
        _, detected, true, false, _, leads = slowly(judged, events.start, events.stop, step, ahead)
        totals += [len(counted), detected, true, false, sum(leads), days]
        name = metric.name
        expected = {
            f"{name}_events": len(counted),
            f"{name}_recall": detected / len(counted) if counted else NAN,
            f"{name}_precision": true / (true + false) if true + false else NAN,
            f"{name}_f1": harmonic(detected / len(counted), true / (true + false)) if counted and true + false else NAN,
            f"{name}_false_per_day": false / days,
            f"{name}_lead": np.mean(leads) if leads else NAN,
            f"{name}_left_out": len(issued) - len(judged),
        }
        shuffled = rng.permutation(len(cutoffs))
        found = score(metric, block, shuffled)
        assert {name: found[name] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert totals.min() > 0


def test_nights_stand_apart():
    """One window a night: an event that runs at the cutoff is seen in the context, a day between nights is missing."""
    night = np.full(24 + 12, 100.0)
    running, coming, quiet = night.copy(), night.copy(), night.copy()
    running[20:30] = 60  # starts before the cutoff: neither detected nor missed
    coming[28:34] = 60
    block = Block(
        np.array([running, coming, quiet])[:, 24:],
        {"median": np.full((3, 12), 60.0)},
        "mg/dL",
        context=np.array([running, coming, quiet])[:, :24],
        cutoff=np.array(["2024-01-01T22", "2024-01-02T22", "2024-01-03T22"], "datetime64[s]"),
        step=300,
    )
    found = score(METRICS[0], block)
    assert found == pytest.approx(
        {
            "hypo_level1_events": 1,
            "hypo_level1_recall": 1,
            "hypo_level1_precision": 0.5,
            "hypo_level1_f1": 2 / 3,
            "hypo_level1_false_per_day": 1 / (36 / 288),
            "hypo_level1_lead": 25,  # cutoff is sample 23
            "hypo_level1_left_out": 0,
        }
    )


def test_thresholds_of_the_own_unit_and_windows_that_say_nothing():
    truth = np.float32([[5, 3.9, 3.9, 3.9, 5, 5], [5, 3.8, 3.8, 3.8, 5, 5]]).astype(float)
    context = np.full((2, 6), 5.0)
    stamps = np.array(["2024-01-01", "2024-01-02"], "datetime64[s]")
    block = Block(truth, {"median": truth}, "mmol/L", context=context, cutoff=stamps, step=300)
    assert score(METRICS[0], block)["hypo_level1_events"] == 1
    alarmed = replace(block, truth=np.full_like(truth, NAN), points={"median": np.full_like(truth, 2.0)})
    found = score(METRICS[0], alarmed)
    assert (found["hypo_level1_left_out"], found["hypo_level1_events"]) == (2, 0)
    assert np.isnan([found[f"hypo_level1_{name}"] for name in ("recall", "precision", "f1", "false_per_day")]).all()
    none = score(METRICS[0], block, slice(0, 0))
    assert np.isnan([value for name, value in none.items() if not name.endswith(("events", "left_out"))]).all()


def test_what_cannot_be_scored():
    block = windows(np.random.default_rng(0), np.full(100, 90.0), np.array([50]), 5)
    why_not = METRICS[0].why_not
    assert why_not(block) is None
    assert why_not(replace(block, context=None)) == "the windows come without cutoff and context"
    short = replace(block, truth=block.truth[:, :2])
    assert why_not(short) == "the horizon is shorter than the 3 steps below the threshold that raise an alarm"


def test_columns_are_small():
    """Ten million windows of 48 + 96 steps must leave room in 2 GB."""
    rng = np.random.default_rng(1)
    block = windows(rng, series(rng, 500), np.arange(60, 200), 5, context=48, ahead=96)
    assert sum(part.nbytes for part in METRICS[0].parts(block).values()) <= 54 * 140
