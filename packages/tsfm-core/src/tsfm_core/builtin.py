"""What core itself contributes, through the same door as everybody: two file formats and one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsfm_core.config.schema import TableOptions
from tsfm_core.data.read import csv_columns, of_one_item, parquet_columns, read_csv, read_parquet
from tsfm_core.hookspecs import hookimpl
from tsfm_core.records import Dataset, EvaluationProtocol, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tsfm_core.data.panel import Panel

__all__ = ["datasets", "protocols"]


@hookimpl
def datasets() -> list[Dataset]:
    """Return the sources for files of one's own."""
    return [
        Dataset(
            "csv",
            "a csv file with a header, columns named by data.columns",
            "your own",
            _read_csv,
            names=csv_columns,
            options_schema=TableOptions,
        ),
        Dataset(
            "parquet",
            "a parquet file, or a folder of them, columns named by data.columns",
            "your own",
            _read_parquet,
            names=parquet_columns,
            options_schema=TableOptions,
        ),
    ]


@hookimpl
def protocols() -> list[EvaluationProtocol]:
    """Return the sliding protocol."""
    definition = "cutoffs at every slot whose number since 1970-01-01 00:00 is a multiple of stride"
    return [EvaluationProtocol("sliding", definition, _sliding)]


def _read_csv(source: Source) -> Iterator[pa.RecordBatch]:
    return of_one_item(source, read_csv, csv_columns)


def _read_parquet(source: Source) -> Iterator[pa.RecordBatch]:
    return of_one_item(source, read_parquet, parquet_columns)


def _sliding(panel: Panel, stride: int, options: Any) -> npt.NDArray[np.bool_]:
    # anchored to the clock, not to the item's first row: another context length or start keeps the same cutoffs
    marked: npt.NDArray[np.bool_] = panel.slots() % stride == 0
    return marked
