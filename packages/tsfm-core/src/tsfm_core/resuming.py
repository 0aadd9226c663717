"""Going on with a run that was killed or stopped, to the bits that it would have had."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import yaml

from tsfm_core.config.resolve import Resolved, read_config
from tsfm_core.environment import environment
from tsfm_core.errors import ConfigError, RunError, listing
from tsfm_core.owner import OPEN, is_elsewhere, this_process
from tsfm_core.pipeline import carry_out, make_ready
from tsfm_core.progress import Progress, quiet
from tsfm_core.run import Run
from tsfm_core.stopping import stoppable
from tsfm_core.unchanged import refuse_other_checkpoint, refuse_other_data

__all__ = ["refuse_other_config", "resume"]


def resume(run: Run, argv: Sequence[str] = (), take_over: bool = False, progress: Progress = quiet) -> Run:
    """Carry out what is left of a run: training from its last checkpoint, then all that comes after it.

    :param take_over: also a run that another machine seems to be at: its process cannot be seen from here.
    :raises RunError: for a run that is completed or still running, or whose data, split or starting checkpoint are not
        what it began with.
    """
    with stoppable(), run.claimed() as claim:
        facts = run.facts
        _refuse_status(run, facts, take_over)
        resolved = read_config(run.config_path)
        command: str = facts["command"]
        refuse_other_checkpoint(run, facts, resolved)
        ready = make_ready(facts["model"], resolved, command, from_run=facts["parent"] is not None)
        refuse_other_data(run, facts, ready.prepared)
        for left in (*run.path.glob(".*.tmp"), *run.checkpoints.glob(".*.tmp")):
            if left.is_file():
                left.unlink()
        since = {"at": datetime.now().isoformat(timespec="seconds"), "argv": resolved.hidden(argv)}
        since["environment"] = environment(ready.loaded.backend.package)  # other versions may give other bits
        run.update(owner=this_process(), error=None, resumed=[*facts.get("resumed", []), since])
        run.log("resumed")
        carry_out(run, ready, claim, progress, resume=True)
    return run


def refuse_other_config(run: Run, model: str | None, given: Resolved | None) -> None:
    """Refuse a model or a configuration that is repeated and is not the run's.

    :raises ConfigError: naming the keys that differ.
    """
    own: str = run.facts["model"]
    if model is not None and model != own:
        raise ConfigError(f"{run.path} is a run of {own}, not of {model}", "leave the model out")
    if given is None:
        return
    stored = yaml.safe_load(run.config_path.read_text(encoding="utf-8"))
    differing = sorted(_differing(stored, given.stored()))
    if differing:
        raise ConfigError(
            f"{run.path} was started with another configuration: {listing(differing)}",
            "leave the configuration out, or start a new run",
        )


def _refuse_status(run: Run, facts: dict[str, Any], take_over: bool) -> None:
    status, owner = run.status, facts["owner"]
    if status == "completed":
        raise RunError(f"{run.path} is completed: there is nothing left to do", "start a new run")
    if status in OPEN and not is_elsewhere(owner):
        raise RunError(f"{run.path} is being carried out by process {owner['pid']}", "wait for it")
    if status in OPEN and not take_over:
        raise RunError(
            f"{run.path} is {status} on {owner['host']}, whose processes cannot be seen from here",
            f"if process {owner['pid']} there is gone, add --take-over",
        )


def _differing(one: Any, other: Any, above: str = "") -> set[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = {*one, *other}
        return {name for key in keys for name in _differing(one.get(key), other.get(key), f"{above}.{key}".lstrip("."))}
    return set() if one == other else {above}
