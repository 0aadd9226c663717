"""Standardisation of the channels, learnt from training windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError, TrainingWindows
from tsfm_torch import shuffled

__all__ = ["Scaler"]

Floats = npt.NDArray[np.float32]

#: So many windows give mean and deviation to a fraction of a percent; more would only cost time.
_ENOUGH = 16_384
_AT_ONCE = 1024


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each channel, ``[channels]``.

    Granite scales each window's channels itself, but the block that reads known covariates joins them unscaled with the
    scaled target: unstandardised, a covariate in the thousands would drown it.
    """

    mean: Floats
    std: Floats

    @classmethod
    def identity(cls, channels: int) -> Self:
        """Return the scaler that changes nothing: that of a network that was not trained here."""
        return cls(np.zeros(channels, np.float32), np.ones(channels, np.float32))

    @classmethod
    def learn(cls, windows: TrainingWindows, seed: int) -> Self:
        """Return the statistics of the contexts of ``windows``, or of a sample of them drawn by ``seed``.

        :raises DataError: for a channel without a single value.
        """
        channels = windows.task.channels
        sums = np.zeros((3, len(channels)))
        taken = min(len(windows), _ENOUGH)
        for start in range(0, taken, _AT_ONCE):
            rows = shuffled(np.arange(start, min(start + _AT_ONCE, taken)), len(windows), seed, 0)
            values = _contexts(windows, rows)
            observed = np.isfinite(values)
            values = np.where(observed, values, 0)
            sums += np.stack([observed.sum(axis=0), values.sum(axis=0), (values**2).sum(axis=0)])
        count, total, squares = sums
        if (count == 0).any():
            empty = channels[int(np.flatnonzero(count == 0)[0])]
            raise DataError(f"the channel {empty!r} has no value in the training windows", "leave it out of the task")
        mean = total / count
        # in float64 a constant of float32 leaves a remainder of about 1e-8 of its size
        std = np.sqrt(np.maximum(squares / count - mean**2, 0))
        constant = std <= 1e-6 * np.abs(mean)
        return cls(mean.astype(np.float32), np.where(constant, 1, std).astype(np.float32))

    def of_target(self) -> Self:
        """Return that of the target alone."""
        return type(self)(self.mean[:1], self.std[:1])

    def with_target(self, other: Self) -> Self:
        """Return the same with another scaler's target."""
        return type(self)(*(np.r_[new[:1], own[1:]] for own, new in ((self.mean, other.mean), (self.std, other.std))))

    def standardise(self, values: Floats, channels: slice) -> Floats:
        """Return ``[..., channels]`` without unit."""
        standardised: Floats = (values - self.mean[channels]) / self.std[channels]
        return standardised

    def target(self, values: Floats) -> Floats:
        """Return forecasts of the target in its unit."""
        forecasts: Floats = values * self.std[0] + self.mean[0]
        return forecasts


def _contexts(windows: TrainingWindows, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return all values that the networks see of the windows, ``[values, channels]``."""
    inputs = windows.inputs(rows)
    known = inputs.known_covariates[:, : inputs.target.shape[1]]
    parts = [inputs.target[..., None], inputs.past_covariates, known]
    values: npt.NDArray[np.float64] = np.concatenate(parts, axis=2, dtype=np.float64)
    return values.reshape(-1, len(windows.task.channels))
