"""Which process a run belongs to, and whether it still runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["OPEN", "is_elsewhere", "this_process", "true_status"]


#: Statuses that only hold while the owner runs.
OPEN = ("created", "running")


def this_process() -> dict[str, Any]:
    """Return what names this process among all that ever ran here."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": _process_start(os.getpid())}


def is_elsewhere(owner: Mapping[str, Any] | None) -> bool:
    """Return whether the owner is a process of another machine: nobody here can tell whether it runs."""
    return owner is not None and owner.get("host") != socket.gethostname()


def true_status(status: str, owner: Mapping[str, Any] | None) -> str:
    """Return a status, truthfully: a run whose process is gone was interrupted."""
    if status not in OPEN or not owner or is_elsewhere(owner):
        return status
    pid = owner.get("pid")
    return status if isinstance(pid, int) and _process_start(pid) == owner.get("started") else "interrupted"


def _process_start(pid: int) -> str | None:
    """Return when the process ``pid`` started, in the kernel's own clock; None where it does not run.

    Process numbers are used again: number and start together name one process.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "running" if not Path("/proc/self/stat").exists() else None
