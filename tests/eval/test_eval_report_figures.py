"""Figures as parts of a page, and the small rules behind their axes, numbers and words."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from reportkit import entry, made_up

from tsfm_eval.report import Calibration, MetricFact, PairCounts
from tsfm_eval.report.calibration import draw_pit
from tsfm_eval.report.curves import Curve, draw_by_group, draw_by_hour, draw_by_time, time_axis, time_ticks
from tsfm_eval.report.grids import grid_finding
from tsfm_eval.report.layout import Album, slug
from tsfm_eval.report.making import draw_learning
from tsfm_eval.report.numbers import best_of, duration, fact_of, headline, models, number, unit_of
from tsfm_eval.report.style import render
from tsfm_eval.report.windows import central_intervals
from tsfm_eval.statistics.critical_difference import critical_difference_height, draw_critical_difference
from tsfm_eval.statistics.ranks import friedman_nemenyi

SVG = "{http://www.w3.org/2000/svg}"


def line(axes):
    axes.plot([0, 1, 2], [1, 3, 2], marker="o", label="a & b")
    axes.legend()


def test_the_same_content_gives_the_same_bytes():
    assert render("x", "Title", "Finding.", line) == render("x", "Title", "Finding.", line)


def test_a_figure_is_told_in_words_and_draws_by_variables():
    figure = render("x", "Title <b>", 'Least at "2" & more.', line)
    root = ET.fromstring(figure.svg)
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "x-title")
    assert root.find(f"{SVG}title").text == 'Title <b>. Least at "2" & more.'
    assert "a & b" in [text.text for text in root.iter(f"{SVG}text")]
    assert "var(--blue)" not in figure.svg  # matplotlib's own first colour is none of ours
    assert {"var(--ink)", "var(--quiet)"} <= set(re.findall(r"var\(--\w+\)", figure.svg))
    assert "width" not in root.attrib
    assert not root.findall(f".//{SVG}style") + root.findall(f".//{SVG}metadata")


def test_a_critical_difference_plot_follows_the_theme():
    ranking = friedman_nemenyi({"a": [1, 2, 3, 4, 5], "b": [2, 3, 4, 5, 6], "c": [9, 1, 9, 9, 9]})
    size = (7.0, critical_difference_height(ranking))
    figure = render("x", "t", "f", lambda axes: draw_critical_difference(ranking, axes), size)
    assert figure.wide
    assert set(re.findall(r"(?:fill|stroke): (#\w+|var\(--\w+\))", figure.svg)) == {
        *("var(--ink)", "var(--grey)", "var(--blue)")
    }


def test_ids_are_a_figure_s_own_and_all_found():
    album = Album()
    figures = [album.draw("Same name", "t", "f", line) for _ in range(2)]
    assert [one.name for one in figures] == ["same-name", "same-name-2"]
    ids = [set(re.findall(r' id="([^"]+)"', one.svg)) for one in figures]
    assert not ids[0] & ids[1]
    for own, figure in zip(ids, figures, strict=True):
        used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', figure.svg))
        assert len(used) > 1
        assert {one or other for one, other in used} <= own


@pytest.mark.parametrize(("text", "name"), [("Ab_c d/../é", "ab-c-d"), ("...", "figure"), ("Ünï 2", "n-2")])
def test_names_of_files(text, name):
    assert slug(text) == name


def drawn(draw, *given):
    """Return the axes after drawing."""
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    draw(axes, *given)
    return axes


def test_an_error_axis_begins_at_zero_and_holds_every_band():
    curve = Curve("m", [10.0, 20.0, np.nan], [(8.0, 12.0), (15.0, 30.0), (np.nan, np.nan)])
    axes = drawn(draw_by_time, [curve], 300, "rmse")
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > 30
    assert axes.get_xlabel() == "time ahead (min)"
    below = drawn(draw_by_time, [Curve("m", [-5.0, 5.0])], 3600, "bias")
    assert below.get_ylim()[0] < -5


def test_models_differ_by_more_than_colour():
    curves = [Curve(str(at), [1.0, 2.0], baseline=at > 1) for at in range(6)]
    lines = drawn(draw_by_time, curves, 300, "rmse").get_lines()
    assert len({one.get_marker() for one in lines}) == 6


def test_groups_and_hours_keep_their_places():
    axes = drawn(
        draw_by_group, [Curve("m", [1.0, 2.0]), Curve("b", [3.0, np.nan], baseline=True)], ["low", "high"], "e", "x"
    )
    assert [label.get_text() for label in axes.get_xticklabels()] == ["low", "high"]
    (one, other) = (points.get_offsets() for points in axes.collections)
    assert one[0][0] < 0 < other[0][0]
    hours = drawn(draw_by_hour, [Curve("m", list(range(24)))], "e")
    assert (hours.get_lines()[0].get_xdata()[13], hours.get_lines()[0].get_ydata()[13]) == (13.5, 13)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(3600, ("min", 60)), (4 * 3600, ("h", 3600)), (30 * 86400, ("days", 86400))]
)
def test_time_axis(seconds, expected):
    assert time_axis(seconds) == expected


@pytest.mark.parametrize(
    ("ends", "expected"),
    [((0, 4), [0, 1, 2, 3, 4]), ((-4, 8), [-4, -2, 0, 2, 4, 6, 8]), ((0, 60), [0, 10, 20, 30, 40, 50, 60])],
)
def test_time_ticks(ends, expected):
    assert time_ticks(*ends) == pytest.approx(expected)


def test_pit_holds_all_pairs():
    found = Calibration((0.1, 0.5, 0.9), (0.2, 0.5, 0.7), 100)
    axes = drawn(draw_pit, found)
    values, edges, _ = axes.patches[0].get_data()
    assert values == pytest.approx([2.0, 0.75, 0.5, 3.0])
    assert (values * np.diff(edges)).sum() == pytest.approx(1)
    assert [list(patch.get_data().edges) for patch in axes.patches[2:]] == [[0, 0.1], [0.9, 1]]


def test_central_intervals_are_pairs_around_the_median():
    assert central_intervals((0.05, 0.1, 0.25, 0.5, 0.75, 0.95)) == [
        (0, 5, pytest.approx(90)),
        (2, 4, pytest.approx(50)),
    ]
    assert central_intervals((0.1, 0.5)) == []


def test_shares_hide_nothing_rare():
    counts = {"clarke": np.array([69_990, 30_000, 8, 0, 2]), "parkes_t1": np.zeros(5, int)}
    pairs = PairCounts(np.zeros((110, 110), int), 5.0, 0, counts, "mean")
    said = grid_finding(pairs, "clarke")
    assert (
        said
        == "100.0 % of 100,000 pairs in A or B, 0.01 % in C to E: A 70.0 %, B 30.0 %, C < 0.01 %, D 0.00 %, E < 0.01 %."
    )


def test_learning_curve_marks_what_was_kept():
    steps = [{"step": at, "loss": 1 / at} for at in range(1, 1001)]
    judged = [
        {"step": at, "validation": {"loss": loss, "rmse": 9}, "best": best}
        for at, loss, best in ((500, 0.5, True), (1000, 0.7, False))
    ]
    axes = drawn(draw_learning, [*steps, *judged])
    training, validation, kept = axes.get_lines()
    assert len(training.get_xdata()) == 300
    assert np.average(training.get_xdata(), weights=np.bincount(np.arange(1000) * 300 // 1000)) == pytest.approx(500.5)
    assert list(validation.get_ydata()) == [0.5, 0.7]
    assert (kept.get_xdata(), kept.get_ydata()) == ([500], [0.5])


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1,234"), (39.46, "39.5"), (8.434, "8.43"), (0.5, "0.500"), (-1.5, "−1.50"), (None, "–"), (np.nan, "–")],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(300, "5 min"), (153600, "42 h 40 min"), (14 * 86400, "14 days"), (45, "45 s")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_facts_of_numbers():
    facts = [
        MetricFact("clarke", "%", "none", "", directions={"clarke_a": "higher"}),
        MetricFact("clarke_matlab", "%", "none", ""),
        MetricFact("coverage", "1", "none", "", units={"sharpness_50": "target"}),
        MetricFact("mse", "target^2", "lower", ""),
    ]
    assert fact_of("clarke_matlab_a", facts) is facts[1]
    assert fact_of("sharpness_50", facts) is facts[2]
    assert fact_of("rmse", facts) is None
    one = entry(metrics=facts)
    assert [unit_of(name, one) for name in ("clarke_a", "sharpness_50", "coverage_50", "mse", "?")] == [
        *("%", "mg/dL", "", "(mg/dL)²", "")
    ]
    assert best_of("mse", [3.0, 1.0, None, np.nan], facts) == 1
    assert best_of("clarke_a", [3.0, 1.0], facts) == 0
    assert (
        best_of("clarke_b", [3.0, 1.0], facts)
        is best_of("mse", [1.0, 1.0], facts)
        is best_of("mse", [1.0], facts)
        is None
    )


def test_headline_says_mard_once():
    assert headline(["pinball", "mape", "mard", "mae", "rmse"]) == ["rmse", "mae", "mard", "pinball"]
    assert headline(["other_b", "other_a"], 1) == ["other_b"]


def test_a_baseline_that_is_a_run_is_left_out():
    entries = [entry("model"), entry("second", facts={"model": "mean"}), entry("naive", facts={"model": "ttm"})]
    found = models(entries, "temporal_holdout")
    assert [(one.label, one.baseline) for one in found] == [
        *(("model", False), ("second", False), ("naive", False), ("naive (baseline)", True))
    ]
    assert models([entry("only", chunks=[made_up("other")], baselines=())], "temporal_holdout") == []
