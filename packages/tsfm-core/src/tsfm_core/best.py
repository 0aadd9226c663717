"""Which run is the best: by its validation score, never by a test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tsfm_core.checkpoints import point_link
from tsfm_core.errors import RunError, did_you_mean, listing
from tsfm_core.records import VALIDATION
from tsfm_core.registry import Entry

__all__ = ["BEST_RUN", "Choice", "choose", "default_number", "direction_of", "point_at", "points_at"]

#: The link to the best run in the folder of an experiment.
BEST_RUN = "best_run"


@dataclass(frozen=True)
class Choice:
    """The best run, and how it was chosen.

    :param number: the score that it was chosen by, on the validation windows.
    :param among: the runs that were set against each other, oldest first.
    :param left_out: how many were not, by the reason.
    """

    number: str
    direction: Literal["lower", "higher"]
    best: Entry | None
    among: tuple[Entry, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)


def choose(entries: Sequence[Entry], number: str) -> Choice:
    """Return the best of some runs.

    Set against each other are the completed runs that were validated on the same windows, and tested on the same, as
    the newest of them: an easier validation set wins nothing. Of equals the oldest is the best.

    :param entries: with the score ``number``.
    :raises RunError: for a number that is not better when lower or higher.
    """
    direction = direction_of(number)
    left_out: dict[str, int] = {}
    usable = []
    for entry in sorted(entries, key=_age):
        reason = _why_not(entry, number)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            usable.append(entry)
    among = tuple(one for one in usable if _windows(one) == _windows(usable[-1]))
    if len(among) < len(usable):
        left_out["validated or tested on other windows than the newest"] = len(usable) - len(among)
    sign = -1 if direction == "higher" else 1
    best = min(among, key=lambda one: sign * one.scores[number][VALIDATION], default=None)
    return Choice(number, direction, best, among, left_out)


def default_number(entries: Sequence[Entry]) -> str | None:
    """Return the number to choose by: the first validation score of the newest run that has one."""
    newest = max((one for one in entries if not _why_not(one, None)), key=_age, default=None)
    return newest.facts["first"] if newest else None


def direction_of(number: str) -> Literal["lower", "higher"]:
    """Return whether a number is better when it is lower or higher, as its metric says.

    :raises RunError: where it is neither, or no installed metric gives it.
    """
    from tsfm_core.plugins import host

    metrics = {name: given[0][1] for name, given in host().contributions("metrics").items()}
    # clarke gives clarke_a, coverage gives coverage_50: the longest name that fits
    names = [name for name in metrics if number == name or number.startswith(f"{name}_")]
    if not names:
        raise RunError(f"no metric gives {number!r}", did_you_mean(number, metrics) or f"installed: {listing(metrics)}")
    metric = metrics[max(names, key=len)]
    direction = metric.directions.get(number, metric.direction)
    if direction == "none":
        raise RunError(f"{number} is better neither when lower nor when higher", "choose by another metric")
    return "higher" if direction == "higher" else "lower"


def points_at(folder: Path) -> str | None:
    """Return the run that ``best_run`` names, if it is a link."""
    link = folder / BEST_RUN
    return str(link.readlink()) if link.is_symlink() else None


def point_at(folder: Path, name: str | None) -> None:
    """Let ``best_run`` in the folder of an experiment name a run, or nothing; what is no link there stays."""
    link = folder / BEST_RUN
    if points_at(folder) == name or (link.exists() and not link.is_symlink()):
        return
    if name is None:
        link.unlink(missing_ok=True)
    else:
        point_link(link, name)


def _why_not(entry: Entry, number: str | None) -> str | None:
    """Return why a run cannot be chosen; ``number`` None asks for any score."""
    if entry.archived:
        return "archived"
    if entry.status != "completed":
        return "not completed"
    if entry.facts.get("command") == "backtest" and entry.facts.get("parent"):
        return "of another run's model"  # whose training may have seen these validation windows
    if not entry.facts.get("first"):
        return "without validation scores"
    if not entry.facts.get("validation"):
        return "without a record of the validation windows"
    if number is not None and VALIDATION not in entry.scores.get(number, {}):
        return f"without a validation score {number}"
    return None


def _windows(entry: Entry) -> tuple[str, str]:
    return entry.facts["validation"], entry.facts["protocol"]


def _age(entry: Entry) -> tuple[str, str]:
    return entry.created, entry.path
