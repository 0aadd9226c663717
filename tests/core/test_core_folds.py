"""Folds: every item is tested in one of them; and, whatever a split is made of, every row is in one set."""

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from tsfm_core.config.resolve import read_config
from tsfm_core.config.schema import SplitConfig
from tsfm_core.data.split import fold_items, split_panel
from tsfm_core.errors import ConfigError, DataError

IDS = tuple(f"p{at:02}" for at in range(13))


@pytest.mark.parametrize("seed", [0, 1, 7, 2**32 - 1])
@pytest.mark.parametrize("folds", [2, 3, 5, 13])
def test_every_item_is_in_one_fold(seed, folds):
    parts = [fold_items(IDS, folds, fold, seed) for fold in range(folds)]
    assert sorted(item for part in parts for item in part) == list(IDS)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert all(list(part) == sorted(part) for part in parts)


def test_folds_are_dealt_with_the_seed():
    assert fold_items(IDS, 5, 2, 7) == fold_items(IDS, 5, 2, 7)
    assert len({fold_items(IDS, 5, 2, seed) for seed in range(20)}) > 10
    assert len({item for seed in range(50) for item in fold_items(IDS, 5, 0, seed)}) == 13


def test_leave_one_out_takes_the_items_in_order():
    assert [fold_items(IDS, "leave_one_out", at, 3) for at in range(13)] == [(item,) for item in IDS]


def test_a_fold_is_the_patient_holdout(readings, panel_of):
    panel = panel_of(readings(IDS, n=50))
    for fold in range(5):
        made = split_panel(panel, SplitConfig(folds=5, fold=fold, temporal_holdout=0.2, validation=0.25), seed=7)
        held = fold_items(IDS, 5, fold, 7)
        same = SplitConfig(patient_holdout=held, temporal_holdout=0.2, validation=0.25)
        assert made.digest == split_panel(panel, same, seed=0).digest
        counted = {name: dict(zip(IDS, span.stop - span.first, strict=True)) for name, span in made.spans.items()}
        for item in IDS:
            rows = {"patient_holdout": 50} if item in held else {"train": 30, "validation": 10, "temporal_holdout": 10}
            assert {name: count[item] for name, count in counted.items() if count[item]} == rows


@pytest.mark.parametrize(
    ("folds", "fold", "items", "said"),
    [
        (5, 0, 4, "split.folds 5 needs 5 items or more, and the data holds 4"),
        ("leave_one_out", 0, 1, "split.folds leave_one_out needs 2 items or more, and the data holds 1"),
        ("leave_one_out", 4, 4, "split.fold is 4, and the data holds 4 items; give 0 to 3"),
    ],
)
def test_more_folds_than_items(folds, fold, items, said):
    with pytest.raises(DataError) as refused:
        fold_items(IDS[:items], folds, fold, 0)
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["folds=1"], "split.folds is 1: input should be greater than or equal to 2"),
        (["folds=all"], "split.folds is 'all': input should be a valid integer or input should be 'leave_one_out'"),
        (["folds=5"], "split is {'folds': 5}: folds and fold are given together: in how many parts, and which one"),
        (["fold=0"], "split is {'fold': 0}: folds and fold are given together"),
        (["folds=5", "fold=5"], "fold is 5, and folds 5 has the parts 0 to 4"),
        (["folds=5", "fold=-1"], "split.fold is -1: input should be greater than or equal to 0"),
        (
            ["folds=5", "fold=0", "patient_holdout=0.2"],
            "folds says what is held out, and so does patient_holdout: take",
        ),
        (["folds=leave_one_out", "fold=0", "holdout=h.yaml"], "holdout says what is held out, and so does folds: take"),
        (["temporal_holdout={a: soon}"], "is {'a': 'soon'}: a is 'soon': input should be a date or a date and time"),
        (["validation={a: 2024-01-01T00:00Z}"], "a is '2024-01-01T00:00Z': a moment is naive local time"),
        (["temporal_holdout={a: 0.2}"], "a is 0.2: input should be a date or a date and time"),
        (["digest=abc"], "split.digest is 'abc': string should match pattern"),
    ],
)
def test_a_section_that_cannot_be(settings, said):
    with pytest.raises(ConfigError) as refused:
        read_config({}, [f"split.{one}" for one in settings])
    assert said in str(refused.value)


def test_more_folds_than_people_stop_a_command(refused, write, readings):
    write(readings(("a", "b"), n=60))
    said = refused("backtest", "naive", "--config", "c.yaml", "--set", "split={folds: 3, fold: 0}")
    assert said == "split.folds 3 needs 3 items or more, and the data holds 2"


def any_split(random, ids, tmp_path):
    """Return the section ``split`` of any kind."""
    moment = lambda: datetime(2024, 1, 1) + timedelta(seconds=int(random.integers(-9_000, 50_000)))  # noqa: E731
    some = lambda: [item for item in ids if random.random() < 0.5]  # noqa: E731
    share = lambda: float(random.uniform(0.01, 0.99))  # noqa: E731
    rule = lambda: random.choice([share, moment, lambda: {item: moment() for item in some()}])()  # noqa: E731
    wanted = {"validation": random.choice([lambda: 0.0, rule])()}
    kind = random.choice(["items", "folds", "leave_one_out", "file"])
    if kind == "file":
        (tmp_path / "h.yaml").write_text(
            f"dataset_name: x\nholdout_type: hybrid\n"
            f"temporal_config: {{holdout_percentage: {share()}, min_train_samples: 5, min_holdout_samples: 9}}\n"
            f"patient_config: {{holdout_patients: {some()[:5]}, holdout_percentage: 0.2, min_train_patients: 1, "
            f"min_holdout_patients: 1}}\n"
        )
        return wanted | {"holdout": str(tmp_path / "h.yaml")}
    if kind == "items":
        return wanted | {
            "patient_holdout": random.choice([lambda: None, share, some])(),
            "temporal_holdout": random.choice([lambda: None, rule])(),
        }
    folds = 3 if kind == "folds" else kind
    return wanted | {"folds": folds, "fold": int(random.integers(3)), "temporal_holdout": rule()}


@pytest.mark.parametrize("seed", range(150))
def test_every_row_is_in_one_set(readings, panel_of, tmp_path, seed):
    random = np.random.default_rng(seed)
    lengths = dict(zip("abcdef", random.choice(np.arange(1, 120), 6, replace=False).tolist(), strict=True))
    panel = panel_of(pd.concat([readings((item,), n=n, seed=n) for item, n in lengths.items()], ignore_index=True))
    wanted = any_split(random, list(lengths), tmp_path)
    made = split_panel(panel, SplitConfig(**wanted), seed)
    holders = np.zeros(len(panel), int)
    for span in made.spans.values():
        for first, stop in zip(span.first, span.stop, strict=True):
            holders[first:stop] += 1
    assert (holders == 1).all()
    in_time = [made.spans[name] for name in ("train", "validation", "temporal_holdout") if name in made.spans]
    for before, after in pairwise(in_time):
        assert (before.stop <= after.first).all()
    for at, item in enumerate(panel.item_ids):
        held = [name for name, span in made.spans.items() if span.stop[at] > span.first[at]]
        assert (held == ["patient_holdout"]) == (item in made.held_out)
