"""SIGTERM and SIGUSR1: what a scheduler sends before it takes the machine away. A run stops, and can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tsfm_core.errors import Stopped

__all__ = ["SIGNALS", "defer_stop", "stop_as_such", "stop_if_asked", "stoppable"]

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class _Asked:
    """Which signal has come, and whether somebody looks for it at a better moment."""

    name: str | None = None
    deferred = False
    raised = False


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise :class:`Stopped` inside when one of the signals comes; in the main thread, which alone gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def take(number: int, frame: FrameType | None) -> None:
        _Asked.name = signal.Signals(number).name
        if not _Asked.deferred:
            _Asked.raised = True
            raise Stopped(f"stopped by {_Asked.name}")

    before = {number: signal.signal(number, take) for number in SIGNALS}
    try:
        with stop_as_such():
            yield
    finally:
        _Asked.name, _Asked.raised = None, False
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_as_such() -> Iterator[None]:
    """Raise :class:`Stopped` for a stop that what was at work took for a failure of its own."""
    try:
        yield
    except Exception as error:
        if _Asked.raised and not isinstance(error, Stopped):
            raise Stopped(f"stopped by {_Asked.name}") from error
        raise


def stop_if_asked() -> None:
    """Raise :class:`Stopped` where a signal has come that nobody has heeded: in the last step of a training."""
    if _Asked.name:
        raise Stopped(f"stopped by {_Asked.name}")


@contextmanager
def defer_stop() -> Iterator[Callable[[], str | None]]:
    """Raise nothing inside; yield what returns the name of the signal that has come, or None.

    For a training: it goes on to the end of its step, writes a checkpoint and raises :class:`Stopped` itself.
    """
    _Asked.deferred = True
    try:
        yield lambda: _Asked.name
    finally:
        _Asked.deferred = False
