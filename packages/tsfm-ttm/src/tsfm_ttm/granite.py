"""The one place that imports granite-tsfm, and what must be done around it."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["quietly", "tinytimemixer"]


@contextmanager
def quietly() -> Iterator[None]:
    """Import granite inside: it sets the root logger to INFO and gives it a handler, which are the host's alone.

    The warnings of its imports are about other packages' versions and parts, those of bitsandbytes in its own logger;
    nobody who runs tsfm can act on them.
    """
    root, other = logging.getLogger(), logging.getLogger("bitsandbytes")
    level, handlers, others_level = root.level, root.handlers[:], other.level
    try:
        other.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        other.setLevel(others_level)
        root.setLevel(level)
        root.handlers[:] = handlers


def tinytimemixer() -> Any:
    """Return granite's module of the configuration and the networks. The first call takes seconds."""
    with quietly():
        return importlib.import_module("tsfm_public.models.tinytimemixer.modeling_tinytimemixer")
