"""Any number of virtual people: bodies, habits, therapies and sensors, each an array over people.

What :mod:`tsfm_glucose.simulation` adds around one body of the package simglucose is here richer, and lived by hundreds
of people at once. A person's rows depend on the seed, the number of the person, the days and the first weekday alone.
The ranges that are drawn from are choices of ours: they were set by hand until the statistics of the readings (mean,
deviation, time in ranges, autocorrelation, rate of change) were those of sensors that people wear.
"""

from __future__ import annotations

from tsfm_glucose.population.blocks import simulate_blocks
from tsfm_glucose.population.simulate import VALUES

__all__ = ["VALUES", "simulate_blocks"]
