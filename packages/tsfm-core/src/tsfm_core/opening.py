"""From ``data:`` to an opened panel and its report: found in the cache, or built once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tsfm_core.config.resolve import validate
from tsfm_core.config.schema import DataConfig
from tsfm_core.config.tree import Origin, Tree
from tsfm_core.data.build import build_panel
from tsfm_core.data.cache import SourceFiles, hash_files, open_or_build, report_of
from tsfm_core.data.join import join_panels
from tsfm_core.data.panel import Panel
from tsfm_core.data.quality import Quality, find_problems
from tsfm_core.data.source import kinds_of, with_rules
from tsfm_core.errors import CapabilityError, ConfigError, DataError, listing
from tsfm_core.plugins import host
from tsfm_core.records import Dataset, Feature, ModelCard
from tsfm_core.task import Task

__all__ = ["ignoring", "open_panel", "options_of", "refuse", "refuse_categories", "source_configs"]

#: Raised where a panel of the same source and config would come out otherwise.
_FORMAT = 1
#: What says how windows are cut, and nothing of the panel.
_OF_WINDOWS = {"max_gap", "min_observed", "min_context", "stride", "fewshot_percent", "sources", "path"}


def open_panel(data: DataConfig, task: Task, extra: Sequence[str] = (), extend: int = 0) -> tuple[Panel, Quality]:
    """Open the panel of ``data.source``, or of all ``data.sources`` joined; the report says what is irregular.

    :param extra: channels beside the task's.
    :param extend: rows after each item's last, for what is known in advance and computed.
    """
    if not data.sources:
        return _open_one(data, task, extra, extend, may_lack=False)
    configs = source_configs(data)
    opened = {name: _open_one(one, task, extra, extend, may_lack=True) for name, one in configs.items()}
    panels = {name: panel for name, (panel, _) in opened.items()}
    for channel in dict.fromkeys((*task.channels[1:], *extra)):
        if all(channel in panel.provenance["absent"] for panel in panels.values()):
            raise DataError(f"no source has the channel {channel!r}", f"sources: {listing(panels)}")
    reports = {name: quality for name, (_, quality) in opened.items()}
    key = {"format": _FORMAT, "joined": {name: panel.fingerprint for name, panel in panels.items()}}
    key["provenance"] = {name: dict(panel.provenance) for name, panel in panels.items()}
    stored = {name: report_of(panel) for name, panel in panels.items()}
    joined = open_or_build(key, lambda folder: join_panels(panels, stored, folder))
    quality = report_of(joined)
    for name, one in reports.items():  # what is new of this reading is not kept with the panel
        quality.notes += [note | {"item_id": f"{name}:"} for note in one.notes if note not in stored[name].notes]
    quality.problems = [(f"{name}: {said}", hint) for name, one in reports.items() for said, hint in one.problems]
    if data.shared_rows != "keep":
        quality.problems += [_given_twice(pair) for pair in quality.shared if _sources_of(pair) == 2]
    return joined, quality


def _sources_of(pair: Mapping[str, Any]) -> int:
    return len({pair[key].partition(":")[0] for key in ("owner", "other")})


def _given_twice(pair: Mapping[str, Any]) -> tuple[str, str]:
    said = f"{pair['owner']} and {pair['other']} share {pair['rows']:,} rows (same slot, same value)"
    return said, "one person in two sources leaks: exclude it from one of them, or set data.shared_rows: keep"


def source_configs(data: DataConfig) -> dict[str, DataConfig]:
    """Return a configuration for each of ``data.sources``, by its name: what it says over what stands beside it.

    :raises ConfigError: for two of one name, or a key that is none of a source.
    """
    beside = {key: getattr(data, key) for key in data.model_fields_set - {"sources", "source"}}
    found: dict[str, DataConfig] = {}
    for one in data.sources:
        given = dict(one) if isinstance(one, dict) else {"source": one}
        name = given.pop("name", given.get("source", ""))
        tree = Tree(given, {(): Origin(f"data.sources {name or one!r}")})
        own = validate(DataConfig, given, tree, ())
        if own.sources:
            raise ConfigError(f"data.sources {name!r} has sources of its own", "list them beside it")
        if not (isinstance(name, str) and name.isprintable() and name) or ":" in name:
            raise ConfigError(f"data.sources names a source {name!r}", "give it a name without a colon")
        of_windows = sorted(_OF_WINDOWS & own.model_fields_set - {"path", "sources"})
        if of_windows:
            said = f"data.sources {name!r} says {of_windows[0]}, and windows are cut from all sources alike"
            raise ConfigError(said, "say it beside the sources")
        if name in found:
            raise ConfigError(f"data.sources names {name!r} twice", "give each a name")
        found[name] = own.model_copy(
            update={key: value for key, value in beside.items() if key not in own.model_fields_set}
        )
    return found


def options_of(dataset: Dataset, data: DataConfig) -> Any:
    """Return ``data.options`` as the data set's own class, or None where it has none."""
    if dataset.options_schema is None:
        if data.options:
            raise ConfigError(
                f"{dataset.name} has no options; data.options says {listing(data.options)}", "leave them out"
            )
        return None
    return validate(dataset.options_schema, data.options, Tree(data.options, {(): Origin("data.options")}), ())


def refuse(quality: Quality, where: str) -> None:
    """Refuse data with a problem that the config is silent about.

    :raises DataError: with the first problem and its way out.
    """
    if quality.problems:
        problem, hint = quality.problems[0]
        more = f" (and {len(quality.problems) - 1} more: tsfm data check)" if len(quality.problems) > 1 else ""
        raise DataError(f"{where}: {problem}{more}", hint)


def refuse_categories(name: str, card: ModelCard, data: DataConfig | None, task: Task) -> None:
    """Refuse a categorical covariate for a model that cannot use one. No data is read.

    :param data: None: there is nothing to check yet.
    :raises CapabilityError: naming the model and the channel.
    """
    covariates = task.channels[1:]
    if data is None or card.categorical_covariates or not covariates:
        return
    for one in source_configs(data).values() if data.sources else (data,):
        kinds = kinds_of(host().dataset(str(one.source)), one)
        labelled = [channel for channel in covariates if kinds.get(channel) == "category"]
        if labelled:
            said = f"{name} does not use categorical covariates ({listing(labelled)})"
            raise CapabilityError(said, "leave them out of the task, or give them as numbers")


def ignoring(data: DataConfig, given: Task | None, task: Task, extra: Sequence[str] = ()) -> DataConfig:
    """Return ``data`` without what it says of covariates of ``given`` that ``task`` has no more.

    :param extra: channels that are read all the same.
    """
    ignored = set(given.channels if given else ()) - set(task.channels) - set(extra)
    if not ignored:
        return data

    def rest(said: object) -> object:
        return {name: one for name, one in said.items() if name not in ignored} if isinstance(said, dict) else said

    keys = ("columns", "kinds", "duplicates")
    sources = [
        {key: rest(one) if key in keys else one for key, one in source.items()} if isinstance(source, dict) else source
        for source in data.sources
    ]
    return data.model_copy(update={key: rest(getattr(data, key)) for key in keys} | {"sources": tuple(sources)})


def _open_one(data: DataConfig, task: Task, extra: Sequence[str], extend: int, may_lack: bool) -> tuple[Panel, Quality]:
    dataset = host().dataset(str(data.source))
    options = options_of(dataset, data)
    ruled = with_rules(dataset, data)
    features = _features()
    files = _files(dataset, data)
    added = extend if task.known_covariates else 0
    key = {
        "format": _FORMAT,
        "source": dataset.name,
        "reader": dataset.version,
        "content": files.digest,
        "data": ruled.model_dump(mode="json", exclude=_OF_WINDOWS),
        "task": task.model_dump(mode="json", exclude={"context_length", "prediction_length", "quantile_levels"}),
        "extra": list(extra),
        "extend": added,
        "features": {name: [one.definition for one in offered] for name, offered in features.items()},
        "may_lack": may_lack,
        "path": Path(data.path).name if data.path and files.digests else data.path,
    }
    panel = open_or_build(
        key,
        lambda folder: build_panel(dataset, data, task, folder, features, extra, added, options, may_lack),
    )
    preparation = ruled.model_dump(mode="json", exclude=_OF_WINDOWS, exclude_none=True)
    facts = {"path": data.path, "files": _few(files), "preparation": preparation}
    panel = replace(panel, provenance={**panel.provenance, **facts})
    quality = report_of(panel)
    if files.changed:
        said = f"changed since the source was last read: {listing(files.changed)}"
        quality.notes.append({"item_id": "", "what": said, "rows": 0})
    find_problems(quality, panel, ruled, task)
    return panel, quality


def _features() -> dict[str, list[Feature]]:
    return {name: [one for _, one in given] for name, given in host().contributions("features").items()}


def _files(dataset: Dataset, data: DataConfig) -> SourceFiles:
    """Return the hashes of a source's files; a source that is not there is left to its reader to say so."""
    path = Path(data.path) if data.path else None
    try:
        if dataset.files is not None:
            files = list(dataset.files(path))
        elif path is None or not path.exists():
            files = []
        else:
            files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
        root = path if path is not None and path.is_dir() else (files[0].parent if files else Path())
        return hash_files(dataset.name, path or root, root, files)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}", "check data.path") from error


def _few(files: SourceFiles) -> Mapping[str, Any]:
    few = dict(files.digests) if len(files.digests) <= 100 else {}
    return {"count": len(files.digests), "digest": files.digest, "digests": few}
