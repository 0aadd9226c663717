"""``tsfm predict --plot``: what is drawn, against the table that is written and the readings it begins from."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tsfm_core.ahead import look_ahead
from tsfm_core.errors import DataError
from tsfm_core.fan import bands_of, fan_figure
from tsfm_core.picture import check_picture, write_picture

LEVELS = [0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975]
TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}


@pytest.fixture
def look(readings, tmp_path, monkeypatch):
    """Return ``look(items=..., n=..., data=..., **task)``: forecasts of a made-up file, once matplotlib is there."""
    pytest.importorskip("matplotlib", reason="without tsfm-core[plot] there is no picture")
    monkeypatch.chdir(tmp_path)

    def looked(items=("a", "b"), n=200, data=None, table=None, **task):
        rows = readings(items, n) if table is None else table
        rows.to_csv("data.csv", index=False)
        config = {"task": TASK | {"quantile_levels": LEVELS} | task, "data": {"source": "csv", **(data or {})}}
        return look_ahead("mean", "data.csv", config)

    return looked


def drawn(figure, at=0):
    """Return the lines and bands of an axes by their labels: x and y of a line, x, lower and upper of a band."""
    axes = figure.axes[at]
    lines = {line.get_label(): line.get_data() for line in axes.lines}
    bands = {}
    for band in axes.collections:
        x, y = band.get_paths()[0].vertices.T
        bands[band.get_label()] = [(at, y[x == at].min(), y[x == at].max()) for at in np.unique(x)]
    return lines, bands


def days(stamps):
    return (pd.DatetimeIndex(stamps) - pd.Timestamp(0)) / pd.Timedelta("1D")


def test_the_fan_is_that_of_the_table(look):
    ahead = look()
    figure = fan_figure(ahead)
    assert len(figure.axes) == 2
    for at, item in enumerate(("a", "b")):
        lines, bands = drawn(figure, at)
        table = ahead.frame[ahead.frame.item_id == item]
        np.testing.assert_allclose(lines["median forecast"][0], days(table.timestamp), rtol=0, atol=1e-8)
        np.testing.assert_array_equal(lines["median forecast"][1], table["0.5"].to_numpy(float))
        for share, (low, high) in {
            "50 %": ("0.25", "0.75"),
            "80 %": ("0.1", "0.9"),
            "95 %": ("0.025", "0.975"),
        }.items():
            expected = np.column_stack([days(table.timestamp), table[low], table[high]])
            np.testing.assert_allclose(bands[share], expected, rtol=1e-12)
        assert figure.axes[at].get_title(loc="left") == f"{item} · 2024-01-01 16:35"
        assert lines["last reading"][0] == pytest.approx([days([table.cutoff.iloc[0]])[0]] * 2)


def test_the_last_twelve_hours_of_readings_are_shown_with_their_gaps(look, readings):
    table = readings(("a",), 200)
    table.loc[190:193, "glucose"] = np.nan
    ahead = look(table=table)
    (x, y) = drawn(fan_figure(ahead))[0]["readings"]
    expected = table.tail(145)
    np.testing.assert_allclose(x, days(expected.timestamp), rtol=0, atol=1e-8)
    np.testing.assert_array_equal(y, expected.glucose.to_numpy(np.float32))
    assert np.isnan(y).sum() == 4


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (LEVELS, {95: (0.025, 0.975), 80: (0.1, 0.9), 50: (0.25, 0.75)}),
        ([0.1, 0.5, 0.9], {80: (0.1, 0.9)}),
        ([0.2, 0.3, 0.7, 0.8], {60: (0.2, 0.8)}),
        ([0.1, 0.2], {}),
        ([0.5], {}),
        ([], {}),
    ],
)
def test_bands_are_those_that_the_levels_hold(levels, expected):
    assert bands_of(tuple(levels)) == expected


def test_without_a_median_the_mean_is_drawn(look):
    ahead = look(quantile_levels=[])
    lines, bands = drawn(fan_figure(ahead))
    assert bands == {}
    np.testing.assert_array_equal(lines["mean forecast"][1], ahead.frame["mean"].head(6).to_numpy(float))


@pytest.mark.parametrize(
    ("unit", "factor", "expected", "axis"),
    [
        ("mg/dL", 1, [70, 180], "glucose (mg/dL)"),
        ("mmol/L", 18.018, [3.9, 10], "glucose (mmol/L)"),
        ("custom:MW", 1, [], "glucose (MW)"),
    ],
)
def test_thresholds_are_of_the_unit(look, readings, unit, factor, expected, axis):
    table = readings(("a",), 60)
    figure = fan_figure(look(table=table.assign(glucose=table.glucose / factor), unit=unit))
    levels = [line.get_ydata()[0] for line in figure.axes[0].lines if " and " in str(line.get_label())]
    assert levels == expected
    assert figure.get_supylabel() == axis
    low, high = figure.axes[0].get_ylim()
    assert all(low < one < high for one in expected)


def test_at_most_twelve_items_on_one_scale(look):
    figure = fan_figure(look(items=[f"p{at:02d}" for at in range(14)], n=30))
    assert [axes.get_title(loc="left")[:3] for axes in figure.axes] == [f"p{at:02d}" for at in range(12)]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert figure.get_supxlabel() == "local time · 12 of 14 items"


def test_times_are_the_persons_own_where_their_zone_is_known(look, readings):
    table = readings(("a",), 60)
    table["timestamp"] = table.timestamp.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    figure = fan_figure(look(table=table, data={"timezone": "Asia/Tokyo"}))
    assert figure.axes[0].get_title(loc="left") == "a · 2024-01-01 13:55"  # 04:55 UTC
    assert figure.get_supxlabel() == "local time"


@pytest.mark.parametrize(
    ("clock", "title", "axis"),
    [("time_of_day", "a · 04:55", "time of day"), ("none", "a", "hours from the last reading"), ("utc", None, "UTC")],
)
def test_a_placeholder_is_not_shown_as_a_date(look, clock, title, axis):
    ahead = look(items=("a",), n=60)
    panel = replace(ahead.windows.panel, clock=clock)
    figure = fan_figure(replace(ahead, windows=replace(ahead.windows, panel=panel)))
    assert figure.axes[0].get_title(loc="left") == (title or "a · 2024-01-01 04:55")
    assert figure.get_supxlabel() == axis
    x = drawn(figure)[0]["median forecast"][0]
    assert x[0] == pytest.approx(1 / 12 if clock == "none" else days(["2024-01-01 05:00"])[0])


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_command_draws_the_same_bytes_again(look, tsfm, tmp_path, kind):
    ahead = look(n=30)
    (tmp_path / "c.yaml").write_text(f"task: {ahead.task.model_dump(mode='json')}\n")
    asked = ("predict", "mean", "--data", "data.csv", "--config", "c.yaml", "--output", "out.csv", "--plot")
    answer = tsfm(*asked, f"one.{kind}")
    assert answer.err.endswith(f"plot: one.{kind}\n")
    write_picture(tmp_path / f"two.{kind}", lambda: fan_figure(ahead))
    assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()


def test_a_picture_that_cannot_be_written_is_refused_first(look, refused, tmp_path):
    look(n=30)
    asked = ("predict", "mean", "--data", "data.csv", "--output", "out.csv", "--plot")
    assert "one.gif ends in none of .png, .svg, .pdf" in refused(*asked, "one.gif")
    assert "the folder no is not there" in refused(*asked, "no/one.png")
    with pytest.raises(DataError, match="is a folder"):
        (tmp_path / "d.png").mkdir()
        check_picture(tmp_path / "d.png")


def test_simulated_people_are_called_so(look):
    ahead = look(n=30)
    panel = replace(ahead.windows.panel, provenance={"synthetic": True})
    figure = fan_figure(replace(ahead, windows=replace(ahead.windows, panel=panel)))
    assert figure.get_supxlabel() == "local time · SYNTHETIC: simulated, no real person"
