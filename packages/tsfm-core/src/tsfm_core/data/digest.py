"""Hashes of forecasts: of the protocol they follow, and of all that a file of them holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tsfm_core.data.panel import Stamps
from tsfm_core.errors import RunError
from tsfm_core.task import Task

__all__ = ["ProtocolDigest", "forecasts_hash"]

_AT_ONCE = 8192


class ProtocolDigest:
    """The hash of every test window's item, cutoff and truth, the task, and the metrics' definitions."""

    def __init__(self) -> None:
        self._sets: dict[str, tuple[Any, Any, Any]] = {}

    def add(self, name: str, item_id: Iterable[object], cutoff: Stamps, truth: npt.NDArray[np.floating[Any]]) -> None:
        """Add windows of the set ``name``; ``truth [n, H]``. Those of validation do not count: they test nothing."""
        if name == "validation":
            return
        # apart, so that the digest does not depend on the chunks
        items, cutoffs, truths = self._sets.setdefault(name, (hashlib.sha256(), hashlib.sha256(), hashlib.sha256()))
        items.update("".join(f"{item}\0" for item in item_id).encode())
        cutoffs.update(cutoff.astype("datetime64[s]").astype(np.int64).tobytes())
        truths.update(np.where(np.isnan(truth), np.float32(np.nan), truth).astype(np.float32).tobytes())

    def of(self, task: Task, definitions: Sequence[str]) -> str:
        """Return the digest of what was added."""
        whole = hashlib.sha256()
        for name, digests in self._sets.items():
            whole.update(b"\0".join([name.encode(), *(digest.digest() for digest in digests)]))
        for part in (task.target, task.unit, task.freq, str(task.prediction_length), *sorted(definitions)):
            whole.update(f"{part}\0".encode())
        return whole.hexdigest()


def forecasts_hash(path: Path) -> str:
    """Return a hash of what a file of forecasts holds: names, types, the task and every value.

    The file's own bytes also say which writer made it and how it was cut into row groups; its values do not.

    :raises RunError: where the file cannot be read.
    """
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        columns = {name: hashlib.sha256() for name in schema.names}
        for batch in file.iter_batches(_AT_ONCE):
            for name, digest in columns.items():
                digest.update(_bytes(batch[name]))
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    whole = hashlib.sha256((schema.metadata or {}).get(b"tsfm", b""))
    for name, digest in columns.items():
        kind = schema.field(name).type
        whole.update(f"{name}\0{kind.value_type if pa.types.is_dictionary(kind) else kind}\0".encode())
        whole.update(digest.digest())
    return whole.hexdigest()


def _bytes(array: pa.Array) -> bytes:
    if pa.types.is_dictionary(array.type) or pa.types.is_string(array.type):
        return "".join(f"{text}\0" for text in array.to_pylist()).encode()
    if pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    return bytes(array.to_numpy(zero_copy_only=False).tobytes())
