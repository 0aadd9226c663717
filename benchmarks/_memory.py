"""Peak anonymous memory (RssAnon): what a process holds that is no mapped file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["anonymous", "anonymous_now"]


@contextmanager
def anonymous(found: dict[str, float], name: str) -> Iterator[None]:
    """Put the peak of RssAnon during a block, in MB, into ``found``."""
    peak, done = [anonymous_now()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], anonymous_now())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        found[f"{name}_anonymous_mb"] = round(max(peak[0], anonymous_now()), 1)


def anonymous_now() -> float:
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("RssAnon"))
