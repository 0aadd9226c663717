"""Test windows that begin with a night or with a meal. A cutoff is the last row shown; the first target is the next."""

from __future__ import annotations

import math
import re
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from tsfm_core import ConfigError, DataError, EvaluationProtocol, Panel, Section
from tsfm_core.freq import seconds
from tsfm_core.task import as_value_error

__all__ = ["PROTOCOLS", "NocturnalOptions", "PrandialOptions"]

Marks = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

_DAY = 1440
_EVENTS = ("bolus_u", "carbs_g")


class NocturnalOptions(Section):
    """What ``evaluation.options`` says of nights."""

    at: str = Field(
        default="00:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="local time at which the horizon begins, HH:MM",
    )
    quiet: bool = Field(default=False, description="only nights without bolus and carbohydrate from then on")
    hours: float = Field(default=8.0, gt=0, le=48, description="how long a quiet night is")


class PrandialOptions(Section):
    """What ``evaluation.options`` says of meals."""

    min_carbs_g: float = Field(default=10.0, gt=0, description="least carbohydrate of a slot that is a meal, g")
    merge: str = Field(default="60min", description="a meal within it of the meal before belongs to that one")
    alone_before: str = Field(default="0min", description="no other meal within it before the first of a group")
    alone_after: str = Field(default="0min", description="no other meal within it after the last of a group")
    meal: Literal["hidden", "known"] = Field(
        default="hidden",
        description="hidden: the first meal lies in the horizon; known: its slot is the last one shown",
    )

    @field_validator("merge", "alone_before", "alone_after")
    @classmethod
    def _duration(cls, alias: str) -> str:
        as_value_error(_length, alias)
        return alias


def _length(alias: str) -> int:
    """Return the seconds of a duration, 0 included."""
    return 0 if re.fullmatch(r"0+(s|min|h|D)", alias) else seconds(alias)


def _nocturnal(panel: Panel, stride: int, options: NocturnalOptions) -> Marks:
    _refuse_stride("nocturnal", stride)
    if panel.clock == "none":
        raise DataError("the stamps of this source are placeholders: no night can be found", "use another protocol")
    if panel.clock == "utc" and not panel.zones:
        raise DataError(
            "the stamps of this source are UTC in no known zone: no night can be found", "give data.timezone"
        )
    hour, minute = options.at.split(":")
    marked = _before_each_day(panel, 60 * int(hour) + int(minute))
    if options.quiet:
        busy = np.zeros(len(panel), bool)
        for channel in _EVENTS:
            busy |= ~(panel.columns[channel] == 0)  # NaN, too
        first = np.arange(len(panel)) + 1
        marked &= _clear(
            panel, busy, np.arange(len(panel)), first, first + math.ceil(options.hours * 3600 / panel.step)
        )
    return marked


def _before_each_day(panel: Panel, at: int) -> Marks:
    """Mark the row before the first slot of each day that starts at minute ``at``."""
    minutes, item = panel.minutes(), panel.row_items
    if not len(minutes):
        return np.zeros(0, bool)
    # the local clock without its midnights; only a change of the clock makes a row other than a step ahead
    ahead = np.diff(minutes, prepend=minutes[:1])
    ahead += _DAY * np.rint((panel.step / 60 - ahead) / _DAY).astype(np.int64)
    elapsed, first = np.cumsum(ahead), panel.offsets[:-1][item]
    day = (elapsed - elapsed[first] + minutes[first] - at) // _DAY
    # each day of each item once: an hour that is repeated starts no second one
    day += item * (day.max() - day.min() + 1)
    marked = np.zeros(len(minutes), bool)
    marked[:-1] = day[1:] > np.maximum.accumulate(day)[:-1]
    marked[panel.offsets[1:] - 1] = False
    return marked


def _prandial(panel: Panel, stride: int, options: PrandialOptions) -> Marks:
    _refuse_stride("prandial", stride)
    carbs = panel.columns["carbs_g"]
    meals = np.flatnonzero(carbs >= options.min_carbs_g)
    begins = np.ones(len(meals) + 1, bool)  # and one past the last, which ends its group
    begins[1:-1] = (np.diff(meals) * panel.step > _length(options.merge)) | (np.diff(panel.items_of(meals)) != 0)
    first, last = meals[begins[:-1]], meals[begins[1:]]
    other = ~(carbs < options.min_carbs_g)  # NaN, too: what is not recorded is no evidence of no meal
    before, after = _length(options.alone_before) // panel.step, _length(options.alone_after) // panel.step
    alone = _clear(panel, other, first, first - before, first) & _clear(panel, other, last, last + 1, last + 1 + after)
    cutoffs = first[alone]
    if options.meal == "hidden":
        cutoffs = cutoffs[cutoffs > panel.offsets[panel.items_of(cutoffs)]] - 1
    marked = np.zeros(len(panel), bool)
    marked[cutoffs] = True
    return marked


def _clear(panel: Panel, flags: Marks, rows: Rows, first: Rows, stop: Rows) -> Marks:
    """Return whether ``first:stop`` is of the item of ``rows`` and none of it flagged, for each of ``rows``."""
    item = panel.items_of(rows)
    inside = (first >= panel.offsets[item]) & (stop <= panel.offsets[item + 1])
    count = np.concatenate([[0], np.cumsum(flags)])
    first, stop = np.clip(first, 0, len(panel)), np.clip(stop, 0, len(panel))
    return np.asarray(inside & (count[stop] == count[first]))


def _refuse_stride(name: str, stride: int) -> None:
    if stride != 1:
        raise ConfigError(
            f"the protocol {name} finds its own cutoffs; evaluation.stride is {stride}", "leave evaluation.stride out"
        )


PROTOCOLS: list[EvaluationProtocol] = [
    EvaluationProtocol(
        name="nocturnal",
        definition=(
            "a cutoff at the last slot before each first slot of an item at or after the local time `at`, once a day: "
            "where the clock skips that time the first slot after it counts, where it repeats it the first pass; with "
            "quiet, only where bolus_u and carbs_g are recorded and 0 in every slot that starts within `hours` of that "
            "first slot"
        ),
        cutoffs=_nocturnal,
        options_schema=NocturnalOptions,
        needs=lambda options: _EVENTS if options.quiet else (),
    ),
    EvaluationProtocol(
        name="prandial",
        definition=(
            "a meal is a slot with carbs_g >= min_carbs_g; one at most `merge` after the meal before it belongs to the "
            "same group; a group counts where carbs_g is recorded and holds no meal in every slot that starts at most "
            "`alone_before` before its first meal or at most `alone_after` after its last; a cutoff at the slot before "
            "the first meal (meal: hidden) or at the first meal's own (meal: known)"
        ),
        cutoffs=_prandial,
        options_schema=PrandialOptions,
        needs=lambda options: ("carbs_g",),
    ),
]
