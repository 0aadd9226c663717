"""How far a long step has come: a bar with the time left where somebody watches, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

__all__ = ["Progress", "bar", "quiet"]

#: ``progress(what, total)`` gives a context in which ``advance(n)`` counts.
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def quiet(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield lambda count: None


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        with quiet(what, total) as advance:
            yield advance
        return
    from rich import progress
    from rich.console import Console

    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn())
    with progress.Progress(*columns, progress.TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        task = shown.add_task(f"{what}: windows", total=total)
        yield lambda count: shown.advance(task, count)
