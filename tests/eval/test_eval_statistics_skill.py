"""Skill scores and win rates, by hand."""

import numpy as np
import pytest

from tsfm_core import DataError
from tsfm_eval.statistics.skill import skill_score, win_rate

NAN = np.nan


def test_skill_by_hand():
    # ratios 1/2, 1/2, 2 -> geometric mean 2^(-1/3)
    assert skill_score([1, 2, 8], [2, 4, 4]).score == pytest.approx(1 - 2 ** (-1 / 3))
    # a ratio of 1/1000 is clipped to 1/100, one of 1000 to 100
    assert skill_score([1, 10], [1000, 10]).score == pytest.approx(1 - 0.1)
    assert skill_score([1000, 10], [1, 10]).score == pytest.approx(1 - 10)
    # 0/0 is as good as the baseline, 0/1 clipped to 1/100, 1/0 to 100
    assert skill_score([0, 0, 1], [0, 1, 0]).score == pytest.approx(0)


def test_skill_is_blind_to_the_scale_of_a_task_and_turns_with_the_roles():
    error, base, scale = np.random.default_rng(0).uniform(1, 5, (3, 20))
    found = skill_score(error, base).score
    assert skill_score(error * scale, base * scale).score == pytest.approx(found)
    assert 1 - skill_score(base, error).score == pytest.approx(1 / (1 - found))


@pytest.mark.parametrize(
    ("missing", "score", "tasks"), [("drop", 1 - np.sqrt(0.5 * 0.25), 2), ("impute", 1 - (0.5 * 0.25) ** 0.25, 4)]
)
def test_missing_cells_of_a_skill_score(missing, score, tasks):
    found = skill_score([1, NAN, 1, 3], [2, 5, 4, NAN], missing=missing)
    assert found.score == pytest.approx(score)
    assert (found.tasks, found.missing) == (tasks, 2)


def test_no_task_gives_nan():
    assert np.isnan(skill_score([NAN], [1], missing="drop").score)
    assert np.isnan(skill_score([], []).score)
    assert np.isnan(list(win_rate({"a": [NAN], "b": [1]}, missing="drop").rates.values())).all()


def test_win_rate_by_hand():
    found = win_rate({"a": [1, 1, 5, 2], "b": [2, 1, 4, 3], "c": [3, 3, 3, 3]})
    # a-b: 2 wins, 1 tie, 1 loss = 0.625; a-c: 3 of 4; b-c: 2 wins, 1 tie, 1 loss = 0.625
    assert found.rates == pytest.approx({"a": (0.625 + 0.75) / 2, "b": (0.375 + 0.625) / 2, "c": (0.25 + 0.375) / 2})
    assert (found.tasks, found.missing) == (4, 0)
    assert sum(found.rates.values()) == pytest.approx(1.5)


def test_missing_cells_of_a_win_rate():
    table = {"a": [1, NAN, 5], "b": [2, 1, NAN], "naive": [3, 3, 3]}
    assert win_rate(table, missing="drop").rates == pytest.approx({"a": 1, "b": 0.5, "naive": 0})
    found = win_rate(table, missing="impute", baseline="naive")
    # a = 1 3 5, b = 2 1 3, naive = 3 3 3
    assert found.rates == pytest.approx(
        {"a": (1 / 3 + 0.5) / 2, "b": (2 / 3 + 2.5 / 3) / 2, "naive": (0.5 + 0.5 / 3) / 2}
    )
    assert (found.tasks, found.missing) == (3, 2)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: skill_score([1, NAN], [1, 1]), "1 tasks have no error for a model; say what that means"),
        (lambda: win_rate({"a": [1, NAN], "b": [1, 1]}), "1 tasks have no error for a model"),
        (lambda: skill_score([1], [1], missing="skip"), "missing 'skip' is not known; known: error, drop, impute"),
        (lambda: skill_score([1, -2], [1, 1]), "an error of -2 is below 0"),
        (lambda: skill_score([1, np.inf], [1, 1]), "infinite score"),
        (lambda: skill_score([1, 2], [1]), r"errors has shape \[2\], baseline \[1\]"),
        (lambda: skill_score(["x"], [1]), "the row of errors is not an array of numbers"),
        (lambda: win_rate({"a": [1]}), "a comparison of 1 models"),
        (lambda: win_rate({"a": [1], "b": [NAN]}, missing="impute"), "baseline None is none of the models"),
        (lambda: win_rate({"a": [1], "b": [NAN]}, missing="impute", baseline="b"), "b has no error for some tasks"),
    ],
)
def test_mistakes_are_sentences(call, said):
    with pytest.raises(DataError, match=said):
        call()
