"""What a run was made with: versions, the machine, the state of the code."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

__all__ = ["environment"]


def environment(package: str) -> dict[str, Any]:
    """Return the versions of every tsfm distribution, of ``package`` and of torch, and the git state of this folder."""
    names = {dist.name for dist in metadata.distributions() if dist.name and dist.name.startswith("tsfm-")}
    versions = {name: _version(name) for name in sorted(names | {package, "torch", "numpy"})}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "gpus": _gpus(),
        "versions": {name: version for name, version in versions.items() if version},
        "git": _git(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    """Return the names of the GPUs that torch sees; none where nothing has loaded it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]


def _git() -> dict[str, Any] | None:
    try:
        commit = _output("git", "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_output("git", "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
