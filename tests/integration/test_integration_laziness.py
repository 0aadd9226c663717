"""With every package installed, what needs no torch loads none: told by ``sys.modules`` of a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import pytest

HEAVY = ("torch", "pandas", "numpy", "pyarrow", "scipy", "transformers", "tsfm_public")
IMPORT = f"""
import importlib, sys
importlib.import_module(sys.argv[1])
print([name for name in {HEAVY!r} if name in sys.modules])
"""
COMMANDS = """
import json, sys
from tsfm_core.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["tsfm", *arguments]
    try:
        main()
    except SystemExit as left:
        assert not left.code, left.code
    print("loaded:", [name for name in ("torch", "transformers") if name in sys.modules])
"""
PLUGINS = sorted(
    {
        entry.module
        for group in ("tsfm.models", "tsfm.plugins")
        for entry in metadata.entry_points(group=group)
        if entry.dist and entry.dist.name.startswith("tsfm-")
    }
)


def test_every_package_of_ours_is_installed():
    assert {"tsfm_ttm", "tsfm_eval.plugin", "tsfm_glucose.plugin", "tsfm_core.builtin"} <= set(PLUGINS)


@pytest.mark.parametrize("module", [*PLUGINS, "tsfm_eval", "tsfm_glucose", "tsfm_torch"])
def test_importing_a_package_loads_nothing_heavy(module):
    done = subprocess.run([sys.executable, "-c", IMPORT, module], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_commands_that_run_no_torch_model_load_no_torch(tmp_path):
    config = tmp_path / "experiment.yaml"
    config.write_text(
        f"""
task: {{target: glucose, unit: mg/dL, freq: 5min, context_length: 48, prediction_length: 12}}
data: {{source: simglucose_adult, items: [sim_01, sim_02]}}
split: {{patient_holdout: [sim_02]}}
evaluation: {{stride: 48}}
output: {{root: {tmp_path}/experiments}}
"""
    )
    lists = [["models", "list"], ["plugins", "list"], ["data", "list"], ["models", "show", "ttm"]]
    commands = [["--help"], *lists, ["backtest", "naive", "--config", str(config)]]
    command = [sys.executable, "-c", COMMANDS, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("loaded:")]
    assert lines == ["loaded: []"] * len(commands)
