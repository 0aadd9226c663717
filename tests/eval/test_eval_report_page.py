"""The page as a file: complete without a browser, safe whatever labels say, whole or not there."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from reportkit import chunk, entry, few, made_up, plain, task

from tsfm_core import DataError
from tsfm_core.api import backtest
from tsfm_core.errors import RunError
from tsfm_core.run import Run
from tsfm_eval.report import Drawing, PairRow, Statistics, gather, write_report

VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """What a page holds: its ids, links, tags and text, and whether its tags close."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.tags, self.open, self.text = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        self.ids += [given["id"]] if "id" in given else []
        self.links += [value for name, value in attributes if name in ("href", "src", "xlink:href", "data", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open[-1:] not in (["style"], ["script"]):
            self.text.append(text)


def written(folder, *entries, **given):
    path = folder / "report.html"
    write_report(entries, path, **given)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    return text, page, re.sub(r"\s+", " ", " ".join(page.text))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A comparison of two runs over two sets, with statistics and figures."""
    folder = tmp_path_factory.mktemp("report")
    sets, other = [made_up(), made_up("patient_holdout", seed=3)], [made_up(width=30)]
    learnt = [{"step": at, "loss": 9 / at} for at in range(1, 20)]
    pair = PairRow("temporal_holdout", "rmse", "first", "second", 6, -3.0, -5.0, -1.0, 0.0004, -0.9)
    small = replace(pair, set="patient_holdout", patients=4)
    drawing = Drawing("ranks", "Ranks", "first is ahead of second.", lambda axes: axes.plot([1, 2], [1, 1], color="k"))
    entries = [few(entry("first", sets, training=learnt)), few(entry("second", other, baselines=()))]
    statistics = Statistics([pair, small], [drawing], ["Ranks need 5 patients."])
    return written(folder, *entries, statistics=statistics)


def test_ids_are_unique_and_links_are_local(both):
    text, page, _ = both
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert set(re.findall(r"\w+://[\w.]+", text)) == {"http://www.w3.org"}  # the names of SVG's namespaces
    assert "@import" not in text


def test_every_section_has_its_figures(both):
    _, page, said = both
    figures = [given["id"] for tag, given in page.tags if tag == "figure"]
    images = [given for tag, given in page.tags if tag == "svg"]
    assert len(figures) == len(images) == sum(given.get("role") == "img" for given in images)
    for name in (
        *("clarke-temporal-holdout-first", "parkes-t1-patient-holdout-first", "rmse-by-time-temporal-holdout"),
        *("rmse-by-hour-patient-holdout", "rmse-by-range-temporal-holdout", "reliability-temporal-holdout"),
        *("pit-temporal-holdout-second", "coverage-temporal-holdout-first", "sharpness-temporal-holdout-first"),
        *(
            "best-window-temporal-holdout-first",
            "best-window-patient-holdout-first",
            "night-1-temporal-holdout-first",
        ),
        *("ranks", "learning-first"),
    ):
        assert name in figures
    assert "No learning curve of second: no losses were logged." in said


def test_headline_has_intervals_and_marks(both):
    text, _, said = both
    table = text[text.index('id="table-headline-temporal_holdout"') :]
    second = table[table.index(">second<") : table.index("</tr>", table.index(">second<"))]
    assert re.search(r"> *[\d.]+ \* <small>\([\d.]+ to [\d.]+\)</small>", second)
    assert "* differs from first (Wilcoxon over patients, Holm, p < 0.05)" in said
    assert "Of 6 patients it is not reliable" in said
    assert " * <" not in text[text.index('id="table-headline-patient_holdout"') :].partition("</table>")[0]


def test_pairs_of_few_patients_are_left_out(both):
    text, _, said = both
    table = text[text.index('id="table-pairs"') :].partition("</table>")[0]
    assert table.count("<tr>") == 2
    assert "&lt; 0.001" in table
    assert "Pairs left out, with fewer than 5 patients: 1." in said
    assert "Ranks need 5 patients." in said


def test_differences_by_patient(tmp_path):
    one, other = plain("only"), plain("other", chunks=[made_up(width=30)])
    text, _, _ = written(tmp_path, one)
    row = next(row for row in one.items if row["item_id"] == "p03")
    naive = next(row for row in one.baseline_items["naive"] if row["item_id"] == "p03")
    cells = re.findall(r'data-value="([^"]+)"', text[text.index('data-value="p03"') :].partition("</tr>")[0])
    assert cells[:3] == ["p03", "temporal_holdout", "20"]
    assert float(cells[3]) == row["rmse"]
    assert float(cells[-2]) == pytest.approx(row["rmse"] - naive["rmse"])
    beside = next(row for row in other.items if row["item_id"] == "p03")
    text, _, said = written(tmp_path, one, other)
    assert "rmse, only − other" in said
    cells = re.findall(r'data-value="([^"]+)"', text[text.index('data-value="p03"') :].partition("</tr>")[0])
    assert [float(cell) for cell in cells[3:]] == pytest.approx(
        [row["rmse"], beside["rmse"], row["rmse"] - beside["rmse"]]
    )


def test_figures_are_files_too_and_the_same_entries_give_the_same_bytes(tmp_path):
    one = few(entry(chunks=[made_up(items=2)], baselines=()))
    first, page, _ = written(tmp_path, one, figures=tmp_path / "figures")
    names = {given["id"] for tag, given in page.tags if tag == "figure"}
    files = {path.name for path in (tmp_path / "figures").iterdir()}
    assert files == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    for path in (tmp_path / "figures").glob("*.svg"):
        assert ET.fromstring(path.read_text(encoding="utf-8")).tag.endswith("svg")
        assert "var(--" not in path.read_text(encoding="utf-8")
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in (tmp_path / "figures").glob("*.png"))
    assert written(tmp_path, one)[0] == first


def test_labels_are_text(tmp_path):
    bad = '<script>alert("x")</script>'
    given = made_up(items=2)
    given.item_id[:] = [f"{bad}{item}" for item in given.item_id]
    one = few(entry(bad, [given], facts={"experiment": bad}, config=f"experiment: '{bad}'", baselines=()))
    _, page, said = written(tmp_path, one)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert said.count('alert("x")') > 5


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"data": {"synthetic": True}}, "The data is SYNTHETIC: simulated, no real person."),
        ({"data": {"sources": {"a": {"synthetic": True}, "b": {}}, "synthetic": True}}, "A is SYNTHETIC"),
    ],
)
def test_simulated_data_is_labelled(tmp_path, facts, expected):
    text, _, said = written(tmp_path, plain(facts=facts))
    assert expected in said
    assert '<p class="loud">' in text
    assert "SYNTHETIC" not in written(tmp_path, plain())[0]


def test_runs_on_different_windows_are_told(tmp_path):
    entries = [plain("a"), plain("b", facts={"protocol_digest": "e"})]
    assert "These runs were tested on different windows" in written(tmp_path, *entries)[2]


def test_what_the_data_lack_is_said(tmp_path):
    given = task(unit="custom:MW", target="load", quantile_levels=())
    one = chunk(np.ones((3, 12)), np.zeros((3, 12)), minute=np.full(3, -1, np.int16))
    bare = entry("bare", [one], baselines=(), given=given, items=(), metrics=(), config="")
    _, _, said = written(tmp_path, bare)
    for sentence in (
        "No error grid of bare is shown: it is defined for glucose, not for custom:MW.",
        "No calibration of bare is shown: the forecasts have no quantiles.",
        "No night of bare is shown: it is defined for glucose, not for custom:MW.",
        "Nothing is shown by hour of the day: the scores do not have it",
        "Nothing is shown by glycaemic range",
        "No scores by item are given.",
        "There is nothing to compare: the report holds one model.",
        "clarke is not given",
    ):
        assert sentence in said
    assert "patient" not in said.replace("patient_holdout", "")
    empty = replace(bare, pictures={}, scores={"temporal_holdout": {"windows": 0, "overall": {}}})
    assert "No error grid of bare is shown: no forecasts are given." in written(tmp_path, empty)[2]


def without_numbers(scores):
    """Return scores as metrics.json has those that are not finite."""
    if isinstance(scores, dict):
        return {key: one if key == "windows" else without_numbers(one) for key, one in scores.items()}
    return [without_numbers(one) for one in scores] if isinstance(scores, list | tuple) else None


def test_scores_without_a_value_are_dashes(tmp_path):
    one = few(entry(chunks=[made_up(items=2)], baselines=()))
    _, _, said = written(tmp_path, replace(one, scores=without_numbers(one.scores), items=without_items(one)))
    assert "nan" not in re.findall(r"[a-z]+", said)
    assert said.count("–") > 20


def without_items(one):
    return [
        {**dict.fromkeys(row, np.nan), "set": row["set"], "item_id": row["item_id"], "windows": 3} for row in one.items
    ]


@pytest.mark.parametrize(
    ("entries", "path", "figures", "said"),
    [
        ([], "r.html", None, "a report of no run would be empty"),
        (["a", "a"], "r.html", None, "two runs are labelled 'a'"),
        (["a"], "r.pdf", None, "r.pdf does not end in .html"),
        (["a"], "folder.html", None, "folder.html is a folder"),
        (["a"], "no/r.html", None, "/no is not there"),
        (["a"], "r.html", "no/figures", "/no is not there"),
        (["a"], "r.html", "file", "file is a file"),
    ],
)
def test_mistakes_are_sentences(tmp_path, entries, path, figures, said):
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=re.escape(said)):
        write_report([plain(label) for label in entries], tmp_path / path, figures and tmp_path / figures)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "folder.html"]


def test_units_do_not_mix(tmp_path):
    with pytest.raises(DataError, match="the runs are scored in mg/dL and mmol/L"):
        write_report([plain("a"), replace(plain("b"), unit="mmol/L")], tmp_path / "r.html")


def test_a_report_is_whole_or_not_there(tmp_path):
    def broken(axes):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write_report([plain()], tmp_path / "r.html", statistics=Statistics(drawings=[Drawing("a", "b", "c", broken)]))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def run(tmp_path):
    """A backtest of the naive model on a small table."""
    hours = [f"2024-01-{1 + at // 288:02d}T{at // 12 % 24:02d}:{at % 12 * 5:02d}" for at in range(3 * 288)]
    glucose = 120 + 60 * np.sin(np.arange(len(hours)) / 20)
    both = {"a": glucose, "b": glucose[::-1] + 1}
    rows = [f"{item},{at},{one:.1f}" for item, own in both.items() for at, one in zip(hours, own, strict=True)]
    table = tmp_path / "data.csv"
    table.write_text("\n".join(["item_id,timestamp,glucose", *rows]))
    config = {
        "experiment": "small",
        "task": task().model_dump(mode="json"),
        "data": {"source": "csv", "path": str(table), "unit": "mg/dL"},
        "split": {"temporal_holdout": 0.3, "validation": 0.2},
        "evaluation": {"stride": 3, "metrics": ["rmse", "coverage"], "baselines": ["mean"]},
        "output": {"root": str(tmp_path / "experiments")},
    }
    return backtest("naive", config)


def test_a_report_of_a_run(run, tmp_path):
    one = gather(run)
    assert (one.label, one.unit, list(one.pictures)) == ("naive", "mg/dL", ["temporal_holdout"])
    assert one.scores == run.metrics["sets"]
    assert {fact.name: fact.point for fact in one.metrics} == {"rmse": "mean", "coverage": "quantiles"}
    assert one.items[0]["windows"] == next(iter(one.scores.values()))["windows"] // 2
    _, _, said = written(tmp_path, one)
    assert f"{one.scores['temporal_holdout']['windows']} windows of 2 patients." in said
    assert "experiment: small" in said
    for own in one.scores.values():
        assert own["overall"]["rmse"] > 0


def test_an_unscored_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="is not scored"):
        gather(Run.create(tmp_path, "naive", "small", {}, {}))


@pytest.mark.parametrize("module", ["tsfm_eval.report", "tsfm_eval.report.page", "tsfm_eval.report.gather"])
def test_importing_draws_nothing(module):
    code = f"import sys, {module}; print({{'matplotlib', 'jinja2', 'pandas', 'scipy'}} & sys.modules.keys())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
