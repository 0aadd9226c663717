"""A worn sensor: what it adds to the true value, and when it shows nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tsfm_glucose.population.people import Person
from tsfm_glucose.simulation import DAY, autoregressive

__all__ = ["wear"]

Floats = npt.NDArray[np.float64]


def wear(person: Person, days: int) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return a factor on the true value, an error in mg/dL and where a value is shown, each ``[days * 288]``.

    Each sensor has a factor of its own that drifts, most on its first day, and 1 to 2 hours without a value first.
    The error has a smooth and a rough part; lying on the sensor at night pulls it down for half an hour or so.
    """
    rng, slots = person.rng, days * DAY
    factor, shown = np.ones(slots), np.ones(slots, bool)
    lasts = int(rng.choice([7, 10, 14])) * DAY
    start = -int(rng.integers(0, lasts))
    while start < slots:
        first, stop = max(0, start), min(slots, start + lasts)
        age = np.arange(first, stop) - start
        drift = rng.normal(0, 0.04) * (age / lasts - 0.5) + rng.normal(0, 0.03) * np.exp(-age / 144)
        factor[first:stop] = rng.lognormal(0, 0.05) * np.exp(drift)
        if start >= 0:
            shown[start : start + int(rng.integers(12, 27))] = False
        start += lasts + (int(rng.integers(0, 24)) if rng.random() < 0.3 else 0)
    error = autoregressive(rng, slots, 0.9, rng.uniform(2, 10)) + rng.normal(0, rng.uniform(0.5, 1.9), slots)
    _lie_on(rng, days, error)
    for slot in rng.integers(0, slots, rng.poisson(rng.uniform(0.1, 0.8) * days)):
        shown[slot : slot + min(8, rng.geometric(0.35))] = False
    for slot in rng.integers(0, slots, rng.poisson(0.04 * days)):
        shown[slot : slot + int(rng.integers(10, 60))] = False
    if person.thin:
        shown &= np.arange(slots) % 3 == int(rng.integers(0, 3))
    return factor, error, shown


def _lie_on(rng: np.random.Generator, days: int, error: Floats) -> None:
    """Pull the error down in some nights."""
    often = rng.uniform(0, 0.12)
    for day in range(days):
        if rng.random() < often:
            slot, length = day * DAY + int(rng.uniform(0, 78)), int(rng.integers(4, 16))
            error[slot : slot + length] -= rng.uniform(15, 55) * np.sqrt(np.sin(np.linspace(0, np.pi, length)))
