"""Checkpoints on disk: written aside, renamed whole, linked by rename; a kill at any moment leaves the last intact."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

__all__ = ["BEST", "LAST", "save_checkpoint"]

LAST, BEST = "last", "best"


def save_checkpoint(folder: Path, step: int, write: Callable[[Path], None], best: bool) -> Path:
    """Write ``folder/step_<step>`` by ``write(directory)``; point ``last`` at it and, if it is the best, ``best``.

    :return: the checkpoint's directory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final, aside = folder / f"step_{step}", folder / f".step_{step}.tmp"
    for stale in (final, aside):
        if stale.exists():
            shutil.rmtree(stale)
    aside.mkdir()
    write(aside)
    for file in aside.rglob("*"):
        if file.is_file():
            _sync(file)
    aside.rename(final)
    _link(folder / LAST, final.name)
    if best:
        _link(folder / BEST, final.name)
    _sync(folder)
    return final


def _link(link: Path, target: str) -> None:
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
