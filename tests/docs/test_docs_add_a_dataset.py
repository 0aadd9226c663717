"""The plugin of docs/add-a-dataset.md: installed from its text, used on the page's own archive, counted by hand."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from tsfm_core.cli import main
from tsfm_core.plugins import host

PAGE = "docs/add-a-dataset.md"


def _install(site, project):
    """Put a project of one module where this process, and those that it starts, find packages."""
    facts = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    module = facts["name"].replace("-", "_")
    (site / f"{module}.py").write_text((project / f"{module}.py").read_text())
    info = site / f"{module}-{facts['version']}.dist-info"
    info.mkdir(exist_ok=True)
    lines = ["Metadata-Version: 2.1", f"Name: {facts['name']}", f"Version: {facts['version']}"]
    (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {one}" for one in facts["dependencies"])]))
    points = facts["entry-points"]["tsfm.plugins"].items()
    (info / "entry_points.txt").write_text("[tsfm.plugins]\n" + "".join(f"{name} = {one}\n" for name, one in points))


@pytest.fixture
def page(blocks, tmp_path, monkeypatch):
    """The page's blocks, in a folder with its files and its archive, with its plugin installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "cache"))
    own = [block for block in blocks if block.document == PAGE]
    for block in own:
        if block.path:
            (tmp_path / block.path).parent.mkdir(exist_ok=True)
            (tmp_path / block.path).write_text(block.text)
    exec(compile((tmp_path / "make_archive.py").read_text(), PAGE, "exec"), {"__name__": "example"})
    site = tmp_path / "site"
    site.mkdir()
    _install(site, tmp_path / "lakeside")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    host.cache_clear()
    yield own
    host.cache_clear()
    sys.modules.pop("lakeside_data", None)


@pytest.fixture
def tsfm(monkeypatch, capsys):
    """``tsfm(*words)``: its exit code, what it prints, and what it says beside that."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["tsfm", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def check(tsfm):
    """The report on the archive: items by id, notes by item and sentence."""

    def run(*words):
        code, out, err = tsfm("data", "check", "lakeside", "--path", "archive", "--json", *words)
        assert code == 0, err
        report = json.loads(out)
        notes = {(note["item_id"], note["what"]): note["rows"] for note in report["notes"]}
        return {item["item_id"]: item for item in report["items"]}, notes

    return run


def _rows(name):
    with Path(f"archive/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_command_runs(page, tsfm):
    ran = 0
    for block in page:
        if block.language == "console":
            for line, shown in re.findall(r"^\$ tsfm (.*)\n((?:[^$\n].*\n)*)", block.text, re.MULTILINE):
                code, out, err = tsfm(*shlex.split(line))
                assert code == 0, (line, out, err)
                rest = iter([one.rstrip() for one in (out + err).splitlines()])
                assert all(one == "..." or one in rest for one in shown.splitlines()), (line, out, err)
                ran += 1
    assert ran == 4


def test_the_report_is_what_the_files_hold(page, check):
    items, notes = check()
    assert set(items) == {"lake_007", "lake_12"}
    doses = {tuple(row.values()) for row in _rows("doses")}  # each once
    for subject in ("007", "12"):
        item = items[f"lake_{subject}"]
        cells = [row["mmol"] for row in _rows("glucose") if row["subject"] == subject]
        readings = [2.2 if cell == "Low" else float(cell) for cell in cells if cell]
        assert (item["rows"], item["readings"], item["slots"]) == (len(readings), len(readings), 3 * 288)
        assert item["mean"] == pytest.approx(sum(readings) / len(readings) * 18.018, abs=1e-3)
        assert (item["first"], item["last"]) == ("2024-03-10T00:00:00", "2024-03-12T23:55:00")
        assert item["off_grid"] == (len(readings) if subject == "12" else 0)
        for kind, channel in (("bolus", "bolus_u"), ("carbs", "carbs_g")):
            total = sum(float(amount) for who, _, what, amount in doses if (who, what) == (subject, kind) and amount)
            assert item["channels"][channel]["total"] == total
        assert item["channels"]["basal_u_per_h"] == {"recorded": 864, "mean": pytest.approx((1.1 + 0.8) / 2, abs=1e-4)}
        assert notes[f"lake_{subject}", "readings Low, given as 2.2"] == cells.count("Low") > 0
        assert notes[f"lake_{subject}", "rows without a reading"] == 1
        assert notes[f"lake_{subject}", "rows of kind prime, left out"] == 6
        assert notes[f"lake_{subject}", "doses without an amount"] == 1
    assert notes["lake_007", "doses that are there again, left out"] == len(_rows("doses")) - len(doses) == 8
    assert len(notes) == 9


def test_options_change_the_rows_and_unknown_ones_are_refused(page, check, tsfm):
    items, notes = check("--set", "data.options.limits=drop")
    dropped = notes["lake_12", "readings Low, left out"]
    assert items["lake_12"]["readings"] == check()[0]["lake_12"]["readings"] - dropped
    code, _, err = tsfm("data", "check", "lakeside", "--path", "archive", "--set", "data.options.limit=drop")
    assert code == 1
    assert "limits" in err


@pytest.mark.parametrize(
    ("file", "row", "said"),
    [
        ("glucose", "12,10/03/2024 00:02,5;3", "'5;3', not a number"),
        ("glucose", "12,03/31/2024 00:02,5.3", "'03/31/2024 00:02', not a timestamp"),
        ("doses", "12,10/03/2024 00:02,insulin,4", "no kind of dose is called 'insulin'"),
        ("doses", ",10/03/2024 00:02,bolus,4", "has no item_id"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(page, tsfm, file, row, said):
    with Path(f"archive/{file}.csv").open("a") as opened:
        opened.write(f"{row}\n")
    code, _, err = tsfm("data", "check", "lakeside", "--path", "archive")
    assert (code, err.count("\n")) == (1, 1)
    assert said in err


def test_a_missing_file_or_path_is_named(page, tsfm):
    Path("archive/doses.csv").unlink()
    assert "doses.csv" in tsfm("data", "check", "lakeside", "--path", "archive")[2]
    assert "lakeside needs data.path" in tsfm("data", "check", "lakeside")[2]


def test_the_test_of_the_page_passes_and_can_fail(page, tmp_path):
    space = {"__name__": "example"}
    exec(compile((tmp_path / "lakeside/test_lakeside.py").read_text(), PAGE, "exec"), space)
    test = space["test_february_comes_first_and_a_dose_counts_once"]
    (tmp_path / "one").mkdir()
    test(tmp_path / "one")
    module = tmp_path / "site/lakeside_data.py"
    # a line more: of the same size within the same second, what was compiled before would count
    module.write_text(module.read_text().replace("%d/%m/%Y", "%m/%d/%Y") + "\n")
    (tmp_path / "two").mkdir()
    with pytest.raises(AssertionError):
        test(tmp_path / "two")


def test_instants_with_a_column_of_time_zones_are_local_by_it(page, tmp_path, tsfm):
    """What the page says of them, done to its module."""
    module = tmp_path / "site/lakeside_data.py"
    text = module.read_text()
    zoned = """pc.assume_timezone(pc.strptime(stamps, "%d/%m/%Y %H:%M", "s"), "UTC"),
        "timezone": pa.array(["Europe/Oslo"] * len(stamps)),"""
    text = text.replace('"timestamp": stamps,', f'"timestamp": {zoned}')
    module.write_text(text.replace('columns={"item_id"', 'columns={"timezone": "timezone", "item_id"'))
    code, out, err = tsfm("data", "check", "lakeside", "--path", "archive", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert [item["zone"] for item in report["items"]] == ["Europe/Oslo"] * 2
    assert report["clock"] == "utc"
