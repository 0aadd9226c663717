"""tsfm: time-series foundation models, each a package of its own.

The command line's words: :func:`train`, :func:`backtest`, :func:`predict`, :func:`evaluate`, :func:`load_run`.
Names are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsfm_core.api import backtest, evaluate, load_run, predict, resume, train
    from tsfm_core.checkpoints import point_link, replace_best, save_checkpoint
    from tsfm_core.config.schema import Section
    from tsfm_core.data.forecasts import Forecasts
    from tsfm_core.data.panel import Panel
    from tsfm_core.data.read import read_csv, read_parquet
    from tsfm_core.data.windows import TrainingWindows, WindowInputs, Windows, fill_context
    from tsfm_core.errors import CapabilityError, ConfigError, DataError, Stopped, TsfmError
    from tsfm_core.hookspecs import ModelHooks, PluginHooks, hookimpl
    from tsfm_core.records import (
        Block,
        Channel,
        Dataset,
        EvaluationProtocol,
        Feature,
        IntervalMethod,
        Job,
        KnownCheckpoint,
        Launcher,
        Metric,
        ModelCard,
        Runtime,
        Source,
        TrackedRun,
        Tracker,
        TrackerSession,
    )
    from tsfm_core.stopping import defer_stop
    from tsfm_core.task import Task
    from tsfm_core.units import conversion_factor

_HOME = {
    "api": ("backtest", "evaluate", "load_run", "predict", "resume", "train"),
    "checkpoints": ("point_link", "replace_best", "save_checkpoint"),
    "config.schema": ("Section",),
    "data.forecasts": ("Forecasts",),
    "data.panel": ("Panel",),
    "data.read": ("read_csv", "read_parquet"),
    "data.windows": ("TrainingWindows", "WindowInputs", "Windows", "fill_context"),
    "errors": ("CapabilityError", "ConfigError", "DataError", "Stopped", "TsfmError"),
    "hookspecs": ("ModelHooks", "PluginHooks", "hookimpl"),
    "records": (
        "Block",
        "Channel",
        "Dataset",
        "EvaluationProtocol",
        "Feature",
        "IntervalMethod",
        "Job",
        "KnownCheckpoint",
        "Launcher",
        "Metric",
        "ModelCard",
        "Runtime",
        "Source",
        "TrackedRun",
        "Tracker",
        "TrackerSession",
    ),
    "stopping": ("defer_stop",),
    "task": ("Task",),
    "units": ("conversion_factor",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Block",
    "CapabilityError",
    "Channel",
    "ConfigError",
    "DataError",
    "Dataset",
    "EvaluationProtocol",
    "Feature",
    "Forecasts",
    "IntervalMethod",
    "Job",
    "KnownCheckpoint",
    "Launcher",
    "Metric",
    "ModelCard",
    "ModelHooks",
    "Panel",
    "PluginHooks",
    "Runtime",
    "Section",
    "Source",
    "Stopped",
    "Task",
    "TrackedRun",
    "Tracker",
    "TrackerSession",
    "TrainingWindows",
    "TsfmError",
    "WindowInputs",
    "Windows",
    "backtest",
    "conversion_factor",
    "defer_stop",
    "evaluate",
    "fill_context",
    "hookimpl",
    "load_run",
    "point_link",
    "predict",
    "read_csv",
    "read_parquet",
    "replace_best",
    "resume",
    "save_checkpoint",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tsfm_core' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tsfm_core.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
