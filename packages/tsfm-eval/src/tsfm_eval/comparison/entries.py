"""What is compared: a run, or the runs of one experiment that are the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tsfm_core import DataError
from tsfm_core.run import Run, find_run, is_run, runs_of

__all__ = ["Entry", "find_entries"]


@dataclass(frozen=True)
class Entry:
    """One column of a comparison.

    :param label: short, and unlike the other entries'.
    :param runs: one, or the folds of one experiment.
    """

    label: str
    runs: tuple[Run, ...]


def find_entries(names: Sequence[str], root: Path) -> list[Entry]:
    """Return what ``names`` mean: each a run, or a folder whose completed runs are scored together.

    :raises DataError: for a folder without a completed run, or a name that is given twice.
    """
    found = [_runs_of(name, root) for name in names]
    paths = [tuple(run.path.resolve() for run in runs) for runs in found]
    for at, one in enumerate(paths):
        if one in paths[:at]:
            raise DataError(f"{names[at]} is given twice", "compare different runs")
    return [Entry(label, runs) for label, runs in zip(_labels(found), found, strict=True)]


def _runs_of(name: str, root: Path) -> tuple[Run, ...]:
    for folder in (Path(name), root / name):
        if folder.is_dir() and not is_run(folder):
            below = runs_of(folder)
            runs = tuple(run for run in below if run.status == "completed")
            strategies = sorted({str(run.facts["strategy"]) for run in runs})
            if len(strategies) > 1:
                raise DataError(
                    f"{folder} holds runs of several strategies: {', '.join(strategies)}", "name the runs one by one"
                )
            if runs:
                return runs
            held = f"{len(below)} runs, none of them completed" if below else "no run"
            raise DataError(f"{folder} holds {held}", "name a run, or the folder of one experiment's runs")
    run = find_run(name, root)
    if run.status != "completed":
        raise DataError(f"{run.path} is {run.status}: it has no scores", "tsfm runs list shows the completed ones")
    return (run,)


def _labels(found: Sequence[tuple[Run, ...]]) -> list[str]:
    """Return a label for each: its model, with strategy, experiment or directory where that tells it apart."""
    facts = [runs[0].facts for runs in found]
    ways: tuple[Callable[[int], str], ...] = (
        lambda at: str(facts[at]["model"]),
        lambda at: f"{facts[at]['model']} {facts[at]['strategy']}",
        lambda at: f"{facts[at]['model']} {facts[at]['experiment']}",
        lambda at: f"{facts[at]['model']} {facts[at]['experiment']} {found[at][0].path.name}",
        lambda at: str(found[at][0].path),
    )
    labels = []
    for at in range(len(found)):
        unlike = (way(at) for way in ways if [way(other) for other in range(len(found))].count(way(at)) == 1)
        labels.append(next(unlike, str(found[at][0].path)))
    return labels
