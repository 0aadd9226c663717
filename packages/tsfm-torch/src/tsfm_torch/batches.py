"""Which rows make a batch: in order for forecasts, shuffled for training. Neither holds a list of all rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["Rows", "fixed_batches", "mixed", "shuffled", "shuffled_batches"]

Rows = npt.NDArray[np.int64]

_ROUNDS = 6
_AT_ONCE = 8192


def fixed_batches(count: int, size: int) -> Iterator[tuple[Rows, int]]:
    """Yield ``(rows [size], kept)`` over ``count`` rows in order; the last batch is filled up with its last row.

    Matrix kernels may round differently for batches of different sizes. In batches that all have one size, a row's
    result depends on that row alone; the ``kept`` first results of each batch count.
    """
    for start in range(0, count, size):
        kept = min(size, count - start)
        yield np.minimum(np.arange(start, start + size), count - 1), kept


def shuffled_batches(count: int, size: int, seed: int, epoch: int, first: int = 0) -> Iterator[Rows]:
    """Yield the rows of one epoch in batches of ``size``, from batch ``first`` on; the last one may be shorter.

    Every row comes once, in an order that depends on seed and epoch alone.
    """
    together = size * max(1, _AT_ONCE // size)
    for start in range(first * size, count, together):
        rows = shuffled(np.arange(start, min(start + together, count)), count, seed, epoch)
        yield from (rows[at : at + size] for at in range(0, len(rows), size))


def shuffled(places: Rows, count: int, seed: int, epoch: int) -> Rows:
    """Return the rows at ``places`` of a pseudo-random permutation of ``count`` rows, without ever holding it.

    A Feistel network over the next power of four, walked until the image lies below ``count``: a list of a hundred
    million rows would cost more memory than everything else in a training.
    """
    half = np.uint64(max(1, -(-(count - 1).bit_length() // 2)))
    keys = np.random.default_rng((seed, epoch)).integers(0, 2**63, size=_ROUNDS, dtype=np.uint64)
    rows = _permuted(places.astype(np.uint64), half, keys)
    outside = rows >= count
    while outside.any():
        rows[outside] = _permuted(rows[outside], half, keys)
        outside = rows >= count
    return rows.astype(np.int64)


def _permuted(values: npt.NDArray[np.uint64], half: np.uint64, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & low
    for key in keys:
        left, right = right, left ^ (mixed(right ^ key) & low)
    return (left << half) | right


def mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the finalizer of splitmix64 (Steele, Lea and Flood 2014): every input bit moves every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
