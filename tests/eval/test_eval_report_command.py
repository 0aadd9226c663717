"""``tsfm report``: a run, a comparison, and folds, from the command to the file."""

import re
import shutil

import pytest

import tsfm_core


def test_a_comparison_holds_what_compare_says(runs, tsfm, tmp_path):
    output, figures = tmp_path / "report.html", tmp_path / "figures"
    paths = [run.path for run in runs.values()]
    chosen = ("--metric", "rmse", "--metric", "clarke")
    code, _, err = tsfm("report", *paths, "--output", output, "--figures", figures, *chosen)
    assert code == 0, err
    assert "report.html: " in err
    page = output.read_text(encoding="utf-8")
    for label, run in runs.items():
        assert f"Clarke error grid: {label}" in page
        rmse = run.metrics["sets"]["temporal_holdout"]["overall"]["rmse"]
        cells = re.findall(rf'data-value="{str(rmse)[:9]}\d*"[^>]*>(.*?)</td>', page)
        assert any(re.search(r"\(\S+ to \S+\)", cell) for cell in cells), "the score with its interval"
    assert "Wilcoxon" in page
    assert "Mean ranks of rmse over 8 people" in page
    drawn = {path.stem for path in figures.iterdir()}
    assert {"ranks-temporal-holdout", "rmse-by-time-temporal-holdout"} <= drawn
    assert all((figures / f"{name}{ending}").stat().st_size > 500 for name in drawn for ending in (".svg", ".png"))


def test_the_reference_is_what_the_others_are_set_against(runs, tsfm, tmp_path):
    output = tmp_path / "report.html"
    paths = [run.path for run in runs.values()]
    chosen = ("--metric", "rmse", "--reference", "linear", "--unit", "mmol/L", "--on", "temporal_holdout")
    code, _, err = tsfm("report", *paths, "--output", output, *chosen)
    assert code == 0, err
    page = output.read_text(encoding="utf-8")
    assert "* differs from linear (" in page
    assert "rmse, linear − naive" in page
    assert "rmse, naive − " not in page


def test_one_run_and_its_folds(runs, folds, tsfm, tmp_path):
    one = tmp_path / "one.html"
    assert tsfm("report", runs["linear"].path, "--output", one)[0] == 0
    assert "There is nothing to compare" in one.read_text(encoding="utf-8")
    both = tmp_path / "folds.html"
    root = folds["naive"][0].path.parents[2]
    code, _, err = tsfm("report", "naive/folds", "linear/folds", "--root", root, "--output", both, "--metric", "mae")
    assert code == 0, err
    page = both.read_text(encoding="utf-8")
    windows = sum(run.facts["windows"]["patient_holdout"] for run in folds["naive"])
    assert f"{windows:,} windows of 8 patients" in page
    assert str(folds["linear"][3].path) in page


def test_what_cannot_be_written_is_refused_before_anything_is_scored(runs, tsfm, tmp_path):
    path = runs["naive"].path
    (tmp_path / "file").write_text("")
    for arguments, said in (
        (["nothing", "--output", tmp_path / "report.txt"], "does not end in .html"),
        (["nothing", "--output", tmp_path / "nowhere" / "report.html"], "is not there"),
        (["nothing", "--output", tmp_path / "r.html", "--figures", tmp_path / "file"], "is a file"),
        ([path, "--output", tmp_path / "r.html", "--metric", "none"], "no metric is called 'none'"),
    ):
        code, _, err = tsfm("report", *arguments)
        assert code == 1
        assert said in err
    assert not (tmp_path / "r.html").exists()


def test_baselines_stand_beside_a_run_in_its_own_unit_and_windows_alone(settings, tsfm, tmp_path):
    given = settings | {"experiment": "beside", "evaluation": settings["evaluation"] | {"baselines": ["naive"]}}
    given |= {"evaluation": given["evaluation"] | {"metrics": ["rmse"]}}
    run = tsfm_core.backtest("mean", given)
    pages = {}
    for unit in ("mg/dL", "mmol/L"):
        output = tmp_path / "one.html"
        code, _, err = tsfm("report", run.path, "--output", output, "--unit", unit)
        assert code == 0, err
        pages[unit] = output.read_text(encoding="utf-8")
    rmse = run.metrics["baselines"]["naive"]["sets"]["temporal_holdout"]["overall"]["rmse"]
    assert f'data-value="{str(rmse)[:9]}' in pages["mg/dL"]
    assert "rmse − naive" in pages["mg/dL"]
    assert f'data-value="{str(rmse)[:9]}' not in pages["mmol/L"]
    assert "naive is not given: its scores are stored in mg/dL" in pages["mmol/L"]
    assert "their scores do not compare" not in pages["mg/dL"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metrics.json", "{", "metrics.json cannot be read"),
        ("metrics.json", "{}", "metrics.json has no baselines, baselines_missing"),
        ("config.yaml", ": : [", None),
        ("config.yaml", "- 1", None),
    ],
)
def test_damaged_files_beside_the_forecasts(runs, tsfm, tmp_path, name, content, said):
    copy = shutil.copytree(runs["mean"].path, tmp_path / "run_1")
    (copy / name).write_text(content)
    code, _, err = tsfm("report", copy, "--output", tmp_path / "r.html", "--metric", "rmse")
    assert (code, said is None or said in err) == (0 if said is None else 1, True), err
