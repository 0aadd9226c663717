"""forecasts.parquet: a row a window, a row group a chunk; enough to score and draw all again without the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tsfm_core.data.digest import ProtocolDigest
from tsfm_core.data.forecasts import Forecasts
from tsfm_core.data.panel import Stamps, minutes_of
from tsfm_core.data.windows import TrainingWindows
from tsfm_core.errors import RunError, listing
from tsfm_core.files import atomic
from tsfm_core.task import Task

__all__ = ["TAIL", "ForecastFile", "ForecastWriter", "StoredChunk"]

Floats = npt.NDArray[np.floating]

#: Steps of the context that are kept for drawing.
TAIL = 48


@dataclass(frozen=True)
class StoredChunk:
    """Some windows of one set.

    :param cutoff: ``[n]``, in seconds.
    :param truth: ``[n, H]``; ``mean`` likewise or None; ``quantiles [n, Q, H]`` as given, or None.
    :param scale: mean of ``|x_t - x_(t-m)|`` over the context, ``[n]``, by m; ``scale_squared`` of its square.
    :param context: the last steps of the context, ``[n, T]``.
    :param minute: of the local day at each cutoff, ``[n]``; -1 where the time of day is not known.
    """

    set: str
    item_id: npt.NDArray[np.object_]
    cutoff: Stamps
    truth: Floats
    mean: Floats | None
    quantiles: Floats | None
    scale: dict[int, Floats]
    scale_squared: dict[int, Floats]
    context: Floats
    minute: npt.NDArray[np.int16]


class ForecastWriter:
    """Writes chunks of forecasts beside their truths; nothing is there until the writer is closed without an error."""

    def __init__(self, path: Path, task: Task, seasonality: int) -> None:
        self._atomic = atomic(path)
        self._task = task
        self._lags = tuple(dict.fromkeys((1, seasonality)))
        self._writer: pq.ParquetWriter | None = None
        self._digest = ProtocolDigest()

    def __enter__(self) -> Self:
        self._aside = self._atomic.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer:
            self._writer.close()
        self._atomic.__exit__(kind, error, trace)

    def write(self, name: str, windows: TrainingWindows, forecasts: Forecasts) -> None:
        """Append the forecasts of some windows of the set ``name`` as a row group."""
        truth = windows.truth(slice(None))
        self._digest.add(name, windows.item_id, windows.cutoff, truth)
        context = windows.inputs(slice(None)).target
        columns: dict[str, Any] = {
            "set": pa.array([name] * len(windows)).dictionary_encode(),
            "item_id": pa.array(windows.item_id, pa.string()).dictionary_encode(),
            "cutoff": pa.array(windows.cutoff.astype("datetime64[ms]")),
            "minute": _minutes(windows),
            "truth": _rows(truth),
        }
        if forecasts.mean is not None:
            columns["mean"] = _rows(forecasts.mean)
        if forecasts.quantiles is not None:
            for at, level in enumerate(self._task.quantile_levels):
                columns[str(level)] = _rows(forecasts.quantiles[:, at])
        columns["context_tail"] = _rows(context[:, -TAIL:])
        for lag in self._lags:
            columns[f"scale_m{lag}"], columns[f"scale_squared_m{lag}"] = _scales(context, lag)
        facts = {"task": self._task.model_dump(mode="json"), "lags": self._lags}
        table = pa.table(columns).replace_schema_metadata({"tsfm": json.dumps(facts)})
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._aside, table.schema, compression="zstd", use_dictionary=["set", "item_id"]
            )
        self._writer.write_table(table, row_group_size=len(windows))

    def protocol_digest(self, definitions: Sequence[str]) -> str:
        """Return the hash of every test window's item, cutoff and truth, the task, and the metrics' definitions."""
        return self._digest.of(self._task, definitions)


class ForecastFile:
    """Reads what :class:`ForecastWriter` wrote."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = pq.ParquetFile(path)
            facts = json.loads(self._file.schema_arrow.metadata[b"tsfm"])
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path} holds no forecasts: {error}") from error
        self.path = path
        needed = ["set", "item_id", "cutoff", "truth", "context_tail"]
        needed += [f"{name}_m{lag}" for lag in facts["lags"] for name in ("scale", "scale_squared")]
        lacking = [name for name in needed if name not in self._file.schema_arrow.names]
        if lacking:
            raise RunError(f"{path} has no column {listing(lacking)}", "run the backtest again")
        self.task = Task.model_validate(facts["task"])
        self.lags: tuple[int, ...] = tuple(facts["lags"])

    def chunks(self, size: int = 8192) -> Iterator[StoredChunk]:
        """Yield the windows in the order of writing, at most ``size`` of one set at a time.

        :raises RunError: where the file is damaged.
        """
        for group in range(self._file.num_row_groups):
            batches = self._file.iter_batches(size, row_groups=[group])
            while True:
                try:
                    batch = next(batches, None)
                except (OSError, pa.ArrowException) as error:
                    raise RunError(f"{self.path} cannot be read: {error}", "run the backtest again") from error
                if batch is None:
                    break
                yield self._chunk(batch)

    def _chunk(self, batch: pa.RecordBatch) -> StoredChunk:
        names = batch.schema.names
        if len(batch["set"].unique()) > 1:
            raise RunError(f"{self.path}: a row group holds several sets", "run the backtest again")
        levels = [str(level) for level in self.task.quantile_levels]
        quantiles = [_matrix(batch[level]) for level in levels if level in names]
        return StoredChunk(
            set=batch["set"][0].as_py(),
            item_id=batch["item_id"].cast(pa.string()).to_numpy(zero_copy_only=False),
            cutoff=batch["cutoff"].to_numpy(zero_copy_only=False).astype("datetime64[s]"),
            truth=_matrix(batch["truth"]),
            mean=_matrix(batch["mean"]) if "mean" in names else None,
            quantiles=np.stack(quantiles, axis=1) if quantiles else None,
            scale={lag: batch[f"scale_m{lag}"].to_numpy(zero_copy_only=False) for lag in self.lags},
            scale_squared={lag: batch[f"scale_squared_m{lag}"].to_numpy(zero_copy_only=False) for lag in self.lags},
            context=_matrix(batch["context_tail"]),
            # runs of the first releases have no such column
            minute=batch["minute"].to_numpy(zero_copy_only=False)
            if "minute" in names
            else np.full(len(batch), -1, np.int16),
        )


def _rows(array: Floats) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(array, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, array.shape[1])


def _matrix(lists: pa.FixedSizeListArray) -> Floats:
    return np.asarray(lists.flatten()).reshape(len(lists), -1)


def _minutes(windows: TrainingWindows) -> npt.NDArray[np.int16]:
    """Return the minute of the local day at each cutoff, ``[n]``; -1 where clock or zone are not known."""
    panel = windows.panel
    minutes = np.full(len(windows), -1, np.int16)
    if panel.zones:
        zones = np.asarray(panel.zones)[panel.items_of(windows.cutoffs_at)]
        known = zones != ""
        minutes[known] = minutes_of(windows.cutoff[known], zones[known])
    elif panel.clock in ("local", "time_of_day"):
        minutes[:] = minutes_of(windows.cutoff, np.empty(0, str))
    return minutes


def _scales(context: Floats, lag: int) -> tuple[Floats, Floats]:
    """Return the mean of ``|x_t - x_(t-lag)|`` and of its square over each context, NaN where there is no pair."""
    difference = (context[:, lag:] - context[:, :-lag]).astype(np.float64)
    observed = np.isfinite(difference)
    count = observed.sum(axis=1)
    size = np.where(observed, np.abs(difference), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return size.sum(axis=1) / count, (size * size).sum(axis=1) / count
