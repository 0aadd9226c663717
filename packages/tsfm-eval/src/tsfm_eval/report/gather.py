"""One entry of a report from a run's directory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tsfm_core.data.store import ForecastFile
from tsfm_core.errors import RunError, listing
from tsfm_core.run import Run
from tsfm_eval.plugin import metrics as metrics_of_this_package
from tsfm_eval.report.content import Entry, MetricFact, Scores
from tsfm_eval.report.forecasts import pictures

__all__ = ["gather"]


def gather(
    runs: Run | Sequence[Run],
    label: str | None = None,
    scores: Scores | None = None,
    items: Sequence[Mapping[str, Any]] | None = None,
    metrics: Sequence[MetricFact] | None = None,
    baselines: Mapping[str, Scores] | None = None,
    baseline_items: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    unit: str | None = None,
    missing: Mapping[str, str] | None = None,
    checked: bool = False,
) -> Entry:
    """Return the entry of a scored run: its facts as they are stored, and one pass over its forecasts.

    :param runs: a run, or the folds of a cross-validation: the facts are those of the first, times add up.
    :param label: by default the name of the model.
    :param unit: of ``scores``; by default that of the run's.
    :param missing: why a metric has no score; by default as stored.
    :param checked: whether it was found to be tested on the same windows as the report's other entries.
    :param scores: with intervals, by hour and by range; by default as the run stored them. ``items`` and ``baselines``
        likewise, and ``metrics`` are those of this package.
    :raises RunError: for a run without scores or forecasts.
    """
    runs = (runs,) if isinstance(runs, Run) else tuple(runs)
    run = runs[0]
    stored = run.metrics
    if stored is None:
        raise RunError(f"{run.path} is not scored", "a report is made of a run that was trained or backtested")
    lacking = sorted({"task", "unit", "sets", "points", "missing", "baselines", "baselines_missing"} - {*stored})
    if lacking:
        raise RunError(f"{run.metrics_path} has no {listing(lacking)}", "run the backtest again")
    why_no_baselines = _why_no_baselines(runs, stored, unit or stored["unit"])
    if why_no_baselines:
        baselines, baseline_items = baselines or {}, baseline_items or {}
    facts, files = _together(runs), [ForecastFile(one.forecasts_path) for one in runs]
    chunks = (chunk for file in files for chunk in file.chunks())
    config = run.config_path.read_text(encoding="utf-8") if run.config_path.is_file() else ""
    return Entry(
        label=label or str(facts["model"]),
        facts=facts,
        task=stored["task"],
        unit=unit or stored["unit"],
        scores=stored["sets"] if scores is None else scores,
        items=list(_rows(run.items_path)) if items is None else items,
        metrics=_facts(stored["points"]) if metrics is None else metrics,
        baselines={name: one["sets"] for name, one in stored["baselines"].items()} if baselines is None else baselines,
        baseline_items=_baseline_items(stored) if baseline_items is None else baseline_items,
        missing={
            **(stored["missing"] if missing is None else missing),
            **stored["baselines_missing"],
            **(dict.fromkeys(stored["baselines"], why_no_baselines) if why_no_baselines else {}),
        },
        pictures=pictures(chunks, files[0].task, _protocol(config) == "nocturnal"),
        training=list(_lines(run.training_log)),
        config=config,
        checked=checked,
    )


def _why_no_baselines(runs: Sequence[Run], stored: Mapping[str, Any], unit: str) -> str | None:
    """Return why the scores of the baselines, of which no forecast is stored, cannot stand beside those of a model."""
    if len(runs) > 1:
        return "each fold scored it on its own windows"
    return f"its scores are stored in {stored['unit']}" if unit != stored["unit"] else None


def _baseline_items(stored: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    # runs of the first release have no such rows; a score that is none is null in JSON
    rows = {name: one.get("items", []) for name, one in stored["baselines"].items()}
    return {name: given for name, given in rows.items() if given}


def _together(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the facts of the first run, with the times and windows of all."""
    facts = runs[0].facts
    if len(runs) > 1:
        for name in ("timings", "windows"):
            totals: dict[str, float] = {}
            for run in runs:
                for key, value in (run.facts.get(name) or {}).items():
                    totals[key] = totals.get(key, 0) + value
            facts[name] = totals
        facts["folds"] = [str(run.path) for run in runs]
    return facts


def _facts(points: Mapping[str, str]) -> list[MetricFact]:
    return [
        MetricFact(one.name, one.unit, one.direction, one.definition, one.units, one.directions, points[one.name])
        for one in metrics_of_this_package()
        if one.name in points
    ]


def _protocol(config: str) -> str:
    try:
        said = yaml.safe_load(config)
    except yaml.YAMLError:
        return ""
    evaluation = said.get("evaluation") if isinstance(said, dict) else None
    return str(evaluation.get("protocol", "")) if isinstance(evaluation, dict) else ""


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of metrics_by_item.csv; an empty cell is NaN."""
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            text = {"set": row.pop("set"), "item_id": row.pop("item_id")}
            yield {**text, "windows": int(row.pop("windows")), **{key: float(one or "nan") for key, one in row.items()}}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a training log; one that a killed run left unfinished is passed over."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
