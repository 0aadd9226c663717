"""A block of people lives its days: in each slot a reading is seen and decided on, and the body goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.units import MGDL_PER_MMOLL
from tsfm_glucose.population.bodies import Bodies
from tsfm_glucose.population.habits import Plan, plan
from tsfm_glucose.population.people import Person, draw_person, stacked
from tsfm_glucose.population.therapy import Therapy
from tsfm_glucose.simulation import DAY

__all__ = ["VALUES", "simulate_people"]

#: What :func:`simulate_people` returns, in this order.
VALUES = ("glucose", "bolus_u", "basal_u_per_h", "basal_u", "carbs_g", "carbs_eaten_g")
_SETTLING = 8  # days, not given: the clinic titrates after every second of them
_RESCUES_LOGGED = 0.4
_PLANNED = (
    *("eaten", "pace", "logged", "sensitivity", "production", "uptake", "delivered"),
    *("long_acting", "background", "factor", "error", "shown", "luck"),
)


def simulate_people(
    numbers: Sequence[int],
    seed: int,
    days: int,
    weekday: int,
    bodies: Any,
    advice: Any,
    settling: int = _SETTLING,
) -> npt.NDArray[np.float32]:
    """Return ``[people, days * 288, 6]``, the columns as in ``VALUES``; NaN where nothing is shown or recorded.

    A person's rows depend on the number, not on who else is asked for.

    :param numbers: of the people.
    :param weekday: of the first day, Monday is 0.
    :param bodies: the simulator's table of parameters, by the name of the body.
    :param advice: its table of carbohydrate ratios and correction factors, likewise.
    :param settling: days before the first that is given.
    """
    people = [draw_person(np.random.default_rng([seed, 1000, number]), bodies, advice) for number in numbers]
    plans = [plan(person, settling + days, weekday - settling) for person in people]
    return _live(people, plans, settling * DAY)[:, settling * DAY :]


def _live(people: Sequence[Person], plans: Sequence[Plan], settled: int) -> npt.NDArray[np.float32]:
    planned = {name: np.stack([getattr(one, name) for one in plans], axis=1) for name in _PLANNED}
    usual = {key: np.array([person.body[key] for person in people]) for key in people[0].body}
    bodies = Bodies(usual)
    need, millimolar = bodies.basal, stacked(people, "millimolar")
    therapy = Therapy(people, need)
    slots = len(planned["shown"])
    record = np.full((len(VALUES), slots, len(people)), np.nan, np.float32)
    pace = np.ones(len(people))
    for slot in range(slots):
        now = {name: values[slot] for name, values in planned.items()}
        glucose = bodies.sensed
        reading = _shown(glucose * now["factor"] + now["error"], now["shown"], millimolar)
        therapy.look(slot, reading)
        if slot % (2 * DAY) == 0 and 0 < slot <= settled:
            therapy.titrate(record[0, slot - 2 * DAY : slot])
        bolus = therapy.bolus(slot, now["logged"], now["luck"][:, 0])
        rescue = therapy.rescue(slot, glucose, now["luck"])
        basal = therapy.basal(now["background"])
        injected = now["long_acting"] * 24 * need * therapy.scale
        noted = now["logged"] + np.where(now["luck"][:, 2] < _RESCUES_LOGGED, rescue, 0)
        eaten = now["eaten"] + rescue
        by_pump, by_pen = np.where(therapy.injects, np.nan, basal), np.where(therapy.injects, injected, np.nan)
        record[:, slot] = reading, bolus, by_pump, by_pen, noted, eaten
        pace = np.where(rescue > 0, 2.0, np.where(np.isnan(now["pace"]), pace, now["pace"]))  # of the last thing eaten
        changed = {key: usual[key] * pace for key in ("kmax", "kmin", "kabs")}
        changed |= {key: usual[key] * now["sensitivity"] for key in ("kp3", "Vmx")}
        changed["kp1"] = usual["kp1"] * now["production"]
        changed["Fsnc"] = usual["Fsnc"] + now["uptake"] * np.clip((glucose - 50) / 60, 0, 1)  # a low ends exercise
        bodies.live(eaten, (basal + 12 * bolus) * now["delivered"], changed)
    return record.transpose(2, 1, 0)


def _shown(
    value: npt.NDArray[np.float64], shown: npt.NDArray[np.bool_], millimolar: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return readings in mg/dL, rounded and limited as sensors do; NaN where none is shown."""
    rounded = np.where(millimolar, np.round(value / MGDL_PER_MMOLL, 1) * MGDL_PER_MMOLL, np.round(value))
    return np.where(shown, np.clip(rounded, 40, 400), np.nan)
