"""The step of a regular grid, written as a pandas alias of fixed length: ``30s``, ``5min``, ``h``, ``1D``."""

from __future__ import annotations

import re

from tsfm_core.errors import ConfigError

__all__ = ["day_steps", "format_seconds", "seconds"]

_UNITS = {"s": 1, "min": 60, "h": 3600, "D": 86400}
_LONGEST = 36525 * 86400


def seconds(alias: str) -> int:
    """Return the length of ``alias`` in seconds.

    :raises ConfigError: for anything that is not a whole number of ``s``, ``min``, ``h`` or ``D``, up to a century.
    """
    match = re.fullmatch(r"(\d*)(s|min|h|D)", alias)
    length = int(match[1] or 1) * _UNITS[match[2]] if match else 0
    if not 0 < length <= _LONGEST:
        raise ConfigError(f"{alias!r} is not a fixed step", "write a number and one of s, min, h, D, such as 5min")
    return length


def format_seconds(length: int) -> str:
    """Return the shortest alias of ``length`` seconds."""
    for alias, size in reversed(_UNITS.items()):
        if length % size == 0:
            return f"{length // size}{alias}"
    raise ValueError(f"{length} seconds")


def day_steps(step: int) -> int:
    """Return the steps of ``step`` seconds in a day, at least 1: the default season."""
    return max(86400 // step, 1)
