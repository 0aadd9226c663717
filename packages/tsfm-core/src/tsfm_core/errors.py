"""Every error that a person can act on.

::

    TsfmError               a sentence (the thing, the value) and a hint (the way out)
    ├── ConfigError         a key, a value or an include
    ├── DataError           a file, a column, a stamp, a window
    ├── PluginError         a plugin that is broken or does not answer as the contract says
    │   └── UnknownModelError
    ├── CapabilityError     a task that this model cannot serve
    ├── ForecastError       what a model returned does not fit the windows it was given
    ├── RunError            a run directory
    └── Stopped             a run that was told to stop, and can be resumed

Only ``main()`` prints them. Anything else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "CapabilityError",
    "ConfigError",
    "DataError",
    "ForecastError",
    "PluginError",
    "RunError",
    "Stopped",
    "TsfmError",
    "UnknownModelError",
    "did_you_mean",
    "listing",
]


class TsfmError(Exception):
    """The root: ``message`` names the thing and the value, ``hint`` the way out."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class ConfigError(TsfmError):
    """A key, a value or an include of a configuration."""


class DataError(TsfmError):
    """A file, a column, a timestamp or a window."""


class PluginError(TsfmError):
    """A plugin that is broken, or that answers against the contract."""


class UnknownModelError(PluginError):
    """A model name that no installed package offers."""


class CapabilityError(TsfmError):
    """A task or a strategy that the chosen model cannot serve."""


class ForecastError(TsfmError):
    """Forecasts that do not fit the windows they answer."""


class RunError(TsfmError):
    """A run directory that is missing, incomplete or of another protocol."""


class Stopped(TsfmError):
    """A run that a signal has ended; it can be resumed."""


def did_you_mean(value: object, options: Iterable[str]) -> str | None:
    """Return ``did you mean 'x'?`` for the nearest of ``options``, or None where none is near."""
    import difflib

    near = difflib.get_close_matches(str(value), list(options), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None


def listing(names: Iterable[object], limit: int = 12) -> str:
    """Join names by commas and cut long lists: 10,000 columns must not fill a terminal."""
    every = [name if name.isprintable() else repr(name) for name in map(str, names)]  # a sentence is one line
    shown = ", ".join(every[:limit]) or "none"
    return f"{shown} and {len(every) - limit} more" if len(every) > limit else shown
