"""What a run was made with: versions, the machine, its threads, the state of the code."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["environment"]

#: What decides how many threads compute, and in which order they add.
_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
)


def environment(package: str) -> dict[str, Any]:
    """Return what a run's numbers may depend on beside its config and its data. Nothing is imported for it.

    The versions are those of every tsfm distribution, of ``package``, and of all that these ask for, extras too.
    """
    names = {dist.name for dist in metadata.distributions() if dist.name and dist.name.startswith("tsfm-")}
    names.add(package)
    names |= {one for name in names for one in _asked_for(name)} | {"numpy", "torch"}
    versions = {name: _version(name) for name in sorted(names)}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "gpus": _gpus(),
        "threads": _threads(),
        "versions": {name: version for name, version in versions.items() if version},
        "git": _git(),
    }


def _asked_for(package: str) -> set[str]:
    """Return the names of what a package may require, whether it is there or not."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    found: set[str] = set()
    for line in _requires(package):
        try:
            found.add(canonicalize_name(Requirement(line).name))
        except InvalidRequirement:  # another package's mistake is not ours to report here
            continue
    return found


def _requires(package: str) -> list[str]:
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return []


def _threads() -> dict[str, Any]:
    """Return the variables that are set, and how many threads torch uses where it is loaded."""
    found: dict[str, Any] = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    torch = sys.modules.get("torch")
    return found | ({"torch": torch.get_num_threads()} if torch else {})


def _cpu() -> str:
    """Return the processor's name: another one may add in another order."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


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
