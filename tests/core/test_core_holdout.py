"""Holdout files of a research group: spans against numbers computed by hand, draws against numpy's RandomState."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsfm_core.config.resolve import read_config
from tsfm_core.config.schema import SplitConfig
from tsfm_core.data.holdout import read_holdout
from tsfm_core.data.split import split_panel
from tsfm_core.errors import ConfigError, DataError

TEMPORAL = "temporal_config: {holdout_percentage: 0.1, min_train_samples: 15, min_holdout_samples: 10}\n"
PATIENTS = """\
patient_config:
  holdout_patients:
  - e
  - b
  holdout_percentage: 0.1
  min_train_patients: 2
  min_holdout_patients: 2
  random_seed: 42
"""
REST = """\
description: 'Hybrid holdout strategy: 10% temporal split + 10% patient holdout. Fixed
  seed=42 for reproducibility.'
created_date: '2026-02-06T23:38:15.340381'
version: '1.0'
"""
HEAD = "dataset_name: brown_2019\nholdout_type: hybrid\n"
HYBRID = HEAD + REST + TEMPORAL + PATIENTS


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return ``file(text)``, which writes h.yaml and gives its path from here."""
    monkeypatch.chdir(tmp_path)

    def written(text):
        Path("h.yaml").write_text(text)
        return "h.yaml"

    return written


@pytest.fixture
def split(file):
    """Return ``split(panel, text, **config)``: the split by a holdout file."""
    return lambda panel, text, **config: split_panel(panel, SplitConfig(holdout=file(text), **config), seed=5)


@pytest.fixture
def panel(readings, panel_of):
    lengths = {"a": 100, "b": 40, "c": 30, "d": 25, "e": 60, "f": 24}
    return panel_of(pd.concat([readings((item,), n=n, seed=n) for item, n in lengths.items()], ignore_index=True))


def rows_of(split, name):
    """Return the first and the last row (exclusive) of each item that the set holds, counted from the item's first."""
    start = [0, 100, 140, 170, 195, 255]
    span = split.spans[name]
    bounds = zip("abcdef", (span.first - start).tolist(), (span.stop - start).tolist(), strict=True)
    return {item: (first, stop) for item, first, stop in bounds if stop > first}


def test_hybrid(panel, split):
    made = split(panel, HYBRID)
    assert made.held_out == ("b", "e")
    assert rows_of(made, "patient_holdout") == {"b": (0, 40), "e": (0, 60)}
    # a: a tenth; c, d: grown to 10; f would keep 14 of 24
    assert rows_of(made, "temporal_holdout") == {"a": (90, 100), "c": (20, 30), "d": (15, 25)}
    assert rows_of(made, "train") == {"a": (0, 90), "c": (0, 20), "d": (0, 15), "f": (0, 24)}
    assert made.notes == (
        "no temporal_holdout, too short for min_train_samples 15 and min_holdout_samples 10: f",
        "temporal_holdout grown to min_holdout_samples 10: c, d",
    )


def test_temporal(panel, split):
    made = split(panel, HYBRID.replace("hybrid", "temporal", 1).replace(PATIENTS, "patient_config: null\n"))
    assert made.test_sets == ("temporal_holdout",)
    held = {"a": (90, 100), "b": (30, 40), "c": (20, 30), "d": (15, 25), "e": (50, 60)}
    assert rows_of(made, "temporal_holdout") == held


def test_patient_based(panel, split):
    made = split(panel, HYBRID.replace("hybrid", "patient_based", 1).replace(TEMPORAL, ""))
    assert made.test_sets == ("patient_holdout",)
    assert rows_of(made, "train") == {"a": (0, 100), "c": (0, 30), "d": (0, 25), "f": (0, 24)}
    assert made.notes == ()


def test_validation_is_cut_from_what_a_file_leaves(panel, split):
    made = split(panel, HYBRID, validation=0.25)
    assert rows_of(made, "validation") == {"a": (68, 90), "c": (15, 20), "d": (12, 15), "f": (18, 24)}
    made = split(panel, HYBRID, validation={"c": datetime(2024, 1, 1, 1), "f": datetime(2024, 1, 1, 0, 55)})
    assert rows_of(made, "validation") == {"c": (12, 20), "f": (11, 24)}


@pytest.mark.parametrize(("share", "n", "held"), [(0.29, 100, 28), (0.3, 109, 32), (0.07, 100, 7), (0.999, 30, 29)])
def test_a_share_of_rows_is_rounded_as_int_does(readings, panel_of, split, share, n, held):
    whole = panel_of(readings(("a",), n=n))
    text = TEMPORAL.replace("0.1", str(share)).replace("15", "1").replace("10", "1")
    made = split(whole, "dataset_name: x\nholdout_type: temporal\n" + text)
    assert int(np.diff([made.spans["temporal_holdout"].first[0], n])[0]) == held


DRAWN = {  # numpy's legacy generator is frozen: RandomState(seed).choice(ids, size, replace=False) over p00 to p19
    (42, 0.1, 1): ["p00", "p17"],
    (42, 0.1, 3): ["p00", "p17", "p15"],
    (7, 0.25, 1): ["p01", "p17", "p02", "p05", "p11"],
}


@pytest.mark.parametrize(("seed", "share", "least"), DRAWN)
def test_patients_are_drawn_as_the_research_code_draws_them(readings, panel_of, split, seed, share, least):
    ids = [f"p{at:02}" for at in range(20)]
    text = PATIENTS.replace("\n  - e\n  - b", " []").replace("0.1", str(share)).replace("42", str(seed))
    text = HEAD.replace("hybrid", "patient_based") + text.replace(
        "min_holdout_patients: 2", f"min_holdout_patients: {least}"
    )
    held = split(panel_of(readings(ids[::-1], n=8)), text).held_out
    assert list(held) == sorted(DRAWN[seed, share, least])
    drawn = np.random.RandomState(seed).choice(ids, max(least, int(share * 20)), replace=False)
    assert list(held) == sorted(drawn)


def test_the_seed_of_the_file_is_42_where_it_gives_none(readings, panel_of, split):
    text = HEAD.replace("hybrid", "patient_based") + PATIENTS.replace("\n  - e\n  - b", " []")
    text = text.replace("  random_seed: 42\n", "")
    assert split(panel_of(readings([f"p{at:02}" for at in range(20)], n=8)), text).held_out == ("p00", "p17")


def test_the_patients_of_the_file_win_over_the_seed(panel, split):
    held = {split(panel, HYBRID.replace("seed: 42", f"seed: {seed}")).held_out for seed in range(10)}
    assert held == {("b", "e")}


def test_fewer_patients_than_the_file_needs_cannot_be_trained_on(panel, split):
    with pytest.raises(DataError) as refused:
        split(panel, HYBRID.replace("min_train_patients: 2", "min_train_patients: 5"))
    assert str(refused.value) == (
        "h.yaml: 2 of 6 items are held out, which leaves 4 to train on, fewer than min_train_patients 5; "
        "read more items, or lower it in the file"
    )
    with pytest.raises(DataError, match="6 of 6 items are held out, which leaves 0 to train on"):
        split(panel, HYBRID.replace("\n  - e\n  - b", " []").replace("holdout_patients: 2", "holdout_patients: 99"))


def test_patients_that_the_data_does_not_hold_are_named(panel, split):
    with pytest.raises(DataError) as refused:
        split(panel, HYBRID.replace("  - b\n", "  - bro_14\n  - bro_42\n"))
    assert str(refused.value) == (
        "h.yaml: holdout_patients names bro_14, bro_42, which the data does not hold; the data holds a, b, c, d, e, f"
    )
    with pytest.raises(DataError, match="names ee, which the data does not hold; did you mean 'e'?"):
        split(panel, HYBRID.replace("- e\n", "- ee\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HYBRID + "x: 1\n", "h.yaml:16: x is no key of the configuration; known: dataset_name, holdout_type"),
        (
            HYBRID.replace("random_seed", "randm_seed"),
            "h.yaml:15: randm_seed is no key of patient_config; did you mean",
        ),
        (HYBRID.replace("dataset_name: brown_2019\n", ""), "h.yaml:1: dataset_name is missing; add dataset_name to"),
        (HYBRID.replace("brown_2019", "''"), "h.yaml:1: dataset_name is ''"),
        (HYBRID.replace("holdout_type: hybrid\n", ""), "h.yaml:1: holdout_type is missing"),
        (
            HYBRID.replace("hybrid", "random", 1),
            "h.yaml:2: holdout_type is 'random': input should be 'temporal', 'patient",
        ),
        (HYBRID.replace(TEMPORAL, ""), "h.yaml:2: holdout_type hybrid needs temporal_config; add temporal_config"),
        (HYBRID.replace(PATIENTS, ""), "h.yaml:2: holdout_type hybrid needs patient_config; add patient_config"),
        (
            HYBRID.replace("hybrid", "temporal", 1),
            "h.yaml:9: holdout_type temporal has no use for patient_config; take it out, or write hybrid",
        ),
        (
            HYBRID.replace("hybrid", "patient_based", 1),
            "h.yaml:7: holdout_type patient_based has no use for temporal_config",
        ),
        (
            HYBRID.replace("0.1, min", "1.0, min"),
            "h.yaml:7: temporal_config.holdout_percentage is 1.0: input should be le",
        ),
        (
            HYBRID.replace("0.1, min", "0, min"),
            "h.yaml:7: temporal_config.holdout_percentage is 0: input should be greater",
        ),
        (HYBRID.replace("0.1, min", "'0.1', min"), "h.yaml:7: temporal_config.holdout_percentage is '0.1'"),
        (
            HYBRID.replace("0.1\n", "10\n"),
            "h.yaml:12: patient_config.holdout_percentage is 10: input should be less than 1",
        ),
        (HYBRID.replace("min_train_samples: 15, ", ""), "h.yaml:7: temporal_config.min_train_samples is missing"),
        (HYBRID.replace("min_train_samples: 15", "min_train_samples: 0"), "temporal_config.min_train_samples is 0"),
        (HYBRID.replace("min_holdout_samples: 10", "min_holdout_samples: 1.5"), "min_holdout_samples is 1.5"),
        (
            HYBRID.replace("- e", "- 14"),
            "h.yaml:10: patient_config.holdout_patients.0 is 14: input should be a valid string",
        ),
        (HYBRID.replace("'1.0'", "1.0"), "h.yaml:6: version is 1.0: input should be a valid string"),
        (HYBRID.replace("seed: 42", "seed: -1"), "h.yaml:15: patient_config.random_seed is -1"),
        (
            HYBRID.replace("\n  - e\n  - b", " []").replace(
                "  holdout_percentage: 0.1\n", "  holdout_percentage: null\n"
            ),
            "h.yaml:9: patient_config holds no patient out; give holdout_patients or holdout_percentage",
        ),
        (
            HYBRID.replace("  - b\n", ""),
            "h.yaml:9: 1 holdout_patients are fewer than min_holdout_patients 2; name more, or lower it",
        ),
        (HYBRID + "version: '2.0'\n", "h.yaml:16: version is given twice"),
        (
            HYBRID.replace("'1.0'", "!!python/name:os.system ''"),
            "h.yaml:6: the tag tag:yaml.org,2002:python/name:os.system",
        ),
        (HYBRID.replace("version: '1.0'", "version: ["), "h.yaml:8: expected"),
        ("- a\n", "h.yaml:1: input should be an object"),
        ("", "h.yaml: dataset_name is missing"),
    ],
)
def test_a_file_that_cannot_be(file, text, said):
    with pytest.raises(ConfigError) as refused:
        read_holdout(file(text))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there(file):
    file(HYBRID)
    with pytest.raises(ConfigError) as refused:
        read_holdout("hh.yaml")
    assert str(refused.value) == "split.holdout: hh.yaml does not exist; did you mean 'h.yaml'?"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_holdout(".")


@pytest.mark.parametrize("other", ["temporal_holdout=0.2", "patient_holdout=[a]", "folds=2"])
def test_a_file_is_the_only_one_to_hold_out(other):
    with pytest.raises(ConfigError, match="split is .*: holdout says what is held out, and so does "):
        read_config({"split": {"holdout": "h.yaml"}}, [f"split.{other}"])


def test_a_run_stores_where_the_file_is(file, tmp_path):
    config = {"split": {"holdout": file(HYBRID)}}
    assert read_config(config).stored()["split"]["holdout"] == str(tmp_path / "h.yaml")


def test_a_bad_file_is_refused_before_the_data_is_read(refused, folder):
    (folder / "h.yaml").write_text(HYBRID.replace("hybrid", "random", 1))
    set_to = ("--set", "split={holdout: h.yaml}")
    for command in (("backtest", "naive"), ("data", "split")):
        said = refused(*command, "--config", "c.yaml", *set_to)  # data.csv is not there
        assert said.startswith("h.yaml:2: holdout_type is 'random'")
