"""Splits against stamps compared one by one; no truth of one set lies in another."""

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from tsfm_core.data.leakage import assert_no_leakage
from tsfm_core.data.split import make_split
from tsfm_core.data.windows import WindowRule
from tsfm_core.errors import DataError

RULE = WindowRule(max_gap=2700, min_observed=0.5, min_context=1)


@pytest.fixture
def table(readings):
    lengths = {"a": 97, "b": 120, "c": 60, "d": 7}
    parts = [readings((item,), n=n, start=f"2024-01-0{at}", seed=at) for at, (item, n) in enumerate(lengths.items(), 1)]
    return pd.concat(parts, ignore_index=True)


def stamps_of(panel, span):
    """Return the (item, stamp) pairs that a span holds."""
    rows = [np.arange(first, stop) for first, stop in zip(span.first, span.stop, strict=True)]
    at = np.concatenate(rows)
    items = np.asarray(panel.item_ids, object)[panel.items_of(at)]
    return set(zip(items, pd.to_datetime(panel.stamps(at)), strict=True))


def truths_of(windows):
    """Return the (item, stamp) pairs of all truths."""
    step = pd.Timedelta(seconds=windows.task.step_seconds)
    return {
        (item, cutoff + step * ahead)
        for item, cutoff in zip(windows.item_id, pd.to_datetime(windows.cutoff), strict=True)
        for ahead in range(1, windows.task.prediction_length + 1)
    }


def test_spans_hold_every_stamp_once(table, panel_of):
    panel = panel_of(table)
    split = make_split(panel, 0.2, ("c",), 0.1, seed=0)
    sets = {name: stamps_of(panel, span) for name, span in split.spans.items()}
    assert list(sets) == ["train", "validation", "temporal_holdout", "patient_holdout"]
    everything = set(zip(table.item_id, table.timestamp, strict=True))
    assert set.union(*sets.values()) == everything
    assert sum(map(len, sets.values())) == len(everything)
    assert sets["patient_holdout"] == {pair for pair in everything if pair[0] == "c"}
    for item, rows in table[table.item_id != "c"].groupby("item_id"):
        order = [{stamp for one, stamp in sets[name] if one == item} for name in list(sets)[:3]]
        held = len(order[2])
        assert held == len(rows) - int(len(rows) * 0.8 + 1e-9)  # the last fifth, rounded up
        assert len(order[1]) == int((len(rows) - held) * 0.1)
        for before, after in pairwise(order):
            assert not before or not after or max(before) < min(after)


@pytest.mark.parametrize("moment", [datetime(2024, 1, 2, 3), datetime(2024, 1, 2, 3, 1), datetime(2024, 1, 1)])
def test_a_moment_holds_out_what_is_not_before_it(table, panel_of, moment):
    panel = panel_of(table)
    split = make_split(panel, moment, None, 0.0, seed=0)
    everything = set(zip(table.item_id, table.timestamp, strict=True))
    held = {pair for pair in everything if pair[1] >= moment}
    assert stamps_of(panel, split.spans["temporal_holdout"]) == held
    train = split.spans.get("train")
    assert (stamps_of(panel, train) if train else set()) == everything - held
    assert "validation" not in split.spans


def test_moments_by_item_hold_out_what_is_not_before_them(table, panel_of):
    panel = panel_of(table)
    held = {"a": datetime(2024, 1, 1, 8), "b": datetime(2024, 1, 2), "c": datetime(2024, 1, 3, 0, 1)}
    checked = {"a": datetime(2024, 1, 1, 7, 30), "d": datetime(2024, 1, 4, 0, 10)}
    split = make_split(panel, held, ("b",), checked, seed=0)
    sets = {name: stamps_of(panel, span) for name, span in split.spans.items()}
    everything = set(zip(table.item_id, table.timestamp, strict=True))
    for name, moments in (("temporal_holdout", held), ("validation", checked)):
        later = {(item, at) for item, at in everything - sets["patient_holdout"] if item in moments}
        later = {(item, at) for item, at in later if at >= moments[item]}
        assert sets[name] == later - (sets["temporal_holdout"] if name == "validation" else set())
    assert [len(sets[name]) for name in sets] == [90 + 1 + 2, 6 + 5, 1 + 59, 120]
    assert set.union(*sets.values()) == everything
    assert split.notes == ()


def test_one_moment_begins_the_validation_of_all(table, panel_of):
    panel = panel_of(table)
    split = make_split(panel, datetime(2024, 1, 2, 6), ("c",), datetime(2024, 1, 2, 5), seed=0)
    assert stamps_of(panel, split.spans["validation"]) == {
        ("b", stamp) for stamp in pd.date_range("2024-01-02 05:00", "2024-01-02 05:55", freq="5min")
    }


@pytest.mark.parametrize(("second", "held"), [(0, 37), (0.5, 36), (1, 36), (299, 36), (299.999999, 36)])
def test_a_moment_between_two_rows_begins_with_the_later_one(readings, panel_of, second, held):
    panel = panel_of(readings(("a",), n=100))
    moment = datetime(2024, 1, 1, 5, 15) + timedelta(seconds=second)
    span = make_split(panel, {"a": moment}, None, 0.0, seed=0).spans["temporal_holdout"]
    assert span.stop[0] - span.first[0] == held


def test_a_moment_that_leaves_no_row_is_noted(table, panel_of):
    moments = {"a": datetime(2025, 1, 1), "b": datetime(2024, 1, 2, 3), "c": datetime(2025, 1, 1)}
    split = make_split(panel_of(table), moments, ("c",), {"b": datetime(2024, 1, 2, 3)}, seed=0)
    assert split.notes == (
        "no temporal_holdout, the moment given leaves no row: a",
        "no validation, the moment given leaves no row: b",
    )


def test_a_share_of_items_is_drawn_with_the_seed(readings, panel_of):
    panel = panel_of(readings([f"p{at:02}" for at in range(20)], n=10))
    drawn = {seed: make_split(panel, None, 0.15, 0.0, seed).held_out for seed in range(30)}
    assert all(len(held) == len(set(held)) == 3 and set(held) <= set(panel.item_ids) for held in drawn.values())
    assert drawn[7] == make_split(panel, None, 0.15, 0.0, 7).held_out
    assert set().union(*drawn.values()) == set(panel.item_ids)
    assert len(make_split(panel, None, 0.001, 0.0, 0).held_out) == 1


def test_items_that_are_not_there_cannot_be_held_out(table, panel_of):
    with pytest.raises(
        DataError, match=r"split.patient_holdout names bb, which the data does not hold; did you mean 'b'"
    ):
        make_split(panel_of(table), None, ("a", "bb"), 0.0, seed=0)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            {"temporal": {"bb": datetime(2024, 1, 1)}},
            "split.temporal_holdout names bb, which the data does not hold; did",
        ),
        ({"validation": {"zz": datetime(2024, 1, 1)}}, "split.validation names zz, .* hold; the data holds a, b, c, d"),
    ],
)
def test_items_that_are_not_there_have_no_moment(table, panel_of, rule, said):
    with pytest.raises(DataError, match=said):
        make_split(panel_of(table), rule.get("temporal"), None, rule.get("validation", 0.0), seed=0)


def everywhere(part):
    return np.ones(len(part), bool)


def sets_of(panel, task, split):
    return {name: RULE.cut(panel, task, everywhere, span.first, span.stop)[0] for name, span in split.spans.items()}


def test_truths_of_the_sets_are_disjoint_and_no_test_truth_is_ever_learnt_from(table, panel_of, make_task):
    panel, task = panel_of(table), make_task()
    sets = sets_of(panel, task, make_split(panel, 0.3, ("c",), 0.2, seed=0))
    truths = {name: truths_of(windows) for name, windows in sets.items()}
    assert all(truths.values())
    assert sum(map(len, truths.values())) == len(set.union(*truths.values()))
    for name in ("temporal_holdout", "patient_holdout"):
        for learnt in ("train", "validation"):
            shown = {
                (item, cutoff - pd.Timedelta("5min") * back)
                for item, cutoff in zip(sets[learnt].item_id, pd.to_datetime(sets[learnt].cutoff), strict=True)
                for back in range(task.context_length)
            }
            assert not truths[name] & (shown | truths[learnt])
    assert_no_leakage([sets["train"], sets["validation"]], {name: sets[name] for name in list(sets)[2:]})


@pytest.mark.parametrize("shift", [0, 1, 5, 17, 18, 40])
def test_a_test_truth_inside_a_training_window_is_found(readings, panel_of, make_task, shift):
    panel, task = panel_of(readings(("a",), n=80)), make_task()
    windows, _ = RULE.cut(panel, task, everywhere, panel.offsets[:-1], panel.offsets[1:])
    learnt = windows.take(windows.cutoffs_at == 30)  # contexts from 19, truths to 36
    tested = windows.take(windows.cutoffs_at == 12 + shift)
    overlap = truths_of(tested) & {("a", stamp) for stamp in pd.to_datetime(panel.stamps(np.arange(19, 37)))}
    if overlap:
        with pytest.raises(AssertionError, match=r"a truth of here \(item 'a'\) lies inside a training window"):
            assert_no_leakage([learnt], {"here": tested})
    else:
        assert_no_leakage([learnt], {"here": tested})


def test_the_digest_names_the_split(table, panel_of):
    panel = panel_of(table)
    of = lambda *rule: make_split(panel, *rule, seed=0).digest  # noqa: E731
    base = of(0.2, ("c",), 0.1)
    assert base == of(0.2, ("c",), 0.1)
    assert len({base, of(0.3, ("c",), 0.1), of(0.2, ("b",), 0.1), of(0.2, None, 0.1), of(0.2, ("c",), 0.0)}) == 5
    one = panel_of(table[table.item_id == "a"])  # the same rows, held out for another reason
    assert make_split(one, None, ("a",), 0.0, 0).digest != make_split(one, datetime(2023, 1, 1), None, 0.0, 0).digest
    later = panel_of(table.assign(timestamp=table.timestamp + pd.Timedelta("5min")))
    assert make_split(later, 0.2, ("c",), 0.1, seed=0).digest != base
