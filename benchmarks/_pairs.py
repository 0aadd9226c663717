"""Measuring two things side by side: in turn, after a warm-up, in one process; the ratio pair by pair."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable
from time import perf_counter

__all__ = ["machine", "pairs", "report"]


def pairs(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> list[tuple[float, float]]:
    """Return the seconds of both, ``rounds`` times in turn, after one warm-up of each."""
    ours(), theirs()
    return [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]


def report(what: str, peer: str, times: list[tuple[float, float]], count: int | None = None) -> float:
    """Print the medians and the median ratio, which is returned.

    :param count: pieces of work in one round: then the ratio is of speeds (higher is better), else of seconds.
    """
    ours, theirs = (statistics.median(one) for one in zip(*times, strict=True))
    if count is None:
        ratios = [mine / other for mine, other in times]
        said = f"{ours:.3f} s, {peer} {theirs:.3f} s"
    else:
        ratios = [other / mine for mine, other in times]
        said = f"{count / ours:,.0f} a second, {peer} {count / theirs:,.0f}"
    ratio = statistics.median(ratios)
    print(f"{what}: {said}, ratio {ratio:.3g} (from {min(ratios):.3g} to {max(ratios):.3g} in {len(ratios)} pairs)")
    return ratio


def machine() -> str:
    """Return the size of this machine, in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cpus, {memory:.0f} GiB, Python {platform.python_version()}"


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start
