"""Entries with their scores: the same metrics on the same windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tsfm_core import DataError
from tsfm_core.data.store import ForecastFile
from tsfm_core.metrics import VALIDATION, Scores, Scoring
from tsfm_core.plugins import host
from tsfm_eval.comparison.entries import Entry
from tsfm_eval.comparison.protocol import Protocol, check_same

__all__ = ["Scored", "score_entries"]


@dataclass(frozen=True)
class Scored:
    """An entry with its scores.

    :param scoring: what they were computed from, with the steps of each item.
    """

    entry: Entry
    scores: Scores
    scoring: Scoring


def score_entries(
    entries: Sequence[Entry], metrics: Sequence[str] = (), unit: str | None = None, on: str | None = None
) -> list[Scored]:
    """Score every entry by the same metrics, and refuse those that were not tested on the same windows.

    :param metrics: names; by default all that the runs' own configs name.
    :param on: the only test set to look at.
    :raises DataError: naming the part of the protocol that differs.
    """
    names = list(metrics) or list(
        dict.fromkeys(name for entry in entries for run in entry.runs for name in run.facts["metrics"])
    )
    chosen = [host().metric(name) for name in names]
    found: list[Scored] = []
    protocols: list[Protocol] = []
    for entry in entries:
        protocol = Protocol()
        scoring = Scoring(ForecastFile(entry.runs[0].forecasts_path).task, chosen, unit, item_steps=True)
        for run in entry.runs:
            scoring.add_run(protocol.watch(run, on))
        if not protocol.windows:
            had = ", ".join(name for name in entry.runs[0].facts["windows"] if name not in ("train", VALIDATION))
            hint = f"it has {had or 'no test set'}" if on else "run the backtest again"
            raise DataError(f"the forecasts of {entry.label} hold no test window{f' in {on}' if on else ''}", hint)
        protocol.refuse_doubles()
        if protocols:
            check_same(entries[0].label, protocols[0], entry.label, protocol)
        protocols.append(protocol)
        found.append(Scored(entry, scoring.scores(), scoring))
    return found
