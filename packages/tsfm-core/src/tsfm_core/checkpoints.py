"""Checkpoints on disk: written aside, renamed whole, linked by rename; a kill at any moment leaves the last intact."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tsfm_core.errors import RunError

__all__ = ["BEST", "LAST", "point_link", "replace_best", "save_checkpoint"]

LAST, BEST = "last", "best"

#: What is left of a full disk: less than a file takes.
_FULL = 2**16


def save_checkpoint(folder: Path, step: int, write: Callable[[Path], None], best: bool) -> Path:
    """Write ``folder/step_<step>`` by ``write(directory)``; point ``last`` at it and, if it is the best, ``best``.

    :return: the checkpoint's directory.
    :raises RunError: where it cannot be written, such as on a full disk; the checkpoints before it are as they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = _write_whole(folder / f"step_{step}", write)
    point_link(folder / LAST, final.name)
    if best:
        point_link(folder / BEST, final.name)
    _sync(folder)
    return final


def replace_best(folder: Path, write: Callable[[Path], None]) -> Path:
    """Write ``folder/merged_step_<n>`` by ``write(directory)``, n that of the best, and point ``best`` at it.

    :return: the checkpoint's directory.
    """
    final = _write_whole(folder / f"merged_{(folder / BEST).resolve().name}", write)
    point_link(folder / BEST, final.name)
    _sync(folder)
    return final


def _write_whole(final: Path, write: Callable[[Path], None]) -> Path:
    """Write a checkpoint aside and give it its name when it is whole."""
    folder, aside = final.parent, final.with_name(f".{final.name}.tmp")
    for stale in (final, aside):
        if stale.exists():
            shutil.rmtree(stale)
    try:
        aside.mkdir()
        write(aside)
        for path in (*aside.rglob("*"), aside):
            _sync(path)
    except Exception as error:
        full = shutil.disk_usage(folder).free < _FULL
        shutil.rmtree(aside, ignore_errors=True)
        if not (full or isinstance(error, OSError)):
            raise
        said = "the disk is full" if full else " ".join(str(error).split())
        before = (folder / LAST).resolve().name if (folder / LAST).exists() else None
        whole = f"{before}, the checkpoint before it, is whole" if before else "there is no checkpoint before it"
        raise RunError(
            f"{final} could not be written: {said}; {whole}", "make room, then tsfm train --resume goes on from there"
        ) from error
    aside.rename(final)
    return final


def point_link(link: Path, target: str) -> None:
    """Let a symbolic link lead to ``target``, by a rename: it is never missing."""
    aside = link.with_name(f".{link.name}.tmp")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    aside.rename(link)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
