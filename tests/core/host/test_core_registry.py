"""The index of all runs: many writers, killed ones, damage, and what happens to runs behind its back."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from runkit import METRICS, finished

from tsfm_core import registry as registry_module
from tsfm_core.annotate import archive, set_note, set_tags
from tsfm_core.catalogue import find_entries, reindex
from tsfm_core.registry import REGISTRY, Entry, Query, Registry
from tsfm_core.run import Run, list_runs, stamp_of

WRITER = """
import sys
from pathlib import Path

sys.path[:0] = sys.argv[3:]
from runkit import finished

root, own = Path(sys.argv[1]), int(sys.argv[2])
for at in range(25):
    finished(root, validation={"err": 1000.0 - (own * 25 + at)}, number=own * 25 + at)
"""

KILLED = """
import os, signal, sys
from pathlib import Path
from tsfm_core.registry import Entry, Registry

registry = Registry(Path(sys.argv[1]))
with registry.changing():
    # more than the pages that are kept in memory: half of it is in the file when the process dies
    registry._db.execute("PRAGMA cache_size = 5")
    facts = {"note": "x" * 200}
    registry.put(Entry(f"naive/one/run_{at}", "-", "naive", "one", "completed", facts=facts) for at in range(3000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def held(root: Path) -> dict[str, Entry]:
    """Return what the file itself holds; nothing is looked up on disk."""
    registry = Registry(root / REGISTRY)
    entries = registry.select(Query(), None)
    registry.close()
    return {entry.path: entry for entry in entries}


def listed(root: Path) -> dict[str, str]:
    """Return the status of every run that a listing shows."""
    return {entry.path: entry.status for entry in find_entries(root, Query())}


def key(run: Run) -> str:
    return "/".join(run.path.parts[-3:])


@contextmanager
def unprivileged():
    """Act as somebody whom a folder's mode binds."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_eight_processes_with_200_runs_lose_none_and_corrupt_nothing(site, tmp_path):
    site.plugin("fake-metrics", METRICS)
    root = tmp_path / "experiments"
    support = str(Path(__file__).parents[2] / "support")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(root), str(own), support], stderr=subprocess.PIPE)
        for own in range(8)
    ]
    errors = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 8, errors
    runs = list(list_runs(root))
    assert sorted(run.facts["number"] for run in runs) == list(range(200))
    assert all(run.facts["status"] == "completed" for run in runs)
    # by the writers alone: no listing has healed it
    entries = held(root)
    assert {path: entry.stamp for path, entry in entries.items()} == {key(run): stamp_of(str(run.path)) for run in runs}
    assert all(entry.status == "completed" and len(entry.scores["err"]) == 1 for entry in entries.values())
    assert (root / "naive/one/best_run").resolve() == next(run for run in runs if run.facts["number"] == 199).path
    assert {path.name for path in root.iterdir()} == {REGISTRY, "naive"}
    with sqlite3.connect(root / REGISTRY) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_an_index_that_is_made_again_equals_the_one_that_grew(tmp_path):
    one = finished(tmp_path, validation={"err": 1.0, "odd": None}, test={"err": 2.0}, data={"source": "csv"})
    set_note(one, "the good one")
    set_tags(one, ["paper", "v2"])
    other = finished(tmp_path, "linear", "two", data={"sources": {"a": {}, "b": {}}, "fingerprint": "f" * 64})
    archive(other)
    Run.create(tmp_path, "linear", "two", {}, {})
    grown = held(tmp_path)
    assert len(grown) == 3
    assert grown[key(one)].scores == {"err": {"validation": 1.0, "temporal_holdout": 2.0}}
    assert (grown[key(one)].tags, grown[key(one)].facts["note"]) == (("paper", "v2"), "the good one")
    assert (grown[key(other)].sources, grown[key(other)].archived) == (("a", "b"), True)
    reindex(tmp_path)
    assert held(tmp_path) == grown
    (tmp_path / REGISTRY).unlink()
    find_entries(tmp_path, Query())
    assert held(tmp_path) == grown


def test_a_writer_that_is_killed_leaves_the_index_as_it_was(tmp_path):
    run = finished(tmp_path)
    before = held(tmp_path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / REGISTRY)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / f"{REGISTRY}-journal").exists()
    assert held(tmp_path) == before
    other = finished(tmp_path)
    assert listed(tmp_path) == {key(run): "completed", key(other): "completed"}


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _scribbled(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4096:] = os.urandom(len(whole) - 4096)
    path.write_bytes(whole)


def _with(script: str):
    def change(path: Path) -> None:
        database = sqlite3.connect(path)
        database.executescript(script)
        database.close()

    return change


DAMAGE = {
    "no database": lambda path: path.write_bytes(b"nothing of ours" * 999),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": _truncated,
    "scribbled over": _scribbled,
    "of an older layout": _with("DROP TABLE scores; ALTER TABLE runs DROP COLUMN tags; PRAGMA user_version = 0"),
    "of a later layout": _with("CREATE TABLE more (x); PRAGMA user_version = 99"),
    "without a table": _with("DROP TABLE scores"),
    "broken JSON": _with("UPDATE runs SET facts = '{'"),
    "rows of no run": _with("UPDATE runs SET path = '../../etc/run_' || id, stamp = 'x'"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_or_older_index_is_made_again_without_a_word(tsfm, tmp_path, damage):
    root = tmp_path / "experiments"
    run = finished(root, test={"rmse": 3.0})
    before = held(root)
    DAMAGE[damage](root / REGISTRY)
    run.update(seed=1)  # a training goes on whatever the index is like
    (root / REGISTRY).unlink()
    find_entries(root, Query())
    DAMAGE[damage](root / REGISTRY)
    done = tsfm("runs", "list")
    assert (done.code, done.err) == (0, "")
    assert run.path.name in done.out
    assert "3" in done.out
    after = held(root)
    assert list(after) == list(before) == [key(run)]
    assert after[key(run)].scores == before[key(run)].scores


def test_a_registry_that_cannot_be_had_is_done_without(tsfm, tmp_path):
    root = tmp_path / "experiments"
    (root / REGISTRY).mkdir(parents=True)
    run = finished(root)
    assert run.facts["status"] == "completed"
    assert f"registry: {REGISTRY} was not written" in (run.path / "logs" / "log.txt").read_text()
    done = tsfm("runs", "list")
    assert (done.code, done.err) == (0, "")
    assert run.path.name in done.out
    refused = tsfm("runs", "index")
    assert refused.code == 1
    assert "registry.db cannot be written" in refused.err


def test_a_lock_that_is_held_too_long_stops_no_run(tmp_path, monkeypatch):
    monkeypatch.setattr(registry_module, "_PATIENCE", 0.05)
    run = finished(tmp_path)
    holder = sqlite3.connect(tmp_path / REGISTRY, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    run.update(seed=5)
    assert run.facts["seed"] == 5
    assert "database is locked" in (run.path / "logs" / "log.txt").read_text()
    later = finished(tmp_path)
    assert listed(tmp_path) == {key(run): "completed", key(later): "completed"}
    holder.execute("ROLLBACK")
    holder.close()
    assert list(held(tmp_path)) == [key(run)]
    assert listed(tmp_path) == {key(run): "completed", key(later): "completed"}
    assert sorted(held(tmp_path)) == sorted([key(run), key(later)])


@pytest.mark.parametrize("indexed", [True, False])
def test_a_folder_that_is_read_only_is_listed(indexed):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "experiments"
        runs = [finished(root) for _ in range(3)]
        runs[1].update(status="failed")
        shutil.rmtree(runs[2].path)
        if not indexed:
            (root / REGISTRY).unlink()
        Path(folder).chmod(0o755)
        root.chmod(0o555)
        files = sorted(root.iterdir())
        with unprivileged():
            found = listed(root)
        assert found == {key(runs[0]): "completed", key(runs[1]): "failed"}
        assert sorted(root.iterdir()) == files
        root.chmod(0o755)


def test_what_is_done_by_hand_is_found_by_the_next_listing(tmp_path):
    root = tmp_path / "experiments"
    gone, moved, edited = finished(root), finished(root), finished(root)
    shutil.rmtree(gone.path)
    to = root / "naive" / "elsewhere" / moved.path.name
    to.parent.mkdir()
    moved.path.rename(to)
    text = edited.facts_path.read_text()
    edited.facts_path.write_text(text.replace("completed", "failed   "))
    shutil.copytree(to, root / "linear" / "copied" / "run_by_hand")
    (root / "naive" / "one" / "run_not").mkdir()
    (root / "naive" / "one" / ".run_hidden").mkdir()
    assert set(find_paths(root)) == {key(Run(to)), "linear/copied/run_by_hand", key(edited)}
    assert listed(root)[key(edited)] != "completed"


def find_paths(root: Path) -> list[str]:
    return [entry.path for entry in find_entries(root, Query())]


def test_a_link_to_a_run_is_no_run_and_an_experiment_may_lie_on_another_disk(tmp_path):
    root, disk = tmp_path / "experiments", tmp_path / "disk"
    run = finished(root)
    outside = finished(tmp_path / "other")
    (run.path.parent / "run_alias").symlink_to(run.path.name)
    (run.path.parent / "run_outside").symlink_to(outside.path)
    disk.mkdir()
    (root / "linear").symlink_to(disk)
    there = finished(root, "linear", "two")
    assert find_paths(root) == sorted([key(run), key(there)])


def test_a_copy_elsewhere_makes_no_index_there(tsfm, tmp_path):
    run = finished(tmp_path / "experiments")
    copied = tmp_path / "a" / "b" / "c" / "copied"
    shutil.copytree(run.path, copied)
    assert tsfm("runs", "note", copied, "mine").code == 0
    assert Run(copied).facts["note"] == "mine"
    assert tsfm("runs", "list", "--root", tmp_path / "a").code == 0
    assert not list((tmp_path / "a").rglob("*.db"))


def test_no_change_of_run_json_is_lost(tmp_path):
    run = finished(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        tags = [threads.submit(set_tags, run, [f"t{at}"]) for at in range(24)]
        facts = [threads.submit(run.update, **{f"fact{at}": at}) for at in range(24)]
        for one in (*tags, *facts):
            one.result()
    assert set(run.facts["tags"]) == {f"t{at}" for at in range(24)}
    assert {name for name in run.facts if name.startswith("fact")} == {f"fact{at}" for at in range(24)}
    assert set(held(tmp_path)[key(run)].tags) == {f"t{at}" for at in range(24)}


def test_odd_contents_of_run_json_are_shown_as_unreadable(tsfm, tmp_path):
    root = tmp_path / "experiments"
    texts = [
        "",
        "{",
        "[]",
        '{"status": 3}',
        '{"status": "completed", "data": [1]}',
        "\x00",
        '{"status": "completed", "tags": 1}',
    ]
    for text in texts:
        finished(root).facts_path.write_text(text)
    odd = finished(root, note="half \ud83d a character", strategy="\ud83d", owner="me")
    statuses = listed(root)
    assert statuses.pop(key(odd)) == "completed"
    assert list(statuses.values()) == ["unreadable"] * len(texts)
    assert tsfm("runs", "list").code == 0
