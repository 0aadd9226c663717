"""What holds of any data: the engine against plain dictionaries, and all that must not change a panel."""

import math
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from operator import methodcaller
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tsfm_core import Dataset, Task
from tsfm_core.config.schema import DataConfig
from tsfm_core.data import shared, spill, windows
from tsfm_core.data.build import build_panel
from tsfm_core.data.cache import prepared
from tsfm_core.data.cutoffs import Cutoffs
from tsfm_core.data.leakage import assert_no_leakage
from tsfm_core.data.panel import Panel
from tsfm_core.data.quality import GAPS
from tsfm_core.data.split import fold_items, make_split
from tsfm_core.data.windows import TrainingWindows, WindowRule, forecast_windows
from tsfm_core.freq import format_seconds, seconds
from tsfm_core.opening import open_panel
from tsfm_core.records import Channel

SLOT = 300_000_000  # microseconds
DAY = 86_400_000_000
TASK = Task(target="glucose", unit="mg/dL", freq="5min", context_length=6, prediction_length=3)
ALLOWED = {"unsorted": "sort", "off_grid": "floor", "duplicates": "median", "mixed_freq": "keep"}
KINDS = {"carbs": "amount", "basal": "rate"}
NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=3)
READINGS = st.one_of(st.none(), st.integers(400, 4000).map(lambda tenths: tenths / 10))


def examples(count):
    """Try so many, half of them where nobody asks for all by TSFM_EXAMPLES=all: they are the same in every run."""
    count = count if os.environ.get("TSFM_EXAMPLES") == "all" else count // 2
    return settings(deadline=None, derandomize=True, max_examples=count, suppress_health_check=list(HealthCheck))


@st.composite
def tracks(draw, values=READINGS, steps=(1, 1, 1, 1, 0, 2, 10, 40)):
    """Draw rows ``(item, microseconds, value)``: any start, 1, 5 or 15 min apart, gaps, jitter, doubles, any order."""
    rows = []
    for item in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        stamp = draw(st.integers(-(10**9), 4 * 10**9)) * 1_000_000
        cadence = draw(st.sampled_from([60, 300, 900])) * 1_000_000
        jitter = draw(st.sampled_from([[0], [0, 0, 1, -40_000_000, 25_000_000]]))
        for step in draw(st.lists(st.sampled_from(steps), min_size=1, max_size=25)):
            stamp += step * cadence
            rows.append((item, stamp + draw(st.sampled_from(jitter)), draw(values)))
            rows += rows[-1:] * draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1]))
    if draw(st.booleans()):
        random.Random(draw(st.integers(0, 99))).shuffle(rows)
    return rows


def table_of(rows, channels=("glucose",)):
    columns = {name: pa.array([row[at] for row in rows], pa.float64()) for at, name in enumerate(channels, 2)}
    stamps = pa.array([row[1] for row in rows], pa.timestamp("us"))
    return pa.table({"item_id": pa.array([row[0] for row in rows]), "timestamp": stamps} | columns)


def built(table, task=TASK, cuts=(), channels=(), folder=None, **data):
    """Return the panel and the report of a table that is read in batches cut at ``cuts``."""

    def read(source):
        for begin, end in pairwise([0, *sorted(cuts), table.num_rows]):
            yield from table.slice(begin, end - begin).select(source.columns).to_batches()

    dataset = Dataset("table", "", "", read, channels=dict(channels))
    return build_panel(dataset, DataConfig(source="table", **ALLOWED | data), task, folder)


def spans_of(panel):
    first = panel.starts.astype("datetime64[us]").astype(np.int64) // SLOT
    last = first + np.diff(panel.offsets) - 1
    return dict(zip(panel.item_ids, zip(first.tolist(), last.tolist(), strict=True), strict=True))


def cells_of(panel, channel="glucose"):
    """Return ``{(item, slot): value}`` of what is there."""
    items = np.asarray(panel.item_ids, object)[panel.row_items]
    cells = zip(items, panel.slots().tolist(), panel.columns[channel].tolist(), strict=True)
    return {(item, slot): value for item, slot, value in cells if not math.isnan(value)}


def f32(value):
    return float(np.float32(value))


def slots_by_hand(rows, rule="floor"):
    """Return the first and the last slot of each item, and the distinct readings of each slot."""
    spans, readings = defaultdict(list), defaultdict(set)
    for item, stamp, value in rows:
        slot = (stamp + (SLOT // 2 if rule == "round" else 0)) // SLOT
        spans[item].append(slot)
        if value is not None:
            readings[item, slot].add((stamp, value))
    return {item: (min(slots), max(slots)) for item, slots in spans.items()}, readings


def medians(readings):
    return {key: f32(statistics.median(value for _, value in found)) for key, found in readings.items()}


@examples(150)
@given(rows=tracks(), rule=st.sampled_from(["floor", "round"]), low=st.sampled_from([None, 40.0, 150.0]))
def test_a_panel_is_the_median_of_the_distinct_readings_of_each_slot(rows, rule, low):
    kept = [(item, stamp, None if value is not None and low and value < low else value) for item, stamp, value in rows]
    spans, readings = slots_by_hand(kept, rule)
    if not readings:
        return
    panel, quality = built(table_of(rows), off_grid=rule, valid_range=low and (low, 1000.0))
    assert panel.item_ids == tuple(sorted(spans))
    assert spans_of(panel) == spans
    assert cells_of(panel) == medians(readings)
    for item in quality.items:
        own = [row for row in rows if row[0] == item.item_id]
        stamps = [stamp for _, stamp, _ in own]
        slots = sorted(slot for name, slot in readings if name == item.item_id)
        between = [(late - early) * 300 for early, late in pairwise(slots)]
        given_twice = Counter(row for row in kept if row[0] == item.item_id and row[2] is not None)
        times = sorted(stamp for stamp, value in ((row[1], row[2]) for row in kept if row[0] == item.item_id) if value)
        apart = Counter(gap for early, late in pairwise(times) if (gap := (late - early + 30_000_000) // 60_000_000))
        cadence = min(apart, key=lambda gap: (-apart[gap], gap), default=None)
        assert (item.rows, item.readings, item.slots) == (len(own), len(slots), np.ptp(spans[item.item_id]) + 1)
        assert item.off_grid == sum(stamp % SLOT != 0 for stamp in stamps)
        assert item.unsorted == sum(late < early for early, late in pairwise(stamps))
        assert item.duplicates == len(own) - len(
            {(stamp + (SLOT // 2) * (rule == "round")) // SLOT for stamp in stamps}
        )
        assert item.repeats == sum(count - 1 for count in given_twice.values())
        assert item.impossible == sum(row in own and row not in kept for row in own)
        assert item.gaps == {gap: sum(one > seconds(gap) for one in between) for gap in GAPS}
        assert item.longest_gap == (format_seconds(max(between)) if between else "0s")
        assert item.cadence == (cadence and format_seconds(cadence * 60))


@st.composite
def grids(draw):
    """Draw a panel whose every value is the number of its row: glucose, steps + 0.25, hour + 0.5."""
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=4))
    rows = sum(lengths)

    def column(add, missing):
        seen = draw(st.lists(st.sampled_from(missing), min_size=rows, max_size=rows))
        return np.where(seen, np.arange(rows) + add, np.nan).astype(np.float32)

    often = [True, True, True, True, False] if draw(st.booleans()) else [True, False, False]
    columns = {
        "glucose": column(0, often),
        "steps": column(0.25, [True, False]),
        "hour": column(0.5, [True] * 40 + [False]),
    }
    starts = [draw(st.integers(0, 1000)) * 300 for _ in lengths]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    names = tuple(f"i{at}" for at in range(len(lengths)))
    return Panel(names, offsets, np.array(starts, "datetime64[s]"), 300, columns, "mg/dL")


def task_of(context, horizon, known=True):
    covariates = {"past_covariates": ("steps",), "known_covariates": ("hour",) if known else ()}
    return Task(**TASK.model_dump() | {"context_length": context, "prediction_length": horizon} | covariates)


@st.composite
def rules(draw, context):
    gap, share = draw(st.sampled_from([300, 420, 600, 1500, 2700])), draw(st.sampled_from([0.1, 0.34, 0.5, 0.8, 1]))
    return WindowRule(gap, share, draw(st.integers(1, context)), draw(st.sampled_from([False, False, True])))


def segment_by_hand(seen, at, max_gap):
    """Return the first row of the stretch of readings around row ``at``, and the reading at or before it."""
    before = [row for row in seen if row <= at]
    if not before:
        return None, None
    first = before[-1]
    for earlier in before[-2::-1]:
        if (first - earlier) * 300 > max_gap:
            break
        first = earlier
    return first, before[-1]


def reason_by_hand(panel, item, at, task, rule):
    """Return why no window stands at row ``at``, None where one does, and the first row that it may show."""
    rows = range(panel.offsets[item], panel.offsets[item + 1])
    seen = [row for row in rows if np.isfinite(panel.columns["glucose"][row])]
    first, last_seen = segment_by_hand(seen, at, rule.max_gap)
    end = at + task.prediction_length
    beyond = [row for row in seen if row >= end]
    around = [row for row in seen if beyond and last_seen is not None and last_seen <= row <= beyond[0]]
    if not around or any((late - early) * 300 > rule.max_gap for early, late in pairwise(around)):
        return "a gap longer than max_gap", None
    shown = range(max(first, at - task.context_length + 1), at + 1)
    truths = sum(row in seen for row in range(at + 1, end + 1))
    if at - first + 1 < rule.min_context:
        return "context shorter than min_context", None
    if not any(row in seen for row in shown):
        return "no reading in the context", None
    if truths < rule.min_observed * task.prediction_length:
        return "truth below min_observed", None
    if rule.complete and not all(row in seen for row in (*shown, *range(at + 1, end + 1))):
        return "a reading missing", None
    if not np.isfinite(panel.columns["hour"][shown.start : end + 1]).all():
        return "known covariate hour missing", None
    return None, first


@examples(150)
@given(data=st.data(), panel=grids(), context=st.integers(1, 8), horizon=st.integers(1, 5), stride=st.integers(1, 4))
def test_every_candidate_is_a_window_or_counted_once_and_none_straddles_a_gap(data, panel, context, horizon, stride):
    task, rule = task_of(context, horizon), data.draw(rules(context))
    bounds = [sorted(data.draw(st.lists(st.integers(*at), min_size=2, max_size=2))) for at in pairwise(panel.offsets)]
    begin, end = np.array(bounds).T
    expected, reasons = [], Counter()
    for item, (first, stop) in enumerate(bounds):
        for at in range(panel.offsets[item], panel.offsets[item + 1]):
            if panel.slots()[at] % stride == 0 and at + 1 >= first and at + horizon < stop:
                reason, seen = reason_by_hand(panel, item, at, task, rule)
                expected += [] if reason else [(at, seen)]
                reasons.update([reason] if reason else [])
    with mock.patch.object(windows, "_AT_ONCE", data.draw(st.sampled_from([1, 20, 1 << 18]))):
        found, dropped = rule.cut(panel, task, lambda part: part.slots() % stride == 0, begin, end)
    assert list(zip(found.cutoffs_at.tolist(), found.seen_from.tolist(), strict=True)) == expected
    assert dropped == reasons
    if not expected:
        return
    inputs, truth = found.inputs(slice(None)), found.truth(slice(None))
    for at, (cutoff, seen) in enumerate(expected):
        rows = np.arange(cutoff - context + 1, cutoff + horizon + 1)
        known = [panel.columns["hour"][row] if row >= seen else np.nan for row in rows]
        past = [panel.columns["steps"][row] if row >= seen else np.nan for row in rows[:context]]
        target = [panel.columns["glucose"][row] if row >= seen else np.nan for row in rows[:context]]
        np.testing.assert_array_equal(inputs.target[at], target)
        np.testing.assert_array_equal(inputs.past_covariates[at, :, 0], past)
        np.testing.assert_array_equal(inputs.known_covariates[at, :, 0], known)
        np.testing.assert_array_equal(truth[at], panel.columns["glucose"][cutoff + 1 : cutoff + horizon + 1])
    at = data.draw(st.integers(0, len(expected) - 1))
    cutoff, seen = expected[at]
    changed = {name: np.full(len(panel), 1e6, np.float32) for name in panel.columns}  # the future, and all others' rows
    for name, last in (("glucose", cutoff), ("steps", cutoff), ("hour", cutoff + horizon)):
        changed[name][seen : last + 1] = panel.columns[name][seen : last + 1]
    blind = replace(found, panel=replace(panel, columns=changed)).inputs([at])
    np.testing.assert_array_equal(blind.target, inputs.target[[at]])
    np.testing.assert_array_equal(blind.past_covariates, inputs.past_covariates[[at]])
    np.testing.assert_array_equal(blind.known_covariates, inputs.known_covariates[[at]])


@examples(60)
@given(panel=grids(), context=st.integers(1, 8), data=st.data())
def test_a_forecast_starts_at_the_last_reading_of_each_item(panel, context, data):
    task, rule = task_of(context, 2, known=False), data.draw(rules(context))
    expected = []
    for begin, end in pairwise(panel.offsets.tolist()):
        seen = [row for row in range(begin, end) if np.isfinite(panel.columns["glucose"][row])]
        first, last = segment_by_hand(seen, end, rule.max_gap)
        expected += [(last, first)] if seen and last - first + 1 >= rule.min_context else []
    with mock.patch.object(windows, "_AT_ONCE", data.draw(st.sampled_from([1, 20, 1 << 18]))):
        found, dropped = forecast_windows(panel, task, rule)
    assert list(zip(found.cutoffs_at.tolist(), found.seen_from.tolist(), strict=True)) == expected
    assert sorted([*found.items, *dropped]) == list(panel.item_ids)


def runs_of(first, step, count, most=5):
    """Draw ``(row, seen)`` of runs of cutoffs: ``seen`` is the first row that a context may show."""
    runs = st.lists(st.tuples(st.integers(0, first), step, count), max_size=most)
    return runs.map(lambda found: [(row, at) for at, by, many in found for row in range(at, at + by * many, by)])


CUTOFFS = st.one_of(
    st.lists(st.integers(0, 200).map(lambda row: (row, row // 50 * 50)), max_size=30),
    st.lists(st.integers(0, 200).flatmap(lambda row: st.tuples(st.just(row), st.integers(row - 3, row))), max_size=9),
    runs_of(60, st.integers(1, 13), st.integers(1, 12)),
    runs_of(60, st.integers(1, 3), st.sampled_from([1, 1, 1, 90]), most=9),
    runs_of(10**6, st.integers(1, 10**5), st.integers(1, 9)),
)


def cutoffs_of(pairs):
    return Cutoffs.of(*np.array(pairs, np.int64).reshape(-1, 2).T)


def pairs_of(found):
    rows, seen = found if isinstance(found, tuple) else found.at(slice(None))
    assert rows.dtype == seen.dtype == np.int64
    return list(zip(rows.tolist(), seen.tolist(), strict=True))


@examples(200)
@given(data=st.data(), pairs=CUTOFFS, more=CUTOFFS, by=st.integers(0, 10**9))
def test_cutoffs_are_found_again_however_they_are_asked_for(data, pairs, more, by):
    whole, size = cutoffs_of(pairs), len(pairs)
    assert len(whole) == size
    assert pairs_of(whole) == pairs
    places = st.lists(st.integers(-size, size - 1), max_size=6) if size else st.just([])
    masks = st.lists(st.booleans(), min_size=size, max_size=size)
    for _ in range(4):  # of one object: an answer must not depend on the question before
        for kind in (np.int64, np.int16, np.int8):
            asked = data.draw(places)
            if all(abs(at) < 128 for at in asked):
                assert pairs_of(whole.at(np.array(asked, kind))) == [pairs[at] for at in asked]
        mask = data.draw(masks)
        chosen = [pair for pair, one in zip(pairs, mask, strict=True) if one]
        assert pairs_of(whole.at(np.array(mask, bool))) == chosen
        assert pairs_of(whole.take(np.array(mask, bool))) == chosen
        part = slice(
            *data.draw(st.tuples(*[st.one_of(st.none(), st.integers(-40, 40))] * 2)),
            data.draw(st.sampled_from([None, 1, 3, -2])),
        )
        assert pairs_of(whole.at(part)) == pairs[part]
        assert pairs_of(whole.take(part).take(slice(None, None, -1))) == pairs[part][::-1]
    other = cutoffs_of(more)
    assert pairs_of(Cutoffs.joined([whole, other, whole.take(slice(0, 2))])) == pairs + more + pairs[:2]
    assert pairs_of(whole.shifted(by)) == [(row + by, seen + by) for row, seen in pairs]
    for beyond in (size, -size - 1):
        with pytest.raises(IndexError):
            whole.at(np.array([beyond]))


def test_a_mask_is_not_taken_for_the_places_asked_for_before():
    pair = cutoffs_of([(5, 0), (9, 1)])
    assert pairs_of(pair.at(np.array([0, 1]))) == [(5, 0), (9, 1)]
    assert pairs_of(pair.at(np.array([False, True]))) == [(9, 1)]


@examples(200)
@given(data=st.data(), start=st.integers(-9, 3), length=st.integers(1, 12), only_seen=st.booleans())
def test_spans_are_the_rows_around_the_cutoffs(data, start, length, only_seen):
    stop = max(start, 0) + length - 1
    touching = runs_of(60, st.sampled_from([stop - start + 1, stop - start + 2]), st.integers(1, 6), most=2)
    pairs = data.draw(st.one_of(CUTOFFS, touching))
    first, last = cutoffs_of(pairs).spans(start, stop, only_seen)
    covered = {row for begin, end in zip(first.tolist(), last.tolist(), strict=True) for row in range(begin, end + 1)}
    around = {
        row for at, seen in pairs for row in range(max(at + start, seen) if only_seen else at + start, at + stop + 1)
    }
    assert covered == around


def moments(panel):
    spread = st.integers(-20, 400_000).map(lambda after: datetime(1970, 1, 1) + timedelta(seconds=after))
    by_item = st.dictionaries(st.sampled_from(panel.item_ids), spread, min_size=1)
    return st.one_of(spread, by_item)


@examples(150)
@given(data=st.data(), panel=grids(), seed=st.integers(0, 9))
def test_each_row_is_in_one_set_and_no_truth_in_a_window_that_is_learnt_from(data, panel, seed):
    count = len(panel.item_ids)
    temporal = data.draw(st.one_of(st.none(), st.floats(0.05, 0.95), moments(panel)))
    patients = data.draw(st.one_of(st.none(), st.floats(0.05, 0.95), st.lists(st.sampled_from(panel.item_ids))))
    validation = data.draw(st.one_of(st.just(0.0), st.floats(0, 0.95), moments(panel)))
    split = make_split(panel, temporal, patients, validation, seed)
    item, stamps, times = panel.row_items, panel.stamps(np.arange(len(panel))), np.zeros(len(panel), int)
    sets = {}
    for name, span in split.spans.items():
        rows = [row for begin, stop in zip(span.first, span.stop, strict=True) for row in range(begin, stop)]
        sets[name] = set(rows)
        times[rows] += 1
    assert (times == 1).all()
    held = {at for at in range(count) if panel.item_ids[at] in split.held_out}
    assert sets.get("patient_holdout", set()) == set(np.flatnonzero(np.isin(item, list(held))).tolist())
    if isinstance(patients, float):
        assert len(held) == max(1, int(patients * count))
    if isinstance(temporal, datetime | dict):
        after = {
            row
            for row in range(len(panel))
            if item[row] not in held
            and stamps[row]
            >= np.datetime64(
                temporal if isinstance(temporal, datetime) else temporal.get(panel.item_ids[item[row]], datetime.max),
                "us",
            )
        }
        assert sets.get("temporal_holdout", set()) == after
    for at in range(count):  # in time: what is learnt from, what is chosen by, what is tested
        rows = sorted(np.flatnonzero(item == at))
        order = [next(name for name in sets if row in sets[name]) for row in rows]
        assert order == sorted(order, key=list(sets).index)
    task = task_of(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4)), known=False)
    rule = WindowRule(2700, 0.1, 1)
    found = {
        name: rule.cut(panel, task, lambda part: np.ones(len(part), bool), span.first, span.stop)[0]
        for name, span in split.spans.items()
    }
    truths = {
        name: {row + step for row in one.cutoffs_at.tolist() for step in range(1, task.prediction_length + 1)}
        for name, one in found.items()
    }
    for name, rows in truths.items():
        assert rows <= sets[name]
    tested = {name: one for name, one in found.items() if name in split.test_sets}
    assert_no_leakage([one for name, one in found.items() if name not in tested], tested)


@examples(40)
@given(count=st.integers(2, 30), folds=st.integers(2, 8), seed=st.integers(0, 99))
def test_every_item_is_in_one_fold(count, folds, seed):
    items = [f"i{at:02}" for at in range(count)]
    folds = min(folds, count)
    dealt = [fold_items(items, folds, fold, seed) for fold in range(folds)]
    assert sorted(item for fold in dealt for item in fold) == items
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


@examples(200)
@given(
    learnt=st.one_of(CUTOFFS, runs_of(60, st.integers(1, 3), st.integers(1, 3), most=1)),
    tested=st.one_of(CUTOFFS, runs_of(60, st.just(1), st.integers(1, 30), most=4)),
    context=st.integers(1, 6),
    horizon=st.integers(1, 4),
)
@example(learnt=[(20, 20)], tested=[*((row, 0) for row in range(30)), (5, 0)], context=1, horizon=2)
def test_leakage_is_found_where_a_row_of_both_is(learnt, tested, context, horizon):
    task = task_of(context, horizon, known=False)
    last = max([row for row, _ in learnt + tested], default=0) + horizon + 1
    offsets = np.array([0, last // 2 + 1, last // 2 + last + 2])
    panel = Panel(("a", "b"), offsets, np.zeros(2, "datetime64[s]"), 300, {"glucose": np.empty(0, np.float32)}, "mg/dL")
    one, other = (TrainingWindows(panel, task, cutoffs_of(pairs)) for pairs in (learnt, tested))
    inside = {row for at, seen in learnt for row in range(max(at - context + 1, seen), at + horizon + 1)}
    truths = {row for at, _ in tested for row in range(at + 1, at + horizon + 1)}
    if inside & truths:
        with pytest.raises(AssertionError, match="a truth of temporal_holdout"):
            assert_no_leakage([one], {"temporal_holdout": other})
    else:
        assert_no_leakage([one], {"temporal_holdout": other})


EVENTS = st.tuples(
    READINGS,
    st.one_of(st.none(), st.none(), st.integers(1, 200).map(lambda quarters: quarters / 4)),
    st.one_of(st.none(), st.none(), st.integers(0, 20).map(lambda quarters: quarters / 4)),
)  # fmt: skip
COVARIATES = Task(**TASK.model_dump() | {"past_covariates": ("carbs", "basal")})


def events_of(rows):
    return [(item, stamp, *values) for item, stamp, values in rows]


def shuffled_between_items(rows, seed):
    """Return the rows in another order, in which those of one item keep theirs."""
    queues, order = defaultdict(list), [item for item, *_ in rows]
    for row in rows:
        queues[row[0]].append(row)
    random.Random(seed).shuffle(order)
    return [queues[item].pop(0) for item in order]


@examples(60)
@given(
    rows=tracks(EVENTS),
    seed=st.integers(0, 99),
    cuts=st.lists(st.integers(0, 80), max_size=6),
    slots=st.sampled_from([1, 7, 1 << 17]),
    duplicates=st.sampled_from(["median", "mean", "sum"]),
    streams=st.booleans(),
)
def test_a_panel_does_not_depend_on_how_its_rows_arrive(rows, seed, cuts, slots, duplicates, streams):
    rows = events_of(rows)
    if all(row[2] is None for row in rows):
        return
    channels = {name: Channel(kind, "") for name, kind in KINDS.items()} if streams else {}
    given_so = {"task": COVARIATES, "channels": channels, "duplicates": duplicates, "kinds": {} if streams else KINDS}
    table = table_of(rows, COVARIATES.channels)
    panel, quality = built(table, **given_so)
    other = table_of(shuffled_between_items(rows, seed), COVARIATES.channels)
    arrivals = [(other, ()), (table, [min(cut, len(rows)) for cut in cuts]), (table, range(len(rows)))]
    for again, at in arrivals:
        found, report = built(again, cuts=at, **given_so)
        assert found.fingerprint == panel.fingerprint
        assert report == quality
    with mock.patch.object(spill, "_IN_MEMORY", 50), mock.patch.object(spill, "_SLOTS", slots):
        found, report = built(other, cuts=[min(cut, len(rows)) for cut in cuts], **given_so)
    assert found.fingerprint == panel.fingerprint == replace(found, stored_fingerprint=None).fingerprint
    assert report == quality


@examples(100)
@given(rows=tracks(EVENTS, steps=(1, 1, 2, 10, 100, 250)), streams=st.booleans())
def test_amounts_add_up_and_rates_are_held_for_a_day(rows, streams):
    rows = events_of(rows)
    spans, entries = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for item, stamp, glucose, carbs, basal in rows:
        slot = stamp // SLOT
        spans[item] += [slot] if glucose is not None or not streams else []
        for channel, value in (("carbs", carbs), ("basal", basal)):
            if value is not None:
                entries[channel, item][slot].append((stamp, value))
    if all(row[2] is None for row in rows):
        return
    if streams:
        channels = {name: Channel(kind, "") for name, kind in KINDS.items()}
        panel, quality = built(table_of(rows, COVARIATES.channels), COVARIATES, channels=channels)
    else:
        panel, quality = built(table_of(rows, COVARIATES.channels), COVARIATES, kinds=KINDS)
    assert spans_of(panel) == {item: (min(slots), max(slots)) for item, slots in spans.items() if slots}
    carbs, basal = defaultdict(lambda: math.nan, cells_of(panel, "carbs")), cells_of(panel, "basal")
    for item, (low, high) in spans_of(panel).items():
        eaten, held = entries["carbs", item], entries["basal", item]
        for slot in range(low, high + 1):
            inside = eaten and min(eaten) <= slot <= max(eaten)
            expected = sum(value for _, value in eaten.get(slot, ())) if inside else math.nan
            assert carbs[item, slot] == expected or (math.isnan(expected) and math.isnan(carbs[item, slot]))
            latest = max((one for one in held if one <= slot), default=None)
            if latest is None or slot - latest > 288:
                assert (item, slot) not in basal
            else:
                last = max(held[latest], key=lambda entry: entry[0])[0]
                assert basal[item, slot] == [value for stamp, value in held[latest] if stamp == last][-1]
        given_in = sum(value for slot, found in eaten.items() if low <= slot <= high for _, value in found)
        assert (
            sum(
                carbs[item, slot]
                for slot in range(low, high + 1)
                if (item, slot) in carbs and not math.isnan(carbs[item, slot])
            )
            == given_in
        )
        channel = next(one for one in quality.items if one.item_id == item).channels["carbs"]
        assert (channel["total"] or 0) == given_in


@examples(100)
@given(
    planted=st.one_of(st.sampled_from([35, 36, 37]), st.integers(30, 80)),
    at=st.integers(0, 200),
    levels=st.sampled_from([11, 12, 13, 400, 400]),
    doubled=st.integers(0, 10),
    lengths=st.tuples(st.integers(90, 400), st.integers(0, 300)),
    phase=st.sampled_from([0, 60, 60, 300]),
    seed=st.integers(0, 9),
)
def test_rows_of_one_item_in_anothers_file_are_found_and_dropped(planted, at, levels, doubled, lengths, phase, seed):
    start = 1_704_060_000_000_000

    def track(item, length, later):
        first = start + later * 1_000_000
        return [(item, first + step * SLOT, 100.0 + step * 7 % levels) for step in range(length)]

    a, b = track("a", lengths[0], 0), [(*row[:2], row[2] + 500.5) for row in track("b", lengths[1], phase)]
    foreign = [("b", *row[1:]) for row in a[at : at + planted]]
    foreign += foreign[:doubled]
    rows = a + b + foreign
    random.Random(seed).shuffle(rows)
    common = {row[1:] for row in a} & {row[1:] for row in b + foreign}
    stamps = {stamp for _, stamp, _ in a} & {stamp for _, stamp, _ in b + foreign}
    of_day = defaultdict(list)
    for stamp, value in common:
        of_day[stamp // DAY].append(value)
    both = Counter(stamp // DAY for stamp in stamps)
    found = any(len(day) >= 36 and len(set(day)) >= 12 and 2 * len(day) >= both[at] for at, day in of_day.items())
    panel, quality = built(table_of(rows), shared_rows="drop")
    spans, _ = slots_by_hand(rows)
    assert spans_of(panel) == spans
    if not found:
        assert quality.shared == []
        assert cells_of(panel) == medians(slots_by_hand(rows)[1])
        return
    share = {item: statistics.mean(row[1:] in common for row in rows if row[0] == item) for item in "ab"}
    owner = max("ab", key=lambda item: (share[item], item == "a"))
    left = [row for row in rows if row[0] == owner or row[1:] not in common]
    dropped = len(rows) - len(left)
    assert quality.shared == [{"owner": owner, "other": "ab"["ba".index(owner)], "rows": dropped}]
    assert sum(item.shared for item in quality.items) == dropped
    assert cells_of(panel) == medians(slots_by_hand(left)[1])
    kept, quality = built(table_of(rows), shared_rows="keep")
    assert (quality.shared, cells_of(kept)) == ([], medians(slots_by_hand(rows)[1]))
    refused = built(table_of(rows))[1].problems
    assert f"share {dropped:,} rows (same stamp, same value)" in refused[0][0]


@examples(20)
@given(order=st.permutations("abc"), cuts=st.lists(st.integers(0, 300), max_size=4))
def test_of_three_copies_one_is_left_in_whatever_order_they_come(order, cuts):
    start = 1_704_067_200_000_000
    one = [(start + step * SLOT, 100.0 + step % 50 + step / 100) for step in range(80)]
    copies = {"a": one, "b": [*one, *((start + (100 + step) * SLOT, 5.0 + step) for step in range(40))], "c": one}
    rows = [(item, *row) for item in order for row in copies[item]]
    panel, quality = built(table_of(rows), cuts=[min(cut, len(rows)) for cut in cuts], shared_rows="drop")
    pairs = [{"owner": owner, "other": other, "rows": 80} for owner, other in ("ab", "ac", "cb")]
    assert quality.shared == pairs
    left = [("a", *row) for row in one] + [("b", *row) for row in copies["b"][80:]]
    assert cells_of(panel) == medians(slots_by_hand(left)[1])


@pytest.mark.parametrize("day", [0, 19_723])
def test_too_many_readings_a_day_to_compare_are_said(day):
    rows = [(item, day * DAY + step * SLOT, step + 1.0) for item in "ab" for step in range(288)]
    with mock.patch.object(shared, "_KEPT", 500):
        _, quality = built(table_of(rows))
    assert quality.shared == []
    assert [note["what"] for note in quality.notes] == ["too many readings a day to look for rows that items share"]


@pytest.fixture
def csv_config(tmp_path, monkeypatch, readings):
    """Return what ``open_panel`` needs for a csv file, with a cache of its own."""
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "data.csv"
    readings(("a", "b", "c"), n=200, missing=0.2).to_csv(path, index=False)
    return {"source": "csv", "path": str(path)}


def test_another_process_sees_the_values_of_a_panel(csv_config):
    mapped, _ = open_panel(DataConfig(**csv_config), TASK)
    held = replace(mapped, columns={"glucose": np.array(mapped.columns["glucose"])}, folder=None)
    everywhere = WindowRule(2700, 0.1, 1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for panel in (mapped, held):
            found, _ = everywhere.cut(
                panel, TASK, lambda part: np.ones(len(part), bool), panel.offsets[:-1], panel.offsets[1:]
            )
            for asked in (methodcaller("truth", slice(None)), methodcaller("take", np.array([5, -1, 7]))):
                there, here = pool.apply(asked, (found,)), asked(found)
                if isinstance(here, TrainingWindows):
                    assert there.panel.folder == panel.folder
                    assert there.panel.fingerprint == replace(there.panel, stored_fingerprint=None).fingerprint
                    there, here = there.inputs(slice(None)).target, here.inputs(slice(None)).target
                np.testing.assert_array_equal(there, here)
            item_ids, cutoff = pool.apply(methodcaller("__getattribute__", "item_id"), (found,)), found.cutoff
            assert item_ids.tolist() == found.item_id.tolist()
            np.testing.assert_array_equal(pool.apply(methodcaller("__getattribute__", "cutoff"), (found,)), cutoff)


BUILDER = """
import sys, time
from pathlib import Path
from tsfm_core import Task, opening
from tsfm_core.config.schema import DataConfig

here, name = Path(sys.argv[1]), sys.argv[2]
build_panel = opening.build_panel

def both(*arguments):
    (here / f"{name}.builds").touch()
    while len(list(here.glob("*.builds"))) < 2:
        time.sleep(0.01)
    return build_panel(*arguments)

opening.build_panel = both
task = Task(target="glucose", unit="mg/dL", freq="5min", context_length=6, prediction_length=3)
panel, quality = opening.open_panel(DataConfig(source="csv", path=str(here / "data.csv")), task)
print(panel.folder, panel.fingerprint, float(panel.columns["glucose"][7]), len(quality.items))
"""


def test_two_processes_may_build_one_panel_at_once(csv_config, tmp_path):
    command = [sys.executable, "-c", BUILDER, str(tmp_path)]
    started = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True, env=os.environ) for name in "xy"]
    said = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert len(list(tmp_path.glob("*.builds"))) == 2
    panel, _ = open_panel(DataConfig(**csv_config), TASK)
    expected = f"{panel.folder} {panel.fingerprint} {float(panel.columns['glucose'][7])} 3\n"
    assert said == [expected, expected]
    assert len(prepared()) == 1
    assert [path.name for path in (tmp_path / "cache" / "panels").iterdir()] == [panel.folder.name]
