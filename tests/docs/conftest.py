"""The documents, their code blocks, and the module that generates parts of them."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A code block.

    :param path: the file that it is, where the line above it names one.
    """

    document: str
    language: str
    text: str
    path: str | None


@pytest.fixture(scope="session")
def regenerate() -> ModuleType:
    """tests/docs/regenerate.py as a module."""
    spec = importlib.util.spec_from_file_location("regenerate", Path(__file__).with_name("regenerate.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def documents() -> dict[str, str]:
    """Return the text of every document by its path."""
    paths = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("packages/*/README.md")]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sorted(paths)}


@pytest.fixture(scope="session")
def blocks(documents: dict[str, str]) -> list[Block]:
    """Return every code block of every document."""
    found = []
    for name, text in documents.items():
        for match in _BLOCK.finditer(text):
            named = re.search(r"^`([\w./-]+)`\n\n\Z", text[: match.start()], re.MULTILINE)
            found.append(Block(name, match[1], match[2], named[1] if named else None))
    return found
