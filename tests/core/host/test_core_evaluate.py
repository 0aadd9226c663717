"""``tsfm evaluate`` by level and in every format, and ``tsfm metrics``."""

import csv
import io
import json

import pytest


@pytest.fixture
def run(site, tsfm, config):
    site.metric("fake-scores", "fake_error")
    done = tsfm("backtest", "naive", "--config", config, "--set", "evaluation.metrics=[fake_error]", "--json")
    return json.loads(done.out)


def rows_of(done):
    assert done.code == 0, done.err
    return list(csv.DictReader(io.StringIO(done.out)))


def test_every_level_as_csv(tsfm, run, tmp_path):
    sets = run["sets"]
    overall = rows_of(tsfm("evaluate", run["run"], "--csv"))
    assert {row["set"]: float(row["all windows"]) for row in overall} == {
        name: pytest.approx(one["overall"]["fake_error"]) for name, one in sets.items()
    }
    step = [row for row in rows_of(tsfm("evaluate", run["run"], "--by", "step", "--csv")) if row["set"] == "validation"]
    assert [float(row["fake_error"]) for row in step] == pytest.approx(sets["validation"]["by_step"]["fake_error"])
    for level in ("hour", "range"):
        rows = rows_of(tsfm("evaluate", run["run"], "--by", level, "--csv"))
        found = {row[level]: float(row["fake_error"]) for row in rows if row["set"] == "temporal_holdout"}
        assert found == pytest.approx(sets["temporal_holdout"][f"by_{level}"]["fake_error"])
    items = rows_of(tsfm("evaluate", run["run"], "--by", "item", "--csv"))
    assert {row["item_id"] for row in items if row["set"] == "patient_holdout"} == {"p2"}
    groups = tmp_path / "people.csv"
    groups.write_text("item_id,sex,pump\np0,f,x\np1,m,\np2,f,x\n")
    sexes = rows_of(tsfm("evaluate", run["run"], "--by", "sex", "--groups", groups, "--csv"))
    assert [(row["set"], row["sex"], row["items"]) for row in sexes if row["set"] != "validation"] == [
        ("temporal_holdout", "f", "1"),
        ("temporal_holdout", "m", "1"),
        ("patient_holdout", "f", "1"),
    ]
    by_item = {(row["set"], row["item_id"]): row["fake_error"] for row in items}
    assert sexes[0]["fake_error"] == by_item[sexes[0]["set"], "p0"]
    pumps = rows_of(tsfm("evaluate", run["run"], "--by", "pump", "--groups", groups, "--csv"))
    assert {row["pump"] for row in pumps} == {"x"}


def test_tables_and_latex(tsfm, run):
    table = tsfm("evaluate", run["run"], "--by", "hour")
    assert table.code == 0
    assert "temporal_holdout: " in table.out
    latex = tsfm("evaluate", run["run"], "--latex").out
    assert latex.startswith("\\begin{tabular}{llrr}\n\\toprule\nset & score & all windows & mean of items \\\\\n")
    assert "temporal\\_holdout & fake\\_error & " in latex


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("who,sex\na,f\n", "has no column item_id: its columns are who, sex"),
        ("", "has no column item_id: it has no row"),
        ("item_id,sex\np0,f\np0,m\n", "has two rows for item 'p0'"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_table_of_groups_that_is_none(tsfm, run, tmp_path, content, said):
    path = tmp_path / "people.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused = tsfm("evaluate", run["run"], "--by", "sex", "--groups", path)
    assert refused.code == 1
    assert said in refused.err


def test_wrong_usage_is_a_sentence(tsfm, run):
    assert "'hou' is no level; did you mean 'hour'?" in tsfm("evaluate", run["run"], "--by", "hou").err
    both = tsfm("evaluate", run["run"], "--csv", "--latex")
    assert both.code == 1
    assert "--csv and --latex cannot be had together" in both.err


def test_a_level_that_is_not_there_is_refused_with_the_reason(tsfm, run, tmp_path):
    groups = tmp_path / "people.csv"
    groups.write_text("item_id,sex\nother,f\n")
    nobody = tsfm("evaluate", run["run"], "--by", "sex", "--groups", groups)
    assert nobody.code == 1
    assert "no item of the run is in the column 'sex' of --groups" in nobody.err
    assert "called p0, p1, p2" in nobody.err
    assert "nothing is scored by source; the run has one source" in tsfm("evaluate", run["run"], "--by", "source").err
    groups.write_text("item_id,hour\np0,f\n")
    shadowed = tsfm("evaluate", run["run"], "--by", "hour", "--groups", groups)
    assert "the column 'hour' of --groups is the name of a level" in shadowed.err


def test_ranges_are_in_the_unit_of_the_data_and_say_so(tsfm, run):
    done = tsfm("evaluate", run["run"], "--by", "range", "--unit", "mmol/L")
    assert "the ranges are in mg/dL, the unit of the data" in done.err
    assert json.loads(tsfm("evaluate", run["run"], "--json").out)["unit"] == "mg/dL"


def test_metrics_are_listed_and_shown(site, tsfm):
    site.metric("fake-scores", "fake_error")
    listed = {row["metric"]: row for row in json.loads(tsfm("metrics", "list", "--json").out)}
    assert listed["fake_error"]["package"] == "fake-scores"
    shown = json.loads(tsfm("metrics", "show", "fake_error", "--json").out)
    assert shown == listed["fake_error"]
    assert shown["definition"] in tsfm("metrics", "show", "fake_error").out
    assert "fake_error" in tsfm("metrics", "list").out
    assert "did you mean 'fake_error'" in tsfm("metrics", "show", "fake_eror").err


def test_forecasts_of_the_first_release_are_scored_but_not_by_hour(tsfm, run):
    """They were stored without the time of day."""
    import pyarrow.parquet as pq

    path = f"{run['run']}/forecasts.parquet"
    table = pq.read_table(path).drop_columns(["minute"])
    with pq.ParquetWriter(path, table.schema) as writer:
        for name in ("validation", "temporal_holdout", "patient_holdout"):
            rows = [at for at, one in enumerate(table["set"].to_pylist()) if one == name]
            writer.write_table(table.take(rows))
    sets = json.loads(tsfm("evaluate", run["run"], "--json").out)["sets"]
    for name, one in sets.items():
        assert one["overall"] == pytest.approx(run["sets"][name]["overall"])
        assert one["by_range"]["fake_error"] == pytest.approx(run["sets"][name]["by_range"]["fake_error"])
        assert (one["by_hour"], bool(run["sets"][name]["by_hour"])) == ({}, True)


def test_forecasts_that_lack_a_column_are_refused(tsfm, run):
    import pyarrow.parquet as pq

    path = f"{run['run']}/forecasts.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["context_tail", "truth"]), path)
    refused = tsfm("evaluate", run["run"])
    assert refused.code == 1
    assert "has no column truth, context_tail" in refused.err
