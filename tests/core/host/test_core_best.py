"""The best run: by validation, on the same windows, and the link that follows it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from runkit import METRICS, finished

from tsfm_core.annotate import archive, delete
from tsfm_core.run import Run, list_runs


@pytest.fixture
def root(site, tmp_path):
    """A folder of experiments, and metrics of every direction."""
    site.plugin("fake-metrics", METRICS)
    return tmp_path / "experiments"


def link(root, experiment="naive/one"):
    """Return the run that ``best_run`` leads to, None where it is not there."""
    best = root / experiment / "best_run"
    return best.resolve() if best.is_symlink() else None


def chosen(tsfm, root, *arguments):
    """Return what ``tsfm runs best`` says."""
    done = tsfm("runs", "best", *arguments, "--root", root, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_a_test_set_never_chooses(tsfm, root):
    worse = finished(root, validation={"err": 3.0}, test={"err": 0.1})
    better = finished(root, validation={"err": 2.0}, test={"err": 9.0})
    found = chosen(tsfm, root)
    assert found["run"] == str(better.path)
    assert (found["metric"], found["direction"], found["validation"]) == ("err", "lower", 2.0)
    assert found["among"] == [str(worse.path), str(better.path)]
    assert link(root) == better.path
    only_tested = finished(root, test={"err": 0.0})
    assert chosen(tsfm, root)["left_out"] == {"without validation scores": 1}
    assert link(root) == better.path != only_tested.path


def test_of_equals_the_oldest_is_the_best(tsfm, root):
    first = finished(root, validation={"err": 2.0}, created="2024-01-01T00:00:00")
    finished(root, validation={"err": 2.0}, created="2024-01-02T00:00:00")
    assert link(root) == first.path


def test_the_direction_is_the_metrics(tsfm, root):
    high = finished(root, validation={"gain": 0.9, "err": 5.0, "zone": 1.0})
    low = finished(root, validation={"gain": 0.1, "err": 4.0, "zone": 2.0})
    assert link(root) == high.path
    assert chosen(tsfm, root)["metric"] == "gain"
    assert chosen(tsfm, root, "--metric", "err")["run"] == str(low.path)
    for number, said in (("zone", "neither when lower nor when higher"), ("er", "did you mean 'err'?")):
        refused = tsfm("runs", "best", "--metric", number, "--root", root)
        assert (refused.code, refused.out) == (1, "")
        assert said in refused.err
    assert "without a validation score err_x" in tsfm("runs", "best", "--metric", "err_x", "--root", root).err


@pytest.mark.parametrize("other", [{"windows": "easy"}, {"protocol_digest": "other"}])
def test_an_easier_validation_set_wins_nothing(tsfm, root, other):
    finished(root, validation={"err": 0.01}, created="2024-01-01T00:00:00", **other)
    bad = finished(root, validation={"err": 8.0}, created="2024-01-02T00:00:00")
    good = finished(root, validation={"err": 7.0}, created="2024-01-03T00:00:00")
    found = chosen(tsfm, root)
    assert (found["run"], found["among"]) == (str(good.path), [str(bad.path), str(good.path)])
    assert found["left_out"] == {"validated or tested on other windows than the newest": 1}
    assert link(root) == good.path
    done = tsfm("runs", "best", "--root", root)
    assert done.out == f"{good.path}\n"
    assert "chosen by err on validation (7, lower is better) among 2 runs" in done.err
    assert "not considered: 1 validated or tested on other windows" in done.err


def test_who_cannot_be_chosen(tsfm, root):
    usual = finished(root, validation={"err": 5.0})
    finished(root, validation={"err": 1.0}, status="failed")
    finished(root, validation={"err": 1.0}, command="backtest", parent=str(usual.path))
    finished(root, validation={"err": 1.0}, windows="")
    finished(root, validation={"err": None})
    archive(finished(root, validation={"err": 1.0}))
    found = chosen(tsfm, root)
    assert found["run"] == str(usual.path)
    assert found["left_out"] == {
        "not completed": 1,
        "of another run's model": 1,
        "without a record of the validation windows": 1,
        "without a validation score err": 1,
        "archived": 1,
    }
    assert link(root) == usual.path


def test_the_link_follows_what_becomes_of_the_runs(root):
    good, better, best = (finished(root, validation={"err": error}) for error in (3.0, 2.0, 1.0))
    assert link(root) == best.path
    archive(best)
    assert link(root) == better.path
    delete(better)
    assert link(root) == good.path
    archive(best, undo=True)
    assert link(root) == best.path
    delete(best)
    delete(good)
    assert link(root) is None
    assert [path.name for path in (root / "naive" / "one").iterdir()] == []


def test_the_index_made_again_moves_the_link(tsfm, root):
    good, better = (finished(root, validation={"err": error}) for error in (3.0, 2.0))
    shutil.rmtree(better.path)
    assert tsfm("runs", "index", "--root", root).code == 0
    assert link(root) == good.path


def test_what_is_no_link_stays(root):
    run = finished(root)
    for make in (lambda path: path.mkdir(), lambda path: path.write_text("mine")):
        best = run.path.with_name("best_run")
        make(best)
        finished(root, validation={"err": 1.0})
        assert not best.is_symlink()
        assert best.exists()
        best.rmdir() if best.is_dir() else best.unlink()


def test_a_model_and_an_experiment_narrow_the_choice(tsfm, root):
    naive = finished(root, "naive", "one", {"err": 1.0})
    linear = finished(root, "linear", "two", {"err": 2.0})
    assert chosen(tsfm, root)["run"] == str(naive.path)
    assert chosen(tsfm, root, "lin*")["run"] == chosen(tsfm, root, "linear", "two")["run"] == str(linear.path)
    refused = tsfm("runs", "best", "linear", "one", "--root", root)
    assert (refused.code, refused.out) == (1, "")
    assert f"no such run below {root} has validation scores" in refused.err


def test_the_link_names_a_run_and_leads_nowhere_else(tsfm, root, tmp_path):
    run = finished(root, validation={"err": 1.0})
    best = run.path.with_name("best_run")
    for name in (best, "naive/one/best_run"):
        assert tsfm("runs", "note", name, "by its link", "--root", root).code == 0
    assert Run(run.path).facts["note"] == "by its link"
    assert [entry.path for entry in list_runs(root)] == [run.path]
    outside = finished(tmp_path / "elsewhere")
    best.unlink()
    best.symlink_to(outside.path)
    refused = tsfm("runs", "delete", best, "--yes", "--root", root)
    assert refused.code == 1
    assert "out of its folder" in refused.err
    assert outside.path.is_dir()


def test_runs_of_the_pipeline_say_on_which_windows_they_were_validated(tsfm, site, settings, config):
    site.metric("fake-size", "size")
    settings["evaluation"]["metrics"] = ["size"]
    digests = {}
    for name, model, split in (("a", "naive", 0.1), ("b", "linear", 0.1), ("c", "naive", 0.2)):
        settings["split"]["validation"] = split
        config.write_text(yaml.safe_dump(settings))
        done = tsfm("train" if model == "linear" else "backtest", model, "--config", config, "--json")
        assert done.code == 0, done.err
        sets = json.loads(done.out)["sets"]
        digests[name] = {part: one["digest"] for part, one in sets.items()}
    assert digests["a"] == digests["b"]
    assert digests["a"]["validation"] != digests["c"]["validation"]
    assert digests["a"]["temporal_holdout"] == digests["c"]["temporal_holdout"]
    assert len(set(digests["a"].values())) == 3
    [linear, *naive] = list_runs(Path(settings["output"]["root"]))
    assert linear.path.with_name("best_run").resolve() == linear.path
    assert naive[0].path.with_name("best_run").resolve() == naive[1].path  # the newest: the first had other windows
