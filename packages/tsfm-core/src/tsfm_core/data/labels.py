"""Categorical channels: labels out of what a file holds, numbered while rows stream by and put in order at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tsfm_core.data.columns import CONTROL
from tsfm_core.errors import DataError

__all__ = ["Labels", "joined_labels", "recoded", "settle"]

Column = npt.NDArray[np.float32]

#: More labels than this are no categories; until then memory stays flat, whatever a column holds.
_MOST = 1000
_AT_ONCE = 1 << 22
_KINDS = ("string", "large_string", "integer", "boolean", "null")


class Labels:
    """The labels of one source's categorical channels, numbered as they are met.

    :param channels: the categorical ones.
    """

    def __init__(self, channels: Iterable[str]) -> None:
        self._numbers: dict[str, dict[str, int]] = {channel: {} for channel in channels}

    def __contains__(self, channel: str) -> bool:
        return channel in self._numbers

    @property
    def met(self) -> dict[str, list[str]]:
        """Return the labels of each channel by their number."""
        return {channel: list(numbers) for channel, numbers in self._numbers.items()}

    def numbers(
        self, channel: str, column: pa.ChunkedArray, keep: npt.NDArray[np.bool_], name: str, where: str, before: int = 0
    ) -> npt.NDArray[np.float64]:
        """Return the number of each row's label ``[n]``, NaN where it is empty or the row is not kept.

        :param keep: ``[n]``, the rows whose labels count.
        :param name: of the column in the file.
        :param before: rows of the source before these, for the number of a row in a sentence.
        :raises DataError: for a column of another kind, a control character, or text that is no label.
        """
        encoded = _text(column, name, where).dictionary_encode()
        at = np.where(keep, np.asarray(encoded.indices.fill_null(-1)), -1)
        labels = _stripped(encoded.dictionary, name, where)
        known = self._numbers[channel]
        codes = np.full(len(labels) + 1, np.nan)  # the last one is that of no label
        for index in np.unique(at[at >= 0]):
            label = labels[index]
            odd = CONTROL.search(label)
            if odd is not None:
                row = before + int(np.flatnonzero(at == index)[0]) + 1
                said = f"row {row} of column {name!r} is {label!r}"
                raise DataError(f"{where}: {said}", "take the control character out of the label")
            if label:
                codes[index] = known.setdefault(label, len(known))
        _require_few(len(known), where, name)
        return codes[at]


def _text(column: pa.ChunkedArray, name: str, where: str) -> pa.Array:
    """Return a column as text."""
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    kind = column.type
    if not any(getattr(pa.types, f"is_{one}")(kind) for one in _KINDS):
        ways = "number the categories as integers, or give them as text"
        raise DataError(f"{where}: {name!r} holds {kind}, not labels", ways)
    return pc.cast(column, pa.string()).combine_chunks()


def _stripped(labels: pa.Array, name: str, where: str) -> list[str]:
    try:
        return [label.strip() for label in labels.to_pylist()]
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: {name!r} is not UTF-8: {error}", "write it again as UTF-8") from error


def _require_few(count: int, where: str, name: str) -> None:
    if count > _MOST:
        said = f"{where}: {name!r} looks like free text: it holds {count:,} different labels or more"
        raise DataError(said, f"at most {_MOST:,} can be categories: group them, or leave the channel out")


def settle(columns: Mapping[str, Column], met: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Give the labels that columns hold their codes in ascending order; return them, by channel.

    :param columns: ``[rows]``, numbered as the labels were met; written over.
    :param met: the labels of each channel by number.
    """
    found = {}
    for channel, labels in met.items():
        column = columns[channel]
        held = np.zeros(len(labels), bool)
        for part in _parts(column):
            held[part[np.isfinite(part)].astype(np.int64)] = True
        found[channel] = tuple(sorted(label for label, there in zip(labels, held, strict=True) if there))
        for part in _parts(column):
            part[:] = recoded(part, labels, found[channel])
    return found


def recoded(codes: Column, labels: Sequence[str], into: Sequence[str]) -> Column:
    """Return codes of ``labels`` as codes of ``into``, which holds every label that occurs; NaN stays."""
    place = {label: float(at) for at, label in enumerate(into)}
    codes_of = np.array([*(place.get(label, np.nan) for label in labels), np.nan], np.float32)
    return codes_of[np.where(np.isnan(codes), len(labels), codes).astype(np.int64)]


def joined_labels(given: Mapping[str, Mapping[str, tuple[str, ...]]], channel: str) -> tuple[str, ...]:
    """Return the labels of a channel in all sources, ascending.

    :param given: by source, the labels of its categorical channels.
    :raises DataError: where they are too many for categories.
    """
    union = sorted({label for one in given.values() for label in one.get(channel, ())})
    _require_few(len(union), "+".join(given), channel)
    return tuple(union)


def _parts(column: Column) -> Iterable[Column]:
    return (column[at : at + _AT_ONCE] for at in range(0, len(column), _AT_ONCE))
