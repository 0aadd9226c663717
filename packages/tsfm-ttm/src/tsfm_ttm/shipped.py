"""The checkpoint that comes with this package: where it lies, and what its card says. Small files only, no weights."""

from __future__ import annotations

import json
from pathlib import Path

from tsfm_core import KnownCheckpoint

__all__ = ["SHIPPED", "shipped_checkpoint", "shipped_folder"]

#: What ``model.checkpoint`` calls it.
SHIPPED = "tsfm/ttm-cgm"

_FOLDER = Path(__file__).parent / "checkpoints" / "ttm_cgm"


def shipped_folder(name: str) -> Path | None:
    """Return the folder of the checkpoint called ``name`` in this package, or None for any other."""
    return _FOLDER if name == SHIPPED else None


def shipped_checkpoint() -> KnownCheckpoint:
    """Return its card; the task is that of its training."""
    card = json.loads((_FOLDER / "card.json").read_text(encoding="utf-8"))
    task = json.loads((_FOLDER / "tsfm_ttm.json").read_text(encoding="utf-8"))["task"]
    return KnownCheckpoint(SHIPPED, task=task, folder=_FOLDER, **card)
