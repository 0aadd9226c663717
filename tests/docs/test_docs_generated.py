"""Tables in the docs are those of the code: keys, hooks, records, commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tsfm_core.config.schema import Config
from tsfm_core.plugins import MODELS, host

HERE = Path(__file__).parent


def test_generated_parts_are_as_generated():
    command = [sys.executable, str(HERE / "regenerate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr  # it says which command makes them again


def test_a_changed_part_is_noticed(regenerate):
    text = "before\n<!-- generated: output -->\nold\n<!-- end -->\nafter\n"
    made = regenerate.regenerated(text)
    assert made.startswith("before\n<!-- generated: output -->\n\n| key |")
    assert "`output.root`" in made
    assert made.endswith("<!-- end -->\nafter\n")
    assert regenerate.regenerated(made) == made


def test_every_part_stands_in_a_document(regenerate, documents):
    named = {name for text in documents.values() for name in re.findall(r"<!-- generated: ([\w.-]+) -->", text)}
    assert named == set(regenerate.PARTS)


def test_every_section_is_in_the_configuration_page(regenerate):
    free = {"experiment", "seed", "model", "tracking", "training"}
    assert set(Config.model_fields) - free <= set(regenerate.PARTS)


def test_every_model_of_ours_is_in_the_configuration_page(regenerate):
    ours = {row.name for row in host().rows(MODELS) if row.package.startswith("tsfm-")}
    assert {f"model.{name}" for name in ours} <= set(regenerate.PARTS)


def test_every_key_field_and_option_is_described(documents):
    pages = ("configuration", "hooks", "command-line", "data", "add-a-dataset")
    tables = [f"docs/{page}.md" for page in pages]
    for name in tables:
        for line in documents[name].splitlines():
            if line.startswith("| `"):
                cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                assert all(cells), f"{name}: {line}"


def test_every_hook_has_a_heading_with_its_signature(regenerate, documents):
    hooks = regenerate.hooks()
    assert len(hooks) == 14
    for signature in hooks.values():
        assert f"\n### `{signature}`\n" in documents["docs/hooks.md"]


def test_every_hook_has_a_test(regenerate):
    texts = "".join(path.read_text() for path in HERE.parent.rglob("test_*.py"))
    for name in regenerate.hooks():
        assert re.search(rf"^def test_hook_{name}\(", texts, re.MULTILINE), f"no test_hook_{name} in tests/"


def test_every_argument_of_a_hook_is_described(regenerate, documents):
    text = documents["docs/hooks.md"]
    for name, signature in regenerate.hooks().items():
        section = text.split(f"\n### `{signature}`\n")[1].split("\n### ")[0].split("\n## ")[0]
        for argument in re.findall(r"\w+", signature.split("(")[1].split(")")[0]):
            assert argument in section or argument in ("model", "data", "windows", "task"), f"{name}: {argument}"


@pytest.mark.parametrize("arguments", [[], ["train"], ["runs", "list"], ["config", "show"]])
def test_the_help_of_a_command_names_the_options_of_the_page(arguments, documents):
    command = [str(Path(sys.executable).with_name("tsfm")), *arguments, "--help"]
    environment = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1", "PATH": "/usr/bin:/bin"}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    page = documents["docs/command-line.md"]
    heading = re.escape(" ".join(["tsfm", *arguments]))
    section = re.split(r"\n## ", re.split(rf"\n## `{heading}[ `]", page, maxsplit=1)[1])[0]
    for option in re.findall(r"--[a-z-]+", shown):
        assert option == "--help" or option in section, f"{option} of {arguments} is not in the page"
    for option in re.findall(r"(?<=[`\s])--[a-z-]+(?=[ `,])", "\n".join(re.findall(r"^\| `.*", section, re.MULTILINE))):
        assert option in shown
