"""Plain data that remembers where each value was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tsfm_core.errors import ConfigError

__all__ = ["Key", "Origin", "Tree"]

Key = tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """Where a value was written: a file and its line, or a flag."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass
class Tree:
    """A value of plain data, with the origin of each key below it. ``plain`` marks unquoted scalars."""

    value: Any = field(default_factory=dict)
    origins: dict[Key, Origin] = field(default_factory=dict)
    plain: set[Key] = field(default_factory=set)

    def origin(self, key: Key) -> Origin | None:
        """Return the origin of ``key``, or of the nearest key above it."""
        for length in range(len(key), -1, -1):
            if key[:length] in self.origins:
                return self.origins[key[:length]]
        return None

    def below(self, key: Key) -> Tree:
        """Return the tree of what stands at ``key``."""
        value = self.value
        for part in key:
            value = value[part]
        size = len(key)
        origins = {at[size:]: origin for at, origin in self.origins.items() if at[:size] == key}
        return Tree(value, origins, {at[size:] for at in self.plain if at[:size] == key})

    def set(self, key: Key, other: Tree) -> None:
        """Put ``other`` at ``key``, over what was there."""
        if not key:
            self.value, self.origins, self.plain = other.value, other.origins, other.plain
            return
        at = self.value
        for depth, part in enumerate(key[:-1], 1):
            if part not in at:
                self.origins[key[:depth]] = other.origins[()]
            if not isinstance(at.setdefault(part, {}), dict):
                raise ConfigError(f"{'.'.join(key)}: {'.'.join(key[:depth])} is a value, not a section")
            at = at[part]
        at[key[-1]] = other.value
        for stale in [known for known in self.origins if known[: len(key)] == key]:
            del self.origins[stale]
            self.plain.discard(stale)
        self.origins |= {key + below: origin for below, origin in other.origins.items()}
        self.plain |= {key + below for below in other.plain}

    def drop(self, key: Key) -> None:
        """Take away what stands at ``key``, if anything does."""
        at = self.value
        for part in key[:-1]:
            at = at.get(part) if isinstance(at, dict) else None
        if isinstance(at, dict) and key[-1] in at:
            del at[key[-1]]
            for stale in [known for known in self.origins if known[: len(key)] == key]:
                del self.origins[stale]
            self.plain -= {known for known in self.plain if known[: len(key)] == key}
