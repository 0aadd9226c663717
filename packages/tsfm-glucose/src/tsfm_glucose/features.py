"""Computed channels: insulin and carbohydrate on board, in an exact and a parity set, and the time of day.

In both sets a dose logged in slot [t, t + dt) enters at t and counts at row t already: the cutoff row, the last one
shown, is shown whole. No row uses the dose of a later one. Basal flows in through its slot and counts from the next row
on in the exact set; the parity set takes it as a bolus at the slot's start, as the published code does.

The sets differ in what is not recorded, too. Exact: a channel is NaN where a stream it needs is not recorded, and for
8 h after each start of recording, as nobody knows the doses before it; doses before a break decay on through it.
Parity: an unrecorded row is a dose of 0, but NaN until a stream it needs is recorded for the first time. (As published,
such a row is 0 if a record follows: that looks ahead. The published files are rounded to 2 decimals besides. Nothing is
rounded here.) Long-acting injections (basal_u) have other kinetics and count nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tsfm_core import Feature
from tsfm_glucose import on_board
from tsfm_glucose.on_board import Response

__all__ = ["FEATURES"]

Floats = npt.NDArray[np.float64]
Part = Literal["left", "available"]


class _Stream(NamedTuple):
    """A channel of doses, and the response to one unit of it by the seconds of a step."""

    channel: str
    exact: Callable[[int], Response]
    parity: Callable[[int], Response]


_BOLUS = _Stream("bolus_u", on_board.exact_bolus, on_board.parity_bolus)
_BASAL = _Stream("basal_u_per_h", on_board.exact_infusion, on_board.parity_infusion)
_CARBS = _Stream("carbs_g", on_board.exact_meal, on_board.parity_meal)

#: Name, what it is, unit, streams, part of the response.
_CHANNELS: tuple[tuple[str, str, str, tuple[_Stream, ...], Part], ...] = (
    ("iob", "bolus insulin on board", "U", (_BOLUS,), "left"),
    ("insulin_availability", "I of bolus insulin", "U", (_BOLUS,), "available"),
    ("iob_basal", "basal insulin on board", "U", (_BASAL,), "left"),
    ("insulin_availability_basal", "I of basal insulin", "U", (_BASAL,), "available"),
    ("iob_total", "bolus and basal insulin on board", "U", (_BOLUS, _BASAL), "left"),
    ("insulin_availability_total", "I of bolus and basal insulin", "U", (_BOLUS, _BASAL), "available"),
    ("cob", "carbohydrate on board, of the 80 % that is absorbed", "g", (_CARBS,), "left"),
    ("carb_availability", "carbohydrate in the second compartment", "g", (_CARBS,), "available"),
)

_EXACT = {
    ("U", "left"): "D (e^(-a t)(1 + a t) + I(t)), I(t) = a^2 (t e^(-a t)/c - e^(-a t)/c^2 + e^(-ke t)/c^2)",
    ("U", "available"): "D a^2 (t e^(-a t)/c - e^(-a t)/c^2 + e^(-ke t)/c^2)",
    ("g", "left"): "0.8 D e^(-t/40)(1 + t/40)",
    ("g", "available"): "0.8 D (t/40) e^(-t/40)",
}
_EULER = {
    ("U", "left"): "max(D - q4, 0)",
    ("U", "available"): "I",
    ("g", "left"): "0.8 D - q3",
    ("g", "available"): "q2",
}
_CONSTANTS = {"U": ", a = 1/55, ke = 0.138, c = ke - a, t in min", "g": ", t in min"}
_EQUATIONS = {
    "U": "dq1 = -q1/55 (+ D/dt in step 0), dq2 = (q1 - q2)/55, dI = q2/55 - ke I, dq4 = ke I, ke = 0.138 per min",
    "g": "dq1 = -q1/40 (+ 0.8 D/dt in step 0), dq2 = (q1 - q2)/40, dq3 = q2/40, per min",
}


def _exact(
    channels: Mapping[str, Floats],
    minutes: npt.NDArray[np.int64],
    step: int,
    streams: tuple[_Stream, ...],
    part: Part,
) -> Floats:
    total = np.zeros(len(minutes))
    for stream in streams:
        doses = channels[stream.channel]
        recorded = np.isfinite(doses)
        series = on_board.respond(np.where(recorded, doses, 0.0), getattr(stream.exact(step), part))
        total += np.where(on_board.washed_in(recorded, step), series, np.nan)
    return total


def _parity(
    channels: Mapping[str, Floats],
    minutes: npt.NDArray[np.int64],
    step: int,
    streams: tuple[_Stream, ...],
    part: Part,
) -> Floats:
    total = np.zeros(len(minutes))
    begun = np.zeros(len(minutes), bool)
    for stream in streams:
        doses = channels[stream.channel]
        recorded = np.isfinite(doses)
        begun |= np.logical_or.accumulate(recorded)
        total += on_board.respond(np.where(recorded, doses, 0.0), getattr(stream.parity(step), part))
    return np.where(begun, total, np.nan)


def _exact_definition(unit: str, streams: tuple[_Stream, ...], part: Part) -> str:
    basal = "; of basal its integral over each slot's constant infusion" if _BASAL in streams else ""
    return (
        f"sum over the doses D up to this slot, t after the start of their own, of {_EXACT[unit, part]}"
        f"{_CONSTANTS[unit]}{basal}; NaN where a stream is not recorded and for 8 h after each start of its recording; "
        "closed solution of the chain of the parity set"
    )


def _parity_definition(unit: str, streams: tuple[_Stream, ...], part: Part) -> str:
    basal = "; basal is a bolus of rate x dt" if _BASAL in streams else ""
    return (
        f"sum over the doses D up to this slot, of {_EULER[unit, part]}, where {_EQUATIONS[unit]}: explicit Euler at "
        f"the data's cadence dt, read before each update, 0 from 180 min on{basal}; an unrecorded slot is 0, NaN "
        "before the first one recorded; equations of nocturnal-hypo-gly-prob-forecast"
    )


def _cycle(
    channels: Mapping[str, Floats],
    minutes: npt.NDArray[np.int64],
    step: int,
    wave: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    period: int,
) -> Floats:
    """Return a sine or cosine of the local minute of the day."""
    return np.asarray(wave(2.0 * np.pi * minutes / period), np.float64)


def _time_of_day() -> Iterator[Feature]:
    for prefix, period in (("hour", 1440), ("half_day", 720)):
        for name, wave in (("sin", np.sin), ("cos", np.cos)):
            definition = f"{name}(2 pi m / {period}), m the local minute of the day"
            compute = partial(_cycle, wave=wave, period=period)
            yield Feature(f"{prefix}_{name}", definition, "1", (), compute, known=True)


def _on_board() -> Iterator[Feature]:
    for name, what, unit, streams, part in _CHANNELS:
        needs = tuple(stream.channel for stream in streams)
        for label, compute, define in (("exact", _exact, _exact_definition), ("parity", _parity, _parity_definition)):
            definition = f"{what}: {define(unit, streams, part)}"
            yield Feature(name, definition, unit, needs, partial(compute, streams=streams, part=part), set=label)


FEATURES: list[Feature] = [
    *_on_board(),
    *_time_of_day(),
]
