"""The chain of one run: load, prepare, train, predict, score. Everything right of predict works from files alone."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from tsfm_core.config.resolve import Resolved
from tsfm_core.data.forecasts import Forecasts, check_forecasts
from tsfm_core.data.store import ForecastFile, ForecastWriter
from tsfm_core.data.windows import TrainingWindows, Windows
from tsfm_core.errors import Stopped, TsfmError
from tsfm_core.files import atomic, write_json, write_text
from tsfm_core.freq import day_steps
from tsfm_core.launching import launch
from tsfm_core.metrics import Scores, score
from tsfm_core.plugins import host
from tsfm_core.prepare import (
    Loaded,
    Prepared,
    check_processes,
    every_training_window,
    load,
    prepare,
    require_training_windows,
)
from tsfm_core.progress import Progress, quiet
from tsfm_core.provenance import hashes, refuse_seen_windows, run_facts
from tsfm_core.records import Job, Metric, Tracker
from tsfm_core.report import as_text, results
from tsfm_core.run import Run
from tsfm_core.spare import spare_room
from tsfm_core.stopping import stop_as_such, stop_if_asked, stoppable
from tsfm_core.task import Task
from tsfm_core.tracking import chosen_trackers, tracked

__all__ = ["CHUNK", "Ready", "carry_out", "execute", "forecast_windows_of", "make_ready", "work", "write_forecasts"]

#: Windows that one call of predict gets at most.
CHUNK = 65_536


def execute(
    name: str,
    resolved: Resolved,
    command: str,
    argv: Sequence[str] = (),
    parent: Run | None = None,
    progress: Progress = quiet,
) -> Run:
    """Train (or not), forecast the validation and test windows, score them, and return the completed run.

    :param command: ``train`` or ``backtest``.
    :param parent: the run whose model is tested, if it is one.
    """
    ready = make_ready(name, resolved, command, from_run=parent is not None)
    if parent:
        refuse_seen_windows(parent, ready.prepared)
    facts = run_facts(ready.loaded, ready.prepared, resolved, command, argv, parent)
    run = Run.create(Path(resolved.config.output.root), name, resolved.config.experiment, facts, resolved.stored())
    with stoppable(), run.claimed() as claim:
        for one in ready.prepared.quality.notes:
            run.log(f"data: {one['item_id'] or 'all'}: {one['what']}" + (f": {one['rows']:,}" if one["rows"] else ""))
        carry_out(run, ready, claim, progress)
    return run


@dataclass(frozen=True)
class Ready:
    """A run that can begin: everything is checked, nothing of it is written.

    :param loaded: the model as training begins with it, or as it forecasts where nothing is trained.
    """

    resolved: Resolved
    command: str
    loaded: Loaded
    prepared: Prepared
    metrics: Sequence[Metric]
    trackers: Sequence[Tracker]


def make_ready(name: str, resolved: Resolved, command: str, from_run: bool = False) -> Ready:
    """Check a configuration, load the model and cut the data.

    :param from_run: whether the checkpoint is one that a run has trained.
    """
    config = resolved.config
    host().model(name)
    metrics = [host().metric(metric) for metric in config.evaluation.metrics]
    for baseline in config.evaluation.baselines:
        host().model(baseline)
    trackers = chosen_trackers(config.tracking)
    loaded = load(name, resolved, command, from_run)
    prepared = prepare(config, loaded.task, command)
    if command == "train":
        require_training_windows(prepared, bool(config.split and config.split.validation))
    return Ready(resolved, command, loaded, prepared, metrics, trackers)


def carry_out(run: Run, ready: Ready, claim: int, progress: Progress = quiet, resume: bool = False) -> None:
    """Carry out all that a run of this directory still has to do, and keep its status true meanwhile.

    :param claim: what :meth:`Run.claimed` gave.
    :param resume: whether something of it may be there already.
    """
    config = ready.resolved.config
    with tracked(run, ready.trackers), _status(run, ready.resolved):
        launcher = check_processes(ready.loaded.backend, config, ready.command)
        if launcher is None:
            work(run, ready, progress, resume)
        else:
            launch(run, host().launcher(launcher), config.runtime.nproc, claim, resume)


def work(run: Run, ready: Ready, progress: Progress = quiet, resume: bool = False, writes: bool = True) -> None:
    """Train (or not), forecast and score, in this process or in one of those that share a training.

    :param writes: whether this is the one that writes; the others are done when the training is.
    """
    loaded, prepared = ready.loaded, ready.prepared
    config = ready.resolved.config
    timings: dict[str, float] = {}
    model = loaded.model
    if ready.command == "train":
        with _timed(timings, "train"):
            model = _train(loaded, prepared, run, resume)
        stop_if_asked()
    if not writes:
        return
    seasonality = config.evaluation.seasonality or day_steps(loaded.task.step_seconds)
    with _timed(timings, "predict"):
        digest = write_forecasts(run.forecasts_path, loaded, model, prepared.sets, seasonality, ready.metrics, progress)
    with _timed(timings, "score"):
        file = ForecastFile(run.forecasts_path)
        scores = score(file.chunks(), loaded.task, ready.metrics, by_source="sources" in prepared.panel.provenance)
    with _timed(timings, "baselines"):
        beside, skipped = _baselines(ready.resolved, loaded, prepared, ready.metrics, seasonality, progress)
    run.update(protocol_digest=digest, timings=timings, **hashes(run))
    _write_scores(run, loaded.task, scores, beside, skipped)
    # last but for the status: a run that says it is completed has everything
    write_text(run.results_path, as_text(results(run, "completed")))


def forecast_windows_of(loaded: Loaded, model: Any, windows: Windows) -> Forecasts:
    """Forecast one chunk of windows, checked. The model is given no truth."""
    given = windows.inputs_only() if isinstance(windows, TrainingWindows) else windows
    data = loaded.backend.prepare_data(model, given, loaded.task)
    forecasts = loaded.backend.predict(model, data, loaded.task)
    check_forecasts(forecasts, given, loaded.task, loaded.backend.name)
    return forecasts


def write_forecasts(
    path: Path,
    loaded: Loaded,
    model: Any,
    sets: Mapping[str, TrainingWindows],
    seasonality: int,
    metrics: Sequence[Metric],
    progress: Progress = quiet,
) -> str:
    """Forecast every set into a file, a row group a chunk; return the protocol digest."""
    total = sum(len(windows) for windows in sets.values())
    with ForecastWriter(path, loaded.task, seasonality) as writer, progress(loaded.backend.name, total) as advance:
        for name, windows in sets.items():
            for chunk in windows.chunks(CHUNK):
                writer.write(name, chunk, forecast_windows_of(loaded, model, chunk))
                advance(len(chunk))
        return writer.protocol_digest([f"{metric.name}: {metric.definition}" for metric in metrics])


def _train(loaded: Loaded, prepared: Prepared, run: Run, resume: bool) -> Any:
    backend, task = loaded.backend, loaded.task
    run.log(f"training {backend.name} ({loaded.strategy}) on {len(prepared.train):,} windows")
    data = backend.prepare_data(loaded.model, prepared.train, task)
    validation = None
    if prepared.validation is not None:
        validation = backend.prepare_data(loaded.model, prepared.validation, task)
    job = Job(loaded.sections["training"], loaded.runtime, run.checkpoints, run.training_log, resume)
    model = backend.train(loaded.model, data, validation, job)
    run.update(weights=run.weights)
    return model


def _baselines(
    resolved: Resolved,
    loaded: Loaded,
    prepared: Prepared,
    metrics: Sequence[Metric],
    seasonality: int,
    progress: Progress,
) -> tuple[dict[str, Scores], dict[str, str]]:
    """Score the baselines on the same windows; return the scores, and why a baseline has none."""
    found: dict[str, Scores] = {}
    skipped: dict[str, str] = {}
    task = loaded.task.model_copy(update={"past_covariates": (), "known_covariates": ()})
    plain = Resolved(resolved.config.model_copy(update={"task": task, "model": {}, "training": {}}), resolved.tree)
    plain = plain.forecasting()  # how the model is trained is nothing to its baselines
    for name in resolved.config.evaluation.baselines:
        if name == loaded.backend.name:
            continue
        trained = host().model(name).trainable
        if trained and not len(prepared.train):
            skipped[name] = "there is no training window to fit it on"
            continue
        try:
            baseline = load(name, plain, "train" if trained else "backtest")
        except TsfmError as error:
            skipped[name] = str(error)
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = baseline.model
            if trained:
                # all there is to learn from, however thinly the model's own windows are cut: the bar is not lowered
                learnt = every_training_window(prepared, resolved.config, task)
                data = baseline.backend.prepare_data(model, learnt, task)
                job = Job(baseline.sections["training"], baseline.runtime, Path(folder), Path(folder) / "log.jsonl")
                model = baseline.backend.train(model, data, None, job)
            path = Path(folder) / f"{name}.parquet"
            write_forecasts(path, baseline, model, prepared.sets, seasonality, metrics, progress)
            found[name] = score(
                ForecastFile(path).chunks(), task, metrics, by_source="sources" in prepared.panel.provenance
            )
    return found, skipped


def _write_scores(
    run: Run, task: Task, scores: Scores, beside: Mapping[str, Scores], skipped: Mapping[str, str]
) -> None:
    with atomic(run.items_path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(scores.items[0]))
        writer.writeheader()
        writer.writerows(scores.items)
    write_json(
        run.metrics_path,
        {
            "task": task.model_dump(mode="json"),
            "unit": task.unit,
            "points": scores.points,
            "sets": scores.sets,
            "missing": scores.missing,
            "chosen": scores.chosen,
            "baselines": {
                name: {"sets": one.sets, "points": one.points, "items": one.items} for name, one in beside.items()
            },
            "baselines_missing": dict(skipped),
        },
    )


@contextmanager
def _status(run: Run, resolved: Resolved) -> Iterator[None]:
    run.update(status="running")
    try:
        with stop_as_such(), spare_room(run.path):
            yield
    except KeyboardInterrupt:
        run.update(status="interrupted")
        raise
    except Stopped as error:
        run.update(status="interrupted")
        run.log(error.message)
        raise Stopped(error.message, f"tsfm train --resume {run.path} goes on from there") from error
    except BaseException as error:
        said = resolved.hidden(str(error) or type(error).__name__)
        run.update(status="failed", error=said)
        run.log(f"failed: {said}")
        raise
    run.update(status="completed")
    run.log("completed")


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    start = perf_counter()
    yield
    timings[name] = round(perf_counter() - start, 3)
