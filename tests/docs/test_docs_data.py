"""docs/data.md: its archive is made, its configurations are used, its commands are run and print what it shows."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from tsfm_core.cli import main
from tsfm_core.config.resolve import read_config
from tsfm_core.opening import open_panel

ROOT = Path(__file__).parents[2]
PAGE = "docs/data.md"


@pytest.fixture
def page(blocks, tmp_path, monkeypatch):
    """The page's blocks, in a folder that holds its files and its archive."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "cache"))
    own = [block for block in blocks if block.document == PAGE]
    for block in own:
        if block.path:
            (tmp_path / block.path).write_text(block.text)
    exec(compile((tmp_path / "make_archive.py").read_text(), PAGE, "exec"), {"__name__": "example"})
    return own


@pytest.fixture
def tsfm(monkeypatch, capsys):
    """``tsfm(words)``: its exit code and the lines that it prints, those that hold something."""

    def run(words):
        monkeypatch.setattr(sys, "argv", ["tsfm", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, [line.rstrip() for line in (said.out + said.err).splitlines() if line.strip()]

    return run


@pytest.fixture
def check(tsfm):
    """``check(config, *settings)``: the report on archive.csv by item, and its problems."""

    def run(*settings):
        words = ["data", "check", "archive.csv", "--config", "archive.yaml", "--json"]
        _, lines = tsfm([*words, *(word for one in settings for word in ("--set", one))])
        report = json.loads("\n".join(line for line in lines if line[0] in " {}"))
        return {item["item_id"]: item for item in report["items"]}, [one["problem"] for one in report["problems"]]

    return run


RULES = ("data.unsorted=sort", "data.off_grid=floor", "data.duplicates=median", "data.shared_rows=drop")


def test_every_command_runs_and_prints_what_is_shown(page, tsfm):
    ran = 0
    for block in page:
        if block.language != "console":
            continue
        for line, shown in re.findall(r"^\$ (tsfm .*)\n((?:[^$\n].*\n|\n)*)", block.text, re.MULTILINE):
            words = shlex.split(line)[1:]
            if "KEY" in words:
                newest = json.loads("\n".join(tsfm(["data", "list", "--prepared", "--json"])[1]))[0]
                words[words.index("KEY")] = newest["key"]
            code, printed = tsfm(words)
            wanted = [one.rstrip() for one in shown.splitlines() if one.strip()]
            assert code == int(any(one.startswith("problem: ") for one in wanted)), (line, printed)
            rest = iter(printed)
            assert all(one == "..." or one in rest for one in wanted), (line, printed)  # in this order
            assert not wanted or "..." in wanted or printed == wanted, (line, printed)
            ran += 1
    assert ran > 8


def test_evaluations_that_are_shown_alone_cut_windows(page, tsfm, tmp_path):
    base = next(block.text for block in page if block.path == "sliding.yaml")
    alone = [block.text for block in page if block.language == "yaml" and block.text.startswith("evaluation:")]
    assert len(alone) == 2
    for at, text in enumerate(alone):
        (tmp_path / f"alone_{at}.yaml").write_text(re.sub(r"^evaluation:.*\n", text, base, flags=re.MULTILINE))
        code, printed = tsfm(["backtest", "naive", "--config", f"alone_{at}.yaml"])
        assert code == 0, printed
        assert any(re.fullmatch(r"patient_holdout: \d+ windows", line) for line in printed)


def test_the_report_holds_what_was_put_into_the_archive(page, check):
    items, problems = check()
    assert (items["p1"]["rows"], items["p1"]["readings"]) == (576 - 30 + 2, 576 - 30)
    assert (items["p1"]["duplicates"], items["p1"]["repeats"]) == (2, 1)
    assert items["p1"]["longest_gap"] == "155min"
    assert items["p1"]["gaps"] == {"45min": 1, "2h": 1, "6h": 0, "1D": 0}
    assert items["p1"]["off_grid"] == sum(slot % 3 > 0 for slot in [*range(300), *range(330, 576), 10, 20])
    assert items["p2"]["rows"] == 676
    assert len(problems) == 5
    items, problems = check(*RULES, "data.exclude=[p3]")
    assert problems == []
    assert [item["shared"] for item in items.values()] == [0, 100]


def test_floor_moves_no_reading_ahead_and_median_counts_a_repeat_once(page):
    config = read_config("archive.yaml", [*RULES, "data.exclude=[p3]"]).config
    panel, _ = open_panel(config.data, config.task)
    p1 = panel.columns["glucose"][: panel.offsets[1]]

    def at(stamp):
        return [float(line.split(",")[2]) for line in _lines() if line.startswith(f"p1,{stamp},")]

    repeated, doubled = at("2024-03-01 00:50:20"), at("2024-03-01 01:40:40")
    assert (len(repeated), len(set(repeated)), len(set(doubled))) == (2, 1, 2)
    assert p1[10] == np.float32(repeated[0])
    assert p1[20] == np.float32(sum(doubled) / 2)


def _lines():
    return Path("archive.csv").read_text().splitlines()


def test_two_people_share_rows_from_36_of_a_day_on(page, check):
    lines = _lines()
    for count, found in ((35, 0), (36, 1)):
        Path("archive.csv").write_text("\n".join(lines[: len(lines) - 100 + count]) + "\n")
        assert sum("share" in problem and "rows (same stamp" in problem for problem in check()[1]) == found


def test_a_panel_is_keyed_by_what_it_is_made_of(page, tsfm):
    def key(*settings):
        words = ["data", "prepare", "simglucose_adult", "--json"]
        _, lines = tsfm([*words, *(word for one in settings for word in ("--set", one))])
        return json.loads("\n".join(line for line in lines if line[0] in " {}"))["key"]

    first = key()
    assert key("data.max_gap=30min") == key("data.min_observed=0.5") == key("data.stride=7") == first
    assert len({first, key("data.imputation=parity"), key("data.exclude=[sim_01]"), key("data.features=parity")}) == 4


def test_an_anchored_ablation_tests_every_context_on_the_same_windows(page, tsfm, tmp_path):
    words = ["backtest", "naive", "--config", "sliding.yaml", "--set", "evaluation.baselines=[]"]
    for experiment, length in (("short", 96), ("long", 512)):
        more = ("--set", f"experiment={experiment}", "--set", f"task.context_length={length}")
        assert tsfm([*words, *more])[0] == 0
    runs = [json.loads(path.read_text()) for path in tmp_path.glob("experiments/naive/*/run_*/run.json")]
    assert len({run["protocol_digest"] for run in runs}) == 1
    assert len({run["windows"]["train"] for run in runs}) == 2


def test_a_covariate_that_a_source_lacks_is_not_observed(page):
    config = read_config("several.yaml").config
    panel, _ = open_panel(config.data, config.task)
    assert panel.item_ids == ("phone:app", "simglucose_adult:sim_01", "simglucose_adult:sim_02")
    own = slice(0, int(panel.offsets[1]))
    assert np.isnan(panel.columns["carbs_eaten_g"][own]).all()
    # meals of 30 g from slot 20 to slot 560: 0 between them, not recorded outside
    carbs = panel.columns["carbs_g"][own]
    assert np.nansum(carbs) == 30 * 10
    assert np.flatnonzero(np.isfinite(carbs)).tolist() == list(range(20, 561))


def test_a_run_remembers_its_data(page, tsfm, tmp_path):
    settings = (*RULES, "data.exclude=[p3]", "split.temporal_holdout=0.2", "evaluation.stride=12")
    words = ["backtest", "naive", "--config", "archive.yaml"]
    assert tsfm([*words, *(word for one in settings for word in ("--set", one))])[0] == 0
    facts = json.loads(next(tmp_path.glob("experiments/naive/default/run_*/run.json")).read_text())
    data = facts["data"]
    told = (ROOT / PAGE).read_text().split("## What a run remembers")[1]
    keys = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", told, re.MULTILINE)))
    assert len(keys) > 8
    assert set(keys) <= set(data)
    assert data["preparation"]["off_grid"] == "floor"
    assert data["shared_rows"] == [{"owner": "p1", "other": "p2", "rows": 100}]
    assert list(data["files"]["digests"]) == ["archive.csv"]
    assert {"split", "windows", "dropped", "items_without_windows"} <= set(facts)
