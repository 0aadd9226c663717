"""The plugin host: finds packages by their entry points, loads each guarded, and calls one at a time.

The only module that knows pluggy's manager and importlib.metadata's entry points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from tsfm_core.admission import (
    MODELS,
    PLUGINS,
    check_card,
    check_commands,
    check_contributed,
    check_hooks,
    check_name,
    check_requirements,
    command_names,
)
from tsfm_core.backend import Backend
from tsfm_core.errors import PluginError, TsfmError, UnknownModelError, did_you_mean, listing
from tsfm_core.hookspecs import PROJECT, ModelHooks, PluginHooks

if TYPE_CHECKING:
    from tsfm_core.records import Dataset, EvaluationProtocol, IntervalMethod, Launcher, Metric, ModelCard, Tracker

__all__ = [
    "INSTALL_HINTS",
    "MODELS",
    "PLUGINS",
    "Backend",
    "Registry",
    "Row",
    "host",
    "refuse_missing_command",
    "snapshot",
]

#: Our own packages: what to install for a name that is not there. The one place where core names a backend.
INSTALL_HINTS = {
    "chronos": "tsfm-chronos",
    "chronos_bolt": "tsfm-chronos",
    "chronos_t5": "tsfm-chronos",
    "ttm": "tsfm-ttm",
}

#: The commands that our own packages add.
_COMMANDS = {
    ("demo",): "tsfm-glucose",
    ("report",): "tsfm-eval",
    ("runs", "compare"): "tsfm-eval",
}

_OWN = frozenset({"tsfm-chronos", "tsfm-core", "tsfm-eval", "tsfm-glucose", "tsfm-torch", "tsfm-ttm"})


@dataclass(frozen=True)
class Row:
    """One line of a listing: an entry point and whether it can be used."""

    name: str
    package: str
    version: str
    status: Literal["ok", "broken"]
    problem: str | None = None
    summary: str | None = None


class Registry:
    """Every installed plugin. Nothing is imported before it is asked for."""

    def __init__(self) -> None:
        self._pm = pluggy.PluginManager(PROJECT)
        self._pm.add_hookspecs(ModelHooks)
        self._pm.add_hookspecs(PluginHooks)
        self._problems: dict[str, str | None] = {}
        self._cards: dict[str, ModelCard] = {}

    @cached_property
    def _entries(self) -> Mapping[str, list[metadata.EntryPoint]]:
        """The entry points of both groups by ``group:name``; the first of each list is the one that holds the name."""
        found: dict[str, list[metadata.EntryPoint]] = {}
        for group in (MODELS, PLUGINS):
            for entry in metadata.entry_points(group=group):
                found.setdefault(f"{group}:{entry.name}", []).append(entry)
        for entries in found.values():
            entries.sort(key=lambda entry: (_package(entry) not in _OWN, _package(entry)))
        return dict(sorted(found.items()))

    def rows(self, group: str) -> list[Row]:
        """Return one row for each entry point of a group: the broken ones too, each with its sentence."""
        rows = []
        for key, entries in self._entries.items():
            if not key.startswith(f"{group}:"):
                continue
            for entry in entries:
                ours = entry is not entries[0] and _package(entries[0]) in _OWN
                problem = _taken(entry, entries[0]) if ours else self._problem(key)
                status: Literal["ok", "broken"] = "broken" if problem else "ok"
                summary = self._cards[key].summary if group == MODELS and not problem else None
                rows.append(Row(entry.name, _package(entry), _version(entry), status, problem, summary))
        return rows

    def model(self, name: str) -> Backend:
        """Return the backend of that name, loaded and checked.

        :raises UnknownModelError: naming what is installed and what to install.
        :raises PluginError: for one that is broken.
        """
        key = f"{MODELS}:{name}"
        if key not in self._entries:
            installed = [known.removeprefix(f"{MODELS}:") for known in self._entries if known.startswith(MODELS)]
            package = INSTALL_HINTS.get(name)
            hint = f"pip install {package}" if package else did_you_mean(name, [*installed, *INSTALL_HINTS])
            raise UnknownModelError(f"no model is called {name!r}; installed: {listing(installed)}", hint)
        problem = self._problem(key)
        if problem:
            raise PluginError(f"the model {name!r} cannot be used: {problem}", "tsfm plugins check shows every plugin")
        entry = self._entries[key][0]
        return Backend(self, name, _package(entry), _version(entry), self._cards[key])

    def metric(self, name: str) -> Metric:
        """Return the metric of that name.

        :raises PluginError: where no package, or more than one, gives it.
        """
        found: Metric = self._pick("metrics", name, "pip install tsfm-eval gives the usual ones")
        return found

    def intervals(self) -> IntervalMethod | None:
        """Return the way to put intervals around scores, or None where no package gives one; the first of several."""
        found = self.contributions("intervals")
        return next(iter(found.values()))[0][1] if found else None

    def dataset(self, name: str) -> Dataset:
        """Return the data set of that name; errors as in :meth:`metric`."""
        found: Dataset = self._pick("datasets", name, "pip install tsfm-glucose gives glucose data")
        return found

    def protocol(self, name: str) -> EvaluationProtocol:
        """Return the evaluation protocol of that name; errors as in :meth:`metric`."""
        found: EvaluationProtocol = self._pick("protocols", name, None)
        return found

    def launcher(self, name: str) -> Launcher:
        """Return the launcher of that name; errors as in :meth:`metric`."""
        found: Launcher = self._pick("launchers", name, None)
        return found

    def tracker(self, name: str) -> Tracker:
        """Return the tracker of that name; errors as in :meth:`metric`."""
        found: Tracker = self._pick("trackers", name, "pip install tsfm-torch gives tensorboard, mlflow and wandb")
        return found

    def contributions(self, verb: str) -> dict[str, list[tuple[str, Any]]]:
        """Return by name what packages contribute to ``verb``, as (package, item); broken plugins are passed over."""
        found: dict[str, list[tuple[str, Any]]] = {}
        for key, package in self._contributors(verb):
            try:
                items = check_contributed(verb, self._ask(key, verb))
            except PluginError as error:
                self._problems[key] = error.message
            else:
                for item in items:
                    found.setdefault(item.name, []).append((package, item))
        return dict(sorted(found.items()))

    def add_commands(self, app: Any) -> None:
        """Let every plugin add its commands to the typer application; one whose name is taken leaves its plugin out."""
        for key, _ in self._contributors("commands"):
            names, restore = command_names(app), snapshot(app)
            try:
                self._ask(key, "commands", app=app)
                check_commands(names, command_names(app))
            except PluginError as error:
                self._problems[key] = error.message
                restore()

    def _contributors(self, verb: str) -> Iterator[tuple[str, str]]:
        """Yield the key and the package of each plugin that is sound and implements ``verb``."""
        for key, entries in self._entries.items():
            if key.startswith(f"{PLUGINS}:") and not self._problem(key) and self.implements(key, verb):
                yield key, _package(entries[0])

    def _ask(self, key: str, verb: str, **arguments: Any) -> Any:
        """Call ``verb`` on one plugin with nothing around it.

        :raises PluginError: for whatever it raised: it breaks nothing else.
        """
        plugin = self._pm.get_plugin(key)
        others = [other for _, other in self._pm.list_name_plugin() if other is not plugin]
        try:
            answer = self._pm.subset_hook_caller(verb, others)(**arguments)
        except (Exception, SystemExit) as error:
            raise PluginError(f"its hook {verb} raised {_one_line(error)}") from error
        if key.startswith(f"{MODELS}:"):
            return answer
        return answer[0] if answer else None  # pluggy's list of what is not None

    def _pick(self, verb: str, name: str, hint: str | None) -> Any:
        found = self.contributions(verb)
        kind = verb.removesuffix("s")
        if name not in found:
            near = did_you_mean(name, found)
            broken = [row for row in self.rows(PLUGINS) if row.problem]
            if broken:
                hint = f"{broken[0].package} cannot be used: {broken[0].problem}"
            raise PluginError(f"no {kind} is called {name!r}; installed: {listing(found)}", near or hint)
        if len(found[name]) > 1:
            packages = " and ".join(package for package, _ in found[name])
            raise PluginError(f"{packages} both give a {kind} called {name!r}", "uninstall one of them")
        return found[name][0][1]

    def implements(self, key: str, verb: str) -> bool:
        """Return whether the registered plugin ``key`` has an implementation of ``verb`` that is not a wrapper."""
        callers = self._pm.get_hookcallers(self._pm.get_plugin(key)) or []
        for caller in callers:
            if caller.name == verb:
                return any(one.plugin_name == key and not _wraps(one) for one in caller.get_hookimpls())
        return False

    def call(self, name: str, verb: str, arguments: Mapping[str, Any]) -> Any:
        """Call ``verb`` on the model ``name`` alone; wrappers of every plugin still wrap."""
        for key in self._entries:
            if key.startswith(f"{PLUGINS}:"):
                self._problem(key)  # registers what can be, so that its wrappers take part
        key, pairs = f"{MODELS}:{name}", self._pm.list_name_plugin()
        others = [plugin for other, plugin in pairs if other.startswith(f"{MODELS}:") and other != key]
        return self._pm.subset_hook_caller(verb, others)(**arguments)

    def _problem(self, key: str) -> str | None:
        """Load a plugin once; return what is wrong with it, in one sentence."""
        if key not in self._problems:
            self._problems[key] = self._load(key, self._entries[key])
        return self._problems[key]

    def _load(self, key: str, entries: list[metadata.EntryPoint]) -> str | None:
        entry, models = entries[0], key.startswith(f"{MODELS}:")
        if len(entries) > 1 and _package(entry) not in _OWN:
            return f"{' and '.join(_package(one) for one in entries)} both claim the name {entry.name!r}"
        try:
            if models:
                check_name(entry.name)
            if not _released_with_core(entry):
                check_requirements(f"{_package(entry)} {_version(entry)}", (entry.dist and entry.dist.requires) or ())
            plugin = entry.load()
            check_hooks(plugin, MODELS if models else PLUGINS)
            self._register(key, plugin)
            if models:
                self._cards[key] = self._ask(key, "model_card")
                check_card(self._cards[key])
        except TsfmError as error:
            problem = error.message
        except (Exception, SystemExit) as error:
            problem = _one_line(error)
        else:
            return None
        if self._pm.has_plugin(key):
            self._pm.unregister(name=key)
        return problem

    def _register(self, key: str, plugin: object) -> None:
        known = next((other for other, one in self._pm.list_name_plugin() if one is plugin), None)
        if known:
            raise PluginError(f"its module is already the plugin {known}; every entry point needs a module of its own")
        self._pm.register(plugin, name=key)


def snapshot(app: Any) -> Callable[[], None]:
    """Return what takes an application back to the commands and groups that it has now."""
    groups = list(app.registered_groups)
    lists = [(app.registered_commands, list(app.registered_commands)), (app.registered_groups, groups)]
    below = [snapshot(group.typer_instance) for group in groups]

    def restore() -> None:
        for registered, was in lists:
            registered[:] = was
        for one in below:
            one()

    return restore


@cache
def host() -> Registry:
    """Return the registry of this process."""
    return Registry()


def refuse_missing_command(arguments: Sequence[str], app: Any) -> None:
    """Refuse a command of ours that is asked for and whose package is not installed.

    :raises PluginError: naming the package.
    """
    arguments = [argument for argument in arguments if not argument.startswith("--")]
    for name, package in _COMMANDS.items():
        if tuple(arguments[: len(name)]) == name and " ".join(name) not in command_names(app):
            raise PluginError(f"tsfm {' '.join(name)} is a command of {package}", f"pip install {package}")


def _one_line(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def _wraps(implementation: Any) -> bool:
    return bool(implementation.wrapper or implementation.hookwrapper)


def _package(entry: metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist else "unknown package"


def _version(entry: metadata.EntryPoint) -> str:
    return entry.dist.version if entry.dist else "?"


def _released_with_core(entry: metadata.EntryPoint) -> bool:
    """Return whether the package fits by construction: reading requirements costs a seventh of the start-up."""
    return _package(entry) in _OWN and _version(entry) == metadata.version("tsfm-core")


def _taken(entry: metadata.EntryPoint, holder: metadata.EntryPoint) -> str:
    return f"the name {entry.name!r} is taken by {_package(holder)} {_version(holder)}"
