"""What tsfm-glucose contributes: the simulated data set and ``tsfm demo``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm_core import DataError, Dataset, hookimpl

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["commands", "datasets"]

_FILE = Path(__file__).parent / "data" / "simglucose_adult.parquet"


@hookimpl
def datasets() -> list[Dataset]:
    """Return the data sets of this package."""
    return [
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
        )
    ]


@hookimpl
def commands(app: Any) -> None:
    """Add ``tsfm demo``."""
    from tsfm_glucose.demo import demo

    app.command()(demo)


def _read_bundled(path: Path | None, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    from tsfm_core import read_parquet

    if path is not None:
        raise DataError(f"simglucose_adult ships with tsfm-glucose; data.path says {path}", "leave data.path out")
    return read_parquet(_FILE, columns)
