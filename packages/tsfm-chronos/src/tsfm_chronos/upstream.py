"""The one place that imports chronos-forecasting, and what must be done around it."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import Any

from tsfm_torch import quietly as silence

__all__ = ["quietly", "upstream"]


def upstream(module: str = "") -> Any:
    """Return chronos-forecasting's package, or one of its modules. The first call takes seconds."""
    with quietly():
        return importlib.import_module(f"chronos.{module}" if module else "chronos")


def quietly() -> AbstractContextManager[None]:
    """Keep its advice from printing inside."""
    return silence("chronos")
