"""Insulin and carbohydrate on board: what is left of past doses and meals, and what of them is available now.

A dose D of rapid insulin runs through a chain of compartments of the Hovorka kind (times in minutes, q1 = D at 0)::

    dq1 = -q1 / 55     dq2 = (q1 - q2) / 55     dI = q2 / 55 - ke I     ke = 0.138 per min

``left`` is q1 + q2 + I, the share that is not yet eliminated; ``available`` is I. ke I, the insulin activity, is what
is eliminated in a minute: its integral is the dose. Of a meal of C grams 0.8 C is absorbed, q1 = 0.8 C at 0::

    dq1 = -q1 / 40     dq2 = (q1 - q2) / 40     dq3 = q2 / 40

``left`` is 0.8 C - q3 = q1 + q2; ``available`` is q2. Everything is linear: the response to many doses is the sum of
the responses to each, a convolution. ``exact_*`` sample the closed solution, right at any step; ``parity_*`` are the
published code's explicit Euler steps of the data's own cadence, cut after 180 min.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError

__all__ = [
    "ABSORBED",
    "CARBS_TMAX",
    "INSULIN_TMAX",
    "KE",
    "PARITY_SPAN",
    "SPAN",
    "WASH_IN",
    "Response",
    "carbs_available",
    "carbs_left",
    "exact_bolus",
    "exact_infusion",
    "exact_meal",
    "insulin_available",
    "insulin_left",
    "parity_bolus",
    "parity_infusion",
    "parity_meal",
    "respond",
    "washed_in",
]

Floats = npt.NDArray[np.float64]

#: Time of the largest flow out of the second compartment, min.
INSULIN_TMAX, CARBS_TMAX = 55.0, 40.0
#: Elimination rate of insulin, per min.
KE = 0.138
#: Share of carbohydrate that is absorbed.
ABSORBED = 0.8
#: Seconds after a start of recording in which earlier doses, which nobody knows, still count: 0.2 % is left at 8 h.
WASH_IN = 8 * 3600
#: Minutes that an exact response lasts: less than 1e-8 of a dose is left.
SPAN = 20 * 60.0
#: Minutes that a parity response lasts: 19 % of a dose and 6 % of a meal vanish then in one step.
PARITY_SPAN = 180.0


class Response(NamedTuple):
    """What one unit of a stream in slot 0 gives at the rows 0, 1, 2 ... of the grid, read at the start of each slot.

    :param left: ``[k]``, on board.
    :param available: ``[k]``, in the compartment that acts.
    """

    left: Floats
    available: Floats


def insulin_available(minutes: Floats) -> Floats:
    """Return I of a unit dose after ``minutes`` ``[n]``: ``a^2 (t e^(-a t)/c - e^(-a t)/c^2 + e^(-ke t)/c^2)``.

    a = 1/55 and c = ke - a, per min.
    """
    a, c = 1.0 / INSULIN_TMAX, KE - 1.0 / INSULIN_TMAX
    decay = np.exp(-a * minutes)
    return np.asarray(a**2 * (minutes * decay / c - decay / c**2 + np.exp(-KE * minutes) / c**2))


def insulin_left(minutes: Floats) -> Floats:
    """Return the share of a dose on board after ``minutes`` ``[n]``: ``e^(-a t) (1 + a t) + I(t)``."""
    return _two_compartments(minutes, INSULIN_TMAX) + insulin_available(minutes)


def carbs_left(minutes: Floats) -> Floats:
    """Return the share of a meal on board after ``minutes`` ``[n]``: ``0.8 e^(-t/40) (1 + t/40)``."""
    return ABSORBED * _two_compartments(minutes, CARBS_TMAX)


def carbs_available(minutes: Floats) -> Floats:
    """Return the share of a meal that is available after ``minutes`` ``[n]``: ``0.8 (t/40) e^(-t/40)``."""
    return np.asarray(ABSORBED * minutes / CARBS_TMAX * np.exp(-minutes / CARBS_TMAX))


@lru_cache(maxsize=32)
def exact_bolus(step: int) -> Response:
    """Return the response to 1 U given at the start of a slot of ``step`` seconds."""
    times = _times(step)
    return Response(insulin_left(times), insulin_available(times))


@lru_cache(maxsize=32)
def exact_infusion(step: int) -> Response:
    """Return the response to 1 U/h infused evenly through a slot of ``step`` seconds; 0 at the slot's own start.

    At row k it is ``(F(k dt) - F((k - 1) dt)) / 60``, F the integral of the response to a dose from 0 on: of I it is
    ``(1 - left) / ke``, as ke I is what leaves; of q1 and q2 ``55 (1 - e^(-a t))`` and ``55 (1 - e^(-a t)(1 + a t))``.
    """
    times = _times(step)
    available = (1.0 - insulin_left(times)) / KE
    upstream = 2.0 - np.exp(-times / INSULIN_TMAX) - _two_compartments(times, INSULIN_TMAX)
    left = INSULIN_TMAX * upstream + available
    return Response(np.diff(left, prepend=0.0) / 60.0, np.diff(available, prepend=0.0) / 60.0)


@lru_cache(maxsize=32)
def exact_meal(step: int) -> Response:
    """Return the response to 1 g eaten at the start of a slot of ``step`` seconds."""
    times = _times(step)
    return Response(carbs_left(times), carbs_available(times))


@lru_cache(maxsize=32)
def parity_bolus(step: int) -> Response:
    """Return the published response to 1 U: explicit Euler, each row recorded before its update, 180 min.

    :raises DataError: for a step over 2/ke = 14.5 min, at which it is unstable.
    """
    dt = _stable(step, 2.0 / KE)
    first, second, plasma, gone = 0.0, 0.0, 0.0, 0.0
    left, available = [], []
    for at in range(math.ceil(PARITY_SPAN / dt)):
        left.append(max(1.0 - gone, 0.0))
        available.append(plasma)
        dose = 1.0 / dt if at == 0 else 0.0
        first, second, plasma, gone = (
            first + dt * (dose - first / INSULIN_TMAX),
            second + dt * (first - second) / INSULIN_TMAX,
            plasma + dt * (second / INSULIN_TMAX - KE * plasma),
            gone + dt * KE * plasma,
        )
    return Response(np.array(left), np.array(available))


def parity_infusion(step: int) -> Response:
    """Return the published response to 1 U/h: the slot's share of it taken as a bolus at the slot's start."""
    bolus = parity_bolus(step)
    return Response(bolus.left * (step / 3600.0), bolus.available * (step / 3600.0))


@lru_cache(maxsize=32)
def parity_meal(step: int) -> Response:
    """Return the published response to 1 g, as :func:`parity_bolus`.

    :raises DataError: for a step over 2 x 40 min, at which it is unstable.
    """
    dt = _stable(step, 2.0 * CARBS_TMAX)
    first, second, absorbed = 0.0, 0.0, 0.0
    left, available = [], []
    for at in range(math.ceil(PARITY_SPAN / dt)):
        left.append(ABSORBED - absorbed)
        available.append(second)
        meal = ABSORBED / dt if at == 0 else 0.0
        first, second, absorbed = (
            first + dt * (meal - first / CARBS_TMAX),
            second + dt * (first - second) / CARBS_TMAX,
            absorbed + dt * second / CARBS_TMAX,
        )
    return Response(np.array(left), np.array(available))


def respond(doses: Floats, response: Floats) -> Floats:
    """Return the sum of the responses ``[k]`` to ``doses`` ``[n]``, ``[n]``: row t holds those of the slots up to t."""
    rows = len(doses)
    return np.convolve(doses, response[:rows])[:rows] if rows else np.empty(0)


def washed_in(recorded: npt.NDArray[np.bool_], step: int) -> npt.NDArray[np.bool_]:
    """Return where a stream, ``recorded`` at the rows ``[n]``, has been so for 8 h without a break, ``[n]``."""
    rows = np.arange(len(recorded))
    started = np.maximum.accumulate(np.where(recorded, -1, rows)) + 1
    return np.asarray(recorded & ((rows - started) * step >= WASH_IN))


def _two_compartments(minutes: Floats, tmax: float) -> Floats:
    """Return q1 + q2 of a unit after ``minutes`` ``[n]``."""
    return np.asarray(np.exp(-minutes / tmax) * (1.0 + minutes / tmax))


def _times(step: int) -> Floats:
    """Return the minutes at which an exact response is sampled, one step beyond its span."""
    dt = step / 60.0
    return np.arange(math.ceil(SPAN / dt) + 1, dtype=np.float64) * dt


def _stable(step: int, limit: float) -> float:
    """Return ``step`` in minutes."""
    dt = step / 60.0
    if dt > limit:
        raise DataError(
            f"the published on-board equations are unstable at a step of {dt:g} min, over {limit:.1f} min",
            "set data.features: exact",
        )
    return dt
