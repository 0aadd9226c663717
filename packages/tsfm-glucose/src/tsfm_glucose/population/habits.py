"""What a person's days bring, whatever the sensor reads: meals, exercise, sensitivity, long-acting insulin, faults."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsfm_glucose.population.people import INJECTIONS, Person
from tsfm_glucose.population.sensors import wear
from tsfm_glucose.simulation import DAY, autoregressive, bell

__all__ = ["Plan", "plan"]

Floats = npt.NDArray[np.float64]

# hour, its SD, median g of an adult, log-SD of g, probability
_MEALS = (
    (7.5, 0.6, 42, 0.40, 0.88),
    (10.4, 0.6, 15, 0.45, 0.25),
    (12.8, 0.7, 55, 0.40, 0.95),
    (15.8, 0.8, 18, 0.45, 0.40),
    (18.9, 0.8, 65, 0.38, 0.98),
    (21.6, 0.7, 20, 0.50, 0.35),
    (25.0, 0.8, 20, 0.50, 0.04),
)


@dataclass(frozen=True)
class Plan:
    """A person's days, each ``[slots]``.

    :param eaten: g, and ``pace`` a factor on their absorption, NaN where nothing is eaten.
    :param logged: g that are entered, and dosed for.
    :param sensitivity: factor on insulin's action, and ``production`` on the liver's glucose.
    :param uptake: mg/kg/min that muscles take in exercise.
    :param delivered: share of the insulin that gets through.
    :param long_acting: doses in days of the resting need, and ``background`` what flows of them, relative to it.
    :param factor: of the sensor, ``error`` its noise in mg/dL, ``shown`` whether it shows a value.
    :param luck: uniform numbers for what is decided on the day, ``[slots, 3]``.
    """

    eaten: Floats
    pace: Floats
    logged: Floats
    sensitivity: Floats
    production: Floats
    uptake: Floats
    delivered: Floats
    long_acting: Floats
    background: Floats
    factor: Floats
    error: Floats
    shown: npt.NDArray[np.bool_]
    luck: npt.NDArray[np.float32]


def plan(person: Person, days: int, weekday: int) -> Plan:
    """Draw a person's days.

    :param weekday: of the first day, Monday is 0.
    """
    eaten, pace, logged = _meals(person, days, weekday)
    uptake, lifted, hungry = _exercise(person, days, eaten)
    long_acting, background = _long_acting(person, days)
    factor, error, shown = wear(person, days)
    return Plan(
        eaten=eaten,
        pace=pace,
        logged=logged,
        sensitivity=_sensitivity(person, days) * hungry,
        production=_production(person, days) * lifted,
        uptake=uptake,
        delivered=_delivered(person, days),
        long_acting=long_acting,
        background=background,
        factor=factor,
        error=error,
        shown=shown,
        luck=person.rng.random((days * DAY, 3), np.float32),
    )


def _meals(person: Person, days: int, weekday: int) -> tuple[Floats, Floats, Floats]:
    """Return g eaten, their pace and g logged: a meal may be dosed for early, late, wrongly or not at all."""
    rng, slots, careless = person.rng, days * DAY, 1 - person.discipline
    eaten, pace, logged = np.zeros(slots), np.full(slots, np.nan), np.zeros(slots)
    bias, error = rng.normal(0.97, 0.08), rng.uniform(0.1, 0.2) + 0.25 * careless
    missed, late, early = 0.02 + 0.15 * careless, 0.05 + 0.3 * careless, rng.uniform(0, 4) * person.discipline
    appetite, irregular, unbolused = rng.lognormal(0, 0.1), rng.uniform(0.3, 1.2), rng.uniform(0.1, 0.8)
    for day in range(days):
        weekend = (weekday + day) % 7 >= 5
        hunger = person.portion * appetite * rng.lognormal(0, 0.12)
        for hour, hour_sd, size, size_sd, probability in _MEALS:
            if rng.random() > probability:
                continue
            slot = day * DAY + round(12 * rng.normal(hour + person.late + weekend, hour_sd * irregular))
            if not 12 <= slot < slots - 24:
                continue
            carbs = max(3.0, round(size * hunger * np.exp(size_sd * np.clip(rng.normal(), -2, 2))))
            eaten[slot] += carbs
            pace[slot] = rng.lognormal(-0.6, 0.2) if rng.random() < 0.3 else rng.lognormal(0.05, 0.35)
            fate, delay = rng.random(), int(rng.integers(3, 16))
            if fate > missed and not (carbs < 20 and rng.random() < unbolused):
                entry = slot + delay if fate < missed + late else slot - round(early * rng.random())
                logged[entry] += max(5.0, 5.0 * round(carbs * bias * rng.lognormal(0, error) / 5))
    return eaten, pace, logged


def _exercise(person: Person, days: int, eaten: Floats) -> tuple[Floats, Floats, Floats]:
    """Return uptake and factors on production and sensitivity; a snack before it is added to what is eaten."""
    rng, slots = person.rng, days * DAY
    uptake, production, sensitivity = np.zeros(slots), np.ones(slots), np.ones(slots)
    after = np.exp(-np.arange(180) / rng.uniform(48, 110))  # fades over 4 to 9 h
    usual = rng.choice([8.0, 13.0, 17.5]) + person.late
    for day in range(days):
        if rng.random() > person.exercise:
            continue
        start = day * DAY + round(12 * rng.normal(usual, 1.2))
        length, hard = int(rng.integers(4, 18)), rng.uniform(0.2, 1)
        stop = start + length
        if start < 12 or stop + len(after) > slots:
            continue
        if rng.random() < 0.15:  # short and hard: the liver answers
            production[start:stop] += 0.8 * hard
        else:
            uptake[start:stop] += 1.8 * hard
        sensitivity[start:stop] *= 1 + 0.7 * hard
        sensitivity[stop : stop + len(after)] *= 1 + 0.35 * hard * after
        if rng.random() < 0.4:
            eaten[start - 3] += round(rng.uniform(10, 25) * person.portion)
    return uptake, production, sensitivity


def _sensitivity(person: Person, days: int) -> Floats:
    """Return a log-normal factor: a daily and an hourly AR(1) part, a circadian part, and illness."""
    rng, hours = person.rng, np.arange(days * DAY) / 12
    day_sd, hour_sd, memory = rng.uniform(0.08, 0.22), rng.uniform(0.25, 0.5), rng.uniform(0.88, 0.97)
    daily = np.interp(hours, np.arange(days) * 24 + 12, autoregressive(rng, days, 0.5, day_sd))
    hourly = np.interp(hours, np.arange(24 * days), autoregressive(rng, 24 * days, memory, hour_sd))
    clock = rng.uniform(-0.1, 0.15) * np.cos(2 * np.pi * (hours - rng.normal(8, 2) - person.late) / 24)
    ill = np.zeros(len(hours))
    for start in rng.integers(0, len(hours), rng.poisson(days / 45)):
        ill[start : start + int(rng.uniform(1, 4) * DAY)] = rng.uniform(0.15, 0.5)
    return np.asarray(np.exp(daily + hourly - clock - ill))


def _production(person: Person, days: int) -> Floats:
    """Return a factor: dawn, on some days more than on others, and an hourly AR(1) part."""
    rng, hours = person.rng, np.arange(days * DAY) / 12
    dawn = 1 + np.outer(person.dawn * rng.lognormal(0, 0.4, days), bell(6 + person.late / 2, 1.7)).ravel()
    hourly = autoregressive(rng, 24 * days, rng.uniform(0.6, 0.9), rng.uniform(0.04, 0.14))
    return np.asarray(dawn * np.exp(np.interp(hours, np.arange(24 * days), hourly)))


def _delivered(person: Person, days: int) -> Floats:
    """Return the share of a pump's insulin that gets through: now and then a site fails for hours."""
    rng, share = person.rng, np.ones(days * DAY)
    if person.therapy != INJECTIONS:
        for start in rng.integers(0, len(share), rng.poisson(days / 20)):
            share[start : start + int(rng.uniform(24, 84))] = rng.uniform(0.1, 0.6)
    return share


def _long_acting(person: Person, days: int) -> tuple[Floats, Floats]:
    """Return doses of long-acting insulin, some forgotten, and what flows of them: a gamma curve of hours or a day."""
    rng, slots = person.rng, days * DAY
    doses, flow = np.zeros(slots), np.zeros(slots)
    if person.therapy != INJECTIONS:
        return doses, flow
    hour, slow = rng.choice([8.0, 22.0]) + rng.normal(0, 0.7), rng.choice([5.5, 8.0, 13.0]) * 12
    since = np.arange(int(8 * slow))
    curve = since * np.exp(-since / slow)
    curve *= DAY / curve.sum()
    for day in range(-4, days):
        slot = day * DAY + round(12 * rng.normal(hour, 0.5))
        dose = rng.normal(1, 0.03) if day < 0 or rng.random() > 0.01 + 0.02 * (1 - person.discipline) else 0.0
        if slot >= slots:
            continue
        if slot >= 0:
            doses[slot] += dose
        part = curve[max(0, -slot) : slots - slot]
        flow[max(0, slot) : max(0, slot) + len(part)] += dose * part
    return doses, flow
