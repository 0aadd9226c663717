"""Operations that give the same bits again, for as long as a training takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch

from tsfm_core import ConfigError

__all__ = ["deterministic"]

#: What cuBLAS needs to add in one order; read when its first handle is made.
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
#: Not typed.
_MEMORY: Any = import_module("torch.utils.deterministic")
_REFUSED = "does not have a deterministic implementation"


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Let torch use deterministic operations only, and give its flags back as they were.

    :param wanted: ``runtime.deterministic``; False leaves everything as it is.
    :raises ConfigError: for an operation that cannot give the same bits again.
    """
    if not wanted:
        yield
        return
    flags = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    filled, workspace = _MEMORY.fill_uninitialized_memory, os.environ.get(_WORKSPACE)
    try:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        # that is a help to find reads of memory that was never written, at a price
        _MEMORY.fill_uninitialized_memory = False
        os.environ.setdefault(_WORKSPACE, ":4096:8")
        yield
    except RuntimeError as error:
        if _REFUSED not in str(error):
            raise
        operation = str(error).partition(" does not")[0]
        raise ConfigError(
            f"runtime.deterministic is true, and {operation} cannot repeat its bits",
            "set runtime.deterministic: false; a repetition will then differ a little",
        ) from error
    finally:
        torch.use_deterministic_algorithms(flags[0], warn_only=flags[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        _MEMORY.fill_uninitialized_memory = filled
        if workspace is None:
            os.environ.pop(_WORKSPACE, None)
