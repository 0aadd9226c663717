"""Alarms of the forecasts against the hypoglycaemic events of each person: the metrics hypo_level1 and hypo_level2.

Windows overlap or leave gaps, and come by the million: of each only the bits "low" and "seen" are kept, its cutoff and
whether it raised an alarm. The series of a person is put together from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, Metric
from tsfm_eval.alarms import hypo_alarms, sustained_alarms
from tsfm_eval.events import HypoEvents, find_events, samples_of_event
from tsfm_eval.glucose import low_limit
from tsfm_eval.pairs import ratio

__all__ = ["ENOUGH", "METRICS", "why_not"]

#: A horizon without a low in which less than this share was observed says nothing of an alarm.
ENOUGH = 0.8

#: Windows at a time while the series is put together.
CHUNK = 65_536

_DAY = 86_400.0

Bits = npt.NDArray[Any]


def why_not(block: Block) -> str | None:
    """Return why alarms cannot be judged by such windows, or None."""
    if block.cutoff is None or block.context is None or not block.step:
        return "the windows come without cutoff and context"
    samples = samples_of_event(block.step / 60)
    if block.truth.shape[1] < samples:
        return f"the horizon is shorter than the {samples} steps below the threshold that raise an alarm"
    return None


def _parts(level: int, block: Block) -> Mapping[str, Bits]:
    assert block.cutoff is not None
    assert block.context is not None
    threshold = low_limit(block.unit, level)
    seen = np.isfinite(np.hstack([block.context, block.truth]))
    with np.errstate(invalid="ignore"):
        low = seen & (np.hstack([block.context, block.truth]) < threshold)
        alarm = sustained_alarms(block.point("median") < threshold, samples_of_event(block.step / 60))
    n, prediction_length = block.truth.shape
    return {
        "low": np.packbits(low, axis=1),
        "seen": np.packbits(seen, axis=1),
        "alarm": alarm,
        "cutoff": block.cutoff.astype("datetime64[s]").astype(np.int64),
        "step": np.full(n, block.step, dtype=np.int32),
        "context": np.full(n, block.context.shape[1], dtype=np.uint8),
        "prediction_length": np.full(n, prediction_length, dtype=np.uint16),
        "count": np.asarray(np.isfinite(block.truth).any(axis=1), dtype=np.int8),
    }


def _per_item(columns: Mapping[str, Bits]) -> Mapping[str, Any]:
    cutoff, order = np.unique(columns["cutoff"], return_index=True)
    if not order.size:
        return dict.fromkeys(("events", "detected", "episodes", "true", "left_out", "days", "lead", "count"), 0.0)
    step, context, ahead = (int(columns[name][0]) for name in ("step", "context", "prediction_length"))
    first = (cutoff - cutoff[0]) // step  # of each window's samples in the series
    low, seen, covered = _series(columns, order, first, context, ahead)
    minutes = step / 60
    start, stop = find_events(low, seen, minutes)
    issued = (first + context - 1)[columns["alarm"][order]]
    observed = np.concatenate([[0], np.cumsum(seen)])
    enough = (observed[issued + 1 + ahead] - observed[issued + 1]) / ahead >= ENOUGH
    followed = np.searchsorted(start, issued, "right") < np.searchsorted(start, issued + ahead, "right")
    judged = issued[enough | followed]
    days = float(np.count_nonzero(seen & covered)) * step / _DAY
    events = HypoEvents(start, stop, np.zeros(start.size, dtype=np.bool_), minutes, samples_of_event(minutes))
    match = hypo_alarms(judged, events, ahead, days)
    return {
        "events": float(np.count_nonzero(covered[start])),
        "detected": float(match.detected),
        "episodes": float(match.episodes),
        "true": float(match.true),
        "left_out": float(issued.size - judged.size),
        "days": days,
        "lead": float(match.lead_minutes.sum()),
        "count": float(columns["count"].sum()),
    }


def _series(
    columns: Mapping[str, Bits], order: Bits, first: Bits, context: int, ahead: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return where the series was low, where it was seen, and where some window looked ahead to."""
    width = context + ahead
    low, seen = np.zeros((2, int(first[-1]) + width), dtype=np.bool_)
    for begin in range(0, order.size, CHUNK):
        rows, at = order[begin : begin + CHUNK], first[begin : begin + CHUNK]
        for series, name in ((low, "low"), (seen, "seen")):
            # one column after the other: no sample is met twice within one, so that nothing is lost in an "or"
            bits = np.unpackbits(columns[name][rows].T, axis=0, count=width).view(np.bool_)
            for offset in range(width):
                series[at + offset] |= bits[offset]
    edges = np.zeros(seen.size + 1, dtype=np.int64)
    edges[first + context] += 1
    edges[first + width] -= 1
    return low, seen, np.cumsum(edges[:-1]) > 0


def _metric(level: int) -> Metric:
    name = f"hypo_level{level}"

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        recall, precision = ratio(sums["detected"], sums["events"]), ratio(sums["true"], sums["episodes"])
        both = recall + precision
        f1 = np.where(both > 0, 2 * recall * precision / np.where(both > 0, both, 1.0), 0.0)
        return {
            f"{name}_events": sums["events"],
            f"{name}_recall": recall,
            f"{name}_precision": precision,
            f"{name}_f1": np.where(np.asarray(sums["events"]) == 0, np.nan, f1)[()],
            f"{name}_false_per_day": ratio(sums["episodes"] - sums["true"], sums["days"]),
            f"{name}_lead": ratio(sums["lead"], sums["detected"]),
            f"{name}_left_out": sums["left_out"],
        }

    limit = {1: "70 mg/dL or 3.9 mmol/L", 2: "54 mg/dL or 3.0 mmol/L"}[level]
    definition = (
        f"low: g < {limit}, in the unit of the data; n = 15 min in steps, rounded up; an event starts at the "
        "first of n consecutive low samples and ends when n consecutive ones are not low, its stop one past "
        "its last low sample; samples without a reading are skipped, more than 45 min of them close it; an "
        "alarm is raised at a cutoff t if the forecast has n consecutive low steps in its horizon of H steps;"
        " alarms with start <= t < stop of an event are ignored, and so are, counted as left_out, those with "
        "less than 80 % of the horizon observed and no start of an event in it; an alarm less than 30 min "
        "after the one before joins its episode; an event starting at s is detected by an alarm with s - H <="
        " t <= s - 5 min, lead = s less the earliest such t; an episode is true if an event starts in (t, t +"
        " H] for one of its alarms, else false; events = starts in the horizon of some window; recall = "
        "detected / events; precision = true / (true + false); f1 = their harmonic mean, 0 where nothing is "
        "detected; false_per_day = false episodes per day of readings in the horizon of some window; lead = "
        "mean over detected events; counts are summed over items; cutoffs stand every stride, and an alarm "
        "between two is not raised"
    )
    return Metric(
        name=name,
        definition=definition,
        unit="1",
        direction="higher",
        point="median",
        parts=lambda block: _parts(level, block),
        finish=finish,
        needs=("glucose",),
        additive=False,
        steps=False,
        per_item=_per_item,
        family="event",
        limits={"": (0.0, float("inf"))} | {f"{name}_{share}": (0.0, 1.0) for share in ("recall", "precision", "f1")},
        source="events: Danne et al. 2017, Diabetes Care 40(12), and Battelino et al. 2023; the matching is tsfm's own",
        why_not=why_not,
        units={f"{name}_lead": "min"},
        directions={f"{name}_events": "none", f"{name}_false_per_day": "lower", f"{name}_left_out": "none"},
    )


METRICS = (_metric(1), _metric(2))
