"""Wilcoxon and Holm by hand and by counting, Diebold and Mariano against a package."""

from itertools import product

import numpy as np
import pytest
from dieboldmariano import NegativeVarianceException, dm_test
from scipy import stats

from tsfm_core import DataError
from tsfm_eval.statistics.diebold_mariano import diebold_mariano
from tsfm_eval.statistics.paired_tests import holm, wilcoxon_holm


def counted(d):
    """Two-sided p by trying all signs."""
    ranks = stats.rankdata(np.abs(d))
    signed = np.array(list(product([-1, 1], repeat=len(d)))) @ ranks
    return np.mean(np.abs(signed) >= abs(np.sign(d) @ ranks) - 1e-9)


def test_wilcoxon_by_hand():
    # d = 1 -2 3 4 0 5: ranks of 1 2 3 4 5, W- = 2, W+ = 13
    (test,) = wilcoxon_holm({"a": [11, 10, 13, 14, 10, 15], "b": [10, 12, 10, 10, 10, 10]})
    assert (test.a, test.b, test.patients, test.zeros, test.statistic) == ("a", "b", 6, 1, 2.0)
    assert test.effect == pytest.approx(11 / 15)
    assert test.p == test.p_holm == pytest.approx(6 / 32)  # W <= 2: {}, {1}, {2}, on either side
    assert test.distribution == "exact"


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("n", [1, 2, 5, 11])
def test_wilcoxon_against_counting(n, tied):
    d = np.random.default_rng(n).normal(0.5, 1, 11)[:n]
    d = np.round(2 * d) / 2 + 0.25 if tied else d
    (test,) = wilcoxon_holm({"a": [*d, 0], "b": np.zeros(n + 1)})
    assert (test.distribution, test.zeros) == ("exact", 1)
    assert test.p == pytest.approx(counted(d), abs=1e-12)


def test_the_normal_distribution_takes_over_without_a_step():
    d = np.round(np.random.default_rng(7).normal(1, 3, 51)) + 0.25
    fifty, more = (wilcoxon_holm({"a": d[:n], "b": np.zeros(n)})[0] for n in (50, 51))
    assert (fifty.distribution, more.distribution) == ("exact", "normal")
    normal = stats.wilcoxon(d[:50], method="approx", correction=True).pvalue
    assert fifty.p == pytest.approx(normal, abs=0.002)
    assert 0.001 < fifty.p < 0.5


def test_five_patients_of_one_sign_are_not_significant():
    (test,) = wilcoxon_holm({"a": [2, 2, 2, 2, 2], "b": [1, 1, 1, 1, 1]})
    assert test.p == pytest.approx(2 / 32)
    assert test.effect == 1


def test_many_pairs_and_none_that_differ():
    rng = np.random.default_rng(9)
    base = rng.lognormal(3, 0.4, 60)
    table = {"a": base, "b": base.copy(), "c": base + rng.normal(1, 2, 60), "d": base * 1.3}
    tests = wilcoxon_holm(table)
    assert [(test.a, test.b) for test in tests] == [
        ("a", "b"),
        ("a", "c"),
        ("a", "d"),
        ("b", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    same = tests[0]
    assert (same.zeros, same.p, same.p_holm, same.statistic) == (60, 1.0, 1.0, 0.0)
    assert np.isnan(same.effect)
    assert [test.p_holm for test in tests] == pytest.approx(holm([test.p for test in tests]))
    expected = stats.wilcoxon(table["a"], table["c"], method="approx", correction=True)
    assert (tests[1].statistic, tests[1].p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
    assert tests[2].effect == -1
    turned = wilcoxon_holm(dict(reversed(table.items())))
    assert turned[0].p == tests[-1].p
    assert turned[0].effect == -tests[-1].effect


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


def test_diebold_mariano_by_hand():
    found = diebold_mariano([1, 0, 2, 1, 1], [0, 0, 0, 0, 0])
    assert (found.statistic, found.p) == pytest.approx((3.1623, 0.0341), abs=5e-5)
    assert (found.losses, found.bartlett) == (5, False)


@pytest.mark.parametrize("steps", [1, 2, 5, 11])
@pytest.mark.parametrize("seed", range(4))
def test_diebold_mariano_against_a_package(steps, seed):
    rng = np.random.default_rng(seed)
    shared = np.convolve(rng.normal(0, 1, 50), np.ones(5), "valid") if seed % 2 else rng.normal(0, 1, 46)
    a, b = np.square(shared + rng.normal(0, 0.3, (2, 46)))
    found = diebold_mariano(a, b, steps)
    losses = {"V": [0.0] * 46, "P1": a.tolist(), "P2": b.tolist(), "loss": lambda truth, loss: loss, "h": steps}
    try:
        expected = dm_test(**losses)
        assert not found.bartlett
    except NegativeVarianceException:
        expected = dm_test(**losses, variance_estimator="bartlett")
        assert found.bartlett
    assert (found.statistic, found.p) == pytest.approx(expected, rel=1e-8)
    assert diebold_mariano(b, a, steps).statistic == -found.statistic


def test_a_variance_that_is_not_positive():
    # d = 3 1 3 1 3 1: c_0 = 1, c_1 = -5/6, plain V = (1 - 10/6) / 6 < 0; Bartlett (1 - 5/6) / 6 = 1/36
    found = diebold_mariano([3, 1, 3, 1, 3, 1], [0] * 6, steps=2)
    assert found.bartlett
    assert found.statistic == pytest.approx(2 * 6 * np.sqrt((6 + 1 - 4 + 2 / 6) / 6))


@pytest.mark.parametrize(
    ("a", "b", "steps", "said"),
    [
        ([1, 2, 3], [1, 2], 1, r"loss_a has shape \[3\], loss_b \[2\]"),
        ([1, 2, np.nan], [1, 2, 3], 1, "not one axis of finite values"),
        ([[1, 2]], [[1, 3]], 1, "not one axis of finite values"),
        ([1, 2, 4], [1, 2, 3], 3, "steps 3 does not fit 3 losses"),
        ([1, 2, 4], [1, 2, 3], 0, "steps 0 does not fit"),
        ([1, 2, 4], [1, 2, 3], 1.5, "steps 1.5 does not fit"),
        ([1, 2, 4], [0.1, 1.1, 3.1], 1, "the losses differ by 0.9 at every time"),
        ([0, 0], [0, 0], 1, "the losses differ by 0 at every time"),
        ([], [], 1, "steps 1 does not fit 0 losses"),
        (["x"], [1], 1, "loss_a is not an array of numbers"),
    ],
)
def test_series_that_cannot_be_tested(a, b, steps, said):
    with pytest.raises(DataError, match=said):
        diebold_mariano(a, b, steps)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"a": [1, 2]}, "a comparison of 1 models"),
        ({"a": [1, 2], "b": [1, 2, 3]}, r"a has shape \[2\], b \[3\]"),
        ({"a": [[1, 2]], "b": [[1, 2]]}, r"a has shape \[1, 2\]"),
        ({"a": [1, 2], "b": [1, np.nan]}, r"b has no score for patient 1 \(counted from 0\)"),
        ({"a": [1, 2], "b": [1, np.inf]}, "the row of b has an infinite score"),
        ({"a": [1, 2], "b": ["x", "y"]}, "the row of b is not an array of numbers"),
        ({"a": [], "b": []}, "0 patients are too few"),
    ],
)
def test_tables_that_cannot_be_tested(table, said):
    with pytest.raises(DataError, match=said):
        wilcoxon_holm(table)


@pytest.mark.parametrize("p", [[0.2, 1.2], [np.nan], [[0.1]], ["small"]])
def test_holm_wants_probabilities(p):
    with pytest.raises(DataError, match=r"^p is not"):
        holm(p)
