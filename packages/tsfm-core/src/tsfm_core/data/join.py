"""Several sources as one panel: ids prefixed, channels that a source lacks not observed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tsfm_core.data.labels import joined_labels, recoded
from tsfm_core.data.lay import new_column
from tsfm_core.data.panel import Panel
from tsfm_core.data.quality import Quality
from tsfm_core.data.saved import save_items
from tsfm_core.data.shared import Sketch, find_shared
from tsfm_core.data.source import Table
from tsfm_core.errors import DataError, listing

__all__ = ["join_panels"]


def join_panels(panels: Mapping[str, Panel], reports: Mapping[str, Quality], folder: Path) -> None:
    """Write the items of all panels into one, called ``<source>:<item>``.

    :raises DataError: where local times and instants would meet on one grid, or labels and numbers in one channel.
    """
    clocks = {name: panel.clock for name, panel in panels.items()}
    if "utc" in clocks.values() and len(set(clocks.values())) > 1:
        said = ", ".join(f"{name}: {clock}" for name, clock in clocks.items())
        raise DataError(f"the sources' clocks differ ({said})", "train on them apart")
    parts = sorted(
        (f"{name}:{item}", name, at) for name, panel in panels.items() for at, item in enumerate(panel.item_ids)
    )
    lengths = [int(np.diff(panels[name].offsets)[at]) for _, name, at in parts]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    first = next(iter(panels.values()))
    categories = _categories(panels)
    columns = {}
    for number, channel in enumerate(first.columns):
        column = new_column(folder / f"channel_{number}.npy", int(offsets[-1]))
        for row, (_, name, at) in enumerate(parts):
            source = panels[name]
            values = source.columns[channel][source.offsets[at] : source.offsets[at + 1]]
            own = source.categories.get(channel)
            column[offsets[row] : offsets[row + 1]] = recoded(values, own, categories[channel]) if own else values
        columns[channel] = column
    report = Quality()
    for name, quality in reports.items():
        report.items += [replace(item, item_id=f"{name}:{item.item_id}") for item in quality.items]
        report.shared += [pair | {key: f"{name}:{pair[key]}" for key in ("owner", "other")} for pair in quality.shared]
        report.notes += [note | {"item_id": f"{name}:{note['item_id']}"} for note in quality.notes]
        absent = panels[name].provenance.get("absent") or ()
        report.notes += [{"item_id": f"{name}:", "what": f"no {channel}: NaN here", "rows": 0} for channel in absent]
    report.items.sort(key=lambda item: item.item_id)
    joined = Panel(
        tuple(item for item, _, _ in parts),
        offsets,
        np.array([panels[name].starts[at] for _, name, at in parts], "datetime64[s]"),
        first.step,
        columns,
        first.unit,
        {
            "source": "+".join(panels),
            "path": None,
            "synthetic": any(panel.provenance.get("synthetic") for panel in panels.values()),
            "licence": "; ".join(dict.fromkeys(str(panel.provenance.get("licence")) for panel in panels.values())),
            "imputation": first.provenance.get("imputation"),
            "sources": {
                name: dict(panel.provenance) | {"fingerprint": panel.fingerprint} for name, panel in panels.items()
            },
        },
        tuple(panels[name].zones[at] for _, name, at in parts) if first.zones else (),
        # what holds for all: a placeholder among them makes the dates of all uncertain
        next(clock for clock in ("utc", "none", "time_of_day", "local") if clock in clocks.values()),
        categories=categories,
    )
    report.shared += _shared_across(joined)
    save_items(
        joined, folder, [f"channel_{number}.npy" for number in range(len(columns))], {"report": report.to_json()}
    )


def _categories(panels: Mapping[str, Panel]) -> dict[str, tuple[str, ...]]:
    """Return the labels of all sources, by channel."""
    given = {name: panel.categories for name, panel in panels.items()}
    found = {}
    for channel in dict.fromkeys(channel for one in given.values() for channel in one):
        labelled = [name for name in panels if channel in given[name]]
        absent = [name for name, panel in panels.items() if channel in (panel.provenance.get("absent") or ())]
        numbers = [name for name in panels if name not in (*labelled, *absent)]
        if numbers:
            said = f"{channel} is a category in {listing(labelled)}, and numbers in {listing(numbers)}"
            raise DataError(said, "say in data.kinds of each source what it is")
        found[channel] = joined_labels(given, channel)
    return found


def _shared_across(joined: Panel) -> list[dict[str, Any]]:
    """Return the pairs of items of different sources that share rows: one person given twice."""

    def tables() -> Iterator[Table]:
        for first, part in joined.parts():
            stamps = part.stamps(np.arange(len(part))).astype("datetime64[us]").astype(np.int64)
            values = part.columns[part.target].astype(np.float64)[:, None]
            yield Table(first + part.row_items.astype(np.int64), stamps, values)

    sketch = Sketch()
    for table in tables():
        sketch.add(table)
    ids = joined.item_ids
    apart = [pair for pair in sketch.suspects(ids) if len({ids[code].partition(":")[0] for code in pair}) == 2]
    found = find_shared(apart, tables()) if apart else []
    return [{"owner": ids[pair.owner], "other": ids[pair.other], "rows": len(pair.stamps)} for pair in found]
