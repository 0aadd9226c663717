"""What is drawn for a window: by seed, epoch and row alone, whoever asks for it and in whichever batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tsfm_torch.batches import Rows, mixed

__all__ = ["normals", "uniforms"]

#: The step of splitmix64 (Steele, Lea and Flood 2014).
_STEP = np.uint64(0x9E3779B97F4A7C15)


def uniforms(rows: Rows, count: int, seed: int, epoch: int) -> npt.NDArray[np.float64]:
    """Return the first ``count`` numbers in [0, 1) of each row, ``[B, count]``."""
    return (_words(rows, 0, count, seed, epoch) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(rows: Rows, count: int, seed: int, epoch: int, first: int = 0) -> npt.NDArray[np.float32]:
    """Return standard normal numbers of each row, ``[B, count]`` (Box and Muller 1958), none beyond 5.9.

    :param first: what is drawn from another place on, such as behind ``first`` uniform numbers, is independent of them.
    """
    words = _words(rows, first, (count + 1) // 2, seed, epoch)
    radius = np.sqrt(-2 * np.log(((words >> np.uint64(40)).astype(np.float32) + np.float32(0.5)) * np.float32(2**-24)))
    angle = (words & np.uint64(0xFFFFFF)).astype(np.float32) * np.float32(2 * np.pi / 2**24)
    both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return both[:, :count]


def _words(rows: Rows, first: int, count: int, seed: int, epoch: int) -> npt.NDArray[np.uint64]:
    """Return random bits, ``[B, count]``: each row has a splitmix64 of its own."""
    key = np.random.default_rng((seed, epoch, 1)).integers(0, 2**64, dtype=np.uint64)  # not the shuffling's
    own = mixed(mixed(rows.astype(np.uint64)) ^ key)
    return mixed(own[:, None] + np.arange(first + 1, first + count + 1, dtype=np.uint64) * _STEP)
