"""The Python API: the words of the command line, with paths, mappings and frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm_core.ahead import look_ahead
from tsfm_core.config.resolve import ConfigSource, read_config
from tsfm_core.data.store import ForecastFile
from tsfm_core.groups import Groups
from tsfm_core.metrics import Scores, add_intervals, score
from tsfm_core.named import from_run, is_model
from tsfm_core.pipeline import execute
from tsfm_core.plugins import host
from tsfm_core.progress import Progress, quiet
from tsfm_core.resuming import refuse_other_config
from tsfm_core.resuming import resume as go_on
from tsfm_core.run import Run, find_run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["backtest", "evaluate", "load_run", "predict", "resume", "train"]


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
    if is_model(model):
        return execute(model, read_config(config, settings, flags), "backtest", argv, progress=progress)
    resolved, run = from_run(model, config, settings, flags)
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

    :param model: a model's name, or a run. Without a ``task`` in ``config``, a model forecasts what its checkpoint was
        trained for, where its card says so, in the unit ``data.unit``.
    :param data: a csv or parquet file, its columns as ``data.columns`` says, or one that a reader recognises.
    :return: the long table (item_id, cutoff, timestamp, step, mean, ``0.1`` ...), and the items without a forecast.
    """
    ahead = look_ahead(model, data, config, settings, flags, progress)
    return ahead.frame, ahead.without


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
