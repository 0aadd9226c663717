"""Training windows as other people, sensors and histories would have shown them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tsfm_torch import normals, uniforms
from tsfm_ttm.schema import AugmentSection

__all__ = ["Augmentation", "Drawn"]

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

#: Correlation of a sensor's noise with that of 5 minutes before.
_CORRELATION = 0.7

#: What is hidden: at most so many runs, each of at most so many steps; a shortened history keeps so many steps.
_RUNS, _LONGEST, _LEAST = 4, 24, 12

#: Of a thinned window every so many steps are left: a sensor of 15 minutes on a grid of 5.
_THINNED = 3

#: Uniform numbers of a window; the normal ones come behind them.
_UNIFORMS = 6 + 2 * _RUNS


@dataclass(frozen=True)
class Augmentation:
    """What is done to the target of training windows.

    :param std: of the target over the training windows: values come standardised by it.
    :param step_seconds: the task's.
    """

    section: AugmentSection
    std: float
    step_seconds: int
    seed: int

    def draw(self, rows: Rows, epoch: int) -> Drawn:
        """Return what is drawn for the windows at ``rows`` in an epoch: by seed, epoch and row, whatever else is."""
        size = normals(rows, 2, self.seed, epoch, _UNIFORMS)
        factor = np.exp(np.float32(self.section.amplitude) * size[:, :1])
        shift = np.float32(self.section.level / self.std) * size[:, 1:]
        return Drawn(self, rows, epoch, factor, shift, uniforms(rows, _UNIFORMS, self.seed, epoch))


@dataclass(frozen=True)
class Drawn:
    """The draws of a batch of B windows.

    :param factor: ``[B, 1]``.
    :param shift: ``[B, 1]``, standardised.
    :param numbers: ``[B, _UNIFORMS]`` between 0 and 1.
    """

    of: Augmentation
    rows: Rows
    epoch: int
    factor: Floats
    shift: Floats
    numbers: npt.NDArray[np.float64]

    def truth(self, values: Floats) -> Floats:
        """Return standardised truths ``[B, H]`` on the scale and level of their windows."""
        moved: Floats = values * self.factor + self.shift
        return moved

    def context(self, values: Floats) -> Floats:
        """Return standardised contexts ``[B, C]`` as they are to be seen, NaN where a reading is hidden."""
        section, seen = self.of.section, self.truth(values)
        if section.noise:
            seen += self._noise(seen.shape[1]) * np.float32(section.noise / self.of.std)
        thinned = np.flatnonzero(self.numbers[:, 0] < section.thin)
        if len(thinned):
            seen[thinned] = self._thinned(seen[thinned], thinned)
        hidden = np.flatnonzero((self.numbers[:, 2] < section.shorten) | (self.numbers[:, 4] < section.hide))
        if len(hidden):
            seen[hidden] = self._hidden(seen[hidden], hidden)
        return seen

    def _noise(self, steps: int) -> Floats:
        """Return AR(1) noise of deviation 1, stationary from the first step on, ``[B, steps]``."""
        noise = normals(self.rows, steps, self.of.seed, self.epoch, _UNIFORMS + 1)
        correlation = _CORRELATION ** (self.of.step_seconds / 300)
        noise[:, 1:] *= np.float32(np.sqrt(1 - correlation**2))
        back = 1
        while back < steps and correlation**back > 1e-6:  # each round doubles how far the past is summed
            noise[:, back:] += np.float32(correlation**back) * noise[:, :-back]
            back *= 2
        return noise

    def _thinned(self, seen: Floats, which: Rows) -> Floats:
        phase = (_THINNED * self.numbers[which, 1:2]).astype(np.int64)
        left = np.where((np.arange(seen.shape[1]) + phase) % _THINNED == 0, seen, np.float32(np.nan))
        # readings that are rare already may all lie between the steps that would be left
        none = np.isnan(left).all(axis=1)
        left[none] = seen[none]
        return left

    def _hidden(self, seen: Floats, which: Rows) -> Floats:
        """Return windows without their beginning or with gaps; the last reading stays."""
        section, numbers, steps = self.of.section, self.numbers[which], np.arange(seen.shape[1])
        begin = (numbers[:, 3] * max(1, len(steps) - _LEAST + 1)).astype(np.int64)
        hidden = (steps < begin[:, None]) & (numbers[:, 2:3] < section.shorten)
        runs = np.where(numbers[:, 4] < section.hide, 1 + (numbers[:, 5] * _RUNS).astype(np.int64), 0)
        for run, (start, length) in enumerate(zip(numbers[:, 6::2].T, numbers[:, 7::2].T, strict=True)):
            after = steps - (start * len(steps)).astype(np.int64)[:, None]
            lasts = np.where(run < runs, 1 + (length * _LONGEST).astype(np.int64), 0)
            hidden |= (after >= 0) & (after < lasts[:, None])
        last = len(steps) - 1 - np.isfinite(seen)[:, ::-1].argmax(axis=1)
        hidden[np.arange(len(seen)), last] = False
        return np.where(hidden, np.float32(np.nan), seen)
