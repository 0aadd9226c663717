"""``tsfm predict``: from a file to forecasts past each item's last reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm_core.asked import Asked, asked_for
from tsfm_core.config.resolve import ConfigSource, read_config, require
from tsfm_core.config.schema import DataConfig
from tsfm_core.data.quality import Quality
from tsfm_core.data.read import ITEM
from tsfm_core.data.windows import Windows, forecast_windows
from tsfm_core.errors import DataError, listing
from tsfm_core.named import from_run, is_model
from tsfm_core.opening import ignoring, open_panel, refuse
from tsfm_core.pipeline import CHUNK, forecast_windows_of
from tsfm_core.plugins import host
from tsfm_core.prepare import Loaded, load, window_rule
from tsfm_core.progress import Progress, quiet
from tsfm_core.run import Run
from tsfm_core.task import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ahead", "look_ahead"]

#: What is done to a table where no config says it and the checkpoint says the task: a forecast leaks nothing.
_LENIENT = {"unsorted": "sort", "off_grid": "floor", "duplicates": "median", "mixed_freq": "keep"}


@dataclass(frozen=True)
class Ahead:
    """Forecasts past each item's last reading.

    :param frame: the long table, as :func:`tsfm_core.predict` returns it.
    :param without: the items without a forecast, each with the reason.
    :param task: what was forecast.
    :param windows: one an item of ``frame``, in the same order.
    :param notes: what was assumed of the file and done to it, for a person.
    """

    frame: pd.DataFrame
    without: dict[str, str]
    task: Task
    windows: Windows
    notes: tuple[str, ...]


def look_ahead(
    model: str,
    data: str | Path,
    config: ConfigSource = None,
    settings: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
    progress: Progress = quiet,
) -> Ahead:
    """Forecast past each item's last reading; the arguments are those of :func:`tsfm_core.predict`."""
    settings = tuple(settings)
    asked = asked_for(model if is_model(model) else None, Path(data), config, settings, flags or {})
    run = None
    if is_model(model):
        name, resolved = model, read_config(config, settings, asked.flags, task_of=asked.task_of)
    else:
        resolved, run = from_run(model, config, settings, asked.flags, merged=("data",))
        name = run.facts["model"]
    loaded = load(name, resolved, "predict", from_run=run is not None)
    given = require(resolved.config.data, "data", "tsfm predict")
    rows = ignoring(_rows(given, asked, loaded, run), resolved.config.task, loaded.task)
    panel, quality = open_panel(rows, loaded.task, extend=loaded.task.prediction_length)
    if rows.options:
        more = f"if its rows are of several people, name the column that says whose: --item-id, or data.columns.{ITEM}"
        quality.problems = [(said, f"{hint}; {more}") for said, hint in quality.problems]
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
    frame = pd.concat(frames, ignore_index=True)
    return Ahead(frame, without, loaded.task, windows, (*asked.notes, *_done(quality, loaded.task), *_short(windows)))


def _rows(data: DataConfig, asked: Asked, loaded: Loaded, run: Run | None) -> DataConfig:
    """Return how the file is read: without what the config says of its own people and its own reader."""
    said: dict[str, Any] = {"items": None, "exclude": (), "start": {}, "options": {}}
    if run:
        said |= _prepared_as(run, data, asked.rules, loaded.task)
    elif asked.lenient and not asked.rules:
        said |= {name: rule for name, rule in _LENIENT.items() if getattr(data, name) is None}
    if asked.item is not None:
        said |= {"options": {"item_id": asked.item}} | dict.fromkeys(asked.strict, "refuse")
    known = loaded.backend.card.known(loaded.checkpoint) if not run else None
    if known and known.min_context and data.min_context is None:
        said["min_context"] = min(known.min_context, loaded.task.context_length)
    return data.model_copy(update=said)


def _prepared_as(run: Run, data: DataConfig, rules: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Return how a run's own data was laid on the grid, where ``data`` says nothing: new data is prepared alike.

    :param rules: of the source that is read: they stand where the run refuses.
    """
    facts = run.facts["data"]
    own = next(iter(facts["sources"].values())) if "sources" in facts else facts
    found = {name: own["preparation"].get(name) for name in _LENIENT if getattr(data, name) is None}
    found = {name: rule for name, rule in found.items() if rule and not (rule == "refuse" and name in rules)}
    kinds = {} if data.kinds else own["preparation"].get("kinds") or {}
    kinds = {name: kind for name, kind in kinds.items() if name in _read_for(task)}
    return found | ({"kinds": kinds} if kinds else {})


def _read_for(task: Task) -> set[str]:
    """Return the channels of a task, and those that its computed ones need."""
    features = {name: [one for _, one in given] for name, given in host().contributions("features").items()}
    found, new = set(task.channels), set(task.channels)
    while new:
        new = {need for name in new for one in features.get(name, ()) for need in one.needs} - found
        found |= new
    return found


def _done(quality: Quality, task: Task) -> Iterator[str]:
    """Yield what was done to rows that do not lie on the grid as they are."""
    for count, said in (
        ("unsorted", "rows went back in time and were sorted"),
        ("off_grid", f"stamps were moved to the {task.freq} grid"),
        ("duplicates", "rows shared their slot with another and were combined"),
    ):
        total = sum(getattr(item, count) for item in quality.items)
        if total:
            yield f"{total:,} {said}"


def _short(windows: Windows) -> Iterator[str]:
    """Yield the items whose history is shorter than the model looks back, with their readings."""
    length, target = windows.task.context_length, windows.panel.columns[windows.task.target]
    steps = windows.cutoffs_at - windows.seen_from + 1
    for at in np.flatnonzero(steps < length):
        row = int(windows.cutoffs_at[at])
        readings = int(np.isfinite(target[row - int(steps[at]) + 1 : row + 1]).sum())
        yield f"{windows.take(slice(at, at + 1)).item_id[0]}: {readings} readings of {length}"
