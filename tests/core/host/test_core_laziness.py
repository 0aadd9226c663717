"""Nothing heavy is loaded before it is needed: told by ``sys.modules`` of a fresh process, never by a stopwatch."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest

HEAVY = ("torch", "pandas", "numpy", "pyarrow", "scipy", "transformers")

#: Runs commands, and after each prints which heavy modules are loaded.
COMMANDS = f"""
import json, sys
from tsfm_core.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["tsfm", *arguments]
    try:
        main()
    except SystemExit as left:
        assert not left.code, left.code
    print("loaded:", arguments, [name for name in {HEAVY!r} if name in sys.modules])
"""
IMPORTS = f"""
import importlib, json, sys
for module in json.loads(sys.argv[1]):
    importlib.import_module(module)
    print("loaded:", module, [name for name in {HEAVY!r} if name in sys.modules])
"""
OWN = sorted({one.module for one in metadata.distribution("tsfm-core").entry_points if one.group.startswith("tsfm.")})


def loaded_by(code: str, what: list[Any]) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code, json.dumps(what)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("loaded:")]
    assert len(lines) == len(what)
    return [line for line in lines if not line.endswith("[]")]


def test_commands_that_only_list_load_nothing_heavy(tmp_path):
    lists = [["models", "list"], ["models", "list", "--json"], ["runs", "list", "--root", str(tmp_path)]]
    assert loaded_by(COMMANDS, [["--help"], ["train", "--help"], *lists]) == []


def test_importing_what_every_command_imports_loads_nothing_heavy():
    core = ["tsfm_core", "tsfm_core.plugins", "tsfm_core.hookspecs", "tsfm_core.config.resolve", "tsfm_core.cli"]
    assert len(OWN) >= 5
    assert loaded_by(IMPORTS, [*core, *OWN]) == []


def test_the_probe_sees_what_is_loaded():
    assert loaded_by(IMPORTS, ["tsfm_core.api"])


def test_a_name_of_the_public_surface_loads_its_module_alone():
    code = "import sys, tsfm_core; tsfm_core.ModelCard; print([n for n in ('numpy', 'pydantic') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_public_surface_is_what_it_says():
    import tsfm_core

    assert set(tsfm_core.__all__) == set(tsfm_core._MODULE_OF)
    assert all(getattr(tsfm_core, name) is not None for name in tsfm_core.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tsfm_core.nothing
