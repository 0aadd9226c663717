"""What ``MODEL|RUN`` names: a model, or a run whose model, task and checkpoint are used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tsfm_core.config.resolve import ConfigSource, Resolved, read_config
from tsfm_core.errors import ConfigError
from tsfm_core.run import Run, find_run, is_run

__all__ = ["from_run", "is_model"]

#: What a config may change about a run's model: everything but the model, its task and how it was trained.
_FROM_CONFIG = ("experiment", "seed", "data", "split", "evaluation", "runtime", "tracking", "output")


def is_model(name: str) -> bool:
    """Return whether ``name`` is meant as a model: a run is a path or is called ``run_...``."""
    return not (Path(name).name.startswith(("run_", "best_run")) or "/" in name or is_run(Path(name)))


def from_run(
    name: str,
    config: ConfigSource,
    settings: Iterable[str],
    flags: Mapping[str, Any] | None,
    merged: tuple[str, ...] = (),
) -> tuple[Resolved, Run]:
    """Return a run and its configuration: model, task and checkpoint its own, the other sections those that are given.

    :param merged: sections of which only the given keys replace the run's.
    """
    settings = tuple(settings)
    over = read_config(config, [setting for setting in settings if setting.startswith("output.")])
    run = find_run(name, Path(over.config.output.root))
    given = {f"--set {one}": one for one in settings} | {
        f"--{key}": key for key, value in (flags or {}).items() if value is not None
    }
    for option, key in given.items():
        if key.partition("=")[0].partition(".")[0] not in _FROM_CONFIG:
            raise ConfigError(f"{option}: model, task and training come from {run.path}", "leave it out")
    own = read_config(run.config_path, trains=False)
    if over.config.task is not None and over.config.task != own.config.task:
        raise ConfigError(f"{over.tree.origin(('task',))}: the task is not that of {run.path}", "leave the task out")
    best = run.best_checkpoint
    checkpoint = {"model.checkpoint": str(best.resolve())} if best else {}
    whole = tuple(section for section in _FROM_CONFIG if section not in merged)
    return over.over(own.tree, whole, merged, settings, {**(flags or {}), **checkpoint}), run
