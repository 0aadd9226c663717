"""What the docs show is run or resolved: YAML, Python, commands, links."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest

from tsfm_core.config.resolve import read_config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A folder with a copy of configs/, in which examples run."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TSFM_SHARED", "/somewhere")
    return tmp_path


def test_yaml_blocks_resolve(blocks, workspace):
    examples = [block for block in blocks if block.language == "yaml"]
    assert examples
    for at, block in enumerate(examples):
        named = re.match(r"# (configs/\S+\.yaml)", block.text)
        path = workspace / (named[1] if named else f"block_{at}.yaml")
        path.write_text(block.text)
        assert read_config(path).config.experiment, block.document


def test_toml_blocks_are_projects_of_one_entry_point_or_more(blocks):
    for block in blocks:
        if block.language == "toml":
            project = tomllib.loads(block.text)["project"]
            assert project["entry-points"], block.document
            assert any(one.startswith("tsfm-core") for one in project["dependencies"])


def test_python_blocks_run(blocks, workspace):
    """Those that are files are installed by the integration tests; of a package's README the imports run."""
    ran = 0
    for block in blocks:
        if block.language != "python":
            continue
        tree = ast.parse(block.text, block.document)
        if block.document.startswith("packages/"):
            tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        if block.path is None:
            exec(compile(tree, block.document, "exec"), {"__name__": "example"})
            ran += 1
    assert ran


def test_commands_exist_with_the_options_that_are_shown(blocks, regenerate, documents):
    page = documents["docs/command-line.md"]
    known = {
        heading.replace("tsfm", "", 1).strip(): section
        for heading, section in re.findall(r"\n## `(tsfm[ a-z]*)[^`]*`\n(.*?)(?=\n## |\Z)", page, re.DOTALL)
    }
    seen = 0
    for block in blocks:
        if block.language not in ("console", "sh", "bash"):
            continue
        for line in re.findall(r"^\$? ?(tsfm [^#\n]*)", block.text, re.MULTILINE):
            words = shlex.split(line)[1:]
            plain = [word for word in words if not word.startswith("-")]
            options = [word.split("=")[0] for word in words if re.match(r"--[a-z]", word)]
            name = " ".join(plain[:2]) if " ".join(plain[:2]) in known else plain[0] if plain else ""
            if name == "COMMAND":
                name = ""
            assert name in known, f"{block.document}: {line}"
            for option in options:
                assert f"`{option}" in known[name] or option in ("--help", "--debug"), f"{block.document}: {line}"
            for config in re.findall(r"configs/\S+\.yaml", line):
                assert (ROOT / config).exists(), f"{block.document}: {config}"
            seen += 1
    assert seen > 10


def test_links_between_documents_lead_somewhere(documents):
    for name, text in documents.items():
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if not re.match(r"[a-z]+:", target):
                assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_words_in_code_that_name_tests_lead_somewhere(documents):
    for name, text in documents.items():
        for target in re.findall(r"`((?:tests|docs|configs|benchmarks|packages)/[\w./-]+\.\w+)`", text):
            assert (ROOT / target).exists(), f"{name} names {target}"


def test_the_smallest_plugin_is_small(blocks):
    files = [block for block in blocks if (block.path or "").startswith("drift/")]
    assert {block.path for block in files} == {"drift/pyproject.toml", "drift/drift_forecast.py"}
    assert sum(block.text.count("\n") for block in files) < 40
