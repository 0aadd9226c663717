"""What the people of a block do about their readings, each array ``[people]``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tsfm_glucose.population.people import CLOSED_LOOP, INJECTIONS, PUMP, Person, stacked

__all__ = ["Therapy"]

Floats = npt.NDArray[np.float64]

_ACTION = 60  # slots (5 h) until a bolus counts as used up
_MAX_BOLUS = 25.0  # U
_HELD = 3  # slots for which a reading still counts


class Therapy:
    """The settings of a block of people, and what they have seen and done.

    :ivar scale: of the basal insulin, as titrated.
    :ivar injects: who injects, has no pump.
    """

    def __init__(self, people: Sequence[Person], need: Floats) -> None:
        """Begin.

        :param need: U/h of basal that hold each body at rest.
        """
        self._need = need
        therapy, count = stacked(people, "therapy"), len(people)
        self.injects, self._loops, self._suspends = (therapy == one for one in (INJECTIONS, CLOSED_LOOP, PUMP))
        self._ratio, self._factor = stacked(people, "carb_ratio"), stacked(people, "correction_factor")
        self._target, self._aim, self._gain = (stacked(people, name) for name in ("target", "aim", "gain"))
        self._step, self._discipline = stacked(people, "dose_step"), stacked(people, "discipline")
        self._low, self._dawn, self._late = (stacked(people, name) for name in ("low", "dawn", "late"))
        self._rescue = stacked(people, "rescue") * stacked(people, "portion")
        self.scale, self._strength = np.ones(count), np.ones(count)
        self._seen, self._age = np.full((7, count), np.nan), np.full(count, 99)  # newest last
        self._doses, self._left = np.zeros((_ACTION, count)), 1 - np.arange(_ACTION)[:, None] / _ACTION
        self._bolus_at, self._rescue_at = np.full(count, -999), np.full(count, -1)
        self._next_rescue, self._suspended = np.zeros(count, int), np.zeros(count, int)

    def look(self, slot: int, reading: Floats) -> None:
        """See a reading, mg/dL; NaN where the sensor shows none."""
        self._age = np.where(np.isnan(reading), self._age + 1, 0)
        held = np.where(self._age <= _HELD, self._seen[-1], np.nan)
        self._now = np.where(np.isnan(reading), held, reading)
        self._seen = np.concatenate([self._seen[1:], self._now[None]])
        self._slope = np.nan_to_num((self._now - self._seen[-5]) / 4)  # mg/dL a slot
        self._ahead = self._now + 6 * self._slope  # in 30 min
        self._hour = (slot / 12 - self._late) % 24
        self._asleep = (self._hour < 6.5) | (self._hour >= 23)
        self._on_board = (self._doses * self._left).sum(axis=0)

    def titrate(self, readings: npt.NDArray[np.float32]) -> None:
        """Change basal and boluses by the readings since the last visit, ``[slots, people]``: the mean, or lows."""
        shown = np.isfinite(readings).sum(axis=0)
        mean = np.nansum(readings, axis=0) / np.maximum(shown, 1)
        low = (readings < 70).sum(axis=0) / np.maximum(shown, 1)
        change = np.where(shown > 90, np.clip((mean - self._aim) / 100, -0.25, 0.25), 0)
        change = np.where(low > 0.025, np.minimum(change, -0.08), change)
        self.scale *= np.exp(0.5 * change)
        self._strength *= np.exp(0.6 * change)

    def bolus(self, slot: int, logged: Floats, luck: Floats) -> Floats:
        """Return U: for a meal that is entered, for a high that is noticed, or what a closed loop gives by itself.

        :param luck: uniform numbers.
        """
        over = np.nan_to_num(self._now - self._target) / self._factor
        meal = logged / self._ratio
        correction = np.where(over > 0, np.maximum(over - self._on_board, 0), np.maximum(over, -0.5 * meal))
        since, high = slot - self._bolus_at, 240 - 60 * self._discipline
        notices = (self._now > high) & (since > 24) & ~self._asleep & (luck < 0.02 + 0.08 * self._discipline)
        notices |= (self._now > high + 40) & (since > 36) & self._asleep & (luck < 0.01)
        alone = self._loops & (self._ahead > 180) & (since > 17)
        share = np.where(notices, 1.0, np.where(alone, 0.5, 0.0))
        units = np.where(logged > 0, meal + correction, share * correction)
        units = np.round(np.clip(units * self._strength, 0, _MAX_BOLUS) / self._step) * self._step
        self._bolus_at = np.where(units > 0, slot, self._bolus_at)
        self._doses = np.concatenate([units[None], self._doses[:-1]])
        return np.asarray(units)

    def rescue(self, slot: int, glucose: Floats, luck: npt.NDArray[np.float32]) -> Floats:
        """Return g of carbohydrate eaten against a low in this slot.

        :param glucose: the true value, which is felt only where the sensor shows none.
        :param luck: uniform numbers ``[people, 3]``.
        """
        soon = (self._now < self._low + 15) & (self._slope < -1.5)
        low = np.where(np.isnan(self._now), glucose < 60, (self._now < self._low) | soon)
        low &= (self._rescue_at < 0) & (slot >= self._next_rescue) & (~self._asleep | (luck[:, 1] < 0.25))
        delay = np.where(self._asleep, 2 + (8 * luck[:, 0]).astype(int), 1 + (3 * luck[:, 0]).astype(int))
        self._rescue_at = np.where(low, slot + delay, self._rescue_at)
        due = self._rescue_at == slot
        self._rescue_at = np.where(due, -1, self._rescue_at)
        self._next_rescue = np.where(due, slot + 4, self._next_rescue)
        return np.where(due, np.round(self._rescue * (0.7 + 0.9 * luck[:, 2])), 0.0)

    def basal(self, background: Floats) -> Floats:
        """Return U/h: the profile, nothing while a pump suspends, what a loop makes of it, or what an injection gives.

        :param background: of long-acting insulin, relative to the resting need.
        """
        usual = self._need * self.scale
        profile = usual * (1 + self._dawn * np.exp(-0.5 * ((self._hour - 5) / 2.2) ** 2))
        on = (self._suspended < 6) | ((self._ahead < self._low + 10) & (self._suspended < 24))
        stops = np.where(self._suspended > 0, on, (self._ahead < self._low) & (self._now < 110)) & self._suspends
        self._suspended = np.where(stops, self._suspended + 1, 0)
        crowded = np.maximum(self._on_board / np.maximum(self._need, 0.1) - 1, 0)
        steered = 1 + self._gain * np.nan_to_num((self._ahead - self._target) / 60) - 0.15 * crowded
        pumped = np.where(self._suspended > 0, 0, profile)
        looped = profile * np.clip(steered, 0, 3.5)
        return np.where(self.injects, background * usual, np.where(self._loops, looped, pumped))
