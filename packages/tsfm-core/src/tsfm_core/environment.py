"""What a run was made with: versions, the machine, the state of the code."""

from __future__ import annotations

import os
import platform
import subprocess
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
        "versions": {name: version for name, version in versions.items() if version},
        "git": _git(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    try:
        commit = _output("git", "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_output("git", "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
