"""The picture of a ranking: models on the axis of mean ranks, bars over those that do not differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsfm_eval.statistics.ranks import Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["critical_difference_height", "draw_critical_difference"]

# of Okabe and Ito's palette, told apart without red or green; ink and grey as in the other pictures
_BAR, _INK, _GREY = "#0072B2", "#1A1A1A", "#9A9A9A"

#: Rows of the picture, in the height of a line of text: above the axis, to the first bar, of a bar, of a label.
_HEAD, _FIRST, _BAR_ROW, _LABEL_ROW = 2.8, 0.9, 0.7, 1.25


def critical_difference_height(ranking: Ranking) -> float:
    """Return the height in inches that :func:`draw_critical_difference` needs; 7 inches are a good width."""
    return 0.2 * (_HEAD + _depth(ranking)) + 0.1


def draw_critical_difference(ranking: Ranking, axes: Axes) -> None:
    """Draw the critical-difference diagram of Demsar (2006): best at the left, bars join models that do not differ.

    :param ranking: of up to about ten models, as ``friedman_nemenyi`` gives it.
    :param axes: of matplotlib; about 7 inches wide and :func:`critical_difference_height` high. Its own axes are
        switched off.
    """
    k = len(ranking.models)
    axes.set_axis_off()
    axes.set_xlim(1 - 0.42 * (k - 1), k + 0.42 * (k - 1))
    axes.set_ylim(_depth(ranking), -_HEAD)
    _draw_scale(axes, k, ranking.critical_difference)
    for row, group in enumerate(ranking.groups):
        ends = [ranking.mean_ranks[ranking.models.index(group[at])] for at in (0, -1)]
        depth, margin = _FIRST + row * _BAR_ROW, 0.012 * (k - 1)
        span = [ends[0] - margin, ends[1] + margin]
        axes.plot(span, [depth, depth], color=_BAR, linewidth=4, solid_capstyle="round", zorder=3)
    left = (k + 1) // 2
    for at, (model, rank) in enumerate(zip(ranking.models, ranking.mean_ranks, strict=True)):
        leftward = at < left
        depth = _top(ranking) + _LABEL_ROW * (at if leftward else k - 1 - at)
        edge = 1 - 0.06 * (k - 1) if leftward else k + 0.06 * (k - 1)
        axes.plot([rank, rank, edge], [0, depth, depth], color=_INK, linewidth=0.8)
        axes.plot([rank], [0], marker="o", markersize=4, color=_INK, zorder=4)
        shift, side = (-4, "right") if leftward else (4, "left")
        said = f"{model}  {rank:.2f}" if leftward else f"{rank:.2f}  {model}"
        axes.annotate(
            said,
            (edge, depth),
            (shift, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            color=_INK,
            fontsize=9,
            parse_math=False,
        )


def _draw_scale(axes: Axes, k: int, critical: float) -> None:
    axes.plot([1, k], [0, 0], color=_INK, linewidth=1)
    for rank in range(1, k + 1):
        axes.plot([rank, rank], [0, -0.2], color=_INK, linewidth=1)
        axes.text(rank, -0.3, str(rank), ha="center", va="bottom", color=_INK, fontsize=9)
    end = 1 + critical
    axes.plot([1, end], [-1.5, -1.5], color=_GREY, linewidth=1.5)
    for at in (1.0, end):
        axes.plot([at, at], [-1.65, -1.35], color=_GREY, linewidth=1.5)
    said = f"critical difference {critical:.2f}"
    axes.text((1 + end) / 2, -1.8, said, ha="center", va="bottom", color=_INK, fontsize=9)


def _top(ranking: Ranking) -> float:
    """Return the row of the first label: below the bars."""
    return _FIRST + _BAR_ROW * len(ranking.groups) + 0.4


def _depth(ranking: Ranking) -> float:
    return _top(ranking) + _LABEL_ROW * float(np.ceil(len(ranking.models) / 2)) - 0.3
