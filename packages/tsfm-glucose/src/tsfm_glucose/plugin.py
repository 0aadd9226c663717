"""What tsfm-glucose contributes: data sets, computed channels, evaluation protocols and ``tsfm demo``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm_core import DataError, Dataset, EvaluationProtocol, Feature, Source, hookimpl

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["commands", "datasets", "features", "protocols"]

#: The modules of the readers; each holds its ``DATASET``.
_SOURCES: tuple[str, ...] = (
    "aleppo",
    "babelbetes",
    "brist1d",
    "brown",
    "cgm_format",
    "clarity",
    "glucobench",
    "glucose_cache",
    "glupredkit",
    "gluroo",
    "lynch",
    "nightscout",
    "simglucose",
    "t1d_uom",
    "tamborlane",
)
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
            origin="ships with tsfm-glucose, made by its tools/simulate_adults.py",
            files=lambda path: [_FILE],
            names=_bundled_columns,
        ),
    ]


@hookimpl
def features() -> list[Feature]:
    """Return insulin and carbohydrate on board, and the time of day."""
    from tsfm_glucose.features import FEATURES

    return FEATURES


@hookimpl
def protocols() -> list[EvaluationProtocol]:
    """Return the nocturnal and the prandial protocol."""
    from tsfm_glucose.protocols import PROTOCOLS

    return PROTOCOLS


@hookimpl
def commands(app: Any) -> None:
    """Add ``tsfm demo``."""
    from tsfm_glucose.demo import demo

    app.command()(demo)


def _bundled_columns(path: Path | None) -> list[str]:
    import pyarrow.parquet as pq

    names: list[str] = pq.read_schema(_FILE).names
    return names


def _read_bundled(source: Source) -> Iterator[pa.RecordBatch]:
    from tsfm_core import read_parquet

    if source.path is not None:
        raise DataError(
            f"simglucose_adult ships with tsfm-glucose; data.path says {source.path}", "leave data.path out"
        )
    return read_parquet(_FILE, source.columns)
