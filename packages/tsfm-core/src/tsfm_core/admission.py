"""What an entry point must fulfil before it takes part: its name, its requirements, its hooks, its answers.

Each failure is one sentence about the package.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

from tsfm_core.errors import PluginError, did_you_mean, listing
from tsfm_core.hookspecs import PROJECT, ModelHooks, PluginHooks

__all__ = [
    "MODELS",
    "PLUGINS",
    "check_card",
    "check_commands",
    "check_contributed",
    "check_hooks",
    "check_name",
    "check_requirements",
    "command_names",
]

MODELS, PLUGINS = "tsfm.models", "tsfm.plugins"

_REQUIRED = ("model_card", "load_model", "prepare_data", "predict")
_SPECS: dict[str, dict[str, Any]] = {
    group: {name: spec for name, spec in vars(hooks).items() if not name.startswith("_")}
    for group, hooks in ((MODELS, ModelHooks), (PLUGINS, PluginHooks))
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RUN = ("run_", "best_run")
_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "the positional-only argument {}",
    inspect.Parameter.KEYWORD_ONLY: "the keyword-only argument {}",
    inspect.Parameter.VAR_POSITIONAL: "*{}",
    inspect.Parameter.VAR_KEYWORD: "**{}",
}


def check_name(name: str) -> None:
    """Refuse a model name that is no plain folder name, or that the command line takes for a run."""
    if not _NAME.fullmatch(name):
        raise PluginError(f"{name!r} is no model name; only letters, digits, '_', '-' and '.', not first")
    if name.startswith(_RUN):
        raise PluginError(f"{name!r} is no model name; {' and '.join(_RUN)} begin the names of runs")


def check_requirements(package: str, requires: Iterable[str]) -> None:
    """Refuse a package that asks for another tsfm-core, before any of its code runs.

    :param requires: the ``Requires-Dist`` lines of its metadata.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    installed = metadata.version("tsfm-core")
    for text in requires:
        needed = Requirement(text)
        applies = needed.marker is None or needed.marker.evaluate({"extra": ""})
        if canonicalize_name(needed.name) != "tsfm-core" or not applies:
            continue
        if not needed.specifier.contains(installed, prereleases=True):
            raise PluginError(f"{package} needs tsfm-core{needed.specifier}, found {installed}")


def check_hooks(plugin: object, group: str) -> None:
    """Refuse what pluggy would accept and never call right.

    Unknown hooks, hooks without our mark, required ones that are missing, arguments that are not plain.
    """
    own, found = _SPECS[group], set()
    for name in dir(plugin):
        function = getattr(plugin, name, None)
        if not inspect.isroutine(function):
            continue
        marker = getattr(function, f"{PROJECT}_impl", None)
        if marker is None:
            if name in own:
                raise PluginError(f"its function {name} has the name of a hook and no mark of tsfm_core.hookimpl")
            continue
        wraps = marker.get("wrapper") or marker.get("hookwrapper")
        # what is no model may wrap a model's verbs
        known = own if group == MODELS or not wraps else own | _SPECS[MODELS]
        hook = marker.get("specname") or name
        if hook not in known:
            hint = did_you_mean(hook, known) or f"there are {listing(known)}"
            raise PluginError(f"it implements {hook!r}, which is no hook of {group}; {hint}")
        _check_arguments(hook, function, known[hook])
        if wraps and not inspect.isgeneratorfunction(function):
            raise PluginError(f"its wrapper of {hook} has no yield")
        if not wraps:
            found.add(hook)
    missing = [verb for verb in _REQUIRED if group == MODELS and verb not in found]
    if missing:
        raise PluginError(f"it lacks the hook {missing[0]}")


def _check_arguments(hook: str, function: Any, spec: Any) -> None:
    known = [name for name in inspect.signature(spec).parameters if name != "self"]
    for argument in inspect.signature(function).parameters.values():
        if argument.kind in _KINDS:
            shown = _KINDS[argument.kind].format(argument.name)
            raise PluginError(f"its hook {hook} has {shown}; hooks take plain arguments only")
        if argument.default is not argument.empty:
            raise PluginError(f"its hook {hook} gives {argument.name!r} a default; hooks take none")
        if argument.name not in known:
            hint = did_you_mean(argument.name, known) or f"there are {listing(known)}"
            raise PluginError(f"its hook {hook} has no argument {argument.name!r}; {hint}")


def check_card(card: object) -> None:
    """Refuse what ``model_card`` returned if it is no card."""
    from tsfm_core.records import ModelCard

    if not isinstance(card, ModelCard):
        raise PluginError(f"its hook model_card returned {_kind(card)}; expected ModelCard")


def check_commands(before: Sequence[str], after: Sequence[str]) -> None:
    """Refuse a command whose name is taken: the last one of a name would silently replace the first.

    :param before: the names of the commands and groups that were there, by :func:`command_names`.
    :param after: the same with the plugin's.
    """
    for name in after:
        if after.count(name) > 1 and name in before:
            raise PluginError(f"it adds the command {name!r}, which is there already")


def command_names(app: Any, above: str = "") -> list[str]:
    """Return the full name of every command and group of a typer application."""
    names = [f"{above}{_command_name(one)}" for one in (*app.registered_commands, *app.registered_groups)]
    for group in app.registered_groups:
        names += command_names(group.typer_instance, f"{above}{_command_name(group)} ")
    return names


def _command_name(info: Any) -> str:
    group = getattr(info, "typer_instance", None)
    names = (info.name, group.info.name if group else getattr(info.callback, "__name__", "").replace("_", "-"))
    return next((name for name in names if isinstance(name, str)), "")


def check_contributed(verb: str, answer: object) -> Sequence[Any]:
    """Return what a package contributes to ``verb``, if it is a list of the right records."""
    from tsfm_core.records import Dataset, EvaluationProtocol, Feature, IntervalMethod, Launcher, Metric, Tracker

    kinds = {"metrics": Metric, "datasets": Dataset, "features": Feature, "protocols": EvaluationProtocol}
    record = (kinds | {"intervals": IntervalMethod, "launchers": Launcher, "trackers": Tracker})[verb]
    if not isinstance(answer, list | tuple):
        raise PluginError(f"its hook {verb} returned {_kind(answer)}; expected a list of {record.__name__}")
    for item in answer:
        if not isinstance(item, record):
            raise PluginError(f"its hook {verb} returned a list with {_kind(item)}; expected {record.__name__}")
    return answer


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
