"""Writing the report on a source: a line an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tsfm_core.config.schema import DataConfig
from tsfm_core.data.met import Met
from tsfm_core.data.panel import Panel
from tsfm_core.data.quality import GAPS, ItemReport, Quality, format_gap, gaps_of
from tsfm_core.data.shared import SharedRows
from tsfm_core.data.source import Reading
from tsfm_core.freq import format_seconds, seconds

__all__ = ["report_items"]


def report_items(
    panel: Panel,
    met: Met,
    reading: Reading,
    codes: npt.NDArray[np.int64],
    shared: Sequence[SharedRows],
    outside: npt.NDArray[np.int64],
    imputed: npt.NDArray[np.int64],
    data: DataConfig,
) -> Quality:
    """Return the report on a panel, without problems.

    :param codes: of the panel's items, in their order.
    :param outside: cells of each item that lie outside the span of its target.
    :param imputed: slots of each item's target that ``data.imputation`` filled.
    """
    cadences, ids = met.cadences(), reading.ids
    items = [_item(panel, at, met, int(code), cadences.get(int(code)), data.kinds) for at, code in enumerate(codes)]
    pairs = [{"owner": ids[pair.owner], "other": ids[pair.other], "rows": len(pair.stamps)} for pair in shared]
    notes = [{"item_id": item, "what": what, "rows": rows} for (item, what), rows in sorted(reading.notes.items())]
    for what, counts in (
        ("slots of other streams before the first or after the last reading", outside),
        ("slots filled by data.imputation: parity, counted as readings", imputed),
    ):
        for at in np.flatnonzero(counts):
            notes.append({"item_id": panel.item_ids[at], "what": what, "rows": int(counts[at])})
    wanted = [item for item in ids if (data.items is None or item in data.items) and item not in data.exclude]
    for item in sorted(set(wanted) - set(panel.item_ids)):
        notes.append({"item_id": item, "what": "no reading: left out", "rows": 0})
    return Quality(items, pairs, notes)


def _item(panel: Panel, at: int, met: Met, code: int, cadence: int | None, kinds: Mapping[str, str]) -> ItemReport:
    begin, end = int(panel.offsets[at]), int(panel.offsets[at + 1])
    between, readings = gaps_of(panel, at)
    first, last = panel.stamps(np.array([begin, end - 1]))
    names = ("rows", "unsorted", "off_grid", "duplicates", "repeats", "shared", "impossible")
    return ItemReport(
        item_id=panel.item_ids[at],
        first=str(first),
        last=str(last),
        slots=end - begin,
        readings=len(readings),
        coverage=round(len(readings) / (end - begin), 4),
        cadence=format_seconds(cadence) if cadence else None,
        gaps={length: int((between > seconds(length)).sum()) for length in GAPS},
        longest_gap=format_gap(int(between.max(initial=0))),
        mean=round(float(readings.mean(dtype=np.float64)), 4) if len(readings) else None,
        median=round(float(np.median(readings.astype(np.float64))), 4) if len(readings) else None,
        zone=panel.zones[at] if panel.zones else None,
        channels={
            name: _channel(column[begin:end], kinds.get(name, "reading"))
            for name, column in panel.columns.items()
            if name != panel.target
        },
        **{name: met.counts.of(name, code) for name in names},
    )


def _channel(column: npt.NDArray[np.float32], kind: str) -> dict[str, float | None]:
    recorded = column[np.isfinite(column)].astype(np.float64)
    if kind == "category":
        return {"recorded": len(recorded), "labels": len(np.unique(recorded))}
    if not len(recorded):
        return {"recorded": 0, "total" if kind == "amount" else "mean": None}
    number = recorded.sum() if kind == "amount" else recorded.mean()
    return {"recorded": len(recorded), "total" if kind == "amount" else "mean": round(float(number), 4)}
