"""Friedman and Nemenyi by hand and against scipy, and what stands in the picture."""

import numpy as np
import pytest
from scipy import stats

from tsfm_core import DataError
from tsfm_eval.statistics.critical_difference import critical_difference_height, draw_critical_difference
from tsfm_eval.statistics.ranks import friedman_nemenyi

BY_HAND = {"a": [1, 1, 1, 2], "b": [2, 3, 2, 1], "c": [3, 2, 3, 3]}


def test_by_hand():
    found = friedman_nemenyi(BY_HAND)
    assert found.models == ("a", "b", "c")
    assert found.mean_ranks == pytest.approx((1.25, 2, 2.75))
    assert (found.chi2, found.f) == pytest.approx((4.5, 3 * 4.5 / 3.5))
    assert found.p == pytest.approx(0.105, abs=5e-4)
    assert found.critical_difference == pytest.approx(1.657, abs=5e-4)
    assert (found.groups, found.patients) == ((("a", "b", "c"),), 4)


def test_higher_is_better_turns_the_order_round():
    found = friedman_nemenyi({"a": [0.9, 0.8], "b": [0.7, 0.9], "c": [0.1, 0.2]}, direction="higher")
    assert found.models == ("a", "b", "c")
    assert found.mean_ranks == pytest.approx((1.5, 1.5, 3))


@pytest.mark.parametrize(("k", "n"), [(3, 6), (5, 40), (8, 12)])
def test_against_scipy(k, n):
    scores = np.random.default_rng(k).normal(np.arange(k)[:, None] / 4, 1, (k, n))
    found = friedman_nemenyi({f"m{at}": row for at, row in enumerate(scores)})
    expected = stats.friedmanchisquare(*scores)
    assert (found.chi2, found.p) == pytest.approx(tuple(expected), rel=1e-9)
    # Iman and Davenport's F is the two-way analysis of variance of the ranks
    ranks = stats.rankdata(scores, axis=0)
    rest = ranks - ranks.mean(axis=1, keepdims=True)
    f = n * np.square(ranks.mean(axis=1) - (k + 1) / 2).sum() / (k - 1) / (np.square(rest).sum() / ((k - 1) * (n - 1)))
    assert (found.f, found.f_p) == pytest.approx((f, stats.f.sf(f, k - 1, (k - 1) * (n - 1))), rel=1e-9)


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.344), (4, 2.569), (5, 2.728), (6, 2.850)])
def test_critical_differences_of_the_tables(k, q):
    found = friedman_nemenyi({f"m{at}": np.roll(np.arange(7), at) for at in range(k)})
    assert found.critical_difference == pytest.approx(q * np.sqrt(k * (k + 1) / 42), abs=1e-3)


def test_models_that_all_agree_or_all_tie():
    alike = friedman_nemenyi({"a": [1, 1, 1], "b": [2, 2, 2], "c": [3, 3, 3]})
    assert (alike.chi2, alike.f, alike.f_p) == (6.0, np.inf, 0.0)
    tied = friedman_nemenyi({"a": [1, 1], "b": [1, 1], "c": [1, 1]})
    assert (tied.chi2, tied.p, tied.f, tied.f_p) == (0.0, 1.0, 0.0, 1.0)
    assert tied.mean_ranks == (2.0, 2.0, 2.0)


def test_groups_are_the_largest_and_overlap():
    # 30 patients rank four models alike; mean ranks 1, 2, 3, 4 are 1 apart, CD 0.86
    apart = friedman_nemenyi({f"m{at}": np.full(30, at) for at in range(4)})
    assert apart.groups == ()
    # 20 of them: CD 1.05
    near = friedman_nemenyi({f"m{at}": np.full(20, at) for at in range(4)})
    assert near.groups == (("m0", "m1"), ("m1", "m2"), ("m2", "m3"))
    # 4 of them: CD 2.35
    nearer = friedman_nemenyi({f"m{at}": np.full(4, at) for at in range(4)})
    assert nearer.groups == (("m0", "m1", "m2"), ("m1", "m2", "m3"))


def test_mistakes_are_sentences():
    with pytest.raises(DataError, match="b has no score for patient 2"):
        friedman_nemenyi({"a": [1, 2, 3], "b": [1, 2, np.nan]})
    with pytest.raises(DataError, match="1 patients are too few for this test"):
        friedman_nemenyi({"a": [1], "b": [2]})
    with pytest.raises(DataError, match="direction 'up' is not known"):
        friedman_nemenyi(BY_HAND, direction="up")


@pytest.mark.parametrize("k", [2, 3, 8])
def test_the_picture_names_every_model_and_no_two_texts_overlap(k):
    pytest.importorskip("matplotlib", reason="the picture needs the extra report")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rng = np.random.default_rng(k)
    table = {f"a model called ${at}$_x": rng.normal(at / 3, 1, 15) for at in range(k)}
    ranking = friedman_nemenyi(table)
    figure = Figure(figsize=(7, critical_difference_height(ranking)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw_critical_difference(ranking, axes)
    canvas.draw()
    said = [text.get_text() for text in axes.texts]
    for model, rank in zip(ranking.models, ranking.mean_ranks, strict=True):
        assert sum(model in one and f"{rank:.2f}" in one for one in said) == 1
    assert sum(f"critical difference {ranking.critical_difference:.2f}" == one for one in said) == 1
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[:at])
    assert all(figure.bbox.padded(1).contains(*corner) for box in boxes for corner in box.corners())
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 4]
    assert len(bars) == len(ranking.groups)
    for bar, group in zip(bars, ranking.groups, strict=True):
        first, last = (ranking.mean_ranks[ranking.models.index(group[at])] for at in (0, -1))
        assert bar[0] < first
        assert last < bar[1]
