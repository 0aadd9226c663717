"""The rules that a machine can hold: which way imports go, one word per thing, one version."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted(ROOT.glob("packages/*/src/**/*.py"))
CORE = ROOT / "packages/tsfm-core/src/tsfm_core"

#: What each package may import of ours.
MAY_IMPORT = {
    "tsfm_core": set(),
    "tsfm_torch": {"tsfm_core"},
    "tsfm_ttm": {"tsfm_core", "tsfm_torch"},
    "tsfm_chronos": {"tsfm_core", "tsfm_torch"},
    "tsfm_eval": {"tsfm_core"},
    "tsfm_glucose": {"tsfm_core"},
}

#: Core's modules from the bottom up: a module imports what stands in an earlier layer, or in its own.
LAYERS = (
    ("errors", "progress"),
    ("stopping",),
    ("freq", "units", "zones", "files", "checkpoints", "environment", "owner", "records", "registry", "spare", "task"),
    ("picture",),
    ("config",),
    ("data",),
    ("hookspecs",),
    ("admission", "backend", "builtin", "baselines"),
    ("plugins",),
    ("opening", "asked"),
    ("run", "named", "entries", "best", "catalogue", "annotate", "export"),
    ("groups", "levels", "sample", "judging", "tally", "metrics", "prepare"),
    ("provenance", "report", "plot", "launching", "outcomes", "tracking", "unchanged", "pipeline", "resuming"),
    ("ahead", "fan"),
    ("api", "testing", "worker", "reproduce", "audit"),
    ("cli",),
)
LAYER_OF = {name: at for at, names in enumerate(LAYERS) for name in names}

#: Names of files of a run: known in ``run`` (and in ``checkpoints`` what is inside its folder) alone.
RUN_FILES = {"config.yaml", "forecasts.parquet", "log.txt", "metrics.json", "metrics_by_item.csv", "results.txt"}
RUN_FILES |= {"run.json", "training.jsonl"}


def package_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[3]


def imports(tree: ast.AST, also_types: bool = True) -> Iterator[str]:
    """Yield the dotted names that a file imports, anywhere in it; ``from a import b`` yields ``a.b``."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not also_types:
            skipped |= {below for one in node.body for below in ast.walk(one)}
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where a name comes from"
            yield from (f"{node.module}.{name.name}" for name in node.names)


@cache
def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def module_of(name: str) -> str:
    """Return core's module of a dotted name: ``tsfm_core.data.panel.Panel`` is of ``data``."""
    return name.split(".")[1]


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_packages_import_one_way(package):
    for file in FILES:
        if package_of(file) != package:
            continue
        found = {name.split(".")[0] for name in imports(parse(file)) if name.startswith("tsfm_")}
        other = {name for name in found - MAY_IMPORT[package] - {package} if name != "tsfm_public"}
        assert not other, f"{file.relative_to(ROOT)} imports {other}"


def test_every_package_is_held_by_these_rules():
    assert {package_of(file) for file in FILES} <= set(MAY_IMPORT)
    assert {path.name for path in ROOT.glob("packages/*/src/*") if path.is_dir()} <= set(MAY_IMPORT)


def test_cores_modules_import_one_way():
    for file in CORE.rglob("*.py"):
        own = file.relative_to(CORE).parts[0].removesuffix(".py")
        if own in ("__init__", "py.typed"):
            continue
        assert own in LAYER_OF, f"{own} has no place in LAYERS"
        for name in imports(parse(file), also_types=False):
            if name.startswith("tsfm_core.") and module_of(name) in LAYER_OF:
                below = LAYER_OF[module_of(name)] <= LAYER_OF[own]
                assert below, f"{file.relative_to(ROOT)} imports {name}, which stands above it"


def test_backends_use_cores_public_names():
    """What another package imports of core is in ``tsfm_core.__all__``, or a whole public module."""
    import tsfm_core

    allowed = {"tsfm_core.config.schema.Section"} | {f"tsfm_core.{name}" for name in tsfm_core.__all__}
    for file in FILES:
        if package_of(file) in ("tsfm_core",):
            continue
        for name in imports(parse(file)):
            if name.startswith("tsfm_core.") and name not in allowed:
                module = CORE / Path(*name.split(".")[1:-1]).with_suffix(".py")
                exported = re.search(r"__all__ = \[(.*?)\]", module.read_text(), re.DOTALL)
                last = name.rsplit(".", 1)[-1]
                assert exported, name
                assert f'"{last}"' in exported[1], f"{file.relative_to(ROOT)} imports {name}, which is private"


def test_core_names_a_backend_in_the_install_hints_alone():
    ours = "torch|ttm|chronos|eval|glucose"
    backends = re.compile(rf"\b(ttm|chronos|chronos_bolt|chronos_t5|torch|granite|tsfm_(?:{ours}))\b")
    #: torch's version is noted in every run, and the kit forbids to import it early; neither imports it
    known = {
        "plugins.py": {"chronos", "chronos_bolt", "chronos_t5", "ttm", "torch"},
        "environment.py": {"torch"},
        "checks.py": {"torch"},
    }
    for file in CORE.rglob("*.py"):
        found = {word for text in texts_of(file) for word in backends.findall(text)}
        assert found <= known.get(file.name, set()), f"{file.relative_to(ROOT)} names {found}"


def texts_of(file: Path) -> list[str]:
    """Return the string literals of a file that are no docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = list(ast.walk(parse(file)))
    documentation = {ast.get_docstring(node, clean=False) for node in nodes if isinstance(node, kinds)}
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in texts if text not in documentation]


def test_pluggys_manager_and_entry_points_are_known_in_one_module():
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        if file != CORE / "plugins.py":
            assert "PluginManager" not in text, file
            assert not re.search(r"metadata\.entry_points|import entry_points", text), file
        if file not in (CORE / "plugins.py", CORE / "hookspecs.py"):
            assert "pluggy" not in {name.split(".")[0] for name in imports(parse(file))}, file


def test_typer_is_known_in_the_command_line_alone():
    for file in FILES:
        if "typer" in {name.split(".")[0] for name in imports(parse(file), also_types=False)}:
            cli = file.is_relative_to(CORE / "cli")
            commands = {("tsfm_glucose", "demo"), ("tsfm_eval", "commands")}
            assert cli or (package_of(file), file.stem) in commands, file


def test_file_names_of_a_run_are_known_in_run_alone():
    for file in FILES:
        if file == CORE / "run.py":
            continue
        texts = texts_of(file)
        named = {name for name in RUN_FILES for text in texts if text == name or text.endswith(f"/{name}")}
        assert not named, f"{file.relative_to(ROOT)} names {named}"


def test_no_torch_at_the_import_of_core_eval_or_glucose():
    for file in FILES:
        if package_of(file) in ("tsfm_core", "tsfm_eval", "tsfm_glucose"):
            assert "torch" not in {name.split(".")[0] for name in imports(parse(file))}, file


def test_no_code_loads_a_pickle_or_unsafe_yaml():
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\bpickle\b|yaml\.load\(|allow_pickle=True|weights_only=False", text), file


#: Words that style has another word for, as identifiers, keys or columns.
BANNED = re.findall(
    r"\w+",
    """
p_num series_id unique_id ds date_time resolution_min y_feature bg_mM x_features hist_exog conditional_columns
future_covariates futr_exog exogenous lookback seq_len history_length input_size forecast_length forecast_horizon
horizon_length forecast_origin split_point lead_time horizon_step step_size window_step fold subseries lo_80 hi_80 p10
preds y_hat actuals eval_scheme dev_set eval_set training_mode finetune_mode model_path weights_dir model_type
model_info trial test_error checksum md5 episode
""",
)

OLD_TTM = ("bg_mM", "forecast_length", "model_path", "p_num", "resolution_min", "training_mode")
OLD_TTM += ("x_features", "y_feature")

#: Where a banned word stands because another library, or a foreign file, has it: file, word, reason.
ALLOWED = {
    ("tsfm_core", "model_type"): "a column of the sheets that research groups keep of their trainings",
    ("tsfm_core", "fold"): "one part of a cross-validation, and rich's word for a cell that wraps",
    **{("tsfm_core", word): "of the old TTM layout, which tsfm config migrate reads" for word in OLD_TTM},
    ("tsfm_ttm", "resolution_min"): "an argument of the old finetune_ttm",
    ("tsfm_ttm", "x_features"): "likewise",
    ("tsfm_ttm", "y_feature"): "likewise",
    ("tsfm_glucose", "p_num"): "a column of other people's files",
    ("tsfm_glucose", "bg_mM"): "likewise",
    ("tsfm_chronos", "model_type"): "the key of a Hugging Face config.json",
    ("tsfm_chronos", "future_covariates"): "an argument of Chronos-2",
    ("tsfm_ttm", "conditional_columns"): "granite's name",
    ("tsfm_ttm", "model_type"): "the key of a Hugging Face config.json",
    ("tsfm_ttm", "model_path"): "granite's get_model",
    ("tsfm_ttm", "forecast_length"): "granite's name",
}


def words_of(tree: ast.AST) -> Iterator[str]:
    """Yield identifiers, arguments, keywords and string literals that are names."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def test_one_word_per_thing_in_the_code():
    for file in FILES:
        package = package_of(file)
        found = {word for word in words_of(parse(file)) if word in BANNED and (package, word) not in ALLOWED}
        assert not found, f"{file.relative_to(ROOT)} says {found}: style has another word"


def test_one_word_per_thing_in_configs_and_the_code_of_docs():
    key = re.compile(r"^\s*-?\s*\{?([A-Za-z_0-9]+)\s*[:=]", re.MULTILINE)
    blocks = re.compile(r"^```(?:yaml|python|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    texts = {path: path.read_text() for path in ROOT.glob("configs/**/*.yaml")}
    for path in (*ROOT.glob("docs/*.md"), *ROOT.glob("*.md"), *ROOT.glob("packages/*/README.md")):
        texts[path] = "\n".join(blocks.findall(path.read_text(encoding="utf-8")))
    for path, text in texts.items():
        found = set(key.findall(text)) & set(BANNED) - {"fold"}  # split.fold: one part of a cross-validation
        assert not found, f"{path.relative_to(ROOT)} says {found}: style has another word"


def test_all_packages_have_one_version_and_it_is_the_changelogs():
    versions = {}
    for file in ROOT.glob("packages/*/pyproject.toml"):
        project = tomllib.loads(file.read_text())["project"]
        versions[project["name"]] = project["version"]
        assert project["license"] == "Apache-2.0"
        assert project["requires-python"] == ">=3.11,<3.14"
    assert len(versions) >= 5
    assert len(set(versions.values())) == 1, versions
    heading = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading, "CHANGELOG.md has no heading such as '## 0.1.0'"
    assert heading[1] in versions.values()


def test_packages_of_ours_ask_for_the_same_minor_version_of_core():
    for file in ROOT.glob("packages/*/pyproject.toml"):
        project = tomllib.loads(file.read_text())["project"]
        if project["name"] != "tsfm-core":
            needed = [one for one in project["dependencies"] if one.startswith("tsfm-core")]
            major, minor, _ = project["version"].split(".")
            assert needed == [f"tsfm-core>={major}.{minor},<{major}.{int(minor) + 1}"], file


def test_the_types_are_published():
    for package in ROOT.glob("packages/*/src/*"):
        if package.is_dir():
            assert (package / "py.typed").exists(), package


def test_every_module_says_what_is_public():
    for file in FILES:
        if file.stem == "__main__":
            continue
        names = {
            target.id
            for node in parse(file).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        body = [node for node in parse(file).body if not isinstance(node, ast.Expr)]
        assert "__all__" in names or not body, f"{file.relative_to(ROOT)} has no __all__"
