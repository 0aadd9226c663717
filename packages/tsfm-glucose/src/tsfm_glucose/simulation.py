"""Life around a virtual body: habits, dosing, changing sensitivity, a sensor's gaps. No simulator is imported here.

The simulator's own runs are too tame. Added here, every draw from a generator that the caller seeds:

Sensitivity. Insulin action on uptake and on the liver is scaled by a log-normal factor: a daily and an hourly AR(1)
part, and a circadian part that is lowest at 08:00.

Dawn. Hepatic glucose production rises around 06:30, on some days more than on others. The basal profile anticipates a
part of it, and its level is off by a personal error.

Meals. Three meals and some snacks at personal times (an hour later at weekends), each with its own speed of
absorption. What is logged is what was eaten times a personal bias and a log-normal error, to the nearest 5 g.

Boluses. Up to 10 minutes before the meal, or 15 to 60 minutes late, or missed: then nothing is logged either. A bolus
calculator doses: carbs by ratio, a correction, less insulin on board. By day a person sometimes notices a high reading
long after the last bolus, and corrects it.

Lows. Below 70 mg/dL the person eats 15 to 20 g within minutes by day, late or not at all when asleep; in a sensor gap
only symptoms (true glucose below 60) tell. Only a part of these rescue carbs is logged. The pump suspends basal for 30
minutes to 2 hours when the sensor points below 70 in 30 minutes.

Sensor. Short dropouts, dropouts of 50 to 150 minutes that favour the night, and a sensor change every 10 days with 2
hours of warm-up; in a gap neither person nor pump sees a value. The simulator's sensor error has tails beyond 100
mg/dL: it is softly limited to 25. Readings are rounded and clipped as sensors do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np  # noqa: TID253  (only the reader and the tool import this module)
import numpy.typing as npt  # noqa: TID253

__all__ = ["BURN_IN", "DAY", "Person", "draw_person", "physiology", "plan_meals", "sensor_gaps", "shown"]

Floats = npt.NDArray[np.float64]

DAY = 288  # slots of 5 minutes
BURN_IN = 1  # a first day, not written, leaves the simulator's steady state
# hour, SD of the hour, median g of an adult, log-SD of g, probability
MEALS = [
    (7.3, 0.5, 45, 0.32, 0.93),
    (10.3, 0.5, 15, 0.35, 0.30),
    (12.6, 0.5, 60, 0.32, 0.97),
    (15.8, 0.6, 18, 0.35, 0.40),
    (18.8, 0.7, 70, 0.32, 0.99),
    (21.5, 0.5, 18, 0.35, 0.35),
]
LOW, TARGET, HIGH = 70.0, 120.0, 200.0  # mg/dL: alarm, aim of the bolus calculator, worth a correction
SENSOR_ERROR = 25.0  # mg/dL: soft limit
NOTICED, RESCUES_LOGGED = 0.1, 0.5  # probabilities: of noticing a high reading, of logging rescue carbs
MAX_BOLUS = 25.0  # U
INSULIN_ACTION = 66  # slots (5.5 h) until the bolus calculator counts a bolus as used up


@dataclass
class Person:
    """One virtual person with a pump: the settings, and what has been seen and done."""

    carb_ratio: float  # g per U
    correction_factor: float  # mg/dL per U
    basal_profile: list[float]  # U/h by slot of the day
    dawn: float  # mean relative rise of glucose production
    portion: float  # of what an adult eats
    rng: np.random.Generator
    readings: list[float] = field(default_factory=list)  # mg/dL, one a slot
    boluses: list[tuple[int, float]] = field(default_factory=list)  # (slot, U)
    suspended: int = 0  # slots in a row
    next_suspend: int = 0
    rescue_slot: int | None = None
    next_rescue: int = 0

    def act(self, slot: int, reading: float, glucose: float, logged: float) -> tuple[float, float, float, float]:
        """Return U of bolus, U/h of basal, g logged and g of rescue carbs eaten in this slot.

        :param reading: what the sensor shows, NaN in a gap.
        :param glucose: the true value, which is felt only in a gap.
        :param logged: g of the meal entered in this slot.
        """
        self.readings.append(reading)
        bolus = self.bolus(slot, logged) if logged or self.corrects(slot) else 0.0
        rescue = self.rescue(slot, glucose)
        if rescue and self.rng.random() < RESCUES_LOGGED:
            logged += rescue
        return bolus, self.basal(slot), logged, rescue

    def bolus(self, slot: int, carbs: float) -> float:
        """Give what the bolus calculator says for `carbs` g and the newest reading, to 0.1 U."""
        reading = self.readings[-1]
        correction = 0.0 if math.isnan(reading) else (reading - TARGET) / self.correction_factor
        if correction > 0:
            on_board = sum(dose * max(0.0, 1 - (slot - given) / INSULIN_ACTION) for given, dose in self.boluses)
            correction = max(0.0, correction - on_board)
        dose = float(round(min(MAX_BOLUS, max(0.0, carbs / self.carb_ratio + correction)), 1))
        if dose > 0:
            self.boluses.append((slot, dose))
        return dose

    def corrects(self, slot: int) -> bool:
        """Whether the person notices a high reading, 2.5 hours or more after the last bolus."""
        if asleep(slot) or (self.boluses and slot - self.boluses[-1][0] < 30):
            return False
        return self.readings[-1] > HIGH and self.rng.random() < NOTICED

    def rescue(self, slot: int, glucose: float) -> float:
        """Return g of rescue carbs eaten in this slot; the true `glucose` is felt only in a sensor gap."""
        reading = self.readings[-1]
        low = glucose < LOW - 10 if math.isnan(reading) else reading < LOW
        if low and self.rescue_slot is None and slot >= self.next_rescue:
            if not asleep(slot):
                self.rescue_slot = slot + int(self.rng.integers(1, 5))
            elif self.rng.random() < 0.8:
                self.rescue_slot = slot + int(self.rng.integers(2, 10))
            else:  # slept through the alarm
                self.next_rescue = slot + 6
        if slot != self.rescue_slot:
            return 0.0
        self.rescue_slot, self.next_rescue = None, slot + 5
        return float(round(self.portion * self.rng.choice([15, 15, 20])))

    def basal(self, slot: int) -> float:
        """Return U/h now: the profile, or 0 while the last 20 minutes point below the alarm in 30 minutes."""
        reading = self.readings[-1]
        slope = (reading - self.readings[-5]) / 4 if len(self.readings) > 4 else 0.0
        forecast = reading + 6 * min(slope, 0.0)  # NaN in a gap, where both comparisons below are false
        if self.suspended:
            stop = self.suspended < 6 or (forecast < LOW + 10 and self.suspended < 24)
        else:
            stop = slot >= self.next_suspend and reading < 110 and forecast < LOW
        if self.suspended and not stop:
            self.next_suspend = slot + 6
        self.suspended = self.suspended + 1 if stop else 0
        return 0.0 if stop else self.basal_profile[slot % DAY]


def draw_person(
    steady: float, carb_ratio: float, correction_factor: float, portion: float, rng: np.random.Generator
) -> Person:
    """Return a person whose settings are nearly right, as in life.

    :param steady: basal that holds this body steady, U/h.
    :param carb_ratio: g per U, and ``correction_factor`` mg/dL per U, of the simulator's own controller.
    """
    dawn = rng.uniform(0.08, 0.18)
    profile = steady * rng.normal(0.98, 0.05) * (1 + 1.2 * dawn * bell(5.5, 2.0))
    return Person(
        carb_ratio=carb_ratio * rng.normal(1.03, 0.05),
        correction_factor=correction_factor * rng.normal(1.3, 0.1),
        basal_profile=[round(round(rate / 0.05) * 0.05, 2) for rate in np.repeat(profile[::12], 12)],  # hourly steps
        dawn=dawn,
        portion=portion,
        rng=rng,
    )


def asleep(slot: int) -> bool:
    """Whether it is between 23:00 and 06:30."""
    return not 78 <= slot % DAY < 276


def bell(centre: float, width: float) -> Floats:
    """Return a bell of height 1 by slot of the day; `centre` and `width` in hours."""
    curve: Floats = np.exp(-0.5 * ((np.arange(DAY) / 12 - centre) / width) ** 2)
    return curve


def autoregressive(rng: np.random.Generator, length: int, memory: float, sd: float) -> Floats:
    """Return a stationary AR(1) series."""
    series = rng.normal(0, sd, length)
    for i in range(1, length):
        series[i] = memory * series[i - 1] + math.sqrt(1 - memory**2) * series[i]
    return series


def plan_meals(
    rng: np.random.Generator, days: int, portion: float, weekday: int
) -> tuple[dict[int, tuple[float, float]], dict[int, float]]:
    """Return {slot: (g eaten, speed of absorption)} and {slot: g logged, and dosed for}.

    :param weekday: of the first day that is written, Monday is 0.
    """
    appetite, lateness = rng.lognormal(0, 0.10), rng.normal(0, 0.5)
    bias, error = rng.normal(0.97, 0.06), rng.uniform(0.15, 0.35)
    missed, late = rng.uniform(0.03, 0.12), rng.uniform(0.08, 0.25)
    eaten: dict[int, tuple[float, float]] = {}
    logged: dict[int, float] = {}
    for day in range(BURN_IN + days):
        weekend = (weekday + day - BURN_IN) % 7 >= 5
        for hour, hour_sd, size, size_sd, probability in MEALS:
            if rng.random() > probability:
                continue
            slot = day * DAY + round(12 * rng.normal(hour + lateness + weekend, hour_sd))
            carbs = float(round(size * portion * appetite * math.exp(size_sd * np.clip(rng.normal(), -2, 2))))
            eaten[slot] = carbs, rng.lognormal(0, 0.25)
            fate, delay = rng.random(), int(rng.integers(3, 13))
            if fate > missed:
                entry = slot + delay if fate < missed + late else slot - int(rng.integers(0, 3))
                count = 5.0 * max(1, round(carbs * bias * rng.lognormal(0, error) / 5))
                logged[entry] = logged.get(entry, 0.0) + count
    return eaten, logged


def physiology(rng: np.random.Generator, days: int, dawn: float, spread: float) -> tuple[list[float], list[float]]:
    """Return relative insulin sensitivity and relative hepatic glucose production by slot.

    :param spread: of sensitivity, 1 for an adult.
    """
    every = BURN_IN + days
    hours = np.arange(every * DAY) / 12
    daily = np.interp(hours, np.arange(every) * 24 + 12, autoregressive(rng, every, 0.4, 0.26 * spread))
    hourly = np.interp(hours, np.arange(24 * every), autoregressive(rng, 24 * every, 0.8, 0.26 * spread))
    sensitivity = np.exp(daily + hourly - 0.10 * np.cos(2 * np.pi * (hours - 8) / 24))
    production = 1 + np.outer(dawn * rng.lognormal(0, 0.35, every), bell(6.5, 1.7)).ravel()
    return sensitivity.tolist(), production.tolist()


def sensor_gaps(rng: np.random.Generator, days: int) -> npt.NDArray[np.bool_]:
    """Return True for the slots in which the sensor shows nothing."""
    first, slots = BURN_IN * DAY, (BURN_IN + days) * DAY
    gap = np.zeros(slots, bool)
    for start in rng.integers(first, slots, rng.poisson(0.5 * days)):
        gap[start : start + min(8, rng.geometric(0.35))] = True
    for _ in range(round(days / 14) + rng.poisson(0.4 * (days / 14))):
        hour = rng.uniform(23, 29) if rng.random() < 0.6 else rng.uniform(6, 23)
        start = first + int(rng.integers(days)) * DAY + int(hour * 12)
        gap[start : start + int(rng.integers(10, 31))] = True
    for day in range(int(rng.integers(4, 10)), days, 10):
        change = first + day * DAY + int(rng.uniform(8, 21) * 12)
        gap[change : change + int(rng.integers(24, 28))] = True
    return gap


def shown(measured: float, glucose: float, gap: Any) -> float:
    """Return the reading, mg/dL: the error softly limited, whole numbers, 40 to 400; NaN in a gap."""
    deviation = SENSOR_ERROR * math.tanh((measured - glucose) / SENSOR_ERROR)
    return math.nan if gap else float(min(max(round(glucose + deviation), 40), 400))
