"""Windows against a loop over timestamps that knows no segments, offsets or gathers."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from tsfm_core import TrainingWindows, Windows, fill_context
from tsfm_core.data.windows import WindowRule, forecast_windows
from tsfm_core.errors import DataError

STEP = timedelta(minutes=5)


@pytest.fixture
def table(readings):
    """Three items with short gaps, long gaps (some rows absent), covariates with holes, one item without a reading."""
    table = readings(("a", "b", "c", "d"), n=160, seed=3, missing=0.15)
    random = np.random.default_rng(4)
    table["steps"] = random.normal(size=len(table))
    table["hour"] = table.timestamp.dt.hour + 0.0
    table.loc[random.random(len(table)) < 0.1, "steps"] = np.nan
    table.loc[(table.item_id == "a") & table.timestamp.between("2024-01-01 05:00", "2024-01-01 05:55"), "glucose"] = (
        np.nan
    )
    table.loc[table.item_id == "d", "glucose"] = np.nan
    table.loc[(table.item_id == "c") & (table.timestamp == "2024-01-01 10:00"), "hour"] = np.nan
    return table[~((table.item_id == "b") & table.timestamp.between("2024-01-01 03:00", "2024-01-01 04:10"))]


@pytest.fixture
def task(make_task):
    return make_task(past_covariates=("steps",), known_covariates=("hour",))


def by_hand(table, task, rule):
    """Return {(item, cutoff): (target, past, known, truth)} by looking at every stamp of every item on its own."""
    found = {}
    for item, rows in table.groupby("item_id"):
        stamps = [stamp.to_pydatetime() for stamp in rows.timestamp]
        columns = {name: dict(zip(stamps, rows[name], strict=True)) for name in task.channels}
        seen = [stamp for stamp in stamps if np.isfinite(columns["glucose"][stamp])]

        def look(name, asked, columns=columns):
            return [columns[name].get(stamp, np.nan) for stamp in asked]

        for cutoff in (stamps[0] + STEP * at for at in range(int((stamps[-1] - stamps[0]) / STEP) + 1)):
            before = [stamp for stamp in seen if stamp <= cutoff]
            beyond = [stamp for stamp in seen if stamp >= cutoff + STEP * task.prediction_length]
            if not before or not beyond:
                continue
            first = before[-1]  # walk back until a gap is too long
            for earlier in before[-2::-1]:
                if (first - earlier).total_seconds() > rule.max_gap:
                    break
                first = earlier
            around = [stamp for stamp in seen if before[-1] <= stamp <= beyond[0]]
            gaps = [(late - early).total_seconds() for early, late in pairwise(around)]
            context = [cutoff - STEP * back for back in range(task.context_length - 1, -1, -1)]
            future = [cutoff + STEP * step for step in range(1, task.prediction_length + 1)]
            shown = [stamp if stamp >= first else None for stamp in context]
            truth = look("glucose", future)
            if (
                max(gaps, default=0) <= rule.max_gap
                and (cutoff - first) / STEP + 1 >= rule.min_context
                and np.isfinite(truth).sum() >= rule.min_observed * task.prediction_length
                and np.isfinite(look("glucose", shown)).any()
                and np.isfinite(look("hour", [stamp for stamp in (*shown, *future) if stamp])).all()
            ):
                known = look("hour", (*shown, *future))
                found[item, cutoff] = (look("glucose", shown), look("steps", shown), known, truth)
    return found


def cut(panel, task, rule, allowed=None):
    everywhere = np.ones(len(panel), bool) if allowed is None else allowed
    return rule.cut(panel, task, lambda part: everywhere, panel.offsets[:-1], panel.offsets[1:])


@pytest.mark.parametrize(
    "rule",
    [
        WindowRule(max_gap=2700, min_observed=0.8, min_context=12),
        WindowRule(max_gap=600, min_observed=0.5, min_context=3),
        WindowRule(max_gap=2700, min_observed=1, min_context=1),
        WindowRule(max_gap=86_400, min_observed=0.1, min_context=1),
    ],
    ids=str,
)
def test_windows_are_those_that_a_loop_finds(table, task, panel_of, rule):
    expected = by_hand(table, task, rule)
    windows, _ = cut(panel_of(table, task), task, rule)
    found = list(zip(windows.item_id, pd.to_datetime(windows.cutoff), strict=True))
    assert found == sorted(expected)
    inputs, truth = windows.inputs(slice(None)), windows.truth(slice(None))
    for at, key in enumerate(found):
        target, past, known, after = (np.asarray(part, np.float32) for part in expected[key])
        np.testing.assert_array_equal(inputs.target[at], target)
        np.testing.assert_array_equal(inputs.past_covariates[at, :, 0], past)
        np.testing.assert_array_equal(inputs.known_covariates[at, :, 0], known)
        np.testing.assert_array_equal(truth[at], after)
    assert len(found) > 20


def test_every_candidate_is_a_window_or_counted(table, task, panel_of):
    panel = panel_of(table, task)
    windows, dropped = cut(panel, task, WindowRule(2700, 0.8, 12))
    candidates = sum(max(length - task.prediction_length, 0) for length in np.diff(panel.offsets))
    assert len(windows) + sum(dropped.values()) == candidates
    assert set(dropped) == {
        "a gap longer than max_gap",
        "context shorter than min_context",
        "truth below min_observed",
        "known covariate hour missing",
    }


def test_a_context_that_is_shorter_than_a_gap_may_hold_no_reading(readings, make_task, panel_of):
    table = readings(("a",), n=40)
    table.loc[10:17, "glucose"] = np.nan  # 45 min from reading to reading
    windows, dropped = cut(panel_of(table, short := make_task(context_length=3)), short, WindowRule(2700, 0.5, 1))
    assert dropped["no reading in the context"] == 6
    assert np.isfinite(windows.inputs(slice(None)).target).any(axis=1).all()


def test_nothing_after_the_cutoff_reaches_the_inputs(table, task, panel_of):
    windows, _ = cut(panel_of(table, task), task, WindowRule(2700, 0.8, 12))
    for at in np.linspace(0, len(windows) - 1, 12).astype(int):
        item, cutoff = windows.item_id[at], pd.Timestamp(windows.cutoff[at])
        later = table.copy()
        after = (later.item_id == item) & (later.timestamp > cutoff)
        later.loc[after, ["glucose", "steps"]] += 1000.0
        changed, _ = cut(panel_of(later, task), task, WindowRule(2700, 0.8, 12))
        np.testing.assert_array_equal(changed.inputs([at]).target, windows.inputs([at]).target)
        np.testing.assert_array_equal(changed.inputs([at]).past_covariates, windows.inputs([at]).past_covariates)
        assert (np.nan_to_num(changed.truth([at]), nan=0) != np.nan_to_num(windows.truth([at]), nan=0)).any()


def test_chunks_and_rows_give_what_the_whole_gives(table, task, panel_of):
    windows, _ = cut(panel_of(table, task), task, WindowRule(2700, 0.5, 1))
    whole, truth = windows.inputs(slice(None)), windows.truth(slice(None))
    for size in (1, 7, len(windows)):
        parts = [(chunk.inputs(slice(None)), chunk.truth(slice(None))) for chunk in windows.chunks(size)]
        np.testing.assert_array_equal(np.concatenate([part.target for part, _ in parts]), whole.target)
        np.testing.assert_array_equal(
            np.concatenate([part.known_covariates for part, _ in parts]), whole.known_covariates
        )
        np.testing.assert_array_equal(np.concatenate([after for _, after in parts]), truth)
    rows = np.random.default_rng(0).permutation(len(windows))
    np.testing.assert_array_equal(windows.take(rows).inputs(slice(3, 9)).target, whole.target[rows[3:9]])


def test_truth_is_out_of_reach_of_predict(table, task, panel_of):
    windows, _ = cut(panel_of(table, task), task, WindowRule(2700, 0.8, 12))
    given = windows.inputs_only()
    assert type(given) is Windows
    assert not hasattr(given, "truth")
    assert isinstance(windows.take(slice(0, 2)), TrainingWindows)


def test_forecast_windows_stand_at_each_items_last_reading(readings, make_task, panel_of):
    task = make_task()
    table = readings(("a", "b", "c", "d"), n=30)
    table.loc[(table.item_id == "a") & (table.timestamp >= "2024-01-01 02:00"), "glucose"] = np.nan
    table.loc[(table.item_id == "b") & table.timestamp.between("2024-01-01 01:00", "2024-01-01 01:50"), "glucose"] = (
        np.nan
    )
    table.loc[table.item_id == "d", "glucose"] = np.nan
    windows, dropped = forecast_windows(panel_of(table), task, WindowRule(2700, 0.8, 12))
    assert dict(zip(windows.item_id, pd.to_datetime(windows.cutoff), strict=True)) == {
        "a": pd.Timestamp("2024-01-01 01:55"),
        "c": pd.Timestamp("2024-01-01 02:25"),
    }
    assert dropped == {"b": "7 steps since its last longer gap; 12 are needed", "d": "no reading"}
    expected = table[table.item_id == "a"].glucose.to_numpy(np.float32)[12:24]
    np.testing.assert_array_equal(windows.inputs([0]).target[0], expected)


def test_known_covariates_of_a_forecast_must_be_given(readings, make_task, panel_of):
    task = make_task(known_covariates=("hour",))
    given = readings(("a", "b"), n=30).assign(hour=1.0)
    ahead = given.timestamp > "2024-01-01 01:55"
    for item in ("a", "b"):  # the rows after a's are b's: they are not its future
        table = given.assign(glucose=given.glucose.mask(ahead & (given.item_id != item)))
        with pytest.raises(DataError, match=f"'hour' of item '{item}' is given for 0 of the 6 steps after its last"):
            forecast_windows(panel_of(table, task), task, WindowRule(2700, 0.8, 12))
    table = given.assign(glucose=given.glucose.mask(ahead), hour=np.arange(60.0))
    windows, _ = forecast_windows(panel_of(table, task), task, WindowRule(2700, 0.8, 12))
    known = windows.inputs(slice(None)).known_covariates
    np.testing.assert_array_equal(known[:, :, 0], [np.arange(12, 30), np.arange(42, 60)])


def test_contexts_are_filled_forward_only():
    nan = np.nan
    given = np.array([[nan, 2, nan, nan, 5], [1, nan, 3, 4, nan], [nan] * 5, [1, 2, 3, 4, 5]], np.float32)
    filled, observed = fill_context(given.copy())
    np.testing.assert_array_equal(filled, [[2, 2, 2, 2, 5], [1, 1, 3, 4, 4], [0] * 5, [1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(observed, np.isfinite(given))
    whole = given[3:]
    assert fill_context(whole)[0] is whole
