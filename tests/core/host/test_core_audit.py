"""The audit: a sound run passes every line, and what was tampered with fails the line that is there for it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.numpy import load_file, save_file

import tsfm_core
from tsfm_core.audit import CHECKS
from tsfm_core.audit.evidence import Evidence, Failed
from tsfm_core.audit.of_data import disjoint, training_windows
from tsfm_core.data.digest import ProtocolDigest, forecasts_hash
from tsfm_core.data.store import ForecastFile
from tsfm_core.data.windows import TrainingWindows
from tsfm_core.files import write_json
from tsfm_core.plugins import host


@pytest.fixture
def scored(site, settings):
    """The configuration with a metric."""
    site.metric("fake-scores", "fake_error")
    settings["evaluation"]["metrics"] = ["fake_error"]
    return settings


@pytest.fixture
def trained(scored):
    return tsfm_core.train("linear", scored)


@pytest.fixture
def audit(tsfm):
    """``audit(run)``: what each check found, by name; the exit code must fit it."""

    def run(of):
        done = tsfm("audit", of.path, "--json")
        said = json.loads(done.out)
        results = {one["result"] for one in said["checks"]}
        assert done.code == (0 if results <= {"ok", "not applicable"} else 1)
        assert said["sound"] is (done.code == 0)
        return {one["check"]: (one["result"], one["said"]) for one in said["checks"]}

    return run


def failing(found):
    return {name for name, (result, _) in found.items() if result == "FAIL"}


def unchecked(found):
    return {name for name, (result, _) in found.items() if result == "not checked"}


def rewrite(run, column, at, change):
    """Change the cell of one row of the stored forecasts."""
    table = pq.read_table(run.forecasts_path)
    values = table[column].to_pylist()
    values[at] = change(values[at])
    where, kind = table.schema.get_field_index(column), table.schema.field(column).type
    write(run, table.set_column(where, column, pa.array(values).cast(kind)))


def write(run, table):
    """Write stored forecasts as they are: a row group holds one set."""
    sets = table["set"].to_pylist()
    with pq.ParquetWriter(run.forecasts_path, table.schema) as writer:
        for name in dict.fromkeys(sets):
            writer.write_table(table.filter(pa.array([one == name for one in sets])))


def rescore(run):
    """Make the scores those of the forecasts, as somebody would who wants to hide a change."""
    scores = tsfm_core.evaluate(run)
    write_json(run.metrics_path, json.loads(run.metrics_path.read_text()) | {"sets": scores.sets})
    with run.items_path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(scores.items[0]))
        writer.writeheader()
        writer.writerows(scores.items)


def cover(run):
    """Make scores, hash and protocol digest those of the forecasts."""
    rescore(run)
    digest, file = ProtocolDigest(), ForecastFile(run.forecasts_path)
    for chunk in file.chunks():
        digest.add(chunk.set, chunk.item_id, chunk.cutoff, chunk.truth)
    metric = host().metric("fake_error")
    definitions = [f"{metric.name}: {metric.definition}"]
    run.update(forecasts_sha256=forecasts_hash(run.forecasts_path), protocol_digest=digest.of(file.task, definitions))


def first_of(run, name):
    """Return the number of the first row of a set."""
    return pq.read_table(run.forecasts_path)["set"].to_pylist().index(name)


def test_a_sound_run_passes_every_line(trained, scored, audit, tsfm):
    found = audit(trained)
    assert set(found) == set(CHECKS)
    assert [name for name, (result, _) in found.items() if result != "ok"] == ["scaler"]
    assert found["forecast again"][1].endswith("the same bits")
    assert found["windows"][1].startswith(f"{trained.facts['windows']['train']:,} train")
    shown = tsfm("audit", trained.path)
    assert shown.code == 0
    assert "15 ok, 1 not applicable" in shown.out
    tested = tsfm_core.backtest(str(trained.path), {"evaluation": scored["evaluation"] | {"stride": 3}})
    of_a_run = audit(tested)
    assert {name for name, (result, _) in of_a_run.items() if result == "not applicable"} == {
        "disjoint",
        "training windows",
        "scaler",
        "selection",
    }
    assert failing(of_a_run) == unchecked(of_a_run) == set()
    rule = audit(tsfm_core.backtest("naive", scored))
    assert failing(rule) == unchecked(rule) == set()


def test_nothing_is_written(trained, audit, tmp_path):
    def below():
        return {path: path.read_bytes() for path in trained.path.parent.rglob("*") if path.is_file()}

    before = below()
    audit(trained)
    assert below() == before


def lose_a_file(run):
    run.results_path.unlink()


def not_completed(run):
    run.update(status="failed")


def other_seed(run):
    run.update(seed=99)


def other_strategy(run):
    config = yaml.safe_load(run.config_path.read_text())
    run.config_path.write_text(yaml.safe_dump(config | {"training": {"strategy": "zero_shot"}}))


def other_split(run):
    run.update(split=run.facts["split"] | {"digest": "0" * 64})


def other_people(run):
    run.update(split=run.facts["split"] | {"patient_holdout": ["p1"]})


def more_windows(run):
    run.update(windows=run.facts["windows"] | {"validation": 1})


def other_truth(run):
    rewrite(run, "truth", -1, lambda row: [row[0] + 1, *row[1:]])
    cover(run)


def a_window_less(run):
    write(run, pq.read_table(run.forecasts_path)[:-1])
    cover(run)


def longer_training(run):
    spans = run.facts["trained_on"]
    run.update(trained_on=spans | {"p0": [spans["p0"][0], "2024-01-02T15:00:00"]})


def trained_on_the_held_out(run):
    run.update(trained_on=run.facts["trained_on"] | {"p2": ["2023-01-01", "2023-01-02"]})


def another_was_better(run):
    lines = [{"step": step, "validation": {"rmse": rmse}, "best": True} for step, rmse in ((1, 2.0), (2, 1.0))]
    with run.training_log.open("a") as log:
        log.writelines(json.dumps(line) + "\n" for line in lines)


def a_log_that_is_none(run):
    run.training_log.write_text("{")


def other_hash_of_weights(run):
    run.update(weights_sha256="0" * 64)


def a_forecast_that_is_not_sampled(run):
    rewrite(run, "mean", first_of(run, "patient_holdout") + 1, lambda row: [row[0] + 1, *row[1:]])
    rescore(run)


def a_forecast_and_all_that_follows(run):
    rewrite(run, "mean", first_of(run, "patient_holdout"), lambda row: [row[0] + 1, *row[1:]])
    cover(run)


def other_digest(run):
    run.update(protocol_digest="0" * 64)


def better_scores(run):
    metrics = json.loads(run.metrics_path.read_text())
    metrics["sets"]["patient_holdout"]["overall"]["fake_error"] *= 0.99
    run.metrics_path.write_text(json.dumps(metrics))


def better_scores_of_a_person(run):
    text = run.items_path.read_text()
    last = text.strip().rpartition(",")[2]
    run.items_path.write_text(text.replace(last, "0.5"))


TAMPERED = {
    lose_a_file: ({"run"}, "not there: results.txt"),
    not_completed: ({"run"}, "it is failed"),
    other_seed: ({"strategy"}, "seed: the configuration asks for 3, and 99 is noted"),
    other_split: ({"split"}, "digest 000000000000 is noted"),
    other_people: ({"split"}, "held out: p1 noted, p2 by the split"),
    more_windows: ({"windows"}, "1 validation"),
    other_truth: ({"windows"}, "patient_holdout: another truth is stored of item 'p2'"),
    a_window_less: ({"windows", "forecast again"}, "patient_holdout; the data gives"),
    longer_training: ({"seen"}, "temporal_holdout: item 'p0'"),
    trained_on_the_held_out: ({"seen"}, "patient_holdout: item 'p2'"),
    another_was_better: ({"selection"}, "best is step_1, and of 2 evaluations the lowest is step 2 by rmse"),
    a_log_that_is_none: ({"selection"}, "a line that cannot be read"),
    other_hash_of_weights: ({"weights"}, "000000000000 is noted"),
    a_forecast_that_is_not_sampled: ({"forecasts"}, "the files give"),
    a_forecast_and_all_that_follows: ({"forecast again"}, "is stored 1 away from what the model forecasts"),
    other_digest: ({"protocol"}, "the protocol: 000000000000 is noted"),
    better_scores: ({"scores"}, "sets.patient_holdout.overall.fake_error is stored as"),
    better_scores_of_a_person: ({"scores"}, "is stored as 0.5"),
}


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda tamper: tamper.__name__)
def test_what_was_tampered_with_fails_its_line(trained, audit, tamper):
    tamper(trained)
    found = audit(trained)
    checks, said = TAMPERED[tamper]
    assert failing(found) == checks, found
    assert unchecked(found) == set()
    assert said in found[max(checks)][1]


def test_a_best_run_that_validation_does_not_choose_is_found(scored, audit, tsfm):
    """Of two runs that are equal the older is the best; what stands in no index has no link to keep."""
    scored["split"]["validation"] = 0.2
    best, other = (tsfm_core.train("linear", scored) for _ in range(2))
    link = best.path.with_name("best_run")
    assert audit(other)["selection"][0] == "ok"
    other.update(status="failed")
    assert audit(best)["selection"][0] == "ok"
    other.update(status="completed")
    link.unlink()
    for target in (other.path.name, None):
        if target:
            link.symlink_to(target)
        for run in (best, other):
            result, said = audit(run)["selection"]
            assert result == "FAIL"
            assert said.startswith(f"best_run names {target or 'no run'}, and validation chooses {best.path.name}")
        link.unlink(missing_ok=True)
    assert tsfm("runs", "index", "--root", best.path.parents[2]).code == 0
    assert audit(other)["selection"][0] == "ok"
    link.unlink()
    (best.path.parents[2] / "registry.db").unlink()
    assert audit(other)["selection"][0] == "ok"


def test_another_strategy_in_the_config_is_found(trained, audit):
    other_strategy(trained)
    found = audit(trained)
    assert "strategy: the configuration asks for 'zero_shot', and 'from_scratch' is noted" in found["strategy"][1]


def test_other_weights_forecast_otherwise(trained, audit):
    path = trained.best_checkpoint / "model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(path).items()}, path)
    assert failing(audit(trained)) == {"weights", "forecast again"}


def test_another_checkpoint_to_start_from_is_found(trained, scored, audit):
    tested = tsfm_core.backtest(str(trained.path), {"evaluation": scored["evaluation"]})
    path = trained.best_checkpoint / "model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(path).items()}, path)
    found = audit(tested)
    assert failing(found) == {"weights", "forecast again"}
    assert "the checkpoint it started from" in found["weights"][1]


def test_other_data_says_nothing_about_the_run(trained, audit, data_file):
    table = pd.read_csv(data_file)
    table.loc[700, "glucose"] += 1
    table.to_csv(data_file, index=False)
    found = audit(trained)
    assert failing(found) == {"data"}
    assert "(changed: cgm.csv)" in found["data"][1]
    assert unchecked(found) == {
        "split",
        "windows",
        "disjoint",
        "training windows",
        "scaler",
        "forecast again",
        "leak probe",
    }
    data_file.unlink()
    found = audit(trained)
    assert failing(found) == set()
    assert "cgm.csv is not there" in found["data"][1]


def test_a_test_window_among_the_training_windows_is_found(trained, audit):
    row = first_of(trained, "temporal_holdout")
    rewrite(trained, "cutoff", row, lambda cutoff: cutoff - pd.Timedelta("12h"))
    cover(trained)
    assert failing(audit(trained)) == {"windows", "disjoint", "seen"}


def doctored(run, **changes):
    """Return what an audit rests on, with other windows than the configuration gives."""
    evidence = Evidence(run)
    prepared = replace(evidence.prepared, **changes)
    known = {name: getattr(evidence, name) for name in ("run", "facts", "resolved", "file", "task", "trained")}
    return SimpleNamespace(prepared=prepared, **known)


def test_windows_that_a_broken_split_would_give_are_found(trained):
    given = Evidence(trained).prepared
    assert disjoint(doctored(trained))
    for name, said in (("temporal_holdout", "lies in a training window"), ("patient_holdout", "has training windows")):
        with pytest.raises(Failed, match=said):
            disjoint(doctored(trained, train=given.sets[name]))
    with pytest.raises(Failed, match="lies in a training window"):
        disjoint(doctored(trained, sets=given.sets | {"validation": given.sets["temporal_holdout"]}))


def test_training_windows_that_later_values_reach_are_found(trained):
    given = Evidence(trained).prepared
    assert training_windows(doctored(trained))
    with pytest.raises(Failed, match="where they stand depends on later values"):
        training_windows(doctored(trained, train=given.sets["temporal_holdout"]))
    columns = {name: column.copy() for name, column in given.panel.columns.items()}
    columns["glucose"][100] += 1
    other = replace(given.panel, columns=columns)
    with pytest.raises(Failed, match="holds a value from behind"):
        training_windows(doctored(trained, train=TrainingWindows(other, given.train.task, given.train.index)))


TRAINS = {
    "load_model": """
@hookimpl
def load_model(config, task, checkpoint, runtime):
    import json, pathlib
    return json.loads((pathlib.Path(checkpoint) / "mean.json").read_text()) if checkpoint else 0.0
""",
    "train": """
def learn(windows):
    import numpy as np
    return float(np.nanmean(windows.inputs(slice(None)).target))

@hookimpl
def train(model, data, validation, job):
    import json
    from tsfm_core import save_checkpoint

    mean = learn(data)
    save_checkpoint(job.checkpoint_dir, 1, lambda folder: (folder / "mean.json").write_text(json.dumps(mean)), True)
    job.log_path.write_text("")
    return mean

@hookimpl
def statistics(model, data, runtime):
    return {"mean": ([model], [learn(data)])}
""",
}


def test_statistics_that_are_not_those_of_training_are_found(site, scored, audit):
    site.model("scales", trained=True, **TRAINS)
    run = tsfm_core.train("scales", scored)
    found = audit(run)
    assert found["scaler"] == ("ok", f"mean of {run.facts['windows']['train']:,} training windows")
    assert failing(found) == unchecked(found) == set()
    panel = Evidence(run).prepared.panel
    (run.best_checkpoint / "mean.json").write_text(str(float(np.mean(panel.columns["glucose"]))))
    found = audit(run)
    assert failing(found) == {"scaler"}
    assert "mean number 1 is stored as" in found["scaler"][1]


LOOKS_AHEAD = """
@hookimpl
def predict(model, data, task):
    from tsfm_core import Forecasts

    return Forecasts.of(data, mean=data.panel.view(task.target, task.prediction_length)[data.cutoffs_at + 1])
"""


def test_a_model_that_looks_ahead_is_found(site, scored, audit):
    site.model("prophet", predict=LOOKS_AHEAD)
    run = tsfm_core.backtest("prophet", scored)
    assert run.metrics["sets"]["patient_holdout"]["overall"]["fake_error"] == 0
    found = audit(run)
    assert failing(found) == {"leak probe"}
    assert "12 of 12 forecasts move with what comes after their cutoff" in found["leak probe"][1]


def test_what_is_not_installed_is_not_checked(site, scored, audit):
    site.model("good")
    run = tsfm_core.backtest("good", scored)
    assert failing(audit(run)) == unchecked(audit(run)) == set()
    site.remove("fake-good")
    found = audit(run)
    assert failing(found) == set()
    assert unchecked(found) == {"forecast again", "leak probe"}
    assert "no model is called 'good'" in found["leak probe"][1]
    site.remove("fake-scores")
    assert unchecked(audit(run)) == {"selection", "protocol", "scores", "forecast again", "leak probe"}


def test_a_variable_that_is_not_set_is_no_fault_of_the_run(scored, audit, data_file, monkeypatch):
    monkeypatch.setenv("WHERE_IT_IS", str(data_file.parent))
    run = tsfm_core.train("linear", scored | {"data": {"source": "csv", "path": "${WHERE_IT_IS}/cgm.csv"}})
    assert failing(audit(run)) == unchecked(audit(run)) == set()
    monkeypatch.delenv("WHERE_IT_IS")
    found = audit(run)
    assert failing(found) == set()
    assert "WHERE_IT_IS, which is not set" in found["data"][1]
    run.config_path.write_text("a: [")
    assert failing(audit(run)) == {"run"}


def test_a_run_without_hashes_is_not_checked_for_them(trained, audit):
    facts = {name: fact for name, fact in trained.facts.items() if not name.endswith("_sha256")}
    write_json(trained.path / "run.json", facts)
    found = audit(trained)
    assert failing(found) == set()
    assert unchecked(found) == {"forecasts", "weights"}


def test_damaged_files_are_sentences(trained, audit):
    trained.forecasts_path.write_bytes(b"PAR1")
    found = audit(trained)
    assert failing(found) == {"run"}
    assert "holds no forecasts" in found["run"][1]
    (trained.path / "run.json").write_text("{")
    found = audit(trained)
    assert failing(found) == {"run"}
    assert unchecked(found) == set(CHECKS) - {"run"}
    assert "cannot be read" in found["run"][1]


def test_a_row_group_of_several_sets_is_no_file_of_ours(trained, audit):
    pq.write_table(pq.read_table(trained.forecasts_path), trained.forecasts_path)
    assert "a row group holds several sets" in audit(trained)["run"][1]
