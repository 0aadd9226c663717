"""From a configuration to windows: strides stand on the clock, sets keep apart, what is left out is counted."""

import numpy as np
import pandas as pd
import pytest

from tsfm_core.config.resolve import read_config
from tsfm_core.prepare import prepare

TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}


@pytest.fixture
def prepared(tmp_path):
    """Return ``prepared(table, *settings)``: what ``train`` and ``backtest`` work with."""

    def of(table, *settings):
        table.to_csv(tmp_path / "data.csv", index=False)
        config = {
            "task": TASK,
            "data": {"source": "csv", "path": str(tmp_path / "data.csv")},
            "split": {"temporal_holdout": 0.3, "validation": 0.2},
            "evaluation": {"metrics": []},
        }
        resolved = read_config(config, settings)
        return prepare(resolved.config, resolved.config.task, "backtest")

    return of


def cutoffs(windows):
    return list(zip(windows.item_id, pd.to_datetime(windows.cutoff), strict=True))


@pytest.mark.parametrize("stride", [1, 3, 12])
def test_cutoffs_stand_at_every_nth_slot_of_the_clock(prepared, readings, stride):
    table = readings(n=200, start="2024-01-01 00:35")
    every = prepared(table)
    some = prepared(table, f"data.stride={stride}", f"evaluation.stride={stride}")
    on_the_clock = lambda pair: pair[1].value // 10**9 % (stride * 300) == 0  # noqa: E731
    assert cutoffs(some.train) == list(filter(on_the_clock, cutoffs(every.train)))
    assert set(some.sets) == {"validation", "temporal_holdout"}
    for name, windows in some.sets.items():
        assert cutoffs(windows) == list(filter(on_the_clock, cutoffs(every.sets[name])))
        assert len(windows)


def test_the_two_strides_are_two(prepared, readings):
    table = readings(n=200)
    every, trained, tested = (prepared(table, *one) for one in ((), ["data.stride=4"], ["evaluation.stride=4"]))
    assert len(trained.train) < len(every.train) == len(tested.train)
    for name, windows in every.sets.items():
        assert len(tested.sets[name]) < len(windows) == len(trained.sets[name])


def test_other_rows_before_do_not_move_the_test_windows(prepared, readings):
    table = readings(("a",), n=300)
    moment = "split.temporal_holdout=2024-01-01T18:00"
    whole = prepared(table, moment, "evaluation.stride=5").sets["temporal_holdout"]
    later = prepared(table.iloc[77:], moment, "evaluation.stride=5").sets["temporal_holdout"]
    assert cutoffs(whole) == cutoffs(later)
    np.testing.assert_array_equal(whole.truth(slice(None)), later.truth(slice(None)))


def test_a_context_reaches_back_over_the_split_and_a_truth_never_does(prepared, readings):
    made = prepared(readings(("a",), n=200))
    first = made.sets["temporal_holdout"].take([0])
    held_from = made.panel.starts[0] + np.timedelta64(140 * 5, "m")
    assert first.cutoff[0] == held_from - np.timedelta64(5, "m")
    assert np.isfinite(first.inputs(slice(None)).target).all()
    last = made.sets["validation"].take([-1])
    assert last.cutoff[0] + np.timedelta64(30, "m") == held_from - np.timedelta64(5, "m")


def test_what_is_left_out_is_counted_by_set(prepared, readings):
    table = readings(("a",), n=200)
    table.loc[150:165, "glucose"] = np.nan
    dropped = prepared(table).dropped["temporal_holdout"]
    # cutoffs at 144 to 165 cannot reach a reading on the other side; 166 to 176 have too short a past
    assert dropped == {"a gap longer than max_gap": 22, "context shorter than min_context": 11}


def test_items_without_a_window_leave_the_others_alone(prepared, readings):
    table = readings(("a", "b"), n=200)
    short = pd.concat([table, readings(("c",), n=10)])
    alone, beside = prepared(table), prepared(short)
    for name in alone.sets:
        assert cutoffs(alone.sets[name]) == cutoffs(beside.sets[name])
    assert "c" in beside.panel.item_ids


def test_held_out_items_are_nowhere_else(prepared, readings):
    made = prepared(readings([f"p{at}" for at in range(10)], n=100), "split.patient_holdout=0.3", "seed=5")
    held = set(made.split.held_out)
    assert len(held) == 3
    assert set(made.sets["patient_holdout"].item_id) == held
    for windows in (made.train, made.validation, made.sets["temporal_holdout"]):
        assert held.isdisjoint(windows.item_id)
        assert len(set(windows.item_id)) == 7
