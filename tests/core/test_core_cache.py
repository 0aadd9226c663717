"""Prepared panels: built once for what is the same, anew for what is not, whole or not at all, and mapped."""

import hashlib
import importlib
import json
import mmap
import os
import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import tsfm_core
from tsfm_core.config.resolve import read_config
from tsfm_core.data import cache
from tsfm_core.data.panel import Panel
from tsfm_core.data.saved import open_saved
from tsfm_core.errors import DataError
from tsfm_core.opening import open_panel

CLINIC = """
import os, signal

from tsfm_core import read_csv

CALLS = []

def read(source):
    CALLS.append(source.path)
    for batch in read_csv(source.path / "glucose.csv", source.columns):
        yield batch.slice(0, 50)
        if "raises" in CALLS:
            raise RuntimeError("the disk is gone")
        if "CLINIC_DIES" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch.slice(50)

@hookimpl
def datasets():
    return [Dataset("clinic", "a clinic", "MIT", read, version=VERSION)]
"""
TASK = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}
CHANGED = "changed since the source was last read: "


class Clinic:
    """A folder of data, the package that reads it, and how often it did."""

    def __init__(self, site, folder):
        self.site, self.folder = site, folder
        self.config = {"task": TASK, "data": {"source": "clinic", "path": str(folder)}}
        self.install("1")

    def install(self, version):
        self.site.plugin("fake-clinic", f"VERSION = {version!r}\n" + CLINIC)

    @property
    def calls(self):
        return importlib.import_module("fake_clinic").CALLS

    def open(self, *settings):
        config = read_config(self.config, settings).config
        return open_panel(config.data, config.task)

    def changed(self):
        return [note["what"] for note in self.open()[1].notes if CHANGED in note["what"]]


@pytest.fixture
def clinic(site, readings, tmp_path, monkeypatch):
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "archive"
    folder.mkdir()
    readings(("a", "b"), n=100).assign(steps=range(200)).to_csv(folder / "glucose.csv", index=False)
    (folder / "about.txt").write_text("two people")
    return Clinic(site, folder)


def panels():
    return sorted(path.name for path in (cache.location() / "panels").iterdir())


@pytest.mark.parametrize(
    "setting",
    [
        "data.max_gap=2h", "data.min_observed=0.5", "data.min_context=3", "data.stride=7", "task.context_length=24",
        "task.prediction_length=3", "task.quantile_levels=[0.1, 0.9]", "data.timestamp_format=null", "seed=3",
    ],
)  # fmt: skip
def test_a_source_is_read_once_for_all_windows(clinic, setting):
    panel, quality = clinic.open()
    again, report = clinic.open(setting)
    assert len(clinic.calls) == 1
    assert (again.folder, again.fingerprint, report) == (panel.folder, panel.fingerprint, quality)
    assert again.provenance == panel.provenance
    assert panels() == [panel.folder.name]


@pytest.mark.parametrize(
    "setting",
    [
        "data.items=[a]", "data.exclude=[b]", "data.start={a: 2024-01-01T01:00}", "data.unit=mmol/L",
        "data.valid_range=[0, 1000]", "data.unsorted=sort", "data.off_grid=floor", "data.off_grid=round",
        "data.duplicates=median", "data.mixed_freq=keep", "data.shared_rows=keep", "data.suspect_unit=keep",
        "data.imputation=parity", "data.features=parity", "data.columns.target=steps", "task.unit=custom:x",
        "task.freq=1min", "task.past_covariates=[steps]", "task.known_covariates=[steps]",
    ],
)  # fmt: skip
def test_a_source_that_is_read_otherwise_is_another_panel(clinic, setting):
    panel, _ = clinic.open()
    other, _ = clinic.open(setting)
    assert other.folder != panel.folder
    assert len(clinic.calls) == 2
    clinic.open(setting)
    assert clinic.open()[0].folder == panel.folder
    assert len(clinic.calls) == 2


def test_other_contents_another_reader_and_another_folder_are_another_panel(clinic, tmp_path):
    first, _ = clinic.open()
    path = clinic.folder / "glucose.csv"
    text = path.read_text()
    path.write_text(text.replace(",0\n", ",3\n", 1))
    second, _ = clinic.open()
    (clinic.folder / "about.txt").write_text("two persons")  # whatever lies in the folder may matter to its reader
    third, _ = clinic.open()
    clinic.site.remove("fake-clinic")
    clinic.install("1.1")
    fourth, _ = clinic.open()
    assert (len(clinic.calls), fourth.provenance["reader"]) == (1, "1.1")  # of a module of its own
    shutil.copytree(clinic.folder, tmp_path / "copy")
    clinic.config["data"]["path"] = str(tmp_path / "copy")
    fifth, _ = clinic.open()
    made = [first, second, third, fourth, fifth]
    assert len({panel.folder for panel in made}) == 5
    assert len(clinic.calls) == 2
    # the folder's own name may be an item's id; where it lies may not
    (tmp_path / "moved").mkdir()
    shutil.copytree(tmp_path / "copy", tmp_path / "moved" / "copy")
    clinic.config["data"]["path"] = str(tmp_path / "moved" / "copy")
    sixth, _ = clinic.open()
    assert len(clinic.calls) == 2
    assert sixth.folder == fifth.folder
    assert sixth.provenance["path"] == str(tmp_path / "moved" / "copy")
    assert len(panels()) == 5
    path.write_text(text)
    (clinic.folder / "about.txt").write_text("two people")
    clinic.site.remove("fake-clinic")
    clinic.install("1")
    clinic.config["data"]["path"] = str(clinic.folder)
    assert clinic.open()[0].folder == first.folder  # what was there before is there again
    assert clinic.calls == []


def test_a_touched_file_is_the_same_and_an_untouched_one_is_not_read_again(clinic, monkeypatch):
    clinic.open()
    hashed = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, kind: hashed.append(Path(file.name).name) or digest(file, kind)
    )
    clinic.open()
    assert hashed == []
    path = clinic.folder / "glucose.csv"
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))
    _, quality = clinic.open()
    path.write_bytes(path.read_bytes())
    shutil.copy(path, other := path.with_suffix(".new"))
    other.rename(path)
    _, again = clinic.open()
    assert hashed == ["glucose.csv", "glucose.csv"]
    assert len(clinic.calls) == 1
    assert quality.notes == again.notes == []


def test_a_damaged_memory_of_files_is_forgotten(clinic):
    panel, _ = clinic.open()
    for text in ("", "[]", "{", '{"glucose.csv": 3}', '{"glucose.csv": [1, 2]}'):
        [memo] = (cache.location() / "sources").iterdir()
        memo.write_text(text)
        again, quality = clinic.open()
        assert (again.folder, quality.notes) == (panel.folder, [])
    assert len(clinic.calls) == 1


def test_files_that_changed_are_named_once(clinic):
    assert clinic.changed() == []
    with (clinic.folder / "glucose.csv").open("a") as file:
        file.write("a,2024-01-01T08:20:00,100,1\n")
    (clinic.folder / "more").mkdir()
    (clinic.folder / "more" / "about.txt").write_text("three")
    (clinic.folder / "about.txt").unlink()
    assert clinic.changed() == [f"{CHANGED}about.txt, glucose.csv, more/about.txt"]
    assert clinic.changed() == []


def test_a_folder_is_the_same_source_with_one_file_and_with_two(clinic):
    (clinic.folder / "about.txt").unlink()
    assert clinic.changed() == []
    (clinic.folder / "about.txt").write_text("two people")
    assert clinic.changed() == [f"{CHANGED}about.txt"]
    (clinic.folder / "about.txt").unlink()
    assert clinic.changed() == [f"{CHANGED}about.txt"]
    # and one of its files another source than the folder
    clinic.config["data"] = {"source": "csv", "path": str(clinic.folder / "glucose.csv")}
    assert clinic.changed() == []


def test_files_of_one_name_in_two_places_are_two(tmp_path):
    files = [tmp_path / name / "rows.csv" for name in ("one", "two")]
    for file in files:
        file.parent.mkdir()
        file.write_text(file.parent.name)
    found = cache.hash_files("two places", tmp_path, files[0].parent, files)
    by_hand = [hashlib.sha256(name.encode()).hexdigest() for name in ("one", "two")]
    assert found.digests == {"rows.csv": by_hand[0], str(files[1]): by_hand[1]}


RUN = ["split.temporal_holdout=0.3", "evaluation.metrics=[]", "evaluation.baselines=[]"]


def backtested(model, config):
    """Backtest; return what the run says of its files, and its report."""
    run = tsfm_core.backtest(str(model), config, RUN)
    lines = [line for line in run.results_path.read_text().splitlines() if "changed" in line]
    return run.path, run.facts["data"]["changed_since_parent"], lines


def test_a_run_says_which_files_changed_since_its_model_was_made(clinic):
    parent, files, lines = backtested("naive", clinic.config)
    assert (files, lines) == ([], [])
    assert backtested(parent, clinic.config)[1:] == ([], [])
    with (clinic.folder / "glucose.csv").open("a") as file:
        file.write("a,2024-01-01T08:20:00,100,1\n")
    (clinic.folder / "more.txt").write_text("more")
    expected = ["glucose.csv", "more.txt"]
    for _ in range(2):  # it is not a matter of what was read last
        _, files, lines = backtested(parent, clinic.config)
        assert files == expected
        assert lines == [f"files that changed since {parent}: glucose.csv, more.txt"]
    path, files, lines = backtested(parent, None)  # its own configuration
    assert files == expected
    assert backtested(path, None)[1:] == ([], [])


def test_another_source_is_no_changed_one(clinic, readings, tmp_path):
    for seed, name in enumerate(("one", "two")):
        readings(n=100, seed=seed).to_csv(f"{name}.csv", index=False)
    config = {"task": TASK, "data": {"source": "csv", "path": "one.csv"}}
    parent, *_ = backtested("naive", config)
    config["data"]["path"] = "two.csv"
    assert backtested(parent, config)[1:] == ([], [])
    assert backtested(parent, clinic.config)[1:] == ([], [])
    Path("two.csv").rename("one.csv")
    config["data"]["path"] = str(tmp_path / "one.csv")
    assert backtested(parent, config)[1] == ["one.csv"]


def test_of_several_sources_the_files_that_changed_are_named_by_source(clinic, readings):
    readings(n=100, seed=5).to_csv("two.csv", index=False)
    config = {
        "task": TASK,
        "data": {"sources": [clinic.config["data"], {"name": "mine", "source": "csv", "path": "two.csv"}]},
    }
    parent, files, _ = backtested("naive", config)
    assert files == []
    assert backtested(parent, config)[1] == []
    readings(n=100, seed=6).to_csv("two.csv", index=False)
    path, files, lines = backtested(parent, config)
    assert files == ["mine:two.csv"]
    assert lines == [f"files that changed since {parent}: mine:two.csv"]
    said = [note for note in tsfm_core.load_run(path).facts["data"]["notes"] if CHANGED in note["what"]]
    assert said == [{"item_id": "mine:", "what": f"{CHANGED}two.csv", "rows": 0}]
    (clinic.folder / "about.txt").unlink()
    path, files, _ = backtested(parent, config)
    assert files == ["clinic:about.txt", "mine:two.csv"]
    # since the run that was made; what was read last is another matter
    said = [note["what"] for note in tsfm_core.load_run(path).facts["data"]["notes"] if CHANGED in note["what"]]
    assert said == [f"{CHANGED}about.txt"]


def test_a_build_that_fails_leaves_nothing(clinic):
    clinic.calls.append("raises")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the disk is gone"):
            clinic.open()
        assert panels() == []
        assert cache.prepared() == []
    clinic.calls.remove("raises")
    panel, _ = clinic.open()
    assert panels() == [panel.folder.name]
    assert sorted(file.name for file in panel.folder.iterdir()) == ["channel_0.npy", "items.arrow", "key.json"]


def test_what_a_killed_build_leaves_is_never_opened_and_goes_with_clear(clinic, monkeypatch):
    code = "import sys, tsfm_core; tsfm_core.backtest('naive', sys.argv[1])"
    Path("c.yaml").write_text(
        yaml.safe_dump(
            clinic.config | {"split": {"temporal_holdout": 0.3}, "evaluation": {"metrics": [], "baselines": []}}
        )
    )
    env = os.environ | {"CLINIC_DIES": "yes"}
    killed = subprocess.run([sys.executable, "-c", code, "c.yaml"], env=env, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    [left] = panels()
    assert left.startswith(".building-")
    assert cache.prepared() == []
    panel, _ = clinic.open()
    assert len(clinic.calls) == 1
    # nor is one that was whole but for its name
    shutil.copytree(panel.folder, panel.folder.with_name(".building-whole"))
    assert [row["key"] for row in cache.prepared()] == [panel.folder.name]
    count, size = cache.clear()
    assert panels() == []
    assert count == 3
    assert size >= 0
    clinic.open()
    assert len(clinic.calls) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "channel_0.npy", 400),
        lambda folder: os.truncate(folder / "channel_0.npy", 60),
        lambda folder: os.truncate(folder / "channel_0.npy", 0),
        lambda folder: (folder / "channel_0.npy").unlink(),
        lambda folder: np.save(folder / "channel_0.npy", np.zeros(200)),
        lambda folder: np.save(folder / "channel_0.npy", np.zeros(199, np.float32)),
        lambda folder: np.save(folder / "channel_0.npy", np.array([{}] * 200), allow_pickle=True),
        lambda folder: os.truncate(folder / "items.arrow", 500),
        lambda folder: (folder / "items.arrow").write_bytes(b"ARROW1"),
    ],
    ids=["half", "header", "empty", "gone", "doubles", "short", "pickle", "items", "no items"],
)
def test_a_damaged_panel_is_refused_with_the_way_out(clinic, damage, tsfm):
    panel, _ = clinic.open()
    damage(panel.folder)
    with pytest.raises(DataError) as refused:
        clinic.open()
    assert refused.value.message.startswith(f"{panel.folder} holds no whole panel: ")
    assert refused.value.hint == "tsfm data clear removes what is prepared"
    assert len(clinic.calls) == 1
    other, _ = clinic.open("data.items=[a]")
    assert tsfm("data", "show", other.folder.name).code == 0  # of the others each can be used
    assert tsfm("data", "clear", panel.folder.name).code == 0
    assert clinic.open()[0].fingerprint == panel.fingerprint
    assert open_saved(other.folder).fingerprint == other.fingerprint


def test_a_cache_that_cannot_be_written_is_refused(clinic, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="the cache .*file cannot be written: .*; set TSFM_CACHE to a folder"):
        clinic.open()


def test_the_commands_prepare_list_show_and_clear(clinic, tsfm):
    Path("c.yaml").write_text(yaml.safe_dump({"task": TASK | {"past_covariates": ["steps"]}}))
    prepare = ("data", "prepare", "clinic", "--path", clinic.folder, "--config", "c.yaml")
    answer = tsfm(*prepare, "--json")
    assert answer.code == 0
    made = json.loads(answer.out)
    assert Path(made["folder"]) == cache.location() / "panels" / made["key"]
    assert made["channels"] == ["glucose", "steps"]
    assert [item["readings"] for item in made["items"]] == [100, 100]
    assert (made["source"], made["path"], made["reader"], made["problems"]) == ("clinic", str(clinic.folder), "1", [])
    again = tsfm(*prepare)
    assert (again.code, len(clinic.calls)) == (0, 1)
    assert f"200 rows of 2 items in 0.0 s: {made['key']}\n{made['folder']}\n" in again.out
    with (clinic.folder / "glucose.csv").open("a") as file:
        file.write("b,2024-01-01T08:23:00,100,1\n")
    refused = tsfm(*prepare, "--json")
    assert refused.code == 1  # prepared all the same, so that one can look at it
    other = json.loads(refused.out)
    assert [one["problem"] for one in other["problems"]] == ["1 rows have stamps off the 5min grid: b (1)"]
    listed = json.loads(tsfm("data", "list", "--prepared", "--json").out)
    assert {row["key"] for row in listed} == {made["key"], other["key"]}
    [row] = [row for row in listed if row["key"] == made["key"]]
    assert (row["source"], row["path"], row["items"], row["rows"]) == ("clinic", str(clinic.folder), 2, 200)
    assert (row["channels"], row["fingerprint"]) == (["glucose", "steps"], made["fingerprint"])
    table = tsfm("data", "list", "--prepared").out
    assert all(text in table for text in (made["key"], other["key"], "clinic", "200"))
    shown = json.loads(tsfm("data", "show", made["key"][:10], "--json").out)
    for key in ("fingerprint", "items", "channels", "unit", "freq", "clock", "notes", "folder", "reader"):
        assert shown[key] == made[key]
    text = tsfm("data", "show", made["key"])
    assert text.code == 0
    assert f"source: clinic\npath: {clinic.folder}\nunit: mg/dL\nfreq: 5min\n" in text.out
    for key, count in (("zzz", 0), ("", 2)):
        wrong = tsfm("data", "show", key)
        assert (wrong.code, wrong.out) == (1, "")
        assert f"tsfm: {count} prepared panels have a key that begins with {key!r}; there are " in wrong.err
    assert "removed 1 prepared panels, 0.0 MB" in tsfm("data", "clear", made["key"][:10]).out
    assert panels() == [other["key"]]
    assert "removed 1 prepared panels" in tsfm("data", "clear").out
    assert panels() == []
    assert json.loads(tsfm("data", "list", "--prepared", "--json").out) == []
    assert "removed 0 prepared panels, 0.0 MB" in tsfm("data", "clear").out


def mapped_by(array):
    """Return the map that an array lies in, or None."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array


def resident(path):
    """Return how many kB of a file's map this process has touched."""
    sizes, inside = [], False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            sizes.append(int(line.split()[1]))
    assert sizes, f"{path} is not mapped"
    return sum(sizes)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the kernel does not show what is mapped")
def test_opening_reads_no_column(clinic, readings):
    readings(("a",), n=100_000).assign(steps=1.0).to_csv(clinic.folder / "glucose.csv", index=False)
    settings = ["task.past_covariates=[steps]"]
    built, _ = clinic.open(*settings)
    del built
    panel, quality = clinic.open(*settings)
    assert len(clinic.calls) == 1
    assert quality.items[0].readings == 100_000
    assert len(panel.fingerprint) == 64
    files = {name: panel.folder / f"channel_{number}.npy" for number, name in enumerate(("glucose", "steps"))}
    assert {name: resident(path) for name, path in files.items()} == {"glucose": 0, "steps": 0}
    assert panel.columns["glucose"].sum() > 0
    assert resident(files["glucose"]) >= 390
    assert resident(files["steps"]) == 0


def test_columns_are_mapped_and_another_process_maps_them_too(clinic):
    panel, _ = clinic.open("task.past_covariates=[steps]")
    for name, column in panel.columns.items():
        assert type(column) is np.ndarray
        assert mapped_by(column) is not None
        assert not column.flags.writeable
        assert mapped_by(panel.view(name, 5)) is mapped_by(column)
        assert mapped_by(panel.part(1, 2).columns[name]) is mapped_by(column)
    sent = pickle.dumps(panel)
    assert len(sent) < 500  # a path, not the columns
    again = pickle.loads(sent)
    assert (again.folder, again.fingerprint, again.item_ids) == (panel.folder, panel.fingerprint, panel.item_ids)
    for name, column in again.columns.items():
        assert mapped_by(column) is not None
        np.testing.assert_array_equal(column, panel.columns[name])
    one = replace(panel, columns={"steps": panel.columns["steps"]}, stored_fingerprint=None)
    assert list(pickle.loads(pickle.dumps(one)).columns) == ["steps"]
    held = panel.part(1, 2)
    taken = pickle.loads(pickle.dumps(held))
    assert (taken.item_ids, taken.folder, taken.fingerprint) == (("b",), None, held.fingerprint)
    np.testing.assert_array_equal(taken.columns["glucose"], held.columns["glucose"])


def test_some_channels_of_a_panel_are_opened_in_the_order_wanted(clinic):
    panel, _ = clinic.open("task.past_covariates=[steps]")
    some = open_saved(panel.folder, ("steps", "glucose"))
    assert list(some.columns) == ["steps", "glucose"]
    assert some.fingerprint != panel.fingerprint
    by_hand = Panel(panel.item_ids, panel.offsets, panel.starts, panel.step, some.columns, panel.unit)
    assert by_hand.fingerprint == some.fingerprint
    frame = pd.read_csv(clinic.folder / "glucose.csv")
    np.testing.assert_array_equal(some.columns["steps"], frame.steps.to_numpy(np.float32))
    assert replace(panel, stored_fingerprint=None).fingerprint == panel.fingerprint
