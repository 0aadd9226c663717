"""Rewrite the generated parts of docs/: ``python tests/docs/regenerate.py``; ``--check`` only says what would change.

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; NAME is a key of ``PARTS``.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from tsfm_core import hookspecs, records, testing
from tsfm_core.audit import CHECKS
from tsfm_core.cli import app
from tsfm_core.config.schema import Config
from tsfm_core.plugins import host

DOCS = Path(__file__).parents[2] / "docs"
_PART = re.compile(r"(<!-- generated: ([\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SECTIONS = ("task", "data", "split", "runtime", "evaluation", "output")


def section_table(schema: type[BaseModel], above: str) -> str:
    """Return a table of every key of a schema, those of nested sections too."""
    return _key_table(schema.model_json_schema(), above)


def _key_table(whole: Mapping[str, Any], above: str = "") -> str:
    rows = ["| key | value | default | what it is |", "|---|---|---|---|"]
    rows += [f"| {' | '.join(cells)} |" for cells in _keys(whole, whole, above)]
    return "\n".join(rows)


def _keys(at: Mapping[str, Any], whole: Mapping[str, Any], above: str) -> Iterator[tuple[str, ...]]:
    required = at.get("required", ())
    for name, key in at.get("properties", {}).items():
        default = "required" if name in required else _shown(key.get("default"))
        yield f"`{above}{name}`", _kind(key, whole), default, key.get("description", "")
        for option in (key, *key.get("anyOf", ())):
            if "$ref" in option and "properties" in _resolved(option, whole):
                yield from _keys(_resolved(option, whole), whole, f"{above}{name}.")


def _resolved(key: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    return whole["$defs"][key["$ref"].rsplit("/", 1)[-1]] if "$ref" in key else key


def _kind(key: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """Return in words what a key may hold; null goes without saying."""
    key = _resolved(key, whole)
    if "anyOf" in key:
        kinds = [_kind(one, whole) for one in key["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in key:
        return ", ".join(f"`{one}`" for one in key["enum"])
    if "const" in key:
        return f"`{key['const']}`"
    if "prefixItems" in key:
        return f"[{', '.join(_kind(one, whole) for one in key['prefixItems'])}]"
    if key.get("type") == "array":
        return f"list of {_kind(key['items'], whole)}"
    if key.get("type") == "object":
        below = key.get("additionalProperties")
        return f"mapping to {_kind(below, whole)}" if isinstance(below, dict) else "mapping"
    words = {"string": "text", "boolean": "true or false"}
    kind = "date and time" if key.get("format") == "date-time" else words.get(key["type"], key["type"])
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {key[name]:,}" for name, sign in signs.items() if name in key]
    return f"{kind} {', '.join(bounds)}" if bounds else str(kind)


def _shown(default: Any) -> str:
    if default is None:
        return "none"
    if isinstance(default, list):
        return f"`[{', '.join(map(str, default))}]`"
    return "`{}`" if default == {} else f"`{default}`"


def top() -> str:
    """Return the keys at the top of a configuration."""
    schema = Config.model_json_schema()
    keys = {name: key for name, key in schema["properties"].items() if name in ("experiment", "seed", "tracking")}
    return _key_table({"properties": keys})


def section(name: str) -> Callable[[], str]:
    """Return the generator of one section of the configuration."""
    kind = Config.model_fields[name].annotation
    schema = next(one for one in (kind, *typing.get_args(kind)) if isinstance(one, type) and issubclass(one, BaseModel))
    return lambda: section_table(schema, f"{name}.")


def model(name: str) -> str | None:
    """Return the sections ``model`` and ``training`` of a model; None where it is not installed or broken."""
    rows = {row.name: row for row in host().rows("tsfm.models")}
    if name not in rows or rows[name].problem:
        return None
    card = host().model(name).card
    parts = [f"`{name}`: {card.summary}."]
    if card.config_schema.model_fields:
        parts.append(section_table(card.config_schema, "model."))
    else:
        parts.append("The section `model` has no keys of its own.")
    parts.append(section_table(card.training_schema, "training."))
    return "\n\n".join(parts)


def record(kind: type) -> Callable[[], str]:
    """Return the generator of a record's fields."""

    def table() -> str:
        documented = dict(
            re.findall(r":param (\w+): (.*?)(?=\n\s*:|\Z)", inspect.cleandoc(kind.__doc__ or ""), re.DOTALL)
        )
        rows = ["| field | type | default | what it is |", "|---|---|---|---|"]
        for field in dataclasses.fields(kind):
            default = "required"
            if callable(field.default):
                default = f"`{field.default.__name__}`"
            elif field.default is not dataclasses.MISSING:
                default = f"`{field.default!r}`"
            elif field.default_factory is not dataclasses.MISSING:
                default = f"`{field.default_factory()!r}`"
            about = re.sub(r":\w+:(?=`)", "", " ".join(documented.get(field.name, "").split()).rstrip("."))
            cells = (f"`{field.name}`", f"`{field.type}`", default, about.replace("``", "`"))
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(rows)

    return table


def commands() -> str:
    """Return every command of core with its arguments and options."""
    return "\n\n".join(_commands(app, "tsfm"))


def demo() -> str | None:
    """Return the command of tsfm-glucose; None where it is not installed or broken."""
    fresh = typer.Typer()
    host().add_commands(fresh)
    return "\n\n".join(_commands(fresh, "tsfm")) or None


def _commands(group: typer.Typer, above: str) -> Iterator[str]:
    if group.registered_callback and group.registered_callback.callback:
        yield from (f"## `{above}`", *_table(group.registered_callback.callback))
    for command in group.registered_commands:
        assert command.callback
        name = command.name or command.callback.__name__.replace("_", "-")
        yield from _command(command.callback, f"{above} {name}")
    for below in group.registered_groups:
        assert below.typer_instance
        yield from _commands(below.typer_instance, f"{above} {below.typer_instance.info.name}")


def _command(callback: Callable[..., Any], name: str) -> Iterator[str]:
    arguments = [shown for shown, kind, *_ in _parameters(callback) if kind == "argument"]
    yield f"## `{' '.join([name, *arguments])}`"
    yield inspect.cleandoc(callback.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    yield from _table(callback)


def _table(callback: Callable[..., Any]) -> Iterator[str]:
    every = ((shown.replace("|", "\\|"), default, about) for shown, _, default, about in _parameters(callback))
    rows = [f"| `{shown}` | {default} | {about} |" for shown, default, about in every]
    if rows:
        yield "\n".join(["| argument or option | default | what it is |", "|---|---|---|", *rows])


def _parameters(callback: Callable[..., Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield (as it is typed, argument or option, default, help) of each parameter."""
    hints = typing.get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        kind, *extras = typing.get_args(hints[name]) if hasattr(hints[name], "__metadata__") else (hints[name],)
        default = parameter.default
        info = next((one for one in extras if isinstance(one, typer.models.ParameterInfo)), None)
        if isinstance(default, typer.models.ParameterInfo):
            info, default = default, default.default
        needed = default is inspect.Parameter.empty
        about = (info and info.help) or ""
        metavar = info and info.metavar
        if isinstance(info, typer.models.ArgumentInfo) or (info is None and needed):
            usual = "none" if default is None else f"`{default}`"
            yield metavar or name.upper(), "argument", "required" if needed else usual, about
            continue
        # inside Annotated typer takes the first name for a default
        given = (info.default, *(info.param_decls or ())) if info else ()
        declared = [one for one in given if isinstance(one, str) and one.startswith("-")]
        shown = ", ".join(sorted(declared or [f"--{name.replace('_', '-')}"], key=len, reverse=True))
        plain = _plain(kind)
        if plain is not bool:
            shown = f"{shown} {metavar or _METAVARS[plain]}"
        if typing.get_origin(kind) is list or any(typing.get_origin(one) is list for one in typing.get_args(kind)):
            about += " May be repeated."
        usual = {None: "none", False: "off"}.get(default, f"`{default}`")
        yield shown, "option", "required" if needed else usual, about


def _plain(kind: Any) -> Any:
    """Return ``str`` for ``list[str] | None``."""
    inner = [one for one in typing.get_args(kind) if one is not type(None)]
    return _plain(inner[0]) if inner else kind


def promises() -> str:
    """Return what the conformance kit checks."""
    return "\n".join(f"* {(check.__doc__ or '').splitlines()[0].replace('``', '`')}" for check in testing.CHECKS)


def checks() -> str:
    """Return what ``tsfm audit`` checks."""
    return _table_of(
        ["check", "what must hold"], ((f"`{name}`", (one.__doc__ or "").strip()) for name, one in CHECKS.items())
    )


def datasets() -> str:
    """Return the data sets of our packages."""
    head = ["source", "what it is", "licence", "where its files come from", "channels beside the target", "clock"]
    return _table_of(head, (_dataset(one) for one in _ours("datasets")))


def _dataset(one: records.Dataset) -> tuple[str, ...]:
    offered = ", ".join(f"`{name}` ({about.kind}, {about.unit})" for name, about in one.channels.items())
    channels = offered or ("none" if one.target else "columns of the file, by name")
    return f"`{one.name}`", one.summary, one.licence, one.origin, channels, f"`{one.clock}`"


def dataset_rules() -> str:
    """Return what the data sets of our packages say where a configuration says nothing, those that agree together."""
    rules: dict[str, list[str]] = {}
    for one in _ours("datasets"):
        said = ", ".join(f"`{name}: {_plain_yaml(rule)}`" for name, rule in one.rules.items())
        rules.setdefault(said or "nothing: all is refused", []).append(f"`{one.name}`")
    return _table_of(["rules", "sources"], ((said, ", ".join(names)) for said, names in rules.items()))


def _plain_yaml(rule: Any) -> str:
    return f"[{', '.join(map(str, rule))}]" if isinstance(rule, tuple) else str(rule)


def dataset_options() -> str:
    """Return the keys of ``data.options`` of every data set of ours that has some."""
    return _options("source", [(one.name, one.options_schema) for one in _ours("datasets")])


def features() -> str:
    """Return the computed channels of our packages, the sets of one name together."""
    found: dict[str, list[records.Feature]] = {}
    for one in _ours("features"):
        found.setdefault(one.name, []).append(one)
    head = ["channel", "what it is", "unit", "computed from", "sets", "known in advance"]
    return _table_of(head, (_feature(name, sets) for name, sets in found.items()))


def _feature(name: str, sets: list[records.Feature]) -> tuple[str, ...]:
    one = sets[0]
    needs = ", ".join(f"`{need}`" for need in one.needs) or "the time of day"
    named = ", ".join(f"`{of.set}`" for of in sets if of.set) or "one for all"
    return f"`{name}`", one.definition.partition(":")[0], one.unit, needs, named, "yes" if one.known else "no"


def metrics() -> str | None:
    """Return every metric of tsfm-eval; None where it is not installed or broken."""
    found = {
        name: metric
        for name, given in host().contributions("metrics").items()
        for package, metric in given
        if package == "tsfm-eval"
    }
    if not found:
        return None
    kinds = dict.fromkeys(metric.family for metric in found.values())
    parts = []
    for kind in sorted(kinds):
        parts.append(f"### {kind}")
        for name, metric in found.items():
            if metric.family == kind:
                facts = f"{metric.unit}, {metric.direction}" if metric.direction != "none" else metric.unit
                said = f"{metric.definition}. Source: {metric.source}."
                parts.append(f"* `{name}` ({facts}; judges {metric.point}): {said}")
    return "\n".join(parts).replace("\n###", "\n\n###")


def protocols() -> str:
    """Return the protocols of our packages."""
    rows = ((f"`{one.name}`", one.definition) for one in _ours("protocols"))
    return _table_of(["protocol", "where a cutoff stands"], rows)


def protocol_options() -> str:
    """Return the keys of ``evaluation.options`` of every protocol of ours that has some."""
    return _options("protocol", [(one.name, one.options_schema) for one in _ours("protocols")])


def _options(kind: str, schemas: list[tuple[str, type[BaseModel] | None]]) -> str:
    rows = []
    for name, schema in schemas:
        if schema is not None:
            whole = schema.model_json_schema()
            rows += [(f"`{name}`", *cells) for cells in _keys(whole, whole, "")]
    return _table_of([kind, "key", "value", "default", "what it is"], rows)


def _ours(verb: str) -> list[Any]:
    """Return what our packages contribute, in the order of the names."""
    given = host().contributions(verb)
    return [one for name in given for package, one in given[name] if package.startswith("tsfm-")]


def _table_of(head: list[str], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        # a name in angle brackets is no tag
        plain = (re.sub(r"<(?=[a-z_])", "&lt;", cell.replace("|", "\\|")) for cell in row)
        lines.append(f"| {' | '.join(plain)} |")
    return "\n".join(lines)


#: Whose sections docs/configuration.md shows.
MODELS = ("naive", "seasonal_naive", "mean", "linear", "ttm", "chronos", "chronos_bolt", "chronos_t5")

_METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "FILE"}

PARTS: dict[str, Callable[[], str | None]] = {
    "top": top,
    **{name: section(name) for name in _SECTIONS},
    **{f"model.{name}": lambda name=name: model(name) for name in MODELS},
    **{
        f"record.{kind.__name__}": record(kind)
        for kind in (
            records.ModelCard,
            records.KnownCheckpoint,
            records.Runtime,
            records.Job,
            records.Metric,
            records.IntervalMethod,
            records.Block,
            records.Dataset,
        )
    },
    "record.EvaluationProtocol": record(records.EvaluationProtocol),
    "record.Feature": record(records.Feature),
    "record.Source": record(records.Source),
    "record.TrackedRun": record(records.TrackedRun),
    "record.Tracker": record(records.Tracker),
    "record.TrackerSession": record(records.TrackerSession),
    "record.Channel": record(records.Channel),
    "datasets": datasets,
    "dataset_rules": dataset_rules,
    "dataset_options": dataset_options,
    "features": features,
    "protocols": protocols,
    "protocol_options": protocol_options,
    "metrics": metrics,
    "promises": promises,
    "checks": checks,
    "commands": commands,
    "demo": demo,
}


def hooks() -> dict[str, str]:
    """Return every hook with its signature, as docs/hooks.md must show it."""
    found = {}
    for group in (hookspecs.ModelHooks, hookspecs.PluginHooks):
        for name, spec in vars(group).items():
            if not name.startswith("_"):
                arguments = [one for one in inspect.signature(spec).parameters if one != "self"]
                found[name] = f"{name}({', '.join(arguments)}) -> {spec.__annotations__['return']}"
    return found


def regenerated(text: str) -> str:
    """Return a document with its generated parts made again; a part that cannot be made here stays."""

    def make(match: re.Match[str]) -> str:
        made = PARTS[match[2]]()
        return match[0] if made is None else f"{match[1]}\n{made}\n\n{match[3]}"

    return _PART.sub(make, text)


def main() -> None:
    stale = []
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        made = regenerated(text)
        if made != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(made, encoding="utf-8")
    if stale and "--check" in sys.argv:
        raise SystemExit(f"{', '.join(stale)}: not as generated; run: python tests/docs/regenerate.py")


if __name__ == "__main__":
    main()
