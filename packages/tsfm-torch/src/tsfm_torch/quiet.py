"""Other packages' reports, advice and bars, kept from printing: what of it matters is refused or said by tsfm."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quietly"]


@contextmanager
def quietly(*loggers: str) -> Iterator[None]:
    """Silence transformers, bitsandbytes, the loggers of these names, warnings and progress bars inside."""
    from transformers.utils import logging as hub_logging

    silenced = [logging.getLogger(name) for name in ("transformers", "bitsandbytes", *loggers)]
    levels, bars = [one.level for one in silenced], hub_logging.is_progress_bar_enabled()
    try:
        hub_logging.disable_progress_bar()
        for one in silenced:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(silenced, levels, strict=True):
            one.setLevel(level)
        if bars:
            hub_logging.enable_progress_bar()
