"""BabelBetes: clinical trials in one parquet layout, a folder for each kind of event, study and patient.

``<kind>/study_name=<study>/patient_id=<patient>/*.parquet`` holds events without a grid; study and patient stand in the
path alone, and an item is ``<study>_<patient>``. A basal rate holds until the next row, zeros included. A bolus with a
delivery duration is its whole amount at its stamp, counted as extended. Left out and counted: rows without a value, and
insulin or carbohydrates below 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tsfm_core import DataError, Dataset, Source
from tsfm_glucose.sources.fragments import fragment, keys, numbers, stamps
from tsfm_glucose.sources.tables import COLUMNS, RULES, events, find, folder, offered

__all__ = ["DATASET"]

#: Each kind's column and channel.
_KINDS = {
    "cgm": ("cgm", "glucose"),
    "bolus": ("bolus", "bolus_u"),
    "basal": ("basal_rate", "basal_u_per_h"),
    "carbs": ("carbs", "carbs_g"),
}
_DURATION = "delivery_duration"


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    """Yield the rows of each file, a kind after the other.

    :raises DataError: for a folder without ``cgm``, or a file that is not where or as it should be.
    """
    root = folder(
        source, "babelbetes", "cgm, bolus, basal and carbs, each with study_name=... and patient_id=... below"
    )
    for kind, (column, channel) in _KINDS.items():
        for path in find(root, f"{kind}/**/*.parquet", "babelbetes", required=kind == "cgm"):
            if channel in source.columns:
                yield from _rows(source, _item(path, root), path, column, channel)


def _item(path: Path, root: Path) -> str:
    """Return the id that the path says.

    :raises DataError: for a path that names no study or no patient.
    """
    said = keys(path, root)
    missing = [
        name for name in ("study_name", "patient_id") if said.get(name, "") in ("", "__HIVE_DEFAULT_PARTITION__")
    ]
    if missing:
        raise DataError(
            f"{path} lies in no folder {missing[0]}=...", "expected <kind>/study_name=<study>/patient_id=<patient>/"
        )
    return f"{said['study_name']}_{said['patient_id']}"


def _rows(source: Source, item: str, path: Path, column: str, channel: str) -> Iterator[pa.RecordBatch]:
    beside = [_DURATION] if channel == "bolus_u" else []
    for before, batch in fragment(path, ["datetime", column, *beside], {}):
        values = numbers(batch, column, path, before)
        source.count(item, f"{column} rows without a value", int(np.isnan(values).sum()))
        if channel != "glucose":
            source.count(item, f"{column} rows below 0", int((values < 0).sum()))
            values = np.where(values < 0, np.nan, values)
        if beside:
            extended = _extended(batch, path) & ~np.isnan(values)
            source.count(item, "extended boluses, whole at their stamp", int(extended.sum()))
        when = stamps(batch, "datetime", path, before, None).to_numpy(zero_copy_only=False)
        yield from events(source, item, when, **{channel: values})


def _extended(batch: pa.RecordBatch, path: Path) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which boluses have a duration.

    :raises DataError: where the column holds something else than durations.
    """
    column = batch.column(_DURATION)
    if not pa.types.is_duration(column.type):
        raise DataError(f"{path}: {_DURATION!r} holds {column.type}, not durations", "write the column as timedelta")
    lasts = pc.greater(pc.cast(column, pa.int64()), 0)
    return np.asarray(pc.fill_null(lasts, False), bool)


DATASET = Dataset(
    name="babelbetes",
    summary="trials standardised by BabelBetes: CGM with insulin and meals, mg/dL",
    licence="of each study",
    origin="the output of BabelBetes, made from the public data sets of the studies",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mg/dL",
    freq="5min",
    channels=offered("bolus_u", "basal_u_per_h", "carbs_g"),
    rules=RULES,
)
