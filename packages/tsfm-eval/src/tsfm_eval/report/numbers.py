"""Numbers as a reader meets them: which come first, their units, and how many digits they deserve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tsfm_core.units import CUSTOM, KNOWN_UNITS
from tsfm_eval.report.content import Entry, MetricFact

__all__ = [
    "Model",
    "absences",
    "best_of",
    "duration",
    "fact_of",
    "headline",
    "models",
    "noun",
    "number",
    "shown_sets",
    "unit_of",
    "with_unit",
]

#: What a headline shows, where it is there; the first of them is shown by time ahead.
_FIRST = ("rmse", "mae", "mard", "mape", "bias", "crps_quantile", "pinball", "coverage_80", "clarke_a", "parkes_t1_a")


@dataclass(frozen=True)
class Model:
    """The scores of one model in one set.

    :param scores: of the set, as :data:`tsfm_eval.report.content.Scores` has them.
    """

    label: str
    scores: Mapping[str, Any]
    baseline: bool


def shown_sets(entries: Sequence[Entry]) -> list[str]:
    """Return the sets with scores, without the one that choices were made on."""
    return [name for name in dict.fromkeys(name for one in entries for name in one.scores) if name != "validation"]


def models(entries: Sequence[Entry], name: str) -> list[Model]:
    """Return the models of a set: the entries, then the baselines of the first entry that has them.

    A baseline is left out where a run of its model is among the entries.
    """
    reported = {one.facts.get("model") for one in entries}
    found = {one.label: Model(one.label, one.scores[name], False) for one in entries if name in one.scores}
    for one in entries:
        for baseline, scores in one.baselines.items():
            label = f"{baseline} (baseline)" if any(baseline == other.label for other in entries) else baseline
            if name in scores and baseline not in reported:
                found.setdefault(label, Model(label, scores[name], True))
    return list(found.values())


def absences(entries: Sequence[Entry], key: str, what: str) -> list[str]:
    """Return why the runs have no picture of a kind, a sentence for each run and reason.

    :param key: of :attr:`tsfm_eval.report.content.Pictures.absent`.
    """
    said: dict[str, None] = {}
    for one in entries:
        reasons = {name: given.absent[key] for name, given in one.pictures.items() if key in given.absent}
        if not one.pictures:
            said[f"No {what} of {one.label} is shown: no forecasts are given."] = None
        everywhere = len(reasons) == len(one.pictures) and len(set(reasons.values())) == 1
        for name, why in reasons.items():
            said[f"No {what} of {one.label} is shown{'' if everywhere else f' for {name}'}: {why}."] = None
    return list(said)


def headline(overall: Iterable[str], most: int = 4) -> list[str]:
    """Return the numbers that a summary shows, at most ``most``: of mard and mape, the same number, the first."""
    given = list(overall)
    chosen = [name for name in _FIRST if name in given and not (name == "mape" and "mard" in given)]
    return (chosen or given)[:most]


def fact_of(name: str, metrics: Iterable[MetricFact]) -> MetricFact | None:
    """Return the metric that a number belongs to."""
    mine = [one for one in metrics if name == one.name or name.startswith(f"{one.name}_")]
    named = [one for one in metrics if name in one.units or name in one.directions]
    return max(mine or named, key=lambda one: len(one.name), default=None)


def unit_of(name: str, entry: Entry) -> str:
    """Return the unit of a number, "" where it has none or none is known."""
    fact = fact_of(name, entry.metrics)
    unit = fact.units.get(name, fact.unit) if fact else ""
    target = entry.unit.removeprefix(CUSTOM)
    return {"target": target, "target^2": f"({target})²", "1": ""}.get(unit, unit)


def best_of(name: str, values: Sequence[float | None], metrics: Iterable[MetricFact]) -> int | None:
    """Return which value is the best, None for fewer than two or where none is better by being less or more."""
    fact = fact_of(name, metrics)
    direction = fact.directions.get(name, fact.direction) if fact else "none"
    usable = [(value, at) for at, value in enumerate(values) if value is not None and value == value]
    if len({value for value, _ in usable}) < 2 or direction not in ("lower", "higher"):
        return None
    return (min if direction == "lower" else max)(usable, key=lambda one: one[0])[1]


def number(value: float | None) -> str:
    """Return about three digits of a number, "–" for none."""
    if value is None or value != value:
        return "–"
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}".replace("-", "−")


def with_unit(value: float | None, unit: str) -> str:
    """Return a number and its unit."""
    return f"{number(value)} {unit}".strip()


def duration(seconds: int) -> str:
    """Return a span of time as people say it, such as ``42 h 40 min``."""
    parts = []
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if unit == "days" and seconds < 3 * size:
            continue
        count, seconds = divmod(seconds, size)
        parts += [f"{count} {unit}"] if count else []
    return " ".join(parts)


def noun(entry: Entry, count: int = 2) -> str:
    """Return what an item is called: a patient where glucose is forecast."""
    return ("patient" if entry.unit in KNOWN_UNITS else "item") + ("" if count == 1 else "s")
