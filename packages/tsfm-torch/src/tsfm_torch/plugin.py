"""The entry module: what this package gives beside its engine. Light, as every listing loads it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tsfm_core import hookimpl

if TYPE_CHECKING:
    from tsfm_core import Launcher, Tracker

__all__ = ["launchers", "trackers"]


@hookimpl
def launchers() -> list[Launcher]:
    """Return torchrun: each process trains the whole network on its share of a step's windows (DDP)."""
    from tsfm_core import Launcher

    return [Launcher("ddp", _torchrun)]


def _torchrun(count: int) -> Sequence[str]:
    run = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nnodes", "1", "--nproc-per-node")
    return [*run, str(count), "--monitor-interval", "0.2", "--max-restarts", "0"]


@hookimpl
def trackers() -> list[Tracker]:
    """Return the trackers that transformers has a reporter for, and whose own package may be installed beside."""
    from tsfm_torch.trackers import TRACKERS

    return TRACKERS
