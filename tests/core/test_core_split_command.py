"""``tsfm data split``: spans counted by hand, and a frozen split that is the same split."""

import json

import pytest
import yaml

from tsfm_core.config.resolve import read_config

CHECK = ("data", "split", "--config", "c.yaml")


@pytest.fixture
def split(tsfm):
    """Return ``split(*settings, config="c.yaml")``: what ``tsfm data split --json`` says."""

    def run(*settings, config="c.yaml", output=()):
        settings = [part for one in settings for part in ("--set", one)]
        answer = tsfm("data", "split", "--config", config, *settings, "--json", *output)
        assert answer.code == 0, answer
        return json.loads(answer.out)

    return run


@pytest.fixture
def data(folder, write, readings):
    """Four items of 40 rows from midnight on."""
    write(readings("abcd", n=40))
    return folder


def including(folder, name="frozen.yaml", more=""):
    """Write a configuration like c.yaml whose split is a frozen one."""
    text = (folder / "c.yaml").read_text()
    before, _, after = text.partition("split: {temporal_holdout: 0.3}")
    (folder / "d.yaml").write_text(f"{before}split:\n  <<: !include {name}\n{more}{after}")
    return "d.yaml"


def test_the_spans_of_every_item(data, split):
    said = split("split={temporal_holdout: 0.25, patient_holdout: [c], validation: 0.1}", "data.items=[a, c]")
    day = "2024-01-01T"
    assert said["items"] == [
        {"item_id": "a", "set": "train", "rows": 27, "first": f"{day}00:00:00", "last": f"{day}02:10:00"},
        {"item_id": "a", "set": "validation", "rows": 3, "first": f"{day}02:15:00", "last": f"{day}02:25:00"},
        {"item_id": "a", "set": "temporal_holdout", "rows": 10, "first": f"{day}02:30:00", "last": f"{day}03:15:00"},
        {"item_id": "c", "set": "patient_holdout", "rows": 40, "first": f"{day}00:00:00", "last": f"{day}03:15:00"},
    ]
    assert said["patient_holdout"] == ["c"]
    assert said["notes"] == []


def test_the_table_for_people(data, tsfm, split):
    answer = tsfm(
        *CHECK, "--set", "split={patient_holdout: [b], temporal_holdout: {a: 2025-01-01, c: 2024-01-01T03:00}}"
    )
    rows = [line.split() for line in answer.out.splitlines()]
    day = "2024-01-01T"
    assert ["c", "temporal_holdout", "4", f"{day}03:00:00", f"{day}03:15:00"] in rows
    assert ["a", "train", "40", f"{day}00:00:00", f"{day}03:15:00"] in rows
    assert ["patient_holdout:", "b"] in rows
    digest = split("split={patient_holdout: [b], temporal_holdout: {c: 2024-01-01T03:00}}")["digest"]
    assert rows[-1] == ["digest:", digest]
    assert answer.err == "no temporal_holdout, the moment given leaves no row: a\n"


HOLDOUT = """\
dataset_name: x
holdout_type: hybrid
temporal_config: {holdout_percentage: 0.2, min_train_samples: 30, min_holdout_samples: 5}
patient_config: {holdout_patients: [d], min_train_patients: 1, min_holdout_patients: 1}
"""


@pytest.mark.parametrize(
    "wanted",
    [
        "{temporal_holdout: 0.3}",
        "{temporal_holdout: 0.25, patient_holdout: 0.3, validation: 0.2}",
        "{patient_holdout: [a, c]}",
        "{temporal_holdout: 2024-01-01T01:02, validation: 2024-01-01T00:59}",
        "{temporal_holdout: {b: 2024-01-01T03:00}, validation: {a: 2024-01-01T03:10}}",
        "{temporal_holdout: 2023-01-01, patient_holdout: [a]}",
        "{folds: 3, fold: 2, temporal_holdout: 0.1, validation: 0.5}",
        "{folds: leave_one_out, fold: 1}",
        "{holdout: h.yaml, validation: 0.1}",
    ],
)
def test_a_frozen_split_is_the_same_split(data, split, tsfm, wanted):
    (data / "h.yaml").write_text(HOLDOUT)
    before = split(f"split={wanted}", "seed=5", output=("--output", "frozen.yaml"))
    frozen = yaml.safe_load((data / "frozen.yaml").read_text())
    assert set(frozen) <= {"patient_holdout", "temporal_holdout", "validation", "digest"}
    assert frozen["digest"] == before["digest"]
    after = split("seed=6", config=including(data))
    assert after == before
    again = split("seed=7", config="d.yaml", output=("--output", "again.yaml"))
    assert again == before
    assert (data / "again.yaml").read_bytes() == (data / "frozen.yaml").read_bytes()
    assert (
        tsfm(
            "backtest",
            "naive",
            "--config",
            "d.yaml",
            "--set",
            "task.context_length=2",
            "--set",
            "task.prediction_length=1",
        ).code
        == 0
    )


def test_what_is_frozen_is_readable(data, tsfm):
    answer = tsfm(*CHECK, "--set", "split={temporal_holdout: 0.25, patient_holdout: [b, c, d]}", "--output", "s.yaml")
    assert answer.err == "the split is frozen: s.yaml\n"
    *body, digest = (data / "s.yaml").read_text().splitlines()
    assert body == [
        "patient_holdout:",
        '  - "b"',
        '  - "c"',
        '  - "d"',
        "temporal_holdout:",
        '  "a": "2024-01-01T02:30:00"',
    ]
    assert digest == f'digest: "{answer.out.split("digest: ")[1].strip()}"'


def test_items_with_any_name_can_be_frozen(folder, write, readings, split):
    names = ["12", "1e3", "Null", "true", "ä: b", "#x", "- y", "it's", '"q"', "😀", "x" * 200, "2024-01-01", "[a]"]
    write(readings(names, n=30))
    before = split("split={temporal_holdout: 0.2, patient_holdout: 0.4}", output=("--output", "frozen.yaml"))
    assert len(before["patient_holdout"]) == 5
    assert split(config=including(folder)) == before


def test_a_run_by_a_frozen_split_has_its_digest(data, split, tsfm):
    digest = split(output=("--output", "frozen.yaml"))["digest"]
    answer = tsfm("backtest", "naive", "--config", including(data), "--json")
    run = data / json.loads(answer.out)["run"]
    assert json.loads((run / "run.json").read_text())["split"]["digest"] == digest
    assert read_config(run / "config.yaml").config.split.digest == digest


def test_other_data_or_another_split_is_refused(data, split, refused, write, readings):
    split(output=("--output", "frozen.yaml"))
    config = including(data)
    said = refused("data", "split", "--config", config, "--set", "split.validation=0.2")
    assert "the data or the split changed; go back to what was frozen, or leave split.digest out and" in said
    write(readings("abcd", n=41))
    for command in (("data", "split"), ("backtest", "naive"), ("train", "linear")):
        said = refused(*command, "--config", config)
        assert said.startswith("split.digest begins with ")
        assert "the data or the split changed" in said
    again = split("split.digest=null", config=config)
    assert {row["rows"] for row in again["items"]} == {28, 13}


def test_a_later_reading_changes_no_digest(data, split, write, readings):
    """It names rows, not values: those have the panel's fingerprint."""
    before = split()
    write(readings("abcd", n=40, seed=9))
    after = split()
    assert before["digest"] == after["digest"]
    assert before["fingerprint"] != after["fingerprint"]


def test_a_file_is_never_written_over(data, refused, split):
    said = refused(*CHECK, "--output", "c.yaml")
    assert said == "c.yaml is already there; what was written is kept: name another file, or delete this one"
    assert refused(*CHECK, "--output", "no/s.yaml") == "the folder no is not there; make it first"
    assert "is already there" in refused(*CHECK, "--output", ".")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("task=null", "tsfm data split needs the section 'task'; add 'task:' to the config or use --set"),
        ("data=null", "tsfm data split needs the section 'data'"),
        ("split=null", "tsfm data split needs the section 'split'"),
        (
            "split={validation: 0.1}",
            "the split holds nothing out; give split.temporal_holdout or split.patient_holdout",
        ),
        ("split={temporal_holdout: {}}", "the split holds nothing out"),
        ("split={temporal_holdout: {aa: 2024-01-01}}", "split.temporal_holdout names aa, which the data does not hold"),
        ("split={holdout: hh.yaml}", "split.holdout: hh.yaml does not exist"),
    ],
)
def test_what_cannot_be_split(data, refused, setting, said):
    assert said in refused(*CHECK, "--set", setting)


def test_data_with_a_problem_is_not_split(folder, write, readings, refused):
    table = readings("a", n=40)
    write(table.iloc[::-1])
    assert refused(*CHECK, "--output", "s.yaml").startswith("data.csv: ")
