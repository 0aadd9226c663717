"""The Python API: the words of the command line, with paths, mappings and frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm_core.config.resolve import Resolved, read_config, require
from tsfm_core.config.schema import DataConfig
from tsfm_core.data.store import ForecastFile
from tsfm_core.data.windows import forecast_windows
from tsfm_core.errors import ConfigError, DataError, listing
from tsfm_core.groups import Groups
from tsfm_core.metrics import Scores, add_intervals, score
from tsfm_core.opening import ignoring, open_panel, refuse
from tsfm_core.pipeline import CHUNK, execute, forecast_windows_of
from tsfm_core.plugins import host
from tsfm_core.prepare import load, window_rule
from tsfm_core.progress import Progress, quiet
from tsfm_core.resuming import refuse_other_config
from tsfm_core.resuming import resume as go_on
from tsfm_core.run import Run, find_run, is_run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["backtest", "evaluate", "load_run", "predict", "resume", "train"]

ConfigSource = str | Path | Mapping[str, Any] | None


def train(
    model: str,
    config: ConfigSource,
    settings: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
    argv: Sequence[str] = (),
    progress: Progress = quiet,
) -> Run:
    """Train ``model``, then forecast and score the validation and test windows.

    :param config: a YAML file, or the same as a mapping.
    :param settings: ``a.b=value``, over the config.
    :param flags: values by dotted key, over the settings.
    """
    return execute(model, read_config(config, settings, flags), "train", argv, progress=progress)


def resume(
    run: Run | str | Path,
    model: str | None = None,
    config: ConfigSource = None,
    settings: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
    argv: Sequence[str] = (),
    take_over: bool = False,
    progress: Progress = quiet,
) -> Run:
    """Go on with a run that was killed or stopped; it ends with the bits that it would have had.

    :param model: with ``config``, ``settings`` and ``flags`` may be repeated, and must then be the run's own.
    :param take_over: also a run that another machine seems to be at: its process cannot be seen from here.
    """
    run = run if isinstance(run, Run) else load_run(run)
    said = config is not None or tuple(settings) or any(value is not None for value in (flags or {}).values())
    refuse_other_config(run, model, read_config(config, settings, flags) if said else None)
    return go_on(run, argv, take_over, progress)


def backtest(
    model: str,
    config: ConfigSource = None,
    settings: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
    argv: Sequence[str] = (),
    progress: Progress = quiet,
) -> Run:
    """Forecast and score the validation and test windows without training.

    :param model: a model's name, or a run: then model, task and checkpoint come from the run, the rest from ``config``.
    """
    if _is_model(model):
        return execute(model, read_config(config, settings, flags), "backtest", argv, progress=progress)
    resolved, run = _from_run(model, config, settings, flags)
    return execute(run.facts["model"], resolved, "backtest", argv, parent=run, progress=progress)


def predict(
    model: str,
    data: str | Path,
    config: ConfigSource = None,
    settings: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
    progress: Progress = quiet,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Forecast past each item's last reading.

    :param model: a model's name, or a run.
    :param data: a csv or parquet file; its columns as ``data.columns`` says.
    :return: the long table (item_id, cutoff, timestamp, step, mean, ``0.1`` ...), and the items without a forecast.
    """
    source = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}.get(Path(data).suffix.lower())
    if source is None:
        raise DataError(f"{data} is neither .csv nor .parquet", "the ending says how it is read")
    given = {"data.source": source, "data.sources": [], "data.path": str(data), **(flags or {})}
    if _is_model(model):
        name, resolved, run = model, read_config(config, settings, given), None
    else:
        resolved, run = _from_run(model, config, settings, given, merged=("data",))
        name = run.facts["model"]
    loaded = load(name, resolved, "predict", from_run=run is not None)
    rows = require(resolved.config.data, "data", "tsfm predict")
    # these are of the config's own data: its people, and what its reader is told
    rows = rows.model_copy(
        update={"items": None, "exclude": (), "start": {}, "options": {}} | (_prepared_as(run, rows) if run else {})
    )
    rows = ignoring(rows, resolved.config.task, loaded.task)
    panel, quality = open_panel(rows, loaded.task, extend=loaded.task.prediction_length)
    refuse(quality, str(data))
    windows, without = forecast_windows(panel, loaded.task, window_rule(rows, loaded.task))
    if not len(windows):
        reasons = listing(f"{item}: {reason}" for item, reason in without.items())
        raise DataError(f"{data}: no item can be forecast ({reasons})", "set data.min_context, or give more history")
    import pandas as pd

    frames = []
    with progress(name, len(windows)) as advance:
        for chunk in windows.chunks(CHUNK):
            frames.append(forecast_windows_of(loaded, loaded.model, chunk).to_frame(loaded.task))
            advance(len(chunk))
    return pd.concat(frames, ignore_index=True), without


def evaluate(
    run: Run | str | Path,
    metrics: Sequence[str] = (),
    unit: str | None = None,
    groups: Groups | None = None,
    intervals: bool = False,
) -> Scores:
    """Score a run's stored forecasts again; needs neither its model nor its package.

    :param metrics: names; by default those of the run's config.
    :param unit: to score in; by default the task's.
    :param groups: of items, by the name of the grouping: each group has its own scores too.
    :param intervals: whether to say how sure the scores are, where a package such as tsfm-eval does.
    """
    run = run if isinstance(run, Run) else load_run(run)
    metrics = metrics or run.facts["metrics"]
    file = ForecastFile(run.forecasts_path)
    chosen = [host().metric(name) for name in metrics]
    scores = score(file.chunks(), file.task, chosen, unit, "sources" in run.facts["data"], groups)
    method = host().intervals() if intervals else None
    if method:
        add_intervals(scores, method)
    return scores


def load_run(path: str | Path, root: str | Path = "experiments") -> Run:
    """Return the run in a directory, or the one below ``root`` whose path ends so."""
    return find_run(str(path), Path(root))


def _prepared_as(run: Run, data: DataConfig) -> dict[str, Any]:
    """Return how a run's own data was laid on the grid, where ``data`` says nothing: new data is prepared alike."""
    facts = run.facts["data"]
    own = next(iter(facts["sources"].values())) if "sources" in facts else facts
    same = ("kinds", "unsorted", "off_grid", "duplicates", "mixed_freq")
    found = {name: own["preparation"].get(name) for name in same if not getattr(data, name)}
    return {name: value for name, value in found.items() if value}


def _is_model(name: str) -> bool:
    """Return whether ``name`` is meant as a model: a run is a path or is called ``run_...``."""
    return not (Path(name).name.startswith(("run_", "best_run")) or "/" in name or is_run(Path(name)))


def _from_run(
    name: str,
    config: ConfigSource,
    settings: Iterable[str],
    flags: Mapping[str, Any] | None,
    merged: tuple[str, ...] = (),
) -> tuple[Resolved, Run]:
    """Return a run and its configuration: model, task and checkpoint its own, the other sections those that are given.

    :param merged: sections of which only the given keys replace the run's.
    """
    settings = tuple(settings)
    over = read_config(config, [setting for setting in settings if setting.startswith("output.")])
    run = find_run(name, Path(over.config.output.root))
    given = {f"--set {one}": one for one in settings} | {
        f"--{key}": key for key, value in (flags or {}).items() if value is not None
    }
    for option, key in given.items():
        if key.partition("=")[0].partition(".")[0] not in _FROM_CONFIG:
            raise ConfigError(f"{option}: model, task and training come from {run.path}", "leave it out")
    own = read_config(run.config_path, trains=False)
    if over.config.task is not None and over.config.task != own.config.task:
        raise ConfigError(f"{over.tree.origin(('task',))}: the task is not that of {run.path}", "leave the task out")
    best = run.best_checkpoint
    checkpoint = {"model.checkpoint": str(best.resolve())} if best else {}
    whole = tuple(section for section in _FROM_CONFIG if section not in merged)
    return over.over(own.tree, whole, merged, settings, {**(flags or {}), **checkpoint}), run


#: What a config may change about a run's model: everything but the model, its task and how it was trained.
_FROM_CONFIG = ("experiment", "seed", "data", "split", "evaluation", "runtime", "tracking", "output")
