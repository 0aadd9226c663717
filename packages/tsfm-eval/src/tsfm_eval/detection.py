"""How well a score tells the windows with an event from those without, and the threshold at which to act on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError
from tsfm_eval.glucose import is_number
from tsfm_eval.pairs import Floats, check_shapes, floats

__all__ = ["OperatingPoint", "auprc", "auroc", "choose_threshold", "operating_point"]

Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class OperatingPoint:
    """What an alarm at ``score >= threshold`` does; NaN where there is nothing to take a share of.

    :param sensitivity: share of the events with an alarm.
    :param specificity: share of the others without one.
    :param ppv: share of the alarms with an event.
    """

    threshold: float
    sensitivity: float
    specificity: float
    ppv: float


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the receiver operating characteristic; NaN where one of the two classes is empty.

    The probability that a window with an event scores higher than one without, a tie counting one half: the
    Mann-Whitney statistic.

    Unit: 1. Higher is better. Give scores, such as the least median of a window with its sign changed, or the largest
    probability of a low by its quantiles. Source: Hanley and McNeil 1982, Radiology 143.

    :param labels: 1 or True for an event, 0 or False for none, NaN where it is not known, any shape.
    :param scores: the higher the likelier, the same shape; pairs with a score that is not finite do not count.
    :raises DataError: for shapes that differ, or labels that are not 0 or 1.
    """
    events, others, _ = _curve(labels, scores)
    total = events[-1] * others[-1]
    # each window without an event passes those above it, and half of those at its own height
    return float(np.sum(np.diff(others) * (events[1:] + events[:-1]) / 2) / total) if total else float("nan")


def auprc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the average precision; NaN where one of the two classes is empty. Read it beside the share of events.

    ``sum (R_n - R_(n-1)) P_n`` over the distinct scores from the highest down, with recall R_n and precision P_n of an
    alarm at that score or above: steps, no trapezoids. Arguments and errors are those of :func:`auroc`.

    Unit: 1. Higher is better. Give scores of the median or of quantiles, as for :func:`auroc`. Source: scikit-learn's
    average precision; of the areas, Hanley and McNeil 1982, Radiology 143.
    """
    events, others, _ = _curve(labels, scores)
    if not events[-1] * others[-1]:
        return float("nan")
    return float(np.sum(np.diff(events) * events[1:] / (events[1:] + others[1:])) / events[-1])


def choose_threshold(labels: npt.ArrayLike, scores: npt.ArrayLike, rule: float | Literal["youden"]) -> float:
    """Return the threshold of an alarm at ``score >= threshold``; NaN where one of the two classes is empty.

    Choose it on validation data and keep it. Labels, scores and errors are those of :func:`auroc`.

    :param rule: a sensitivity in (0, 1]: the highest of the scores that reaches it. Or ``youden``: the score that
        maximises sensitivity + specificity - 1, the highest of several.
    :raises DataError: for another rule.
    """
    events, others, heights = _curve(labels, scores)
    if not (rule == "youden" if isinstance(rule, str) else is_number(rule) and 0 < rule <= 1):
        raise DataError(f"rule {rule!r} is not known", "give a sensitivity such as 0.9, or 'youden'")
    if not events[-1] * others[-1]:
        return float("nan")
    if rule == "youden":
        # whole numbers, so that equal sums are equal
        at = np.argmax(events[1:] * others[-1] - others[1:] * events[-1])
    else:
        at = np.searchsorted(events[1:], float(rule) * events[-1] - 1e-9)
    return float(heights[at])


def operating_point(labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> OperatingPoint:
    """Return what an alarm at ``score >= threshold`` does. Labels, scores and errors are those of :func:`auroc`.

    Unit: 1. Higher is better, of the threshold neither. Give scores of the median or of quantiles, as for
    :func:`auroc`. Source: the curve of Hanley and McNeil 1982, Radiology 143, of which it is a point.

    :param threshold: NaN where none was found: then all is NaN.
    :raises DataError: for a threshold that is no number as well.
    """
    label, score = _known(labels, scores)
    if not is_number(threshold):
        raise DataError(f"threshold {threshold!r} is no number", "give one number, such as choose_threshold returns")
    threshold = float(floats("threshold", threshold))
    if np.isnan(threshold):
        return OperatingPoint(float("nan"), float("nan"), float("nan"), float("nan"))
    alarm = score >= threshold
    return OperatingPoint(threshold, _share(alarm[label]), _share(~alarm[~label]), _share(label[alarm]))


def _share(marks: Marks) -> float:
    return float(marks.mean()) if marks.size else float("nan")


def _known(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Marks, Floats]:
    label, score = floats("labels", labels), floats("scores", scores)
    check_shapes(labels=label, scores=score)
    event = label == 1
    known = event | (label == 0)
    wrong = label[~known & ~np.isnan(label)]
    if wrong.size:
        raise DataError(f"a label is {wrong[0]:g}", "give 1 for an event, 0 for none, NaN where it is not known")
    known &= np.isfinite(score)
    return (event.reshape(-1), score.reshape(-1)) if known.all() else (event[known], score[known])


def _curve(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return how many events and others lie at each distinct score or above, from none on, and the scores."""
    label, score = _known(labels, scores)
    order = np.argsort(score)[::-1]
    label, score = label[order], score[order]
    del order  # of ten million windows each of these arrays takes 80 MB
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], score.size > 0))
    events, others = np.zeros((2, ends.size + 1))
    events[1:] = np.cumsum(label)[ends]
    others[1:] = ends + 1 - events[1:]
    return events, others, score[ends]
