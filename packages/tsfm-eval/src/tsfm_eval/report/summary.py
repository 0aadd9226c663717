"""The sections of numbers: what was tested on what, the headline by time ahead, and every score."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tsfm_core.freq import seconds
from tsfm_core.report import headline_steps, synthetic_note
from tsfm_core.units import CUSTOM
from tsfm_eval.report.content import Entry, PairRow, Statistics
from tsfm_eval.report.layout import Cell, Details, Heading, Part, Section, Table, Text
from tsfm_eval.report.numbers import (
    Model,
    best_of,
    duration,
    fact_of,
    headline,
    models,
    noun,
    number,
    shown_sets,
    unit_of,
)
from tsfm_eval.statistics.sums import FEWEST

__all__ = ["scores", "summary"]

#: Below this a difference is marked.
_SIGNIFICANT = 0.05
#: Fewer patients than this give no interval that could be relied on.
_FEW = 10


def summary(entries: Sequence[Entry], statistics: Statistics) -> Section:
    """Return the section: labels that must not be overlooked, the runs, and for each set the headline."""
    parts: list[Part] = [Text(text, "loud") for text in _warnings(entries)]
    parts.append(_runs(entries))
    for name in shown_sets(entries):
        parts += [Heading(name), Text(_counts(entries, name)), *_headline(entries, name, statistics.rows)]
    return Section("summary", "Summary", parts)


def scores(entries: Sequence[Entry]) -> Section:
    """Return the section: every number of every model by set, then what each metric means and what is missing."""
    parts: list[Part] = []
    for name in shown_sets(entries):
        found = models(entries, name)
        numbers = dict.fromkeys(number for one in found for number in one.scores["overall"])
        rows = [_row(entries[0], number, unit_of(number, entries[0]), found) for number in numbers]
        columns = ("number", "unit", *(one.label for one in found))
        parts += [Heading(name), Table(f"scores-{name}", f"Every score of {name}, over all steps", columns, rows, True)]
    facts = {fact.name: fact for one in reversed(entries) for fact in one.metrics}
    if facts:
        said = [
            f"{name} (judges {fact.point or 'the forecasts'}; {_better(fact.direction)}): {fact.definition}"
            for name, fact in sorted(facts.items())
        ]
        parts.append(Details("What each metric is", "\n\n".join(said)))
    for entry in entries:
        parts += [Text(f"{entry.label}: {what} is not given: {why}.", "quiet") for what, why in entry.missing.items()]
    return Section("scores", "Scores", parts)


def _warnings(entries: Sequence[Entry]) -> list[str]:
    said = []
    for entry in entries:
        if entry.facts.get("data", {}).get("synthetic"):
            note = synthetic_note(entry.facts["data"])
            said.append(f"{note[0].upper()}{note[1:]}." if len(entries) == 1 else f"{entry.label}: {note}.")
    digests = {entry.facts.get("protocol_digest") for entry in entries}
    if len(digests) > 1 and not all(entry.checked for entry in entries):
        said.append("These runs were tested on different windows or by different metrics: their scores do not compare.")
    return list(dict.fromkeys(said))


def _runs(entries: Sequence[Entry]) -> Table:
    facts: dict[str, Callable[[Entry], str]] = {
        "model": lambda one: str(one.facts.get("model", "")),
        "experiment": lambda one: str(one.facts.get("experiment", "")),
        "strategy": lambda one: str(one.facts.get("strategy", "")).replace("_", " "),
        "made": lambda one: str(one.facts.get("created", "")).replace("T", " "),
        "task": _task,
        "data": _data,
        "protocol digest": _digest,
        "seed": lambda one: str(one.facts.get("seed", "")),
    }
    rows = [[Cell(what), *(Cell(say(one)) for one in entries)] for what, say in facts.items()]
    return Table("runs", "What was tested", ("", *(one.label for one in entries)), rows)


def _digest(entry: Entry) -> str:
    folds = entry.facts.get("folds")
    return f"one each of {len(folds)} folds" if folds else str(entry.facts.get("protocol_digest", ""))[:12]


def _task(entry: Entry) -> str:
    task, step = entry.task, seconds(entry.task["freq"])
    ahead, seen = (duration(int(task[key]) * step) for key in ("prediction_length", "context_length"))
    unit = str(task["unit"]).removeprefix(CUSTOM)
    return f"{task['target']} in {unit}, every {duration(step)}, {ahead} ahead from {seen}"


def _data(entry: Entry) -> str:
    data = entry.facts.get("data", {})
    items = f", {data['items']:,} {noun(entry, data['items'])}" if "items" in data else ""
    return f"{data.get('source', '')}{items}, fingerprint {str(data.get('fingerprint', ''))[:12]}"


def _counts(entries: Sequence[Entry], name: str) -> str:
    entry = next(one for one in entries if name in one.scores)
    items = len({row["item_id"] for row in entry.items if row["set"] == name})
    of = f" of {items:,} {noun(entry, items)}" if items else ""
    windows = int(entry.scores[name]["windows"])
    return f"{windows:,} {'window' if windows == 1 else 'windows'}{of}."


def _headline(entries: Sequence[Entry], name: str, pairs: Sequence[PairRow]) -> list[Part]:
    found = models(entries, name)
    numbers = headline(dict.fromkeys(number for one in found if not one.baseline for number in one.scores["overall"]))
    if not numbers:
        return [Text("No score is given.", "quiet")]
    entry, first = entries[0], numbers[0]
    steps = {
        said: at for said, at in headline_steps(entry.task).items() if any(_at(one, first, at)[0] for one in found)
    }
    columns = ["model", *(f"{first}, {said}" for said in steps)]
    columns += [f"{number}, all steps" if steps else number for number in numbers]
    cells: list[list[Cell]] = [
        [Cell(value, raw, small) for value, raw, small in (_cell(*_at(one, first, at)) for one in found)]
        for at in steps.values()
    ]
    cells += [[_overall(one, number, entries, name, pairs) for one in found] for number in numbers]
    for column, what in zip(cells, [first] * len(steps) + numbers, strict=True):
        best = best_of(what, [_number(cell.value) for cell in column], entry.metrics)
        if best is not None:
            column[best] = Cell(column[best].text, column[best].value, column[best].small, best=True)
    rows = [[Cell(one.label), *(column[at] for column in cells)] for at, one in enumerate(found)]
    unit = "; ".join(f"{number} in {unit_of(number, entry)}" for number in numbers if unit_of(number, entry))
    parts: list[Part] = [Table(f"headline-{name}", f"Scores of {name}{f' ({unit})' if unit else ''}", columns, rows)]
    return [*parts, Text(_reading(entries, found, name, pairs))]


def _reading(entries: Sequence[Entry], found: Sequence[Model], name: str, pairs: Sequence[PairRow]) -> str:
    said = ["Bold is the best of its column."] if len(found) > 1 else []
    patients = len({row["item_id"] for row in entries[0].items if row["set"] == name})
    if any(one.scores.get("intervals") for one in found):
        said.append(f"In brackets the interval over resampled {noun(entries[0])}.")
        if patients < _FEW:
            said.append(f"Of {patients} {noun(entries[0], patients)} it is not reliable.")
    else:
        who = noun(entries[0], patients)
        few = f"{patients} {who} {'is' if patients == 1 else 'are'} too few for one"
        said.append(f"No interval is given: {few if patients < FEWEST else 'the scores came without one'}.")
    if any(one.set == name for one in pairs):
        said.append(f"* differs from {entries[0].label} (Wilcoxon over {noun(entries[0])}, Holm, p < {_SIGNIFICANT}).")
    return " ".join(said)


def _overall(one: Model, name: str, entries: Sequence[Entry], set_name: str, pairs: Sequence[PairRow]) -> Cell:
    cell = _cell(one.scores["overall"].get(name), one.scores.get("intervals", {}).get(name))
    ends = {entries[0].label, one.label}
    differs = any(
        {pair.first, pair.second} == ends
        and (pair.set, pair.number) == (set_name, name)
        and (pair.p_holm if pair.p_holm is not None else 1) < _SIGNIFICANT
        for pair in pairs
    )
    return Cell(f"{cell[0]} *" if differs else cell[0], cell[1], cell[2])


def _at(one: Model, name: str, step: int) -> tuple[float | None, Sequence[float] | None]:
    values = one.scores.get("by_step", {}).get(name, ())
    intervals = one.scores.get("step_intervals", {}).get(name, ())
    return values[step - 1] if values else None, intervals[step - 1] if intervals else None


def _cell(value: float | None, interval: Sequence[float] | None) -> tuple[str, float | None, str]:
    given = interval is not None and all(one is not None and one == one for one in interval)
    return number(value), value, f"({number(interval[0])} to {number(interval[1])})" if interval and given else ""


def _row(entry: Entry, name: str, unit: str, found: Sequence[Model]) -> list[Cell]:
    values: list[float | None] = [one.scores["overall"].get(name) for one in found]
    best = best_of(name, values, entry.metrics)
    cells = [Cell(number(value), value, best=at == best) for at, value in enumerate(values)]
    return [Cell(name, name, _arrow(name, entry)), Cell(unit, unit), *cells]


def _arrow(name: str, entry: Entry) -> str:
    fact = fact_of(name, entry.metrics)
    direction = fact.directions.get(name, fact.direction) if fact else "none"
    return {"lower": "less is better", "higher": "more is better"}.get(direction, "")


def _better(direction: str) -> str:
    return {"lower": "less is better", "higher": "more is better"}.get(direction, "neither less nor more is better")


def _number(value: float | str | None) -> float | None:
    return value if isinstance(value, float | int) else None
