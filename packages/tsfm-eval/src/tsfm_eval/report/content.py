"""What a report shows, as plain records: whoever has the numbers fills them in, and the page only draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

    Floats = npt.NDArray[np.floating]
    Counts = npt.NDArray[np.int64]

__all__ = [
    "ZONES",
    "Calibration",
    "Drawing",
    "Entry",
    "MetricFact",
    "PairCounts",
    "PairRow",
    "Pictures",
    "Scores",
    "Statistics",
    "Window",
]

#: The zones of every error grid, in the order of their counts.
ZONES = "ABCDE"

#: The scores of one model by set. Of a set: ``windows``, ``overall {number: value}``, and where they were computed
#: ``by_step {number: [H]}``, ``by_hour {number: {hour: value}}``, ``by_range {number: {range: value}}``,
#: ``intervals {number: (low, high)}`` and ``step_intervals {number: [(low, high)] * H}``.
Scores = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class MetricFact:
    """What a reader must know of a metric.

    :param name: a number belongs to the metric with the longest name that it begins with.
    :param unit: as :class:`tsfm_core.Metric` gives it; ``target`` is the unit of the entry.
    :param direction: ``lower`` or ``higher`` is better, or ``none``.
    :param units: the unit of a number that is not ``unit``; ``directions`` likewise.
    :param point: what it judged: ``mean``, a level such as ``0.5``, or ``quantiles``.
    """

    name: str
    unit: str
    direction: str
    definition: str
    units: Mapping[str, str] = field(default_factory=dict)
    directions: Mapping[str, str] = field(default_factory=dict)
    point: str = ""


@dataclass(frozen=True)
class PairCounts:
    """The pairs of a truth and a forecast, counted.

    :param counts: ``[K, K]`` by truth and forecast, in squares of ``width`` mg/dL from 0.
    :param beyond: pairs outside of the squares; they are in ``zones`` all the same.
    :param zones: of each error grid (``clarke``, ``parkes_t1``) the pairs in A to E.
    :param judged: which forecast it is: ``mean`` or ``median``.
    """

    counts: Counts
    width: float
    beyond: int
    zones: Mapping[str, Counts]
    judged: str


@dataclass(frozen=True)
class Calibration:
    """How often the truth fell below each quantile.

    :param levels: ``[Q]``, ascending.
    :param below: ``[Q]``, the share of pairs with ``truth <= quantile``, the quantiles of a step sorted.
    :param pairs: how many there were.
    """

    levels: tuple[float, ...]
    below: tuple[float, ...]
    pairs: int


@dataclass(frozen=True)
class Window:
    """One forecast to draw, in the unit of the task.

    :param score: why it is shown: its RMSE, or for a night by how much a true low was missed.
    :param context: ``[T]``, the last column stands at the cutoff; ``truth`` and ``point`` ``[H]``; ``quantiles``
        ``[Q, H]``, ascending, or None.
    """

    item_id: str
    cutoff: np.datetime64
    score: float
    context: Floats
    truth: Floats
    point: Floats
    quantiles: Floats | None = None


@dataclass(frozen=True)
class Pictures:
    """What is drawn of the stored forecasts of one set.

    :param best: the complete window with the least RMSE; ``worst`` with the greatest; ``median`` one in the middle.
    :param nights: the nights whose true low the forecast missed by most, worst first.
    :param absent: why something is not there, by its name here.
    """

    pairs: PairCounts | None = None
    calibration: Calibration | None = None
    best: Window | None = None
    median: Window | None = None
    worst: Window | None = None
    nights: tuple[Window, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One run of a report.

    :param label: short, and unlike the other entries'.
    :param facts: of run.json.
    :param task: target, unit, freq, context_length, prediction_length, quantile_levels.
    :param unit: of the scores.
    :param scores: of the model; ``validation`` among the sets is not shown.
    :param items: a row for each set and person: ``{"set", "item_id", "windows", number: value}``.
    :param baselines: scores by baseline; ``baseline_items`` their rows.
    :param missing: why a metric or a baseline is not there.
    :param pictures: by set.
    :param training: the lines of logs/training.jsonl.
    :param config: the text of config.yaml.
    :param checked: whether it was tested on the same windows as the others, and scored by the same metrics.
    """

    label: str
    facts: Mapping[str, Any]
    task: Mapping[str, Any]
    unit: str
    scores: Scores
    items: Sequence[Mapping[str, Any]] = ()
    metrics: Sequence[MetricFact] = ()
    baselines: Mapping[str, Scores] = field(default_factory=dict)
    baseline_items: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, Pictures] = field(default_factory=dict)
    training: Sequence[Mapping[str, Any]] = ()
    config: str = ""
    checked: bool = False


@dataclass(frozen=True)
class PairRow:
    """Two models compared over the persons of a set.

    :param difference: of ``number``, ``first - second``, with its interval ``low`` to ``high``.
    :param p_holm: of Wilcoxon's signed-rank test after Holm's correction; ``effect`` its rank-biserial correlation.
    """

    set: str
    number: str
    first: str
    second: str
    patients: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_holm: float | None = None
    effect: float | None = None


@dataclass(frozen=True)
class Drawing:
    """A figure that somebody else draws, such as a critical-difference plot.

    :param name: of its file, unlike the others'.
    :param finding: what it shows, in one sentence.
    :param draw: draws on the axes it gets; black ink becomes the colour of the page's text.
    :param size: width and height in inches; wider than 5, it has a row of its own.
    """

    name: str
    title: str
    finding: str
    draw: Callable[[Axes], None]
    size: tuple[float, float] = (4.6, 2.6)


@dataclass(frozen=True)
class Statistics:
    """The comparison of several models over persons.

    :param notes: what was left out and why, such as too few persons.
    """

    rows: Sequence[PairRow] = ()
    drawings: Sequence[Drawing] = ()
    notes: Sequence[str] = ()
