"""The scoring engine, with metrics made here, against sums over the whole table at once."""

import numpy as np
import pytest

from tsfm_core import Metric, conversion_factor
from tsfm_core.data.store import StoredChunk
from tsfm_core.errors import DataError
from tsfm_core.metrics import score

H = 6


def _pairs(block):
    seen = np.isfinite(block.truth)
    errors = np.where(seen, np.abs(block.truth - block.point("median")), 0.0)
    return {"sum": errors, "count": seen.astype(float)}


def _mean(sums):
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"mae": sums["sum"] / sums["count"]}


MAE = Metric("mae", "mean absolute error", "target", "lower", "median", _pairs, _mean)
#: of one number a window: the squared error of the window's mean truth
WHOLE = Metric(
    "whole",
    "squared error of the means",
    "target^2",
    "lower",
    "mean",
    lambda block: {
        "square": (np.nanmean(block.truth, axis=1) - block.point("mean").mean(axis=1)) ** 2,
        "n": np.ones(len(block.truth)),
    },
    lambda sums: {"whole": sums["square"] / sums["n"]},
)
#: not additive: the median of all errors
MEDIAN = Metric(
    "median_error",
    "median absolute error",
    "target",
    "lower",
    "median",
    lambda block: {"error": np.abs(block.truth - block.point("median"))},
    lambda columns: {"median_error": np.nanmedian(columns["error"])},
    additive=False,
)
#: one number a window, not additive
RANGE = Metric(
    "range",
    "largest mean",
    "target",
    "none",
    "mean",
    lambda block: {"m": block.point("mean").mean(axis=1)},
    lambda columns: {"range": columns["m"].max()},
    additive=False,
)
SPREAD = Metric(
    "spread",
    "mean width",
    "target",
    "lower",
    "quantiles",
    lambda block: {"width": block.quantiles[:, -1] - block.quantiles[:, 0], "n": np.ones_like(block.truth)},
    lambda sums: {"spread": sums["width"] / sums["n"]},
    needs=("quantiles",),
)
GLUCOSE = Metric("low", "defined for glucose", "%", "none", "mean", _pairs, _mean, needs=("glucose",))


@pytest.fixture
def task(make_task):
    return make_task(quantile_levels=(0.1, 0.5, 0.9))


@pytest.fixture
def table():
    """Return the columns of 40 windows of three items in two sets; the quantiles of window 5 cross."""
    random = np.random.default_rng(0)
    truth, mean = random.uniform(60, 200, (2, 40, H)).astype(np.float32)
    truth[random.random((40, H)) < 0.2] = np.nan
    truth[:, 0] = 100.0
    quantiles = np.sort(random.uniform(60, 200, (40, 3, H)).astype(np.float32), axis=1)
    quantiles[5] = quantiles[5, ::-1]
    quantiles[20, 0] = quantiles[20, 1]  # equal is not crossed
    names = np.where(np.arange(40) < 15, "validation", "temporal_holdout")
    return {"set": names, "item_id": random.choice(["a", "b", "c"], 40).astype(object), "truth": truth} | {
        "mean": mean,
        "quantiles": quantiles,
        "scale": random.uniform(1, 5, 40),
    }


def chunks_of(table, size=40, drop=()):
    for start in range(0, 40, size):
        for name in ("validation", "temporal_holdout"):
            rows = np.flatnonzero(table["set"] == name)
            rows = rows[(rows >= start) & (rows < start + size)]
            if len(rows):
                given = {
                    key: None if key in drop else table[key][rows] for key in ("item_id", "truth", "mean", "quantiles")
                }
                given["cutoff"] = np.datetime64("2024-01-01T23:00:00") + rows * np.timedelta64(3600, "s")
                given |= {"context": np.ones((len(rows), 3), np.float32), "minute": np.full(len(rows), -1, np.int16)}
                yield StoredChunk(
                    name, scale={1: table["scale"][rows]}, scale_squared={1: table["scale"][rows] ** 2}, **given
                )


def test_scores_are_those_of_the_whole_table(table, task):
    scores = score(chunks_of(table, 7), task, [MAE, WHOLE, MEDIAN, RANGE, SPREAD])
    quantiles = np.sort(table["quantiles"].astype(float), axis=1)
    errors = np.abs(table["truth"] - quantiles[:, 1])
    whole = (np.nanmean(table["truth"].astype(float), axis=1) - table["mean"].astype(float).mean(axis=1)) ** 2
    assert set(scores.sets) == {"validation", "temporal_holdout"}
    for name, found in scores.sets.items():
        rows = table["set"] == name
        assert found["windows"] == rows.sum()
        assert found["overall"] == pytest.approx(
            {
                "mae": np.nanmean(errors[rows]),
                "whole": whole[rows].mean(),
                "median_error": np.nanmedian(errors[rows]),
                "range": table["mean"][rows].astype(float).mean(axis=1).max(),
                "spread": (quantiles[rows, 2] - quantiles[rows, 0]).mean(),
            }
        )
        assert set(found["by_step"]) == {"mae", "median_error", "spread"}
        assert found["by_step"]["mae"] == pytest.approx(np.nanmean(errors[rows], axis=0))
        assert found["by_step"]["median_error"] == pytest.approx(np.nanmedian(errors[rows], axis=0))
    assert scores.sets["validation"]["windows_with_crossed_quantiles"] == 1
    assert "windows_with_crossed_quantiles" not in scores.sets["temporal_holdout"]
    for row in scores.items:
        rows = (table["set"] == row["set"]) & (table["item_id"] == row["item_id"])
        assert row["windows"] == rows.sum()
        assert row["mae"] == pytest.approx(np.nanmean(errors[rows]))
        assert row["whole"] == pytest.approx(whole[rows].mean())
        assert row["median_error"] == pytest.approx(np.nanmedian(errors[rows]))
    assert [(row["set"], row["item_id"]) for row in scores.items] == sorted(
        {(name, item) for name, item in zip(table["set"], table["item_id"], strict=True)},
        key=lambda pair: (pair[0] != "validation", pair[1]),
    )


@pytest.mark.parametrize("size", [1, 7])
def test_scores_do_not_depend_on_the_chunks(table, task, size):
    metrics = [MAE, WHOLE, MEDIAN, SPREAD]
    whole, parts = (score(chunks_of(table, one), task, metrics) for one in (40, size))
    for name, found in whole.sets.items():
        assert parts.sets[name]["overall"] == pytest.approx(found["overall"])
        for metric, row in found["by_step"].items():
            assert parts.sets[name]["by_step"][metric] == pytest.approx(row)
    for one, other in zip(whole.items, parts.items, strict=True):
        assert other == pytest.approx(one)


def test_a_missing_truth_counts_as_little_as_a_window_that_is_not_there(table, task):
    masked = table | {"truth": table["truth"].copy()}
    masked["truth"][::3] = np.nan
    kept = np.arange(40) % 3 != 0
    dropped = [
        StoredChunk(
            chunk.set,
            *(getattr(chunk, name)[keep] for name in ("item_id", "cutoff", "truth", "mean", "quantiles")),
            *({}, {}, chunk.context[keep], chunk.minute[keep]),
        )
        for chunk in chunks_of(table)
        for keep in [kept[np.flatnonzero(table["set"] == chunk.set)]]
    ]
    for metric in (MAE, MEDIAN):
        one, other = score(chunks_of(masked), task, [metric]), score(dropped, task, [metric])
        for name in one.sets:
            assert one.sets[name]["overall"] == pytest.approx(other.sets[name]["overall"])
            assert one.sets[name]["by_step"][next(iter(one.sets[name]["overall"]))] == pytest.approx(
                next(iter(other.sets[name]["by_step"].values()))
            )


def test_no_pair_is_no_number(table, task):
    table["truth"][:, 3] = np.nan
    scores = score(chunks_of(table), task, [MAE])
    assert np.isnan(scores.sets["validation"]["by_step"]["mae"][3])
    assert np.isfinite(scores.sets["validation"]["overall"]["mae"])


def test_another_unit_scales_what_has_the_targets_unit(table, task):
    factor = conversion_factor("mg/dL", "mmol/L")
    metrics = [MAE, WHOLE, MEDIAN, SPREAD]
    here, there = score(chunks_of(table), task, metrics), score(chunks_of(table), task, metrics, "mmol/L")
    for name, found in here.sets.items():
        expected = {key: value * (factor**2 if key == "whole" else factor) for key, value in found["overall"].items()}
        assert there.sets[name]["overall"] == pytest.approx(expected)
    with pytest.raises(DataError, match="'mg/dL' cannot be converted to 'custom:x'"):
        score(chunks_of(table), task, metrics, "custom:x")


def test_the_scales_follow_the_unit(table, task):
    seen = []
    spy = Metric("spy", "", "1", "none", "mean", lambda block: seen.append(block) or _pairs(block), _mean)
    score(chunks_of(table), task, [spy], "mmol/L")
    factor = conversion_factor("mg/dL", "mmol/L")
    rows = table["set"] == "validation"
    np.testing.assert_allclose(seen[0].scale[1], table["scale"][rows] * factor)
    np.testing.assert_allclose(seen[0].scale_squared[1], table["scale"][rows] ** 2 * factor**2)
    assert seen[0].unit == "mmol/L"


@pytest.mark.parametrize(
    ("drop", "judged"),
    [
        ((), {"mae": "0.5", "whole": "mean", "spread": "quantiles"}),
        (("quantiles",), {"mae": "mean", "whole": "mean"}),
        (("mean",), {"mae": "0.5", "whole": "0.5", "spread": "quantiles"}),
    ],
)
def test_which_point_a_metric_judged_is_said(table, task, drop, judged):
    scores = score(chunks_of(table, drop=drop), task, [MAE, WHOLE, SPREAD])
    assert scores.points == judged
    assert scores.missing == ({"spread": "the forecasts have no quantiles"} if "quantiles" in drop else {})
    assert set(scores.sets["validation"]["overall"]) == set(judged)


def test_a_metric_that_the_forecasts_cannot_give_is_named_with_the_reason(table, make_task):
    no_median = make_task(quantile_levels=(0.1, 0.2, 0.9), unit="custom:MW")
    scores = score(chunks_of(table, drop=("mean",)), no_median, [MAE, SPREAD])
    assert scores.missing == {"mae": "the forecasts have neither a mean nor the 0.5 quantile"}
    assert set(scores.sets["validation"]["overall"]) == {"spread"}
    assert score(chunks_of(table), no_median, [GLUCOSE]).missing == {
        "low": "it is defined for glucose, not for custom:MW"
    }


def test_without_a_metric_windows_are_counted(table, task):
    scores = score(chunks_of(table), task, [])
    assert {name: found["windows"] for name, found in scores.sets.items()} == {"validation": 15, "temporal_holdout": 25}
    assert sum(row["windows"] for row in scores.items) == 40
