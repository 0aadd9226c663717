"""Forecasts where they enter, as a table, and in the file that everything later is scored from."""

import numpy as np
import pandas as pd
import pytest

from tsfm_core import Forecasts
from tsfm_core.data.forecasts import check_forecasts
from tsfm_core.data.store import TAIL, ForecastFile, ForecastWriter
from tsfm_core.data.windows import WindowRule
from tsfm_core.errors import ForecastError, RunError

LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture
def task(make_task):
    return make_task(quantile_levels=LEVELS)


@pytest.fixture
def cut(readings, panel_of, task):
    """Return ``cut(table=..., **changes of the task)``: the windows of a table."""

    def windows(table=None, **changes):
        changed = task.model_copy(update=changes)
        panel = panel_of(readings(n=60, missing=0.1) if table is None else table, changed)
        rule = WindowRule(2700, 0.5, 3)
        return rule.cut(panel, changed, lambda part: np.ones(len(part), bool), panel.offsets[:-1], panel.offsets[1:])[0]

    return windows


def forecasts_of(windows, seed=0):
    random = np.random.default_rng(seed)
    mean = random.normal(120, 30, (len(windows), 6)).astype(np.float32)
    return Forecasts.of(windows, mean, mean[:, None, :] + np.float32([-10, 0, 10])[:, None])


def test_the_table_has_a_row_for_each_step(cut, task):
    windows = cut().take(slice(0, 3))
    given = forecasts_of(windows)
    frame = given.to_frame(task)
    assert list(frame) == ["item_id", "cutoff", "timestamp", "step", "mean", "0.1", "0.5", "0.9"]
    assert len(frame) == 3 * 6
    for row in frame.itertuples(index=False):
        at = list(windows.cutoff).index(np.datetime64(row.cutoff))
        assert row.item_id == windows.item_id[at]
        assert row.timestamp == row.cutoff + row.step * pd.Timedelta("5min")
        assert row.mean == given.mean[at, row.step - 1]
        assert list(row[5:]) == given.quantiles[at, :, row.step - 1].tolist()
    assert list(Forecasts.of(windows, quantiles=given.quantiles).to_frame(task))[4:] == ["0.1", "0.5", "0.9"]


def test_what_fits_passes(cut, task):
    windows = cut()
    given = forecasts_of(windows)
    check_forecasts(given, windows, task, "m")
    check_forecasts(Forecasts.of(windows, quantiles=given.quantiles), windows, task, "m")
    point = task.model_copy(update={"quantile_levels": ()})
    check_forecasts(Forecasts.of(windows, mean=given.mean), windows, point, "m")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w, f: f.mean, "m returned ndarray from predict; expected Forecasts"),
        (lambda w, f: Forecasts.of(w.take(slice(0, 5)), f.mean[:5]), "m returned 5 forecasts for 50 windows"),
        (lambda w, f: Forecasts.of(w), "m returned neither mean nor quantiles"),
        (lambda w, f: Forecasts.of(w, f.mean), "m returned no quantiles; the task asks for 3 levels"),
        (
            lambda w, f: Forecasts.of(w, f.mean[:, :5], f.quantiles),
            r"mean of shape \[50, 5\] for item 'a' .*; expected \[50, 6\]",
        ),
        (lambda w, f: Forecasts.of(w, f.mean[:9], f.quantiles), r"mean of shape \[9, 6\]"),
        (
            lambda w, f: Forecasts.of(w, f.mean, f.quantiles[:, :2]),
            r"quantiles of shape \[50, 2, 6\] .*expected \[50, 3, 6\]",
        ),
        (lambda w, f: Forecasts.of(w, f.mean, f.quantiles.transpose(0, 2, 1)), r"quantiles of shape \[50, 6, 3\]"),
        (
            lambda w, f: Forecasts.of(w.take(np.arange(50)[::-1]), f.mean, f.quantiles),
            "returned item 'b' .* where item 'a'",
        ),
        (
            lambda w, f: Forecasts(w.item_id, w.cutoff + np.timedelta64(1, "s"), f.mean, f.quantiles),
            "where item 'a' at",
        ),
        (
            lambda w, f: Forecasts.of(w, np.where(np.arange(50)[:, None] == 7, np.nan, f.mean), f.quantiles),
            "a mean that is not finite for item",
        ),
        (lambda w, f: Forecasts.of(w, f.mean, f.quantiles * np.inf), "a quantiles that is not finite for item 'a'"),
    ],
)
def test_what_does_not_fit_names_the_window(cut, task, change, said):
    windows = cut()
    windows = windows.take(np.linspace(0, len(windows) - 1, 50).astype(int))
    with pytest.raises(ForecastError, match=said):
        check_forecasts(change(windows, forecasts_of(windows)), windows, task, "m")


def stored(path, task, windows, given, chunk=10_000, seasonality=4, name="temporal_holdout", definitions=()):
    with ForecastWriter(path, task, seasonality) as writer:
        for start in range(0, len(windows), chunk):
            rows = slice(start, start + chunk)
            quantiles = None if given.quantiles is None else given.quantiles[rows]
            part = Forecasts(given.item_id[rows], given.cutoff[rows], given.mean[rows], quantiles)
            writer.write(name, windows.take(rows), part)
        return writer.protocol_digest(definitions)


def test_the_file_gives_back_what_was_written(cut, task, tmp_path):
    windows = cut()
    given = forecasts_of(windows)
    stored(tmp_path / "f.parquet", task, windows, given, chunk=17)
    file = ForecastFile(tmp_path / "f.parquet")
    assert file.task == task
    chunks = list(file.chunks())
    assert [len(chunk.item_id) for chunk in chunks[:-1]] == [17] * (len(chunks) - 1)
    joined = {
        name: np.concatenate([getattr(chunk, name) for chunk in chunks])
        for name in ("item_id", "truth", "mean", "quantiles")
    }
    np.testing.assert_array_equal(joined["item_id"], windows.item_id)
    np.testing.assert_array_equal(joined["truth"], windows.truth(slice(None)))
    np.testing.assert_array_equal(joined["mean"], given.mean)
    np.testing.assert_array_equal(joined["quantiles"], given.quantiles)
    frame = pd.read_parquet(tmp_path / "f.parquet")
    np.testing.assert_array_equal(frame.cutoff.to_numpy(), windows.cutoff)
    context = windows.inputs(slice(None)).target
    np.testing.assert_array_equal(np.stack(frame.context_tail.to_numpy()), context[:, -TAIL:])
    differences = context[:, 4:].astype(float) - context[:, :-4]
    with np.errstate(invalid="ignore"):
        observed = np.isfinite(differences).sum(axis=1)
        np.testing.assert_allclose(frame.scale_m4, np.nansum(abs(differences), axis=1) / observed)
        np.testing.assert_allclose(frame.scale_squared_m4, np.nansum(differences**2, axis=1) / observed)
    assert {"scale_m1", "scale_squared_m1"} <= set(frame)


def test_a_season_longer_than_the_context_has_no_scale(cut, task, tmp_path):
    windows = cut()
    stored(tmp_path / "f.parquet", task, windows, forecasts_of(windows), seasonality=288)
    assert pd.read_parquet(tmp_path / "f.parquet").scale_m288.isna().all()


def test_nothing_is_there_until_all_is_written(cut, task, tmp_path):
    windows = cut()

    def stopped():
        with ForecastWriter(tmp_path / "f.parquet", task, 4) as writer:
            writer.write("temporal_holdout", windows, forecasts_of(windows))
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stopped()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"no parquet", "other"])
def test_a_file_without_forecasts_is_refused(tmp_path, content):
    path = tmp_path / "f.parquet"
    if content == "other":
        pd.DataFrame({"a": [1]}).to_parquet(path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"f.parquet holds no forecasts"):
        ForecastFile(path)


@pytest.fixture
def digest(cut, task, tmp_path):
    """Return ``digest(table, chunk, definitions, name, **changes of the task)``."""

    def of(table=None, chunk=10_000, definitions=("rmse: root",), name="temporal_holdout", seed=0, **changes):
        windows = cut(table, **changes)
        changed = task.model_copy(update=changes)
        given = forecasts_of(windows, seed)
        if not changed.quantile_levels:
            given = Forecasts.of(windows, given.mean)
        return stored(tmp_path / "f.parquet", changed, windows, given, chunk, 4, name, definitions)

    return of


def test_the_protocol_digest_changes_with_every_item_cutoff_and_truth(digest, readings):
    table = readings(n=60, missing=0.1)
    shifted = table.assign(timestamp=table.timestamp + pd.Timedelta("5min"))
    renamed = table.assign(item_id=table.item_id.replace("b", "c"))
    # one truth more or less in the last digit that float32 keeps, one reading gone
    nudged, gone = table.copy(), table.copy()
    nudged.loc[30, "glucose"] = np.nextafter(np.float32(nudged.glucose[30]), np.float32(np.inf))
    gone.loc[30, "glucose"] = np.nan
    digests = [digest(one) for one in (table, shifted, renamed, nudged, gone, table.iloc[:-1])]
    digests += [digest(table, name="patient_holdout"), digest(table, definitions=("rmse: other",))]
    digests += [digest(table, unit="custom:x"), digest(table, prediction_length=5)]
    assert len(set(digests)) == len(digests)


def test_the_protocol_digest_does_not_change_with_what_is_compared(digest, readings):
    table = readings(n=60, missing=0.1).assign(steps=1.0)
    base = digest(table)
    assert digest(table, context_length=20) == base
    assert digest(table, quantile_levels=()) == base
    assert digest(table, past_covariates=("steps",)) == base
    assert digest(table, known_covariates=("steps",)) == base
    assert digest(table, seed=1) == base
    assert digest(table, chunk=7) == base
    assert digest(table, definitions=("b", "a")) == digest(table, definitions=("a", "b"))


def test_validation_is_not_part_of_the_protocol(cut, task, tmp_path):
    windows = cut()
    given = forecasts_of(windows)
    with ForecastWriter(tmp_path / "f.parquet", task, 4) as writer:
        writer.write("validation", windows.take(slice(0, 9)), Forecasts(*(part[:9] for part in vars(given).values())))
        writer.write("temporal_holdout", windows, given)
        digest = writer.protocol_digest(["x"])
    assert digest == stored(tmp_path / "g.parquet", task, windows, given, definitions=["x"])
