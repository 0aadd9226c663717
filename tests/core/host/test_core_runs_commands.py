"""``tsfm runs``: which runs are listed, in which order, the sheet, and what a person does to a run."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from runkit import METRICS, finished

from tsfm_core.annotate import archive, set_tags
from tsfm_core.data.store import StoredChunk
from tsfm_core.environment import environment
from tsfm_core.run import Run
from tsfm_core.tally import Tally

COLUMNS = (
    "model_id,model_type,training_strategy,dataset,timestamp,artifact_path,config_hash,git_commit,"
    "performance_metrics,training_time_hours,gpu_config"
)


@pytest.fixture
def runs(site, tmp_path):
    """Runs in ``experiments`` by a letter each."""
    site.plugin("fake-metrics", METRICS)
    root = tmp_path / "experiments"
    day = "2026-11-0{}T12:00:00".format
    data = {"source": "t1d_uom", "fingerprint": "abc" + 61 * "0"}
    both = {"sources": {"brist1d": {}, "lynch": {}}, "fingerprint": "def" + 61 * "0"}
    made = {
        "a": finished(root, "naive", "one", {"err": 3.0}, {"err": 1.0, "rmse": 10.0}, created=day(1), data=data),
        "b": finished(root, "linear", "one", {"err": 1.0}, {"err": 3.0}, created=day(2), data=both, strategy="full"),
        "c": finished(root, "linear", "two", {"err": 2.0}, {"err": 2.0, "gain": 7.0}, created=day(3), data=both),
        "d": finished(root, "linear", "two", created=day(4), status="failed", data=data),
        "e": finished(root, "linear", "two", created=day(5)),
    }
    set_tags(made["b"], ["paper", "v2"])
    set_tags(made["c"], ["paper"])
    archive(made["e"])
    return made


FILTERS = {
    "": "bcda",
    "--archived": "bcdea",
    "--model naive": "a",
    "--model l*": "bcd",
    "--model nai": "",
    "--experiment two": "cd",
    "--experiment t*": "cd",
    "--strategy full": "b",
    "--data t1d_uom": "da",
    "--data lynch": "bc",
    "--data abc0": "da",
    "--data bc0": "",
    "--status completed": "bca",
    "--status failed": "d",
    "--status interrupted": "",
    "--since 2026-11-03": "cd",
    "--since 2026-11-03T12:00": "cd",
    "--since 2026-11-03T12:00:01": "d",
    "--tag paper": "bc",
    "--tag paper --tag v2": "b",
    "--model linear --data lynch --tag paper --since 2026-11-03 --status completed --experiment two": "c",
    "--sort created": "dcba",
    "--sort created --limit 2": "dc",
    "--sort model --limit 3": "bcd",
    "--sort status": "bcad",
    "--sort strategy": "bcda",
    "--sort data": "bcda",
    "--sort experiment": "bacd",
    "--sort err": "bcad",
    "--sort err --limit 1": "b",
    "--sort err_temporal_holdout": "acbd",
    "--limit 2": "cd",
    "--limit 0": "bcda",
}


def test_which_runs_are_listed_and_in_which_order(tsfm, runs):
    names = {str(run.path.relative_to(run.path.parents[3])): letter for letter, run in runs.items()}
    found = {}
    for arguments in FILTERS:
        done = tsfm("runs", "list", "--json", *(word.replace("err_t", "err t") for word in arguments.split()))
        assert (done.code, done.err) == (0, ""), arguments
        found[arguments] = "".join(names[row["run"]] for row in json.loads(done.out))
    assert found == FILTERS


def test_what_cannot_be_listed_is_refused(tsfm, runs):
    for arguments, said in (
        (["--status", "complete"], "no status is called 'complete'; did you mean 'completed'?"),
        (["--since", "yesterday"], "--since yesterday is no date; write 2026-11-22"),
        (["--sort", "er"], "no run has 'er' to sort by; the columns are created, model"),
        (["--json", "--csv"], "--json and --csv cannot be had together"),
    ):
        done = tsfm("runs", "list", *arguments)
        assert (done.code, done.out) == (1, "")
        assert said in done.err


def test_the_table_shows_a_number_of_each_test_set_and_what_it_is_sorted_by(tsfm, runs):
    plain = tsfm("runs", "list")
    head = plain.out.splitlines()[1].split()
    assert head == ["model", "experiment", "run", "strategy", "status", "protocol", "tags", "rmse", "temporal_holdout"]
    assert "paper, v2" in plain.out
    assert "validation" not in plain.out
    by = tsfm("runs", "list", "--metric", "gain", "--sort", "err", "--archived")
    assert by.out.splitlines()[1].split()[6:] == ["tags", "archived", "err", "validation", "gain", "temporal_holdout"]
    rows = json.loads(tsfm("runs", "list", "--metric", "gain", "--sort", "err", "--json").out)
    assert [row["err validation"] for row in rows] == [1.0, 2.0, 3.0, None]
    assert [row.get("gain temporal_holdout") for row in rows] == [None, 7.0, None, None]
    assert tsfm("runs", "list", "--model", "none").err == "no run below experiments is like that\n"


def test_a_long_table_shows_the_newest_and_says_so(tsfm, tmp_path):
    root = tmp_path / "experiments"
    for at in range(101):
        Run.create(root, "naive", f"e{at:03}", {"created": f"2026-01-01T00:{at // 60:02}:{at % 60:02}"}, {})
    done = tsfm("runs", "list")
    assert done.err == "100 of 101 runs, the newest; --limit 0 shows all\n"
    assert "e000" not in done.out
    assert "e100" in done.out
    assert len(json.loads(tsfm("runs", "list", "--json").out)) == 101


def test_the_sheet_has_these_columns_and_what_they_say(tsfm, runs, site):
    best = runs["b"].checkpoints / "step_1"
    best.mkdir(parents=True)
    (runs["b"].checkpoints / "best").symlink_to("step_1")
    environment = {"git": {"commit": "c0ffee", "dirty": False}, "gpus": ["A100", "A100"]}
    runs["b"].update(timings={"train": 5400.0}, environment=environment, device="auto")
    runs["c"].update(timings={"train": 0.0}, command="backtest", environment={"gpus": []})
    done = tsfm("runs", "list", "--csv")
    assert done.out.splitlines()[0] == COLUMNS
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["model_id"] for row in rows] == ["/".join(runs[letter].path.parts[-3:]) for letter in "bcda"]
    b, c = rows[:2]
    assert b | {"performance_metrics": ""} == {
        "model_id": "/".join(runs["b"].path.parts[-3:]),
        "model_type": "linear",
        "training_strategy": "full",
        "dataset": "brist1d+lynch",
        "timestamp": "2026-11-02T12:00:00",
        "artifact_path": str((runs["b"].checkpoints / "best").relative_to(runs["b"].path.parents[3])),
        "config_hash": hashlib.sha256(runs["b"].config_path.read_bytes()).hexdigest(),
        "git_commit": "c0ffee",
        "performance_metrics": "",
        "training_time_hours": "1.5",
        "gpu_config": "2 x A100",
    }
    assert json.loads(b["performance_metrics"]) == {"temporal_holdout": {"err": 3.0}, "validation": {"err": 1.0}}
    assert (c["artifact_path"], c["training_time_hours"], c["gpu_config"]) == ("", "", "cpu")
    assert tsfm("runs", "list", "--csv", "--model", "none").out == f"{COLUMNS}\n"


def test_a_note_and_tags_are_kept_in_the_run(tsfm, runs):
    run = runs["a"]
    assert tsfm("runs", "note", run.path, "  the good one ").code == 0
    assert tsfm("runs", "tag", run.path, "x", "y", "x").err == f"{run.path}: x, y\n"
    assert (run.facts["note"], run.facts["tags"], run.facts["status"]) == ("the good one", ["x", "y"], "completed")
    [row] = json.loads(tsfm("runs", "list", "--tag", "x", "--json").out)
    assert (row["note"], row["tags"]) == ("the good one", ["x", "y"])
    assert tsfm("runs", "tag", run.path, "x", "--remove").err == f"{run.path}: y\n"
    assert "has no tag x; it has y" in tsfm("runs", "tag", run.path, "x", "--remove").err
    assert "'a b' is no tag" in tsfm("runs", "tag", run.path, "a b").err
    assert tsfm("runs", "tag", run.path, "y", "--remove").code == tsfm("runs", "note", run.path, "").code == 0
    assert not {"note", "tags"} & set(run.facts)


def test_the_archive_hides_and_gives_back(tsfm, runs):
    run = runs["b"]
    assert tsfm("runs", "archive", run.path).err == f"archived: {run.path}\n"
    one = ("runs", "list", "--model", "linear", "--experiment", "one", "--json")
    assert json.loads(tsfm(*one).out) == []
    assert run.path.is_dir()
    assert tsfm("runs", "archive", run.path, "--undo").err == f"listed again: {run.path}\n"
    assert [row["archived"] for row in json.loads(tsfm(*one).out)] == [False]


def test_a_run_is_removed_after_a_question(tsfm, runs, monkeypatch):
    run = runs["a"]
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    kept = tsfm("runs", "delete", run.path)
    assert kept.code == 1
    assert f"Remove {run.path} and all that is in it?" in kept.err
    assert run.path.is_dir()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert tsfm("runs", "delete", run.path).code == 0
    assert not list(run.path.parent.glob("run_*"))
    assert tsfm("runs", "delete", runs["d"].path, "--yes").err == f"removed: {runs['d'].path}\n"
    assert len(json.loads(tsfm("runs", "list", "--json").out)) == 2


def test_a_run_that_runs_is_not_removed(tsfm, runs):
    run = Run.create(runs["a"].path.parents[2], "naive", "one", {}, {})
    for status in ("created", "running"):
        run.update(status=status)
        for force in ([], ["--force"]):
            refused = tsfm("runs", "delete", run.path, "--yes", *force)
            assert (refused.code, refused.err) == (1, f"tsfm: {run.path} is {status}; stop it first\n")
    run.update(owner=run.facts["owner"] | {"host": "elsewhere"})
    assert "is running on another machine" in tsfm("runs", "delete", run.path, "--yes").err
    assert run.path.is_dir()
    assert tsfm("runs", "delete", run.path, "--yes", "--force").code == 0
    gone = Run.create(runs["a"].path.parents[2], "naive", "one", {}, {})
    gone.update(status="running", owner=gone.facts["owner"] | {"started": "1"})
    assert tsfm("runs", "delete", gone.path, "--yes").code == 0
    assert not run.path.exists()
    assert not gone.path.exists()


def test_a_run_from_which_another_was_made_is_not_removed(tsfm, runs):
    parent, child = runs["b"], runs["a"]
    child.update(parent=str(parent.path.relative_to(parent.path.parents[3])))
    refused = tsfm("runs", "delete", parent.path, "--yes")
    assert refused.code == 1
    assert f"{'/'.join(child.path.parts[-3:])} was made from {parent.path}" in refused.err
    assert parent.path.is_dir()
    assert tsfm("runs", "delete", parent.path, "--yes", "--force").code == 0
    assert not parent.path.exists()


def test_what_is_no_run_is_not_removed(tsfm, runs, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "run.json").write_text('{"status": "completed"}')
    for name in (precious, "../precious", "naive/one/../../../precious"):
        assert tsfm("runs", "delete", name, "--yes", "--force").code == 1
    assert (precious / "run.json").exists()
    link = runs["a"].path.with_name("run_link")
    link.symlink_to(runs["a"].path.name)
    (tmp_path / "run_1").symlink_to(precious)
    assert tsfm("runs", "note", link, "by its link").code == 0
    assert runs["a"].facts["note"] == "by its link"
    assert tsfm("runs", "delete", tmp_path / "run_1", "--yes").code == 1
    assert (precious / "run.json").exists()


def test_an_unreadable_run_can_be_removed(tsfm, runs):
    runs["a"].facts_path.write_text("{")
    assert tsfm("runs", "delete", runs["a"].path, "--yes").code == 0
    assert not runs["a"].path.exists()


def test_a_removal_that_was_killed_is_finished_by_the_index(tsfm, runs):
    half = runs["a"].path.with_name(f".deleted-{runs['a'].path.name}-1")
    runs["a"].path.rename(half)
    assert len(json.loads(tsfm("runs", "list", "--json").out)) == 3
    (runs["d"].facts_path).write_text("{")
    done = tsfm("runs", "index")
    assert done.err == "4 runs: experiments/registry.db; 1 of them unreadable\n1 half-removed runs are gone now\n"
    assert not half.exists()
    assert "is no folder" in tsfm("runs", "index", "--root", "nowhere").err


def test_show_says_what_a_person_said(tsfm, config, tmp_path):
    done = tsfm("backtest", "naive", "--config", config, "--json")
    run = Run(tmp_path / json.loads(done.out)["run"])
    tsfm("runs", "note", run.path, "worth a look")
    tsfm("runs", "tag", run.path, "paper")
    assert tsfm("runs", "show", run.path).out.endswith("note: worth a look\ntags: paper\n")
    assert run.facts["environment"]["gpus"] == []


def test_the_gpus_are_those_that_torch_sees_where_it_is_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert environment("tsfm-core")["gpus"] == []
    assert "torch" not in sys.modules
    names = ["A100", "H100"]
    cuda = SimpleNamespace(is_available=lambda: True, device_count=lambda: 2, get_device_name=names.__getitem__)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, get_num_threads=lambda: 1))
    assert environment("tsfm-core")["gpus"] == names


def test_the_digest_of_windows_knows_no_chunks():
    truth = np.arange(24, dtype=np.float32).reshape(8, 3)
    truth[2, 1] = np.nan

    def tally(*parts, truth=truth):
        made = Tally()
        for part in parts:
            cutoff = np.datetime64("2024-01-01", "s") + np.arange(8) * np.timedelta64(300, "s")
            item = np.array(["p", "q"], object).repeat(4)
            rest = dict.fromkeys(("mean", "quantiles", "scale", "scale_squared", "context", "minute"))
            made.count(StoredChunk("validation", item[part], cutoff[part], truth[part], **rest))
        return made

    whole = tally(slice(8))
    assert whole.digest == tally(slice(3), slice(3, 8)).digest
    assert whole.digest not in {tally(slice(7)).digest, tally(slice(8), truth=truth + 1).digest}
    # of several runs, in any order
    one, two = tally(slice(3)), tally(slice(3))
    for joined, others in ((one, (slice(5), slice(6))), (two, (slice(6), slice(5)))):
        for other in others:
            joined.join(tally(other))
    assert one.digest == two.digest != tally(slice(3)).digest
