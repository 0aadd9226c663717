"""``tsfm runs compare``: one table of runs and of folds, and what it refuses."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsfm_core
from tsfm_core import DataError
from tsfm_core.run import Run
from tsfm_eval.comparison.compare import compare
from tsfm_eval.comparison.entries import Entry, find_entries


def entries(**runs):
    return [Entry(label, (run,) if isinstance(run, Run) else tuple(run)) for label, run in runs.items()]


def by_person(run, name="temporal_holdout"):
    frame = pd.read_csv(run.path / "metrics_by_item.csv")
    return frame[frame["set"] == name].set_index("item_id")


def test_scores_are_those_of_the_runs_and_intervals_hold_them(runs):
    found = compare(entries(**runs)).sets["temporal_holdout"]
    assert found.patients == 8
    rows = {(row.number, row.ahead): row for row in found.rows}
    assert [row.ahead for row in found.rows[:2]] == ["30 min", "60 min"]
    for label, run in runs.items():
        scored = run.metrics["sets"]["temporal_holdout"]
        for number, value in scored["overall"].items():
            cell = rows[number, None].cells[label]
            assert cell.value == pytest.approx(value)
            if value not in (0, 100):  # a share of pairs that nobody has, or everybody, is given no interval
                assert cell.interval.low <= value <= cell.interval.high, number
        assert rows["rmse", "30 min"].cells[label].value == pytest.approx(scored["by_step"]["rmse"][5])
    assert rows["rmse", None].unit == "mg/dL"
    assert rows["clarke_a", None].unit == "%"


def test_differences_are_paired_and_of_the_named_reference(runs):
    found = compare(entries(**runs), ["rmse"], reference="linear").sets["temporal_holdout"]
    row = found.rows[-1]
    assert row.cells["linear"].difference is None
    for label in ("naive", "mean"):
        difference = row.cells[label].difference
        assert difference.estimate == pytest.approx(row.cells[label].value - row.cells["linear"].value)
        assert difference.low < difference.estimate < difference.high
    itself = compare(entries(a=runs["naive"], b=Run(runs["naive"].path)), ["rmse"]).sets["temporal_holdout"]
    same = itself.rows[-1].cells["b"].difference
    assert same.estimate == 0
    assert not same.excludes_zero


def test_tests_are_over_people(runs):
    from scipy.stats import friedmanchisquare, wilcoxon

    found = compare(entries(**runs), ["mae"]).sets["temporal_holdout"]
    own = {label: by_person(run)["mae"].to_numpy() for label, run in runs.items()}
    assert found.number == "mae"
    assert found.ranking.p == pytest.approx(friedmanchisquare(*own.values()).pvalue)
    first = found.tests[0]
    assert (first.a, first.b, first.patients) == ("naive", "mean", 8)
    assert first.p == pytest.approx(wilcoxon(own["naive"], own["mean"], method="exact").pvalue)
    ratio = np.exp(np.mean(np.log(own["mean"] / own["naive"])))
    assert found.skill["mean"] == pytest.approx(1 - ratio)
    assert sum(found.wins.values()) == pytest.approx(1.5)


def test_folds_are_one_entry(folds, settings):
    found = compare(entries(**folds)).sets["patient_holdout"]
    assert found.patients == 8
    tables = [by_person(run, "patient_holdout") for run in folds["linear"]]
    table = pd.concat(tables)
    row = next(row for row in found.rows if row.number == "rmse" and row.ahead is None)
    # people have as many windows, and all are complete: the pooled mean square is the mean of theirs, by their pairs
    assert table["windows"].sum() == found.windows
    assert row.cells["linear"].value == pytest.approx(
        np.sqrt(np.average(table["rmse"] ** 2, weights=table["windows"])), rel=5e-3
    )
    root = settings["output"]["root"]
    named = find_entries(["naive/folds", "linear/folds"], root=Path(root))
    assert [(entry.label, len(entry.runs)) for entry in named] == [("naive", 4), ("linear", 4)]


def test_the_command_prints_one_table_in_each_format(runs, tsfm):
    paths = [run.path for run in runs.values()]
    code, out, _ = tsfm("runs", "compare", *paths)
    assert code == 0
    assert "temporal_holdout: " in out
    assert "rmse at 30 min" in out
    assert " to " in out
    assert "(Wilcoxon over 8 people, Holm)" in out
    assert "Friedman p = " in out
    plain = json.loads(tsfm("runs", "compare", *paths, "--json")[1])
    assert [one["label"] for one in plain["models"]] == ["naive", "mean", "linear"]
    overall = {(row["score"], row["ahead"]): row["models"] for row in plain["sets"]["temporal_holdout"]["rows"]}
    rows = list(csv.DictReader(io.StringIO(tsfm("runs", "compare", *paths, "--csv")[1])))
    for row in rows:
        cell = overall[row["score"], row["ahead"] or None][row["model"]]
        assert float(row["value"]) == pytest.approx(cell["value"])
        assert (row["differs"] == "True") == bool(cell["differs"])
    latex = tsfm("runs", "compare", *paths, "--latex")[1]
    assert latex.count("\\begin{tabular}") == 1
    assert "clarke\\_a & \\%" in latex


def test_few_people_get_scores_without_intervals_and_a_reason(runs, settings, tsfm):
    few = settings | {"experiment": "few", "data": settings["data"] | {"items": ["p0", "p1", "p2"]}}
    some = [tsfm_core.backtest(name, few) for name in ("naive", "mean")]
    code, out, _ = tsfm("runs", "compare", *(run.path for run in some))
    assert code == 0
    assert "no intervals: 3 patients are too few" in out
    assert "no tests: 3 patients are too few" in out
    code, out, err = tsfm("evaluate", some[0].path)
    assert code == 0
    assert "temporal_holdout has no intervals: 3 patients are too few" in err


def test_evaluate_puts_the_same_intervals_beside_the_scores(runs, tsfm):
    scored = json.loads(tsfm("evaluate", runs["linear"].path, "--json")[1])
    found = compare(entries(**runs)).sets["temporal_holdout"]
    for row in found.rows:
        if row.ahead is None:
            interval = row.cells["linear"].interval
            given = scored["intervals"]["temporal_holdout"][row.number]
            expected = (interval.low, interval.high) if interval.low == interval.low else (None, None)
            assert tuple(given) == pytest.approx(expected)


def other(settings, **sections):
    changed = {key: settings[key] | value for key, value in sections.items()}
    return tsfm_core.backtest("mean", settings | {"experiment": "other"} | changed)


REFUSED = {
    "stride": ({"evaluation": {"stride": 5}}, "were not tested on the same windows: .* of item 'p0'.*has the cutoff"),
    "horizon": ({"task": {"prediction_length": 6}}, "another task.prediction_length: 12 and 6"),
    "unit": ({"task": {"unit": "mmol/L"}, "data": {"unit": "mg/dL"}}, "another task.unit: mg/dL and mmol/L"),
    "people": ({"data": {"exclude": ["p3"]}}, "the items in temporal_holdout differ: only a has p3"),
    "sets": ({"split": {"patient_holdout": ["p1"]}}, "the test sets differ: only b has patient_holdout"),
    "truths": ({"data": {"valid_range": [0, 180]}}, "tested against other truths|not tested on the same windows"),
}


@pytest.mark.parametrize(("sections", "said"), REFUSED.values(), ids=REFUSED)
def test_mixed_protocols_are_refused_by_the_part_that_differs(runs, settings, sections, said):
    with pytest.raises(DataError, match=said):
        compare(entries(a=runs["naive"], b=other(settings, **sections)))


def test_another_context_may_be_compared(runs, settings):
    shorter = other(settings, task={"context_length": 24}, evaluation={"anchor_context": 48})
    assert compare(entries(a=runs["naive"], b=shorter), ["rmse"]).sets.keys() == {"temporal_holdout"}


def test_one_test_set_alone_may_be_compared(runs, settings):
    more = other(settings, split={"patient_holdout": ["p1"]}, data={"exclude": []})
    with pytest.raises(DataError, match=r"items in temporal_holdout differ: only a has p1"):
        compare(entries(a=runs["naive"], b=more), on="temporal_holdout")
    with pytest.raises(
        DataError, match="the forecasts of a hold no test window in patient_holdout; it has temporal_holdout"
    ):
        compare(entries(a=runs["naive"], b=more), on="patient_holdout")


def test_folds_that_test_the_same_windows_are_refused(runs, folds):
    twice = entries(a=[folds["naive"][0], folds["naive"][0]])
    with pytest.raises(DataError, match="item 'p.' is tested twice at .* in patient_holdout"):
        compare(twice)


def test_a_run_that_was_trained_on_its_test_windows_is_refused(runs, tmp_path):
    copy = Run(shutil.copytree(runs["linear"].path, tmp_path / "run_seen"))
    facts = copy.facts
    copy.update(trained_on=facts["trained_on"] | {"p4": ["2024-01-01T00:00:00", "2024-02-01T00:00:00"]})
    with pytest.raises(DataError, match=r"run_seen was trained on windows that it is tested on: item 'p4'"):
        compare(entries(a=runs["naive"], b=copy))


def test_names_that_mean_nothing_to_compare(runs, settings, tsfm, tmp_path):
    path = runs["naive"].path
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        ([path, path], "is given twice"),
        ([tmp_path / "empty"], "empty holds no run"),
        ([path, "--reference", "x"], "no entry is called 'x'"),
        ([path, "--on", "x"], "the forecasts of naive hold no test window in x; it has temporal_holdout"),
        ([path, "--metric", "rsme"], "did you mean 'rmse'"),
        ([path, "--unit", "mg"], "unit 'mg' is not known"),
        ([path, "--json", "--csv"], "--json and --csv cannot be had together"),
        (["nothing"], "there is no run 'nothing'"),
    ):
        code, _, err = tsfm("runs", "compare", *arguments)
        assert code == 1, arguments
        assert said in err
    copy = Run(shutil.copytree(path, tmp_path / "run_failed"))
    copy.update(status="failed")
    assert "run_failed is failed: it has no scores" in tsfm("runs", "compare", copy.path)[2]
    (copy.path / "forecasts.parquet").write_bytes(b"PAR1")
    copy.update(status="completed")
    assert "holds no forecasts" in tsfm("runs", "compare", copy.path)[2]


def test_a_metric_that_one_run_cannot_give_is_an_empty_cell(runs, settings, tsfm):
    point = other(settings, task={"quantile_levels": []})
    code, out, err = tsfm("runs", "compare", runs["naive"].path, point.path)
    assert code == 0
    assert "pinball of mean is not given: the forecasts have no quantiles" in err
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith((" pinball", " mae"))}
    assert (rows["mae"].count(" to "), rows["pinball"].count(" to ")) == (2, 1)


def test_scores_in_another_unit(runs, tsfm):
    paths = [run.path for run in runs.values()]
    chosen = ("--metric", "rmse", "--metric", "grmse", "--metric", "clarke", "--json")
    plain, other = (
        json.loads(tsfm("runs", "compare", *paths, *chosen, *unit)[1]) for unit in ((), ("--unit", "mmol/L"))
    )
    for one, same in zip(*(found["sets"]["temporal_holdout"]["rows"] for found in (plain, other)), strict=True):
        factor = 18.018 if one["unit"] == "mg/dL" else 1.0
        assert same["unit"] == {"mg/dL": "mmol/L"}.get(one["unit"], one["unit"])
        for label, cell in one["models"].items():
            assert same["models"][label]["value"] * factor == pytest.approx(cell["value"], rel=1e-6)


def test_scores_of_other_quantile_levels_are_shown_but_not_set_against_each_other(runs, settings, tsfm):
    coarse = other(settings, task={"quantile_levels": [0.1, 0.5, 0.9]})
    chosen = ("--metric", "pinball", "--metric", "reliability", "--metric", "mae")
    for paths in ((runs["mean"].path, coarse.path), (coarse.path, runs["mean"].path)):
        code, out, err = tsfm("runs", "compare", *paths, *chosen)
        assert code == 0, err
        assert "the quantile levels differ" in out
        assert "mae, mean small against mean other" in out or "mae, mean other against mean small" in out
        rows = {
            row["score"]: row
            for row in json.loads(tsfm("runs", "compare", *paths, *chosen, "--json")[1])["sets"]["temporal_holdout"][
                "rows"
            ]
            if row["ahead"] is None
        }
        assert all(cell["difference"] is None for cell in rows["pinball"]["models"].values())
        assert any(cell["difference"] == 0 for cell in rows["mae"]["models"].values())


def test_folds_of_other_levels_or_strategies_are_refused(settings, folds, tmp_path):
    given = settings | {"experiment": "folds", "split": {"folds": 4, "fold": 1, "validation": 0.1}}
    coarse = tsfm_core.backtest("mean", given | {"task": settings["task"] | {"quantile_levels": [0.5]}})
    with pytest.raises(DataError, match="have other quantile levels: 0.025, .* and 0.5"):
        compare(entries(a=[folds["naive"][0], coarse]))
    mixed = tmp_path / "experiment"
    for at, run in enumerate((folds["naive"][0], folds["linear"][1])):
        shutil.copytree(run.path, mixed / f"run_{at}")
    with pytest.raises(DataError, match="holds runs of several strategies: from_scratch, zero_shot"):
        find_entries([str(mixed)], tmp_path)


def test_a_person_without_a_number_is_left_out_of_the_tests_alone(runs, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    copies = []
    for name in ("naive", "mean"):
        copy = Run(shutil.copytree(runs[name].path, tmp_path / name / "run_1"))
        table = pq.read_table(copy.forecasts_path)
        truth = [
            [float("nan")] * 12 if item == "p5" else row
            for item, row in zip(table["item_id"].to_pylist(), table["truth"].to_pylist(), strict=True)
        ]
        at = table.schema.get_field_index("truth")
        table = table.set_column(at, table.schema.field(at), pa.array(truth, table.schema.field(at).type))
        with pq.ParquetWriter(copy.forecasts_path, table.schema) as writer:
            for part in ("validation", "temporal_holdout"):
                writer.write_table(table.filter(pa.array([one == part for one in table["set"].to_pylist()])))
        copies.append(copy)
    found = compare(entries(a=copies[0], b=copies[1]), ["mae"]).sets["temporal_holdout"]
    assert found.tests[0].patients == 7
    assert found.skill.keys() == found.wins.keys() == {"a", "b"}
    assert "1 of 8 people have no mae and are left out of the tests" in found.notes


def test_two_test_sets_in_latex_are_one_table(settings, tsfm):
    more = other(settings, split={"patient_holdout": ["p1"]}, evaluation={"metrics": ["rmse"]})
    latex = tsfm("runs", "compare", more.path, "--latex")[1]
    assert latex.count("\\begin{tabular}") == 1
    assert latex.startswith("\\begin{tabular}{llll}\n\\toprule\nset & score & unit & mean")
    assert "patient\\_holdout & rmse & mg/dL" in latex
