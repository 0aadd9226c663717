"""results.txt and the tables on the terminal: what a person reads first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tsfm_core.errors import listing
from tsfm_core.freq import format_seconds, seconds

if TYPE_CHECKING:
    from rich.table import Table

    from tsfm_core.run import Run

__all__ = ["as_text", "headline_steps", "results", "score_tables", "synthetic_note"]

_MINUTES = (30, 60, 120, 240, 480)


def headline_steps(task: Mapping[str, Any]) -> dict[str, int]:
    """Return the steps to show by their time ahead: 30, 60, 120, 240, 480 min where the grid has them, or quarters."""
    step, horizon = seconds(task["freq"]), int(task["prediction_length"])
    shown = {f"{m} min": m * 60 // step for m in _MINUTES if m * 60 % step == 0 and m * 60 // step <= horizon}
    if shown:
        return shown
    quarters = sorted({max(1, horizon * part // 4) for part in (1, 2, 3, 4)})
    return {format_seconds(at * step): at for at in quarters}


def score_tables(
    task: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]], name: str, whole: bool = True
) -> list[Table | str]:
    """Return the scores of one set: the first metric by time ahead, then every metric over all steps.

    :param models: ``metrics["sets"]`` by model, the first one being reported.
    :param whole: False leaves the second table out.
    """
    scored = {model: sets[name] for model, sets in models.items() if name in sets}
    metrics = list(dict.fromkeys(metric for one in scored.values() for metric in one["overall"]))
    if not metrics:
        return []
    first = metrics[0]
    steps = headline_steps(task)
    ahead = _table((first, *steps, "all steps"))
    for model, one in scored.items():
        by_step = one["by_step"].get(first, [])
        cells = [_number(by_step[at - 1]) if by_step else "" for at in steps.values()]
        ahead.add_row(model, *cells, _number(one["overall"].get(first)))
    windows = next(iter(scored.values()))["windows"]
    parts: list[Table | str] = [f"{name}: {windows:,} windows", "", ahead, ""]
    if whole and len(metrics) > 1:
        every = _table(("all steps", *scored))
        for metric in metrics:
            values = [one["overall"].get(metric) for one in scored.values()]
            if any(values):  # a row of zeros says nothing
                every.add_row(metric, *(_number(value) for value in values))
        parts += [every, ""]
    by_source = {model: one["by_source"] for model, one in scored.items() if "by_source" in one}
    if by_source:
        apart = _table((f"{first}, all steps", "windows", *by_source))
        for source, facts in next(iter(by_source.values())).items():
            values = [one[source]["overall"].get(first) for one in by_source.values()]
            apart.add_row(source, f"{facts['windows']:,}", *(_number(value) for value in values))
        parts += [apart, ""]
    return parts


def synthetic_note(provenance: Mapping[str, Any]) -> str:
    """Return the label that goes wherever simulated data is shown."""
    sources = provenance.get("sources", {})
    simulated = [name for name, one in sources.items() if one.get("synthetic")]
    if sources and len(simulated) < len(sources):
        return f"{', '.join(simulated)} is SYNTHETIC: simulated, no real person"
    return "the data is SYNTHETIC: simulated, no real person"


def _table(columns: Iterable[str]) -> Table:
    from rich import box
    from rich.table import Table

    # ASCII rules: results.txt reads the same in every editor
    table = Table(box=box.ASCII2, show_edge=False)
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at else "left")
    return table


def results(run: Run, status: str | None = None) -> Iterable[Table | str]:
    """Yield the parts of a run's report: what it was, its scores beside the baselines', what is missing and why.

    :param status: to show; by default the run's own.
    """
    facts, metrics = run.facts, run.metrics
    yield f"{facts['model']} · {facts['experiment']} · {facts['strategy']} · {status or run.status}"
    yield f"run: {run.path}"
    weights = facts.get("weights")
    if weights:
        share = weights["trainable"] / weights["parameters"]
        yield f"trained {weights['trainable']:,} of {weights['parameters']:,} weights ({share:.1%})"
    if metrics is None:
        yield f"not scored{': ' + facts['error'] if facts.get('error') else ''}"
        return
    task = metrics["task"]
    yield f"{task['target']} in {metrics['unit']}, every {task['freq']}, {task['context_length']} steps seen"
    yield f"protocol {facts['protocol_digest'][:12]} · data {facts['data']['fingerprint'][:12]} · seed {facts['seed']}"
    if facts["data"].get("synthetic"):
        yield synthetic_note(facts["data"])
    if facts["data"].get("changed_since_parent"):
        yield f"files that changed since {facts['parent']}: {listing(facts['data']['changed_since_parent'])}"
    models = {facts["model"]: metrics["sets"]}
    models |= {
        f"{name} *" if name == facts["model"] else name: one["sets"] for name, one in metrics["baselines"].items()
    }
    yield ""
    for name in sorted(metrics["sets"], key=lambda one: one == "validation"):
        yield from score_tables(task, models, name, whole=name != "validation")
    for metric, reason in metrics["missing"].items():
        yield f"{metric} is not given: {reason}"
    for baseline, reason in metrics["baselines_missing"].items():
        yield f"{baseline} is not beside it: {reason}"
    for tracker, one in facts.get("tracking", {}).items():
        if one["error"]:
            yield f"{tracker} was not told everything: {one['error']}"
    for name, reasons in facts["dropped"].items():
        if reasons:
            yield f"{name}: left out {_counts(reasons)}"


def as_text(parts: Iterable[Table | str]) -> str:
    """Return the parts as plain text."""
    import io

    from rich.console import Console

    console = Console(file=io.StringIO(), width=120, color_system=None, highlight=False, markup=False)
    for part in parts:
        console.print(part)
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in written.splitlines()) + "\n"


def _number(value: float | None) -> str:
    if value is None or value != value:
        return ""
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3f}"


def _counts(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} windows ({reason})" for reason, count in reasons.items())
