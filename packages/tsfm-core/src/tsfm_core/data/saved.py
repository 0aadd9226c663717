"""A panel in a folder: one mapped ``.npy`` a channel beside a small table of items, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather

from tsfm_core.data.panel import Panel
from tsfm_core.errors import DataError

__all__ = ["DAMAGE", "ITEMS", "open_saved", "save_items"]

#: The table of items; its metadata holds everything else that a panel knows.
ITEMS = "items.arrow"
#: What reading a file raises that a killed machine or a bad disk has left.
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    SyntaxError,
    SystemError,
    TokenError,
    pa.ArrowException,
)


def save_items(panel: Panel, folder: Path, files: Sequence[str], facts: dict[str, Any]) -> None:
    """Write the table of items of a panel whose columns are in ``folder`` already.

    :param files: the file of each channel.
    :param facts: what else is to be found again, as plain data.
    """
    meta = {
        "channels": dict(zip(panel.columns, files, strict=True)),
        "step": panel.step,
        "unit": panel.unit,
        "clock": panel.clock,
        "categories": dict(panel.categories),
        "provenance": panel.provenance,
        "fingerprint": panel.fingerprint,
        **facts,
    }
    columns = {
        "item_id": pa.array(panel.item_ids, pa.string()),
        "rows": np.diff(panel.offsets),
        "start": panel.starts.astype("datetime64[s]"),
        "zone": pa.array(panel.zones or [None] * len(panel.item_ids), pa.string()),
    }
    table = pa.table(columns).replace_schema_metadata({"tsfm": json.dumps(meta)})
    feather.write_feather(table, folder / ITEMS, compression="uncompressed")


def open_saved(folder: Path, channels: Sequence[str] | None = None) -> Panel:
    """Open a panel: its columns are mapped, nothing is read but the table of items.

    :param channels: in the order wanted; by default all.
    :raises DataError: for a folder that holds no whole panel.
    """
    try:
        table = feather.read_table(folder / ITEMS, memory_map=False)
        meta = json.loads(table.schema.metadata[b"tsfm"])
        files = meta["channels"]
        columns = {name: _mapped(folder / files[name]) for name in (channels or files)}
        rows = table["rows"].to_numpy()
        zones = tuple(table["zone"].to_pylist())
        panel = Panel(
            tuple(table["item_id"].to_pylist()),
            np.concatenate([[0], np.cumsum(rows)]).astype(np.int64),
            table["start"].to_numpy().astype("datetime64[s]"),
            meta["step"],
            columns,
            meta["unit"],
            meta["provenance"],
            () if None in zones else zones,
            meta["clock"],
            meta["fingerprint"] if tuple(columns) == tuple(files) else None,
            folder,
            {name: tuple(labels) for name, labels in dict(meta.get("categories", {})).items() if name in columns},
        )
        if any(column.shape != (len(panel),) or column.dtype != np.float32 for column in columns.values()):
            raise ValueError("a column is cut off")
    except DAMAGE as error:
        raise DataError(
            f"{folder} holds no whole panel: {error}", "tsfm data clear removes what is prepared"
        ) from error
    return panel


def _mapped(path: Path) -> Any:
    # a plain array over the map: numpy's memmap class costs on every slice
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
