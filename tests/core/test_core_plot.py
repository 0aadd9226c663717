"""``tsfm data check --plot``: what stands in the picture, asked of what is drawn, and the file that it becomes."""

import builtins
import json
import math
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tsfm_core.data.outline import daily_coverage, thinned, typical_day
from tsfm_core.data.panel import Panel
from tsfm_core.data.quality import ItemReport, Quality
from tsfm_core.errors import DataError
from tsfm_core.picture import check_picture
from tsfm_core.plot import draw_panel, panel_figure

CHECK = ("data", "check", "data.csv", "--config", "c.yaml", "--plot")
DAY = 288


@pytest.fixture
def _matplotlib():
    pytest.importorskip("matplotlib", reason="without tsfm-core[plot] there is no picture")


drawn = pytest.mark.usefixtures("_matplotlib")


@pytest.fixture
def panel():
    """Return ``panel(*columns, step=300, start=..., **changes)``: a panel of one item a column, called 00, 01 ..."""

    def made(*columns, step=300, start="2024-01-01", **changes):
        parts = [np.asarray(column, np.float32) for column in columns]
        facts = {
            "item_ids": tuple(f"{at:02d}" for at in range(len(parts))),
            "offsets": np.concatenate([[0], np.cumsum([len(part) for part in parts])]),
            "starts": np.full(len(parts), start, "datetime64[s]"),
            "step": step,
            "columns": {"glucose": np.concatenate(parts)},
            "unit": "mg/dL",
        }
        return Panel(**facts | changes)

    return made


def quality_of(panel):
    """Return a report that holds what the picture needs: the coverage."""
    counts = dict.fromkeys(("unsorted", "off_grid", "duplicates", "repeats", "shared", "impossible"), 0)
    rest = {"rows": 0, "first": "", "last": "", "slots": 0, "readings": 0, "cadence": None, "gaps": {}}
    rest |= {"longest_gap": "0s", "mean": None, "median": None} | counts
    items = []
    for at, name in enumerate(panel.item_ids):
        column = panel.part(at, at + 1).columns["glucose"]
        items.append(ItemReport(item_id=name, coverage=float(np.isfinite(column).mean()), **rest))
    return Quality(items)


def figure_of(panel):
    return panel_figure(panel, quality_of(panel))


def lines_of(axes):
    """Return the stretches of the line that NaN parts: of each the x and y."""
    x, y = axes.lines[0].get_data()
    ends = np.flatnonzero(np.isnan(y))
    assert np.isnan(x[ends]).all()
    stretches = zip(np.split(x, ends), np.split(y, ends), strict=True)
    return [(a[np.isfinite(a)], b[np.isfinite(b)]) for a, b in stretches]


def texts_of(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


@drawn
@pytest.mark.parametrize("items", [1, 3, 30])
def test_three_axes_for_each_item(panel, items):
    figure = figure_of(panel(*[[100, 120, 140]] * items))
    assert len(figure.axes) == 3 * items
    titles = [axes.get_title(loc="left") for axes in figure.axes[::3]]
    assert titles == [f"{at:02d} · 2024-01-01 (15 min) · coverage 100.0%" for at in range(items)]
    boxes = sorted(axes.get_position().extents.tolist() for axes in figure.axes)
    assert min(min(box) for box in boxes) > 0
    assert max(max(box) for box in boxes) < 1


@drawn
def test_a_gap_is_a_gap(panel):
    nan = math.nan
    figure = figure_of(panel([100, 101, nan, 103, nan, nan, 106, 107, 108]))
    day = np.datetime64("2024-01-01", "D").astype(int)
    x, y = zip(*lines_of(figure.axes[0]), strict=True)
    assert [list(one) for one in y] == [[100, 101], [103], [106, 107, 108]]
    assert np.concatenate(x) == pytest.approx(day + np.array([0, 1, 3, 6, 7, 8]) / DAY)
    # no line shows a single reading: a dot does
    (dots,) = figure.axes[0].collections
    assert dots.get_offsets().tolist() == [[day + 3 / DAY, 103]]


@drawn
def test_no_line_crosses_a_slot_without_a_reading_in_a_long_item(panel):
    random = np.random.default_rng(1)
    column = random.permutation(40_000).astype(float)  # each value says its row
    row_of = np.argsort(column)
    column[random.random(len(column)) < 0.03] = np.nan
    column[20_000:21_000] = np.nan
    x, y = figure_of(panel(column)).axes[0].lines[0].get_data()
    joined = np.isfinite(x[:-1]) & np.isfinite(x[1:]) & (np.diff(x) > 0)
    assert joined.sum() > 500
    for left, right in zip(y[:-1][joined], y[1:][joined], strict=True):
        assert np.isfinite(column[row_of[int(left)] : row_of[int(right)] + 1]).all()
    within = np.isfinite(x[:-1]) & (np.diff(x) == 0)
    assert within.sum() > 1_900  # the bars of the bins, from least to greatest


def test_thinning_keeps_every_extreme():
    random = np.random.default_rng(0)
    column = random.normal(150, 20, 100_000).astype(np.float32)
    column[[17, 54_321, 99_999]] = 2, 999, 998
    column[60_000:70_000] = np.nan
    rows, places = thinned(column)
    assert len(rows) <= 4_000
    assert {17, 54_321, 99_999} <= set(rows)
    for at in range(0, 100_000, 50):
        here = rows[(rows >= at) & (rows < at + 50)]
        part = column[at : at + 50]
        if np.isnan(part).all():
            assert not len(here)
        else:
            assert {part.min(), part.max()} == set(column[here])
    assert np.abs(rows - places).max() < 25  # half a bin
    assert (np.diff(places) >= 0).all()


def test_few_readings_are_all_drawn():
    column = np.full(100_000, np.nan, np.float32)
    column[::25] = 100
    rows, places = thinned(column)
    assert rows.tolist() == places.tolist() == list(range(0, 100_000, 25))


def test_the_share_of_each_day(panel):
    column = np.full(2 * DAY, 100.0)
    column[: DAY // 4] = np.nan  # from 12:00 on, 6 of 12 hours
    column[DAY // 2 + 72 : DAY // 2 + 144] = np.nan  # 6 of 24 hours
    edges, share = daily_coverage(panel(column, start="2024-01-01T12:00"))
    first = np.datetime64("2024-01-01", "D").astype(int)
    assert edges.tolist() == [first, first + 1, first + 2, first + 3]
    assert share.tolist() == [0.5, 0.75, 1.0]


def test_a_step_of_weeks_has_a_cell_of_its_own(panel):
    edges, share = daily_coverage(panel([1, math.nan, 3], step=7 * 86400, start="1970-01-01"))
    assert edges.tolist() == [0, 7, 14, 21]
    assert share.tolist() == [1, 0, 1]


@drawn
def test_the_strip_goes_from_white_to_full_colour(panel):
    column = np.full(3 * DAY, 100.0)
    column[DAY : 2 * DAY] = np.nan
    target, strip, _ = figure_of(panel(column)).axes
    (image,) = strip.images
    assert image.get_array().tolist() == [[1, 0, 1]]
    assert image.get_clim() == (0, 1)
    assert image.cmap(0.0) == (1, 1, 1, 1)
    assert image.cmap(1.0) == pytest.approx((0, 0x72 / 255, 0xB2 / 255, 1))
    assert strip.get_xlim() == target.get_xlim()
    assert strip.get_xlim() == pytest.approx(np.array(image.get_extent())[:2])


@drawn
def test_the_typical_day_is_numpys(panel):
    column = np.random.default_rng(2).normal(150, 30, 9 * DAY)
    column[5:500] = np.nan
    axes = figure_of(panel(column, start="2024-01-01T05:00")).axes[2]
    wide, narrow, median = (patch.get_data() for patch in axes.patches[:3])
    assert wide.edges.tolist() == list(range(25))
    shown = column.astype(np.float32).astype(float)
    for hour in range(24):
        begin = (hour - 5) % 24 * 12
        rows = (np.arange(9)[:, None] * DAY + begin + np.arange(12)).ravel()
        held = shown[rows][np.isfinite(shown[rows])]
        expected = np.quantile(held, [0.1, 0.25, 0.5, 0.75, 0.9])
        found = wide.baseline[hour], narrow.baseline[hour], median.values[hour], narrow.values[hour], wide.values[hour]
        assert found == pytest.approx(expected)


def test_the_typical_day_is_local(panel):
    one = panel([100] * DAY, clock="utc", zones=("Asia/Tokyo",)).part(0, 1)
    evening = replace(one, columns={"glucose": np.where(np.arange(DAY) < 12, 200, 100).astype(np.float32)})
    edges, found = typical_day(evening)
    assert edges[np.flatnonzero(found[2] == 200)].tolist() == [9]  # 00:00 UTC


def test_a_longer_step_makes_longer_hours(panel):
    edges, found = typical_day(panel([1, 2, 3, 4] * 2, step=6 * 3600))
    assert edges.tolist() == [0, 6, 12, 18, 24]
    assert found[2].tolist() == [1, 2, 3, 4]
    assert typical_day(panel([1, 2, 3, 4] * 2, step=7 * 3600))[0].tolist() == [0, 7, 14, 21, 24]


@drawn
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"clock": "none"}, "the data has no time of day"),
        ({"clock": "utc", "zones": ("",)}, "the time zone is not known"),
        ({"clock": "utc"}, "the time zone is not known"),
        ({"step": 86400}, "the step is 1D"),
    ],
)
def test_without_a_time_of_day_there_is_no_typical_day(panel, changes, reason):
    axes = figure_of(panel([100, 110, 120], **changes)).axes[2]
    assert [text.get_text() for text in axes.texts] == [f"no typical day:\n{reason}"]
    assert not axes.patches


@drawn
def test_dates_that_are_no_dates_are_not_given(panel):
    for clock, label in (("none", "placeholder date and time"), ("time_of_day", "placeholder date (true time of day)")):
        target, strip, _ = figure_of(panel([100] * 10, clock=clock)).axes
        assert target.get_title(loc="left") == "00 · 50 min · coverage 100.0%"
        assert strip.get_xlabel() == label


@drawn
def test_an_item_without_a_reading_says_so(panel):
    figure = figure_of(panel([math.nan] * 3, [1, 2, 3], unit="custom:MW"))
    assert [text.get_text() for text in figure.axes[0].texts] == ["no reading"]
    assert [text.get_text() for text in figure.axes[2].texts] == ["no typical day:\nthere is no reading"]
    assert not figure.axes[3].texts


@drawn
@pytest.mark.parametrize(
    ("unit", "bands", "label"),
    [
        ("mg/dL", [(70, 180)], "glucose (mg/dL)"),
        ("mmol/L", [(3.9, 10.0)], "glucose (mmol/L)"),
        ("custom:MW", [], "glucose (MW)"),
    ],
)
def test_the_target_range_of_glucose_alone(panel, unit, bands, label):
    figure = figure_of(panel([5, 6, 7], unit=unit))
    target, _, day = figure.axes
    drawn_bands = [(patch.get_y(), patch.get_y() + patch.get_height()) for patch in target.patches]
    assert drawn_bands == [pytest.approx(band) for band in bands]
    assert len(day.patches) == 3 + len(bands)
    assert target.get_ylabel() == label
    assert day.get_ylim() == target.get_ylim()
    assert any("target range" in text for text in texts_of(figure)) == bool(bands)


@drawn
def test_synthetic_data_is_labelled(panel):
    label = "SYNTHETIC: simulated, no real person"
    assert label in texts_of(figure_of(panel([100], provenance={"synthetic": True})))
    assert label not in texts_of(figure_of(panel([100], provenance={"synthetic": False})))


@drawn
def test_of_many_items_those_with_the_lowest_coverage_are_drawn(panel):
    columns = np.full((33, 100), 100.0)
    for at in range(33):
        columns[at, 1 : 1 + (at * 7) % 33] = np.nan  # each has another coverage
    figure = figure_of(panel(*columns))
    assert len(figure.axes) == 3 * 30
    full = {f"{at:02d}" for at in range(33) if (at * 7) % 33 < 3}
    assert [axes.get_title(loc="left")[:2] for axes in figure.axes[::3]] == sorted(
        {f"{at:02d}" for at in range(33)} - full
    )
    assert "data · the 30 items with the lowest coverage of 33 items · every 5min" in texts_of(figure)


@drawn
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_same_data_gives_the_same_bytes(panel, tmp_path, ending):
    made = panel(np.random.default_rng(3).normal(150, 30, 2000), [100, math.nan, 120])
    for name in ("a", "b"):
        draw_panel(made, quality_of(made), tmp_path / f"{name}.{ending}")
    first, second = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert len(list(tmp_path.iterdir())) == 2
    draw_panel(panel([1, 2, 3]), quality_of(panel([1, 2, 3])), tmp_path / f"c.{ending}")
    assert (tmp_path / f"c.{ending}").read_bytes() != first


@drawn
def test_the_users_settings_neither_show_nor_change(panel, tmp_path):
    import matplotlib

    made = panel([100, math.nan, 120])
    draw_panel(made, quality_of(made), tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "svg.hashsalt": "mine"}):
        draw_panel(made, quality_of(made), tmp_path / "b.png")
        assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.hashsalt"]) == (20, "mine")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert "matplotlib.pyplot" not in sys.modules


@drawn
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_any_id_can_be_drawn(panel, tmp_path, ending):
    ids = ("$x_{$", "<&>--\x00\n", "患者", "a" * 300)  # a dollar begins a formula, and this is none
    columns = {"$x_{$": np.full(8, 100, np.float32)}
    made = panel(*[[100, 120]] * 4, item_ids=ids, unit="custom:$\\x{$" + "u" * 80)
    report = quality_of(made)
    made = replace(made, columns=columns, provenance={"source": "$x_{$"})
    draw_panel(made, report, tmp_path / f"a.{ending}")
    if ending == "svg":
        ElementTree.parse(tmp_path / "a.svg")


@drawn
@pytest.mark.parametrize("size", [1, 1e-4, 1e6])
def test_nothing_sticks_out_of_the_sheet(panel, size):
    from matplotlib.text import Text

    made = panel(np.arange(600) * size, [math.nan] * 600, item_ids=("a" * 300, "b"), unit="custom:" + "u" * 80)
    figure = panel_figure(made, quality_of(made))
    figure.draw_without_rendering()
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    assert len(shown) > 30
    for text in shown:
        box = text.get_window_extent()
        assert box.xmin >= 0, text
        assert box.ymin >= 0, text
        assert box.xmax <= figure.bbox.xmax, text
        assert box.ymax <= figure.bbox.ymax, text


@drawn
def test_the_command_writes_the_picture(folder, write, readings, tsfm):
    write(readings("abc", n=600, missing=0.1))
    plain = tsfm(*CHECK[:-1], "--json")
    answer = tsfm(*CHECK, "out.png", "--json")
    assert (answer.code, answer.err) == (0, "plot: out.png\n")
    assert json.loads(answer.out) == json.loads(plain.out)
    picture = (folder / "out.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.endswith(b"IEND\xaeB`\x82")
    width, height = (int.from_bytes(picture[at : at + 4]) for at in (16, 20))
    assert width == 1400
    assert height > 600
    assert tsfm(*CHECK, folder / "OUT.SVG").code == 0
    root = ElementTree.parse(folder / "OUT.SVG").getroot()
    assert root.tag.endswith("}svg")


@drawn
def test_the_picture_is_written_although_there_is_a_problem(folder, write, readings, tsfm):
    table = readings("a")
    write(pd.concat([table, table]))
    answer = tsfm(*CHECK, "out.png")
    assert answer.code == 1
    assert "problem: " in answer.err
    assert answer.err.endswith("plot: out.png\n")
    assert (folder / "out.png").exists()


@drawn
def test_a_picture_that_fails_leaves_no_file(panel, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def fail(figure, path, **_):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Figure, "savefig", fail)
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(OSError, match="no space left"):
        draw_panel(panel([100]), quality_of(panel([100])), tmp_path / "a.png")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("out.jpg", "out.jpg ends in neither .png nor .svg; the ending says how the picture is written"),
        ("out", "out ends in neither .png nor .svg; the ending says how the picture is written"),
        ("no/such/out.png", "the folder no/such is not there; make it first"),
        ("folder.svg", "folder.svg is a folder; name a file"),
    ],
)
def test_a_path_is_refused_before_the_data_is_read(folder, refused, path, sentence):
    (folder / "folder.svg").mkdir()
    assert not (folder / "data.csv").exists()
    assert refused(*CHECK, path) == sentence


def test_without_matplotlib_it_says_what_to_install(folder, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    sentence = 'a picture needs matplotlib, which is not installed; pip install "tsfm-core[plot]" brings it'
    assert refused(*CHECK, "out.png") == sentence
    with pytest.raises(DataError, match="matplotlib"):
        check_picture(folder / "out.png")


def test_without_the_option_matplotlib_is_not_imported(folder, write, readings, tsfm, monkeypatch):
    asked = []
    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", lambda name, *rest: asked.append(name) or real(name, *rest))
    write(readings())
    assert tsfm(*CHECK[:-1]).code == 0
    assert asked
    assert not [name for name in asked if name.split(".")[0] == "matplotlib"]
