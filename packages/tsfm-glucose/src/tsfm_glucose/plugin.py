"""What tsfm-glucose contributes: the simulated data set and ``tsfm demo``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm_core import DataError, Dataset, Source, hookimpl

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["commands", "datasets"]

#: The modules of the readers; each holds its ``DATASET``.
_SOURCES: tuple[str, ...] = ()
_FILE = Path(__file__).parent / "data" / "simglucose_adult.parquet"


@hookimpl
def datasets() -> list[Dataset]:
    """Return the data sets of this package."""
    return [
        *(importlib.import_module(f"tsfm_glucose.sources.{name}").DATASET for name in _SOURCES),
        Dataset(
            name="simglucose_adult",
            summary="SYNTHETIC: 10 virtual adults with type 1 diabetes, 14 days each, every 5 min",
            licence="Apache-2.0",
            read=_read_bundled,
            columns={"item_id": "item_id", "timestamp": "timestamp", "target": "glucose"},
            target="glucose",
            unit="mg/dL",
            freq="5min",
            synthetic=True,
        ),
    ]


@hookimpl
def commands(app: Any) -> None:
    """Add ``tsfm demo``."""
    from tsfm_glucose.demo import demo

    app.command()(demo)


def _read_bundled(source: Source) -> Iterator[pa.RecordBatch]:
    from tsfm_core import read_parquet

    if source.path is not None:
        raise DataError(
            f"simglucose_adult ships with tsfm-glucose; data.path says {source.path}", "leave data.path out"
        )
    return read_parquet(_FILE, source.columns)
