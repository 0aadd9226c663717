"""What run.json says of the machine, its threads and its packages."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from importlib import metadata

from tsfm_core.environment import environment


def test_versions_are_those_of_what_the_package_asks_for():
    versions = environment("tsfm-core")["versions"]
    assert {"tsfm-core", "numpy", "pandas", "pyarrow", "pydantic", "safetensors"} <= set(versions)
    assert versions == {name: metadata.version(name) for name in versions}


def test_a_package_that_is_not_there_asks_for_nothing():
    assert set(environment("tsfm-of-nobody")["versions"]) == set(environment("tsfm-core")["versions"])


def test_threads_are_the_variables_that_are_set(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    found = environment("tsfm-core")
    assert found["threads"]["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in found["threads"]
    assert found["cpu"]
    assert found["python"] == platform.python_version()


def test_nothing_is_imported_for_it():
    code = (
        "import json, sys; from tsfm_core.environment import environment; environment('tsfm-core');"
        "print(json.dumps([name for name in ('torch', 'numpy', 'pandas', 'pyarrow') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
