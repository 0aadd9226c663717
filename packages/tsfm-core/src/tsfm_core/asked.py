"""What ``tsfm predict`` is asked for: how its file is read and, where no config says it, the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsfm_core.config.resolve import ConfigSource, TaskOf
from tsfm_core.data.read import ITEM
from tsfm_core.errors import ConfigError, DataError
from tsfm_core.plugins import host
from tsfm_core.records import Dataset, KnownCheckpoint
from tsfm_core.units import KNOWN_UNITS

__all__ = ["Asked", "asked_for"]

#: How a file that no reader recognises is read, by its ending.
_ENDINGS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
_COLUMNS = "data.columns"
_STRICT = ("unsorted", "duplicates")


@dataclass
class Asked:
    """What is asked for.

    :param flags: for the configuration: where the file is and how it is read.
    :param rules: of the source, which says itself what is done to irregular rows.
    :param item: whose the file is, where it has no column of ids.
    :param strict: rules that then refuse: rows out of order or twice in a slot may be of several people.
    :param notes: what was assumed, for a person.
    :param task_of: gives the task of the model's checkpoint, where the config has none.
    :param lenient: whether it did.
    """

    flags: dict[str, Any]
    rules: Mapping[str, Any]
    item: str | None
    strict: tuple[str, ...]
    notes: tuple[str, ...]
    task_of: TaskOf | None = None
    lenient: bool = False


def asked_for(
    model: str | None, path: Path, config: ConfigSource, settings: Sequence[str], flags: Mapping[str, Any]
) -> Asked:
    """Find out how a file is read.

    :param model: None for a run, which has a task of its own.
    :param flags: as the command line gives them.
    :raises DataError: for a file that nothing reads.
    """
    named = [key for key, value in flags.items() if value is not None and key.startswith(_COLUMNS)]
    named += [setting for setting in settings if setting.startswith(_COLUMNS)]
    dataset, unit = _reader(path, flags.get("data.source"), recognise=not named)
    given = {**flags, "data.source": dataset.name, "data.sources": [], "data.path": str(path)}
    notes = []
    if dataset.name not in _ENDINGS.values():
        if not flags.get("data.source"):
            notes.append(f"{path.name} is read as {dataset.name}; --source names another format")
        if not named:
            given[_COLUMNS] = {}  # a config's are of its own data
    item = _only_item(path, dataset, named) if config is None else None
    if item is not None:
        notes.append(f"{path.name} has no column {ITEM}: it is read as one person's, {item}")
    strict = tuple(rule for rule in _STRICT if not any(one.startswith(f"data.{rule}=") for one in settings))
    asked = Asked(given, dataset.rules, item, strict, tuple(notes))
    if model is not None:
        if dataset.unit:  # the reader knows the file's: what is asked for is that of the forecasts
            unit = given.pop("data.unit", None) or unit or dataset.task_unit or dataset.unit
        asked.task_of = _task_of(model, path, unit, asked)
    return asked


def _reader(path: Path, source: str | None, recognise: bool) -> tuple[Dataset, str | None]:
    """Return the data set whose reader a file is for, and the unit that the file says it is in."""
    if source is not None:
        dataset = host().dataset(source)
        return dataset, dataset.recognises(path) if dataset.recognises else None
    if recognise:
        offered = [one for given in host().contributions("datasets").values() for _, one in given if one.recognises]
        found = [(one, unit) for one in offered if one.recognises and (unit := one.recognises(path))]
        if len(found) == 1:
            return found[0]
    name = _ENDINGS.get(path.suffix.lower())
    if name is None:
        raise DataError(f"{path} is neither .csv nor .parquet", "the ending says how it is read, or --source")
    return host().dataset(name), None


def _only_item(path: Path, dataset: Dataset, named: Sequence[str]) -> str | None:
    """Return the file's name as the id of its only person, where it is a table without a column of ids."""
    if dataset.name not in _ENDINGS.values() or dataset.names is None:
        return None
    if any(ITEM in one.partition("=")[0] for one in named):
        return None
    try:
        names = dataset.names(path)
    except DataError:
        return None  # the reader says it better
    return None if ITEM in names else path.stem


def _task_of(model: str, path: Path, unit: str | None, asked: Asked) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that gives the task of the checkpoint that a configuration names, or of the default one.

    :param unit: of the forecasts; None: that of the data, as the configuration says it.
    """

    def task_of(said: Mapping[str, Any]) -> Mapping[str, Any] | None:
        known: KnownCheckpoint | None = host().model(model).card.known(said.get("model", {}).get("checkpoint"))
        if known is None or not known.task:
            return None
        asked.lenient = True
        own = said.get("task", {}).get("unit") or unit or said.get("data", {}).get("unit")
        if own is None:
            units = " or ".join(f"--unit {one}" for one in KNOWN_UNITS)
            raise ConfigError(f"the unit of {known.task['target']} in {path} is not said", f"add {units}")
        return {**known.task, "unit": own}

    return task_of
