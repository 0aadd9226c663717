"""YAML with memory: every value knows its file and line, ``!include`` joins files, nothing is guessed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tsfm_core.config.tree import Key, Origin, Tree
from tsfm_core.errors import ConfigError, did_you_mean

__all__ = ["hide", "load_file", "parse_setting", "substitute"]

_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of a number and a truth: ``1e-3`` is one, ``no`` and ``12:30`` and dates are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))  # 010 is ten
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def load_file(path: Path) -> Tree:
    """Return the tree of a file and of all that it includes.

    :raises ConfigError: with file and line: not YAML, a key twice, an include that is missing, circular or outside.
    """
    resolved = _real(path)
    root = next((above for above in resolved.parents if above.name == "configs"), resolved.parent)
    return _load(resolved, root, (), _shown(resolved))


def parse_setting(setting: str) -> tuple[Key, Tree]:
    """Return the key and the value of ``a.b=c``; the value is YAML."""
    name, equals, text = setting.partition("=")
    key = tuple(name.strip().split("."))
    if not equals or not all(key):
        raise ConfigError(f"--set {setting!r} is not of the form a.b=value")
    origin = Origin(f"--set {name.strip()}")
    if text[:1] in ("%", "@", "`"):  # signs that YAML keeps for itself, as in data.timestamp_format=%d/%m/%Y
        return key, Tree(text, {(): origin})
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting!r}: {_problem(error)}") from error
    if node is None:
        return key, Tree("", {(): origin})
    return key, _Builder(None, None, (), origin).build(node)


def substitute(tree: Tree) -> Any:
    """Return the tree's value with each ``${NAME}`` replaced from the environment.

    :raises ConfigError: naming a variable that is not set, and where it is used.
    """

    def walk(value: Any, key: Key) -> Any:
        if isinstance(value, dict):
            return {name: walk(below, (*key, name)) for name, below in value.items()}
        if isinstance(value, list):
            return [walk(below, (*key, str(at))) for at, below in enumerate(value)]
        if not isinstance(value, str) or not _VARIABLE.search(value):
            return value
        for name in _VARIABLE.findall(value):
            if name not in os.environ:
                raise ConfigError(
                    f"{tree.origin(key)}: {'.'.join(key)} needs the environment variable {name}, which is not set",
                    f"set it: export {name}=...",
                )
        text = _VARIABLE.sub(lambda match: os.environ[match[1]], value)
        return _plain_scalar(text) if key in tree.plain else text

    return walk(tree.value, ())


def hide(tree: Tree, value: Any) -> Any:
    """Return plain data in which what the tree's environment variables hold reads ``${NAME}`` again.

    A value of one to three characters is no secret and stays: it would be found everywhere.
    """
    if isinstance(value, dict):
        return {key: hide(tree, below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [hide(tree, below) for below in value]
    if not isinstance(value, str):
        return value
    held = {name: os.environ.get(name, "") for name in _VARIABLE.findall(str(tree.value))}
    for name in sorted(held, key=lambda one: -len(held[one])):
        value = value.replace(held[name], f"${{{name}}}") if len(held[name]) > 3 else value
    return value


def _plain_scalar(text: str) -> Any:
    """Return what YAML makes of an unquoted ``text``, always a scalar."""
    loader = _Loader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return loader.construct_object(yaml.ScalarNode(tag, text))


def _load(path: Path, root: Path, above: tuple[Path, ...], asked: str) -> Tree:
    if path in above:
        chain = " -> ".join(_shown(one) for one in (*above[above.index(path) :], path))
        raise ConfigError(f"{asked}: includes go in a circle: {chain}")
    try:
        node = yaml.compose(path.read_text("utf-8-sig"), Loader=_Loader)
    except FileNotFoundError:
        near = did_you_mean(path.name, [one.name for one in path.parent.glob("*.yaml")])
        missing = f"{_shown(path)} does not exist"
        raise ConfigError(missing if asked == _shown(path) else f"{asked}: {missing}", near) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{asked}: {_shown(path)} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{_shown(path)}:{_line(error)}: {_problem(error)}") from error
    except RecursionError:
        raise ConfigError(f"{_shown(path)} is nested too deeply") from None
    if node is None:
        return Tree({}, {(): Origin(_shown(path))})
    try:
        return _Builder(path, root, (*above, path), None).build(node)
    except RecursionError:
        raise ConfigError(f"{_shown(path)}: an alias stands inside its own anchor") from None


@dataclass(frozen=True)
class _Builder:
    """Turns YAML nodes into a :class:`Tree`. Without a path (``--set``) all have one origin and no includes."""

    path: Path | None
    root: Path | None
    above: tuple[Path, ...]
    origin: Origin | None

    def at(self, node: yaml.Node) -> Origin:
        return self.origin or Origin(_shown(self.path) if self.path else "", node.start_mark.line + 1)

    def build(self, node: yaml.Node) -> Tree:
        if node.tag == "!include":
            return self._include(node)
        if node.tag not in _TAGS:
            raise ConfigError(f"{self.at(node)}: the tag {node.tag} is not known", "the only one is !include")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return self._children(Tree([], {(): self.at(node)}), ((str(at), one) for at, one in enumerate(node.value)))
        try:
            value = _Loader("").construct_object(node)
        except (ValueError, LookupError) as error:
            raise ConfigError(f"{self.at(node)}: {node.value[:80]!r} is no {node.tag.rpartition(':')[2]}") from error
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return Tree(value, {(): self.at(node)}, {()} if plain else set())

    def _children(self, tree: Tree, children: Iterator[tuple[str, yaml.Node]]) -> Tree:
        for name, node in children:
            child = self.build(node)
            if isinstance(tree.value, list):
                tree.value.append(child.value)
            else:
                tree.value[name] = child.value
            tree.origins |= {(name, *below): origin for below, origin in child.origins.items()}
            tree.plain |= {(name, *below) for below in child.plain}
        return tree

    def _mapping(self, node: yaml.MappingNode) -> Tree:
        tree = Tree({}, {(): self.at(node)})
        own: list[tuple[str, yaml.Node]] = []
        for key, value in node.value:
            name = str(key.value)
            if name == "<<":
                merged = self.build(value)
                if not isinstance(merged.value, dict):
                    raise ConfigError(f"{self.at(key)}: << needs a mapping")
                tree.value, tree.origins, tree.plain = merged.value, merged.origins, merged.plain
            elif name in {known for known, _ in own}:
                raise ConfigError(f"{self.at(key)}: {name} is given twice")
            else:
                own.append((name, value))
        for name, _ in own:  # what is written here wins over what was merged
            tree.origins = {known: origin for known, origin in tree.origins.items() if known[:1] != (name,)}
        return self._children(tree, iter(own))

    def _include(self, node: yaml.Node) -> Tree:
        if not self.path or not self.root:
            raise ConfigError(f"{self.at(node)}: !include works in files only")
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            raise ConfigError(f"{self.at(node)}: !include needs a relative path")
        target = _real(self.path.parent / node.value)
        if Path(node.value).is_absolute() or not target.is_relative_to(self.root):
            raise ConfigError(f"{self.at(node)}: !include {node.value} leaves the config root {_shown(self.root)}")
        return _load(target, self.root, self.above, str(self.at(node)))


def _real(path: Path) -> Path:
    """Return the path without links; one in a circle stays, and reading it fails."""
    return Path(os.path.realpath(path))


def _shown(path: Path) -> str:
    """Return the path as a person would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]


def _line(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else 1
