"""From a source to a panel in a folder, by streaming. A stamp is never invented, reordered silently or dropped.

Everything irregular is counted, and refused where the config does not say what to do with it. Memory holds one batch,
one bucket of rows and one item at a time, whatever the size of the source.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core.config.schema import DataConfig
from tsfm_core.data.channels import Channels, plan_channels
from tsfm_core.data.grid import Cells, combine, combine_rules, slots_of
from tsfm_core.data.labels import settle
from tsfm_core.data.lay import Grid, finish_items, lay
from tsfm_core.data.met import Met
from tsfm_core.data.panel import Panel
from tsfm_core.data.quality import Quality, find_problems
from tsfm_core.data.report import report_items
from tsfm_core.data.saved import open_saved, save_items
from tsfm_core.data.shared import SharedRows, Sketch, find_shared
from tsfm_core.data.source import Reading, column_names, with_rules
from tsfm_core.data.spill import Spill
from tsfm_core.errors import DataError
from tsfm_core.records import Dataset, Feature
from tsfm_core.task import Task
from tsfm_core.units import conversion_factor

__all__ = ["build_panel"]

Rows = npt.NDArray[np.int64]

#: A stray stamp, not a record, spans the time: more slots a row than this, or a longer silence between two readings.
_SPARSEST, _SILENCE = 2000, 10 * 366 * 86400
#: What came before the first reading still acts: insulin, carbohydrates, a basal rate.
_HISTORY = 24 * 3600


def build_panel(
    dataset: Dataset,
    data: DataConfig,
    task: Task,
    folder: Path | None = None,
    features: Mapping[str, Sequence[Feature]] | None = None,
    extra: Sequence[str] = (),
    extend: int = 0,
    options: Any = None,
    may_lack: bool = False,
) -> tuple[Panel, Quality]:
    """Read a source and lay it on the grid of ``task.freq``.

    :param folder: an empty folder for the panel; by default a temporary one, which lives as long as the panel's maps.
    :param features: the installed ones by name.
    :param extra: channels beside the task's.
    :param extend: rows after each item's last, in which only what is known in advance is given.
    :param options: ``data.options`` as the data set's own class.
    :param may_lack: whether a channel that the source cannot give is NaN.
    :return: the panel, and the report; where the report holds problems the panel is made as if they were allowed.
    :raises DataError: where the rows are no table of numbers at all.
    """
    data = with_rules(dataset, data)
    channels = plan_channels(dataset, data, task, features or {}, extra, may_lack)
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            panel, quality = _build(dataset, data, task, Path(made), channels, extend, options)
            return replace(panel, folder=None), quality
    return _build(dataset, data, task, folder, channels, extend, options)


def _build(
    dataset: Dataset, data: DataConfig, task: Task, folder: Path, channels: Channels, extend: int, options: Any
) -> tuple[Panel, Quality]:
    names = column_names(dataset, data, task, channels.read[1:])
    rules = combine_rules(channels.read, data.kinds, data.duplicates or "refuse")
    factor = _factor(dataset, data, task)
    reading = Reading(dataset, data, names, options)
    step_us = task.step_seconds * 1_000_000
    streams = bool(dataset.channels)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        shift = step_us // 2 if data.off_grid == "round" else 0
        spill = Spill(Path(aside), len(channels.read), step_us, shift)
        met = Met(len(channels.read), step_us, data.valid_range, streams, str(data.off_grid))
        sketch = Sketch()
        for table in reading.tables():
            met.see(table)
            sketch.add(table)
            spill.add(table)
        suspects = sketch.suspects(reading.ids) if data.shared_rows != "keep" else []
        if sketch.blind:
            reading.notes["", "too many readings a day to look for rows that items share"] = 0
        shared = find_shared(suspects, spill.buckets()) if suspects else []
        wide, grid = _grids(met, reading, data, task, streams, extend)
        pieces = _pieces(spill, shared if data.shared_rows == "drop" else [], rules, step_us, data, streams, met)
        read, outside = lay(pieces, wide, grid.first, Path(aside), channels.read, factor, reading.ids)
        zones = (
            tuple(reading.zones.get(int(code), data.timezone or "") for code in wide.codes) if reading.instants else ()
        )
        entries = {name: met.entries(at, wide.codes) for at, name in enumerate(channels.read) if at}
        columns, imputed = finish_items(
            read, wide, grid, channels, data.kinds, entries, zones, folder, data.imputation == "parity"
        )
        categories = settle(columns, reading.labels.met)
    panel = Panel(
        tuple(reading.ids[code] for code in grid.codes),
        grid.offsets,
        grid.starts(),
        task.step_seconds,
        columns,
        task.unit,
        _provenance(dataset, data, channels),
        zones,
        "utc" if reading.instants else dataset.clock,
        categories=categories,
    )
    where = data.path or dataset.name
    if not np.isfinite(panel.columns[task.target]).any():
        said = f"{where}: column {names['target']!r} holds no reading of the rows asked for"
        raise DataError(said, "check data.columns.target and data.items")
    quality = report_items(panel, met, reading, grid.codes, shared, outside, imputed, data)
    _refuse_silence(quality, panel)
    save_items(panel, folder, [f"channel_{at}.npy" for at in range(len(columns))], {"report": quality.to_json()})
    opened = open_saved(folder)
    find_problems(quality, opened, data, task)
    return opened, quality


def _factor(dataset: Dataset, data: DataConfig, task: Task) -> float:
    """Return the factor from the file's unit to the task's."""
    if dataset.unit and data.unit and dataset.unit != data.unit:
        raise DataError(f"{dataset.name} is in {dataset.unit}; data.unit says {data.unit}", "leave data.unit out")
    return conversion_factor(dataset.unit or data.unit or task.unit, task.unit)


def _pieces(
    spill: Spill,
    shared: Sequence[SharedRows],
    rules: Sequence[str],
    step_us: int,
    data: DataConfig,
    streams: bool,
    met: Met,
) -> Iterator[Cells]:
    for table in spill.buckets():
        for pair in shared:
            marked = pair.marks(table)
            met.counts.add("shared", table.codes[marked])
            table = table.take(~marked)
        if len(table.codes):
            possible = met.possible(table)
            met.see_steps(possible)
            slots = slots_of(table.stamps, step_us, str(data.off_grid))
            yield combine(possible, slots, rules, streams, met.counts)


def _grids(met: Met, reading: Reading, data: DataConfig, task: Task, streams: bool, extend: int) -> tuple[Grid, Grid]:
    """Return the grid on which rows are laid, and the panel's: of streams, the span of the target alone."""
    ids, step = reading.ids, task.step_seconds
    present = sorted(met.present(), key=ids.__getitem__)
    if not present:
        where = data.path or data.source
        raise DataError(f"{where}: no item has a reading", "check data.columns.target, data.items and data.start")
    codes = np.array(present, np.int64)
    low, high = met.spans(codes)
    for code, first, last in zip(present, low, high, strict=True):
        rows, slots = met.counts.of("rows", code), last - first + 1
        if slots > _SPARSEST * max(rows, 1) and slots > 1_000_000:
            span = f"{np.datetime64(int(first * step), 's')} to {np.datetime64(int(last * step), 's')}"
            said = f"item {ids[code]!r} has {rows} rows from {span}"
            raise DataError(said, "a stray stamp? correct it, or use data.start")
    earlier = low - (_HISTORY // step if streams else 0)
    wide = Grid(codes, earlier, np.concatenate([[0], np.cumsum(high - earlier + 1)]), step)
    return wide, Grid(codes, low, np.concatenate([[0], np.cumsum(high - low + 1 + extend)]), step)


def _refuse_silence(quality: Quality, panel: Panel) -> None:
    from tsfm_core.data.quality import gaps_of

    longest = max(_SILENCE, 1000 * panel.step)
    for at, item in enumerate(quality.items):
        if item.slots * panel.step > longest and gaps_of(panel, at)[0].max(initial=0) > longest:
            said = f"item {item.item_id!r} has {item.rows} rows from {item.first} to {item.last}"
            raise DataError(said, "a stray stamp? correct it, or use data.start")


def _provenance(dataset: Dataset, data: DataConfig, channels: Channels) -> dict[str, Any]:
    return {
        "source": dataset.name,
        "path": data.path,
        "synthetic": dataset.synthetic,
        "licence": dataset.licence,
        "reader": dataset.version,
        "computed": {feature.name: feature.definition for feature in channels.computed},
        "absent": list(channels.absent),
        "imputation": data.imputation,
    }
