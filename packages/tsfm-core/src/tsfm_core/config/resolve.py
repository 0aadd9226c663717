"""From files, settings and flags to a validated configuration in which every value has an origin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tsfm_core.config.loader import hide, load_file, parse_setting, substitute
from tsfm_core.config.schema import Config
from tsfm_core.config.tree import Key, Origin, Tree
from tsfm_core.errors import ConfigError, TsfmError, did_you_mean

__all__ = ["ConfigSource", "Resolved", "TaskOf", "read_config", "require", "validate"]

ConfigSource = str | Path | Mapping[str, Any] | None
#: Gives a task from what is said besides, or None.
TaskOf = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


#: What ``runtime`` says of a training alone: a run's model forecasts without them.
_OF_TRAINING = ("precision", "nproc", "distributed")


@dataclass(frozen=True)
class Resolved:
    """A validated configuration.

    :param config: environment variables filled in.
    :param tree: as written, ``${NAME}`` kept, with the origin of each value.
    """

    config: Config
    tree: Tree

    def section(self, name: str, schema: type[M], without: Sequence[str] = ()) -> M:
        """Return the section ``model`` or ``training`` as the backend's own class.

        :raises ConfigError: with file, line and the nearest name.
        """
        values = {key: value for key, value in getattr(self.config, name).items() if key not in without}
        return validate(schema, values, self.tree, (name,))

    def stored(self) -> dict[str, Any]:
        """Return what config.yaml holds: core's defaults filled in, ``${NAME}`` as written, local paths absolute."""
        whole = _as_written(self.config.model_dump(mode="json", exclude_none=True), self.tree.value)
        places = [("data", "path"), ("split", "holdout"), ("model", "checkpoint")]
        named = [(whole[section], key) for section, key in places if section in whole]
        named += [(one, "path") for one in whole.get("data", {}).get("sources", ()) if isinstance(one, dict)]
        for given, key in named:
            value = given.get(key)
            if isinstance(value, str) and "${" not in value and Path(value).exists():
                given[key] = str(Path(value).absolute())
        return dict(whole)

    def hidden(self, value: Any) -> Any:
        """Return plain data for a file, what came from environment variables as ``${NAME}``."""
        return hide(self.tree, value)

    def forecasting(self) -> Resolved:
        """Return it without what ``runtime`` says of a training alone."""
        given = self.config.runtime.model_dump(exclude=set(_OF_TRAINING))
        runtime = type(self.config.runtime).model_validate(given)
        return Resolved(self.config.model_copy(update={"runtime": runtime}), self.tree)

    def over(
        self,
        base: Tree,
        sections: Iterable[str],
        merged: Iterable[str] = (),
        settings: Iterable[str] = (),
        flags: Mapping[str, Any] | None = None,
    ) -> Resolved:
        """Return ``base`` with some sections of this configuration in place of its own, then settings and flags.

        :param merged: sections of which only the keys that are given here replace those of ``base``.
        """
        for section in sections:
            if section in self.tree.value:
                base.set((section,), self.tree.below((section,)))
        for section in merged:
            for key in self.tree.value.get(section, {}):
                base.set((section, key), self.tree.below((section, key)))
        return _resolved(base, settings, flags)


def read_config(
    source: ConfigSource,
    settings: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
    trains: bool = True,
    task_of: TaskOf | None = None,
) -> Resolved:
    """Read a configuration: defaults < file < ``--set a.b=c`` < named flags.

    :param source: a YAML file, or the same as a mapping.
    :param flags: values of named flags by their dotted key; None is "not given".
    :param trains: whether it is to train; of a run whose model is used, what the file says of a training is left out.
    :param task_of: gives the task where the file has none; settings and flags go over it.
    :raises ConfigError: with file, line and the nearest name.
    """
    tree = _tree_of(source)
    if not isinstance(tree.value, dict):
        raise ConfigError(f"{tree.origin(())}: a configuration is a mapping of sections")
    if not trains:
        for key in _OF_TRAINING:
            tree.drop(("runtime", key))
    return _resolved(tree, settings, flags, task_of if "task" not in tree.value else None)


def _resolved(
    tree: Tree, settings: Iterable[str], flags: Mapping[str, Any] | None, task_of: TaskOf | None = None
) -> Resolved:
    for setting in settings:
        tree.set(*parse_setting(setting))
    for dotted, value in (flags or {}).items():
        if value is not None:
            flag = "--" + dotted.rsplit(".", 1)[-1].replace("_", "-")
            tree.set(tuple(dotted.split(".")), Tree(value, {(): Origin(flag)}))
    for key, value in ((task_of(tree.value) if task_of else None) or {}).items():
        if key not in tree.value.get("task", {}):
            tree.set(("task", key), Tree(value, {(): Origin("the checkpoint's task")}))
    return Resolved(validate(Config, substitute(tree), tree, ()), tree)


def require(value: T | None, section: str, command: str) -> T:
    """Return a section that a command cannot do without.

    :raises ConfigError: saying which section is missing.
    """
    if value is None:
        raise ConfigError(f"{command} needs the section '{section}'", f"add '{section}:' to the config or use --set")
    return value


def validate(schema: type[M], values: Mapping[str, Any], tree: Tree, above: Key) -> M:
    """Return ``values`` as ``schema``, strictly: ``"5"`` is no number and ``true`` is no 1."""
    try:
        return schema.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise ConfigError(*_first_problem(error, schema, values, tree, above)) from error
    except TsfmError as error:  # raised by a validator of ours
        raise ConfigError(f"{tree.origin(above)}: {error.message}", error.hint) from error


def _tree_of(source: ConfigSource) -> Tree:
    if source is None:
        return Tree({}, {(): Origin("the command line")})
    if isinstance(source, Mapping):
        return Tree(json.loads(json.dumps(source, default=str)), {(): Origin("the config given")})
    return load_file(Path(source))


def _first_problem(
    error: ValidationError, schema: type[BaseModel], values: Mapping[str, Any], tree: Tree, above: Key
) -> tuple[str, str | None]:
    """Return the sentence and the hint for the first key that is wrong; a union's branches make one sentence."""
    problems = error.errors(include_url=False)
    first = _key_of(problems[0]["loc"], values)
    same = [problem for problem in problems if _key_of(problem["loc"], values) == first]
    key = (*above, *first)
    origin, name = tree.origin(key), ".".join(key)
    parent = ".".join(key[:-1]) or "the configuration"
    if same[0]["type"] == "extra_forbidden":
        options = _fields_at(schema, first[:-1])
        known = f"known: {', '.join(options)}" if options else f"{parent} has no keys here"
        return f"{origin}: {key[-1]} is no key of {parent}", did_you_mean(key[-1], options) or known
    if same[0]["type"] == "missing":
        return f"{tree.origin(key[:-1])}: {name} is missing", f"add {key[-1]} to {parent}"
    said = " or ".join(dict.fromkeys(_lower_first(problem["msg"].removeprefix("Value error, ")) for problem in same))
    return (f"{origin}: {name} is {_short(same[0]['input'])}: {said}" if first else f"{origin}: {said}"), None


def _key_of(loc: tuple[Any, ...], values: Any) -> Key:
    """Return the part of a pydantic location that is in the data: it also names union branches."""
    key: list[str] = []
    for position, part in enumerate(loc):
        inside = isinstance(part, int) and part < len(values) if isinstance(values, list) else False
        if inside or (isinstance(values, dict) and part in values):
            values = values[part]
        elif position == len(loc) - 1 and isinstance(values, dict) and not _is_branch(part):
            values = None
        else:
            continue
        key.append(str(part))
    return tuple(key)


def _is_branch(part: int | str) -> bool:
    """Return whether a location part is a type's name rather than a key."""
    return (
        not isinstance(part, str) or any(sign in part for sign in "[(,") or part in {"float", "int", "str", "datetime"}
    )


def _fields_at(schema: type[BaseModel], key: Key) -> list[str]:
    """Return the keys that the schema knows at ``key``."""
    at: Any = schema
    for part in key:
        fields = getattr(at, "model_fields", {})
        if part not in fields:
            return []
        annotation = fields[part].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        at = next((one for one in options if isinstance(one, type) and issubclass(one, BaseModel)), None)
    return list(getattr(at, "model_fields", {}))


def _as_written(values: Any, written: Any) -> Any:
    if isinstance(values, dict) and isinstance(written, dict):
        return {key: _as_written(value, written.get(key)) for key, value in values.items()}
    if isinstance(values, list) and isinstance(written, list) and len(values) == len(written):
        return [_as_written(value, one) for value, one in zip(values, written, strict=True)]
    return written if isinstance(written, str) and "${" in written else values


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
