"""The report of one run or of several: one HTML file that opens without a network, and its figures."""

from __future__ import annotations

from tsfm_eval.report.content import (
    Calibration,
    Drawing,
    Entry,
    MetricFact,
    PairCounts,
    PairRow,
    Pictures,
    Scores,
    Statistics,
    Window,
)
from tsfm_eval.report.gather import gather
from tsfm_eval.report.page import write_report

__all__ = [
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
    "gather",
    "write_report",
]
