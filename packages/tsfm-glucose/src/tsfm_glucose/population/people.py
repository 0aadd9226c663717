"""Who is simulated: a body between the published ones, a therapy with settings that are nearly right, a character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CLOSED_LOOP", "INJECTIONS", "PUMP", "Person", "draw_person", "stacked"]

PUMP, CLOSED_LOOP, INJECTIONS = 0, 1, 2  # a pump that suspends before lows, one that steers basal, daily injections
_THERAPIES = (0.25, 0.3, 0.45)
_COHORTS = {"adult": 0.6, "adolescent": 0.25, "child": 0.15}


@dataclass(frozen=True)
class Person:
    """One virtual person, before anything has happened.

    :param rng: what this person's days are drawn from.
    :param body: parameters of the UVa/Padova model, by their name.
    :param therapy: ``PUMP``, ``CLOSED_LOOP`` or ``INJECTIONS``.
    :param carb_ratio: g per U, and ``correction_factor`` mg/dL per U.
    :param target: mg/dL that doses are computed for.
    :param aim: mean glucose, mg/dL, that the clinic titrates towards.
    :param gain: of a closed loop: basal by 60 mg/dL above the target, in basals.
    :param dose_step: U to which a bolus is rounded.
    :param discipline: 0 to 1: how well meals are counted and dosed for, and how soon a high is noticed.
    :param low: mg/dL at which the person eats, and ``rescue`` g of an adult's portion then.
    :param portion: of what an adult eats.
    :param late: hours by which the person's days are later than others'.
    :param dawn: mean relative rise of glucose production in the morning.
    :param exercise: probability of a day with exercise.
    :param thin: whether the sensor reads every 15 minutes.
    :param millimolar: whether the sensor shows 0.1 mmol/L instead of 1 mg/dL.
    """

    rng: np.random.Generator
    body: dict[str, float]
    therapy: int
    carb_ratio: float
    correction_factor: float
    target: float
    aim: float
    gain: float
    dose_step: float
    discipline: float
    low: float
    rescue: float
    portion: float
    late: float
    dawn: float
    exercise: float
    thin: bool
    millimolar: bool


def draw_person(rng: np.random.Generator, bodies: Any, advice: Any) -> Person:
    """Draw a person.

    :param bodies: the simulator's table of parameters, by the name of the body.
    :param advice: its table of carbohydrate ratios (CR) and correction factors (CF), likewise.
    """
    cohort = str(rng.choice(list(_COHORTS), p=list(_COHORTS.values())))
    name = f"{cohort}#{int(rng.integers(1, 11)):03d}"
    sensitivity = float(np.clip(rng.lognormal(0, 0.25), 0.5, 2))
    body = _body({str(key): float(value) for key, value in bodies.loc[name].items()}, rng, sensitivity)
    therapy = int(rng.choice(3, p=_THERAPIES))
    injects = therapy == INJECTIONS
    discipline = float(rng.beta(2.5, 1.5))
    return Person(
        rng=rng,
        body=body,
        therapy=therapy,
        carb_ratio=float(advice.loc[name, "CR"]) * sensitivity * rng.normal(1.0, 0.12),
        correction_factor=float(advice.loc[name, "CF"]) * sensitivity * rng.normal(1.3, 0.2),
        target=rng.uniform(100, 130),
        aim=float(np.clip(rng.normal(160 - 25 * discipline, 12), 118, 190)),
        gain=rng.uniform(0.1, 0.6),
        dose_step=float(rng.choice([0.5, 1.0])) if injects else 0.05,
        discipline=discipline,
        low=rng.uniform(72, 92),
        rescue=rng.uniform(10, 22),
        portion=rng.uniform(0.45, 0.65) if cohort == "child" else rng.lognormal(0, 0.18),
        late=rng.normal(0, 1),
        dawn=rng.uniform(0, 0.12),
        exercise=rng.uniform(0, 0.7),
        thin=bool(rng.random() < 0.35) and injects,
        millimolar=bool(rng.random() < 0.5),
    )


def stacked(people: Sequence[Person], name: str) -> npt.NDArray[Any]:
    """Return one attribute of all people."""
    return np.array([getattr(person, name) for person in people])


def _body(body: dict[str, float], rng: np.random.Generator, sensitivity: float) -> dict[str, float]:
    """Vary a published body; it still rests at its basal glucose and insulin."""
    meals, depots = rng.lognormal(0.25, 0.25), rng.lognormal(0.3, 0.2)
    factors = dict.fromkeys(("Vmx", "kp3"), sensitivity)
    factors |= dict.fromkeys(("kmax", "kmin", "kabs"), meals)
    factors |= dict.fromkeys(("ka1", "ka2", "kd"), depots)  # newer insulins are quicker than those of the model
    factors |= {"ksc": rng.lognormal(0.3, 0.3), "BW": rng.lognormal(0, 0.12)}
    varied = {key: value * factors.get(key, 1.0) for key, value in body.items()}
    varied["kabs"] = min(varied["kabs"], 0.4)  # some published ones absorb all but at once
    varied["kp1"] = varied["EGPb"] + varied["kp2"] * varied["Gpb"] + varied["kp3"] * varied["Ib"]
    return varied
