"""Writing whole files or none: a temporary file, flushed to disk, renamed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm_core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "atomic",
    "check_new",
    "check_output",
    "finite",
    "folder_hash",
    "locked",
    "write_frame",
    "write_json",
    "write_text",
]


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``path`` when the block ends well, and vanishes otherwise."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file or folder that is never replaced, for one process at a time.

    A file system without locks holds nothing. The lock is not for one process to take twice.

    :raises OSError: where it cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all."""
    with atomic(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write plain data as JSON; a number that is not finite becomes null."""
    write_text(path, json.dumps(finite(value), indent=1, allow_nan=False) + "\n")


def folder_hash(folder: Path) -> str:
    """Return a hash of the safetensors files of a checkpoint directory, names and bytes."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.safetensors")):
        digest.update(file.name.encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def finite(value: Any) -> Any:
    """Return plain data in which a number that is not finite is None: JSON has none of them."""
    if isinstance(value, dict):
        return {key: finite(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [finite(below) for below in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def check_new(path: Path) -> None:
    """Refuse a path that something is at already, or whose folder is not there.

    :raises DataError: naming it.
    """
    if path.exists():
        raise DataError(f"{path} is already there", "what was written is kept: name another file, or delete this one")
    if not path.parent.is_dir():
        raise DataError(f"the folder {path.parent} is not there", "make it first")


def check_output(path: Path, source: Path) -> None:
    """Refuse a path that no table can be written to, before the work for it is done.

    :param source: the file that is read, and must not be lost.
    :raises DataError: for another ending, a folder that is not there, a folder in the file's place, or ``source``.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise DataError(f"{path} ends in neither .csv nor .parquet", "the ending says how it is written")
    if not path.parent.is_dir():
        raise DataError(f"the folder {path.parent} is not there", "make it first")
    if path.is_dir():
        raise DataError(f"{path} is a folder", "name a file")
    if path.exists() and source.exists() and path.samefile(source):
        raise DataError(f"{path} is the data that is read", "name another file")


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as csv or parquet, by the path's ending."""
    with atomic(path) as aside:
        if path.suffix.lower() == ".csv":
            frame.to_csv(aside, index=False)
        else:
            frame.to_parquet(aside, index=False)
