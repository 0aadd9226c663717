"""The newcomer's first command: a Dexcom Clarity export, no config, no network; what it says, writes and draws."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

COLUMNS = "Index,Timestamp (YYYY-MM-DDThh:mm:ss),Event Type,Event Subtype,Patient Info,Glucose Value ({unit})"
#: Whatever opens a connection fails, and says so where a failure would be swallowed.
OFFLINE = """
import json, os, socket, sys

def refuse(*arguments, **options):
    print("CONNECTION", arguments, file=sys.stderr)
    raise OSError("there is no network")

socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
from tsfm_core.cli import main

assert "HF_HUB_OFFLINE" not in os.environ
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["tsfm", *arguments]
    print("$", " ".join(arguments), file=sys.stderr)
    try:
        main()
    except SystemExit as left:
        print("exit", left.code or 0, file=sys.stderr)
"""


def export(path, stamps, glucose, unit):
    """Write a Clarity export of an invented person."""
    digits = 0 if unit == "mg/dL" else 6
    rows = [COLUMNS.format(unit=unit), "1,,FirstName,,Ingrid,", "2,,LastName,,Quarles,"]
    rows += [
        f"{at},{stamp:%Y-%m-%dT%H:%M:%S},EGV,,,{value:.{digits}f}"
        for at, (stamp, value) in enumerate(zip(stamps, glucose, strict=True), 3)
    ]
    path.write_text("\n".join([*rows, ""]), encoding="utf-8")


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Return what each command printed, by its output file."""
    folder = tmp_path_factory.mktemp("first")
    stamps = pd.date_range("2024-03-01T00:01:47", periods=600, freq="5min")
    glucose = (150 + 55 * np.sin(np.arange(600) / 31) + np.random.default_rng(5).normal(0, 3, 600)).round()
    export(folder / "p01.csv", stamps, glucose, "mg/dL")
    export(folder / "p02.csv", stamps, glucose / 18.018, "mmol/L")
    export(folder / "short.csv", stamps[:100], glucose[:100], "mg/dL")
    fewer = ["--set", "task.prediction_length=24", "--set", "task.quantile_levels=[0.1, 0.5, 0.9]"]
    drawn = ["--plot", "fan.png"] if find_spec("matplotlib") else []
    asked = {
        "out.csv": ["p01.csv", *drawn],
        "mmol.csv": ["p02.csv"],
        "few.csv": ["p01.csv", *fewer],
        "s.csv": ["short.csv"],
    }
    commands = [["predict", "ttm", "--data", *words, "--output", output] for output, words in asked.items()]
    command = [sys.executable, "-c", OFFLINE, json.dumps(commands)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert "CONNECTION" not in done.stderr
    parts = re.findall(r"^\$ .*?--output (\S+)\n(.*?)(?=^\$ |\Z)", done.stderr, re.MULTILINE | re.DOTALL)
    return folder, dict(parts)


def test_it_says_what_it_took_the_file_for_and_did(said):
    _, parts = said
    assert parts["out.csv"].splitlines() == [
        "p01.csv is read as clarity; --source names another format",
        "600 stamps were moved to the 5min grid",
        "1 items forecast, 96 rows in mg/dL: out.csv",
        *(["plot: fan.png"] if find_spec("matplotlib") else []),
        "exit 0",
    ]
    assert "\nshort: 100 readings of 512\n" in parts["s.csv"]
    assert "1 items forecast, 96 rows in mmol/L" in parts["mmol.csv"]


def test_it_forecasts_eight_hours_from_the_last_reading(said):
    frame = pd.read_csv(said[0] / "out.csv", parse_dates=["cutoff", "timestamp"])
    assert frame.item_id.unique() == ["p01"]
    assert frame.cutoff.unique() == [np.datetime64("2024-03-03T01:55")]
    assert frame.timestamp.tolist() == list(pd.date_range("2024-03-03T02:00", periods=96, freq="5min"))
    levels = [name for name in frame if re.fullmatch(r"0\.\d+", name)]
    assert len(levels) == 21
    assert (np.diff(frame[levels].to_numpy(), axis=1) >= 0).all()


def test_an_export_in_mmol_gives_the_same_in_mmol(said):
    one, other = (pd.read_csv(said[0] / name).drop(columns="item_id") for name in ("out.csv", "mmol.csv"))
    levels = list(one)[3:]
    np.testing.assert_allclose(other[levels], one[levels] / 18.018, rtol=1e-3, atol=1e-3)
    assert one.timestamp.tolist() == other.timestamp.tolist()


def test_fewer_steps_and_levels_are_a_part(said):
    whole, few = (pd.read_csv(said[0] / name) for name in ("out.csv", "few.csv"))
    pd.testing.assert_frame_equal(few, whole[list(few)].head(24))
    assert list(few)[4:] == ["mean", "0.1", "0.5", "0.9"]
