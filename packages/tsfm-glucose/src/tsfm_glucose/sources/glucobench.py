"""GlucoBench: a csv of readings, and the YAML that names its columns.

The YAML is the one of the same name beside the csv, or ``data.options.config``; without one the columns are ``id``,
``time`` and ``gl``. Of it only ``column_definition``, ``nan_vals`` and ``observation_interval`` are read: gaps, splits
and dropped people are this toolkit's own settings (``data.exclude`` leaves people out), and covariates differ from set
to set, so only glucose is offered.

Some sets carry placeholder dates (2012-01-01, 1900-01-01), and the file does not say which: the order of the readings
and their distances are all that is taken to be true, so there is no time of day and no night.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml
from pydantic import Field

from tsfm_core import DataError, Dataset, Section, Source
from tsfm_glucose.sources.tables import COLUMNS, RULES, events, numbers, read_text, stamps

__all__ = ["DATASET", "Options"]

_NAME = "glucobench"
_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_USUAL = {"id": "id", "time": "time", "target": "gl"}


class Options(Section):
    """``data.options``: where the YAML is."""

    config: str | None = Field(
        default=None, description="GlucoBench's YAML; default: the one of the csv's name beside it"
    )


def _files(path: Path | None) -> Sequence[Path]:
    """Return the csv and the YAML beside it."""
    if path is None or not path.is_file():
        return []
    return [path, *(one for one in (path.with_suffix(".yaml"), path.with_suffix(".yml")) if one.is_file())]


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield the file, chunk by chunk.

    :raises DataError: for a path that is no file, a YAML that says something else, or a cell that is no reading.
    """
    path = _file(source)
    given = (source.options or Options()).config
    config = _load(Path(given) if given else next(iter(_files(path)[1:]), None))
    columns, empty = _columns(config), _empty(config)
    interval = config.get("observation_interval") or "5min"
    source.count("", f"{path.name} is in steps of {interval}: task.freq should say so", int(interval != "5min"))
    for rows in read_text(path, list(columns.values())):
        rows = rows.replace(empty, pd.NA)
        ids = rows[columns["id"]]
        if ids.isna().any():
            row = rows.index[int(ids.isna().to_numpy().argmax())]
            raise DataError(f"{path}: row {row} of {ids.name!r} is empty", "every row needs the id of its person")
        glucose = numbers(rows[columns["target"]], path)
        for item, number in ids[pd.isna(glucose)].value_counts().items():
            source.count(str(item), "rows without a reading, left out", int(number))
        yield from events(source, ids, stamps(rows[columns["time"]], path, *_FORMATS), glucose=glucose)


def _file(source: Source) -> Path:
    """Return ``data.path``, which has to be a file."""
    path, hint = source.path, "name the csv of one set: --path FILE.csv"
    if path is None:
        raise DataError(f"{_NAME} needs data.path", hint)
    if not path.is_file():
        raise DataError(f"{_NAME}: {path} is {'a folder' if path.is_dir() else 'not there'}", hint)
    return path


def _load(path: Path | None) -> Mapping[str, Any]:
    """Return what a YAML file holds; nothing where there is none.

    :raises DataError: for a file that is missing or no mapping.
    """
    if path is None:
        return {}
    if not path.is_file():
        raise DataError(
            f"data.options.config: {path} is not there", "name GlucoBench's YAML of this set, or leave it out"
        )
    try:
        config = yaml.safe_load(path.read_text("utf-8-sig"))
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(
            f"{path} is no YAML: {' '.join(str(error).split())}", "take the file as it is published"
        ) from error
    if not isinstance(config, dict):
        raise DataError(
            f"{path} holds {type(config).__name__}, not keys and values", "take the file as it is published"
        )
    return {**config, "path": path}


def _columns(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the column of each role.

    :raises DataError: where ``column_definition`` does not give each role one name.
    """
    if not config:
        return _USUAL
    hint = "it is a list of name, data_type and input_type; id, time and target once each"
    rows = config.get("column_definition")
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("name"), str) for row in rows
    ):
        raise DataError(f"{config['path']}: column_definition is not a list of named columns", hint)
    found: dict[str, str] = {}
    for role in _USUAL:
        names = [row["name"] for row in rows if row.get("input_type") == role]
        if len(names) != 1:
            said = "no column" if not names else f"{len(names)} columns ({', '.join(names)})"
            raise DataError(f"{config['path']}: column_definition gives {said} the input_type {role}", hint)
        found[role] = names[0]
    if len(set(found.values())) < len(found):
        raise DataError(f"{config['path']}: column_definition gives one column two roles: {found}", hint)
    return found


def _empty(config: Mapping[str, Any]) -> list[str]:
    """Return the texts that say "no value" in this set."""
    words = config.get("nan_vals")
    return [str(word) for word in (words if isinstance(words, list) else [words]) if word is not None]


DATASET = Dataset(
    name=_NAME,
    summary="csv of a set of GlucoBench and its YAML: id, time, gl; no clock, since some dates are placeholders",
    licence="your own",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mg/dL",
    freq="5min",
    rules=RULES,
    clock="none",
    files=_files,
    options_schema=Options,
)
