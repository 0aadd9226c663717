"""Hypoglycaemic events: cases by hand, and a machine of states that reads one sample after the other."""

import numpy as np
import pytest

from tsfm_core import DataError
from tsfm_eval.events import hypo_events

NAN = np.nan


def spans(found):
    return list(zip(found.start.tolist(), found.stop.tolist(), strict=True))


def slowly(glucose, step, threshold):
    """Read sample by sample, as the consensus tells it."""
    needed = max(1, int(np.ceil(15 / step)))
    found, start, last_low, lows, highs, missing = [], None, None, [], 0, 0
    for at, g in enumerate([*glucose, *[NAN] * 1000]):  # a long gap closes what is open at the end
        if np.isnan(g):
            missing += 1
            if missing * step > 45:
                if start is not None:
                    found.append((start, last_low + 1))
                start, lows, highs = None, [], 0
            continue
        missing = 0
        if g < threshold:
            lows, highs, last_low = [*lows, at], 0, at
            if start is None and len(lows) >= needed:
                start = lows[0]
        else:
            lows, highs = [], highs + 1
            if start is not None and highs >= needed:
                found.append((start, last_low + 1))
                start = None
    return found


def test_worked_case():
    found = hypo_events([100, 100, 68, 66, 69, 74, 75, 67, 80, 81, 82, 100], 5)
    assert spans(found) == [(2, 8)]
    assert (found.samples, found.minutes.tolist(), found.extended.tolist()) == (3, [30.0], [False])


@pytest.mark.parametrize(
    ("glucose", "expected"),
    [
        ([60, 60, 100, 60, 60], []),  # never three
        ([60, 60, 60], [(0, 3)]),
        ([60, 60, 60, 100, 100], [(0, 3)]),  # trailing highs do not count
        ([60, 60, 60, 100, 100, 60], [(0, 6)]),  # a low before the recovery is complete
        ([60, 60, 60, 100, 100, 100, 60], [(0, 3)]),
        ([70, 70, 70], []),  # strict
        ([60, 60, NAN, 60], [(0, 4)]),
        ([60, 60, 60, *[NAN] * 9, 60], [(0, 13)]),  # 45 min are bridged
        ([60, 60, 60, *[NAN] * 10, 60], [(0, 3)]),  # 50 min are not
        ([60, 60, *[NAN] * 10, 60], []),
        ([60, 60, 60, *[NAN] * 10, 60, 60, 60], [(0, 3), (13, 16)]),
        ([60, 60, 60, 100, 100, *[NAN] * 10, 100, 60], [(0, 3)]),
        ([NAN] * 5, []),
        ([], []),
    ],
)
def test_rules_one_by_one(glucose, expected):
    assert spans(hypo_events(glucose, 5)) == expected == slowly(glucose, 5, 70)


@pytest.mark.parametrize(("step", "samples"), [(1, 15), (3, 5), (5, 3), (7.5, 2), (10, 2), (15, 1), (30, 1), (60, 1)])
@pytest.mark.parametrize("level", [1, 2])
def test_random_series_against_reading_sample_by_sample(step, samples, level):
    rng = np.random.default_rng(int(step * 10) + level)
    found = 0
    for _ in range(25):
        steps = rng.normal(0, 4, 400)
        glucose = np.clip(66 + np.cumsum(steps) - 0.05 * np.cumsum(np.cumsum(steps)) / 20, 41, 200)
        glucose[rng.random(400) < 0.03] = NAN
        for at in rng.integers(0, 380, 5):
            glucose[at : at + rng.integers(1, 20)] = NAN
        events = hypo_events(glucose, step, level=level)
        assert spans(events) == slowly(glucose, step, 70 if level == 1 else 54)
        assert events.samples == samples
        found += len(events.start)
    assert found > 10


def test_levels_units_and_duration():
    glucose = np.array([100] * 3 + [65] * 4 + [100] * 3 + [60] * 24 + [100] * 3 + [60, 50, 50, 50, 60] + [100] * 3)
    assert spans(hypo_events(glucose, 5)) == [(3, 7), (10, 34), (37, 42)]
    assert spans(hypo_events(glucose, 5, level=2)) == [(38, 41)]
    assert spans(hypo_events(glucose, 5, exclusive=True)) == [(3, 7), (10, 34)]
    assert hypo_events(glucose, 5).extended.tolist() == [False, True, False]  # 120 min are enough
    assert hypo_events(glucose, 5, extended_minutes=121).extended.tolist() == [False, False, False]
    mmol = np.float32([3.9, 3.9, 3.9, 5, 5, 5, 3.8, 3.8, 3.8])
    assert spans(hypo_events(mmol, 5, "mmol/L")) == [(6, 9)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([[60]], 5), r"glucose has shape \[1, 1\]; give one series at a time"),
        (([60], 0), "step_minutes is 0; give a number above 0"),
        (([60], "5"), "step_minutes is '5'"),
        (([60], NAN), "step_minutes is nan"),
        (([60], 5, "mg/dL", 1, False, -1), "extended_minutes is -1; give a number of 0 or more"),
        (([60], 5, "mgdl"), "unit 'mgdl' is not known"),
        (([60], 5, "mg/dL", 3), "level 3 of hypoglycaemia is not known; known: 1"),
        (([60], 5, "mg/dL", True), "level True of hypoglycaemia is not known"),
        (([60], True), "step_minutes is True; give a number above 0"),
        (([60], 5, "mg/dL", 2, True), "exclusive leaves out level 2 and level 2 was asked for"),
        (([0], 5), "a glucose value of 0 mg/dL is no glucose"),
        ((["low"], 5), "glucose is no array of numbers"),
    ],
)
def test_mistakes_are_sentences(arguments, sentence):
    with pytest.raises(DataError, match=sentence):
        hypo_events(*arguments)
