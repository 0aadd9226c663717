"""Laying rows on the grid: piece by piece into mapped columns, then item by item into the panel's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tsfm_core.data.channels import Channels
from tsfm_core.data.grid import Cells
from tsfm_core.data.panel import minutes_of
from tsfm_core.errors import DataError

__all__ = ["Grid", "finish_items", "lay", "new_column"]

Rows = npt.NDArray[np.int64]
Column = npt.NDArray[np.float32]

#: A rate that nothing renewed for so long is not known any more.
_HELD = 24 * 3600
#: Gaps that ``imputation: parity`` fills.
_PARITY_GAP = 55 * 60


@dataclass(frozen=True)
class Grid:
    """Where each item's rows lie.

    :param codes: ``[I]`` the items in the order of their ids.
    :param first: ``[I]`` the slot of each item's first row.
    :param offsets: ``[I + 1]``.
    :param step: seconds between slots.
    """

    codes: Rows
    first: Rows
    offsets: Rows
    step: int

    def starts(self) -> npt.NDArray[np.datetime64]:
        """Return the stamp of each item's first row."""
        return (self.first * self.step).astype("datetime64[s]")


def new_column(path: Path, rows: int) -> Column:
    """Return a new mapped column of NaN."""
    column = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows,))
    column[:] = np.nan
    return column


def lay(
    pieces: Iterable[Cells],
    grid: Grid,
    first: Rows,
    folder: Path,
    channels: Sequence[str],
    factor: float,
    names: Sequence[str],
) -> tuple[dict[str, Column], Rows]:
    """Return one mapped column a channel, and how many slots with a value each item has outside its panel, ``[I]``.

    :param first: ``[I]`` the slot of each item's first row in the panel; the grid may begin earlier.
    :param factor: from the source's unit to the panel's, for the target: the first channel.
    :param names: ids by code, for a sentence.
    """
    columns = {name: new_column(folder / f"read_{at}.npy", int(grid.offsets[-1])) for at, name in enumerate(channels)}
    size = int(grid.codes.max(initial=0)) + 1
    place = np.full(size, -1)
    place[grid.codes] = np.arange(len(grid.codes))
    outside = np.zeros(len(grid.codes), np.int64)
    for cells in pieces:
        at = np.where(cells.codes < size, place[np.minimum(cells.codes, size - 1)], -1)
        after = cells.slots - grid.first[at]
        inside = (at >= 0) & (after >= 0) & (after < np.diff(grid.offsets)[at])
        held = (at >= 0) & np.isfinite(cells.values).any(axis=1)
        outside += np.bincount(at[held & ~(inside & (cells.slots >= first[at]))], minlength=len(outside))
        rows = grid.offsets[at[inside]] + after[inside]
        for number, column in enumerate(columns.values()):
            with np.errstate(over="ignore"):  # refused below
                values = cells.values[inside, number] * (factor if number == 0 else 1.0)
            _require_float32(values, names, cells.codes[inside], channels[number])
            column[rows] = np.where(np.isnan(values), np.nan, values)  # one NaN of the many, for the fingerprint
    return columns, outside


def _require_float32(values: npt.NDArray[np.float64], names: Sequence[str], codes: Rows, channel: str) -> None:
    beyond = np.flatnonzero(np.abs(values) > np.finfo(np.float32).max)
    if len(beyond):
        item, value = names[codes[beyond[0]]], values[beyond[0]]
        raise DataError(f"{channel} of item {item!r} reaches {value}", "float32 cannot hold it: correct it")


def finish_items(
    read: Mapping[str, Column],
    wide: Grid,
    grid: Grid,
    channels: Channels,
    kinds: Mapping[str, str],
    entries: Mapping[str, tuple[Rows, Rows]],
    zones: Sequence[str],
    folder: Path,
    parity: bool,
) -> tuple[dict[str, Column], Rows]:
    """Return the panel's columns: empty slots of amounts and rates filled by what they mean, features computed.

    Return too how many slots of each item's target are filled by ``parity``, ``[I]``.

    :param wide: the grid of ``read``, which may begin earlier than ``grid`` and end earlier.
    :param entries: of each amount and rate, the slot of each item's first and last entry, ``[I]`` each.
    :param zones: of each item, or none.
    :param parity: whether short gaps of the target are filled linearly.
    """
    columns = {
        name: new_column(folder / f"channel_{at}.npy", int(grid.offsets[-1])) for at, name in enumerate(channels.held)
    }
    known = {feature.name for feature in channels.computed if feature.known}
    imputed = np.zeros(len(grid.codes), np.int64)
    for at in range(len(grid.codes)):
        begin, end = wide.offsets[at], wide.offsets[at + 1]
        lead, rows = int(grid.first[at] - wide.first[at]), int(grid.offsets[at + 1] - grid.offsets[at])
        slots = wide.first[at] + np.arange(max(end - begin, lead + rows))
        values = {name: column[begin:end].astype(np.float64) for name, column in read.items()}
        for name in list(values)[1:]:
            if kinds.get(name) in ("amount", "rate"):
                first, last = entries[name][0][at], entries[name][1][at]
                values[name] = _filled(values[name], kinds[name], slots[: end - begin], first, last, grid.step)
        if parity:
            target = next(iter(values))
            line = _interpolated(values[target], _PARITY_GAP // grid.step)
            imputed[at] = np.count_nonzero(np.isfinite(line) & np.isnan(values[target]))
            values[target] = line
        stamps = (slots * grid.step).astype("datetime64[s]")
        for feature in channels.computed:
            length = len(slots) if feature.known else int(end - begin)
            minutes = _minutes(stamps[:length], zones[at] if zones else None, feature.known)
            needed = {need: _fitted(values[need], length) for need in feature.needs}
            values[feature.name] = feature.compute(needed, minutes, grid.step)
        for name, column in columns.items():
            if name not in channels.absent:
                found = values[name][lead : lead + rows] if name in known else values[name][lead : end - begin]
                column[grid.offsets[at] : grid.offsets[at] + len(found)] = np.where(np.isnan(found), np.nan, found)
    return columns, imputed


def _fitted(values: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """Return the first ``length`` values, NaN where there are fewer: what is known goes on after the last row."""
    return np.pad(values[:length], (0, max(length - len(values), 0)), constant_values=np.nan)


def _minutes(stamps: npt.NDArray[np.datetime64], zone: str | None, required: bool) -> Rows:
    if zone == "" and not required:
        return np.full(len(stamps), -1)
    return minutes_of(stamps, np.empty(0, str) if zone is None else np.full(len(stamps), zone))


def _filled(
    values: npt.NDArray[np.float64], kind: str, slots: Rows, first: int, last: int, step: int
) -> npt.NDArray[np.float64]:
    empty = np.isnan(values)
    if kind == "amount":
        return np.where(empty & (slots >= first) & (slots <= last), 0.0, values)
    latest = np.maximum.accumulate(np.where(empty, -1, np.arange(len(values))))
    held = (latest >= 0) & ((np.arange(len(values)) - latest) * step <= _HELD)
    return np.where(held, values[np.maximum(latest, 0)], np.nan)


def _interpolated(values: npt.NDArray[np.float64], longest: int) -> npt.NDArray[np.float64]:
    """Return the target with each inner run of at most ``longest`` missing slots on a straight line."""
    observed = np.flatnonzero(~np.isnan(values))
    if len(observed) < 2:
        return values
    rows = np.arange(len(values))
    line = np.interp(rows, observed, values[observed])
    after = np.searchsorted(observed, rows, side="left")
    inner = (rows > observed[0]) & (rows < observed[-1])
    around = observed[np.minimum(after, len(observed) - 1)] - observed[np.maximum(after - 1, 0)] - 1
    return np.where(np.isnan(values) & inner & (around <= longest), line, values)
