"""``tsfm demo``: the README's first command, whole."""

import re
import subprocess
import sys

import pytest

from tsfm_core import load_run

MODELS = ("naive", "seasonal_naive", "mean", "linear", "ttm from_scratch", "ttm zero_shot", "ttm full")
NAMED = re.compile(r"^([\w ]+): (experiments/\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    code = "from tsfm_core.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "demo"], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC" in done.stderr
    return folder, done.stdout


def test_its_table_has_every_model_on_every_test_set(printed):
    for name in ("temporal_holdout", "patient_holdout"):
        table = printed[1].split(f"{name}: ")[1]
        for model in MODELS:
            assert re.search(rf"^ {model} +(\| +\d+\.\d ){{4}}\| +\d+\.\d %$", table, re.MULTILINE), model


def test_its_numbers_are_those_of_the_runs_it_names(printed):
    folder, text = printed
    named = dict(NAMED.findall(text))
    assert set(named) == set(MODELS)
    table = text.split("patient_holdout: ")[1]
    for model, path in named.items():
        run = load_run(folder / path)
        assert run.status == "completed"
        overall = run.metrics["sets"]["patient_holdout"]["overall"]
        row = re.search(rf"^ {model} .*$", table, re.MULTILINE)[0]
        assert f"{overall['rmse']:.1f}" in row
        assert f"{overall['clarke_a'] + overall['clarke_b']:.1f} %" in row


def test_a_small_network_learns_something(printed):
    scores = {}
    folder, text = printed
    for model, path in NAMED.findall(text):
        scores[model] = load_run(folder / path).metrics["sets"]["patient_holdout"]["overall"]["rmse"]
    rules = min(scores["naive"], scores["mean"], scores["seasonal_naive"])
    assert max(scores["ttm from_scratch"], scores["ttm full"]) < rules


def test_its_runs_are_comparable(printed):
    folder, text = printed
    assert len({load_run(folder / path).facts["protocol_digest"] for _, path in NAMED.findall(text)}) == 1


def test_what_it_says_to_type_next_works(printed):
    folder, text = printed
    shown = re.search(r"^  tsfm (runs show \S+)$", text, re.MULTILINE)[1].split()
    command = [sys.executable, "-c", "from tsfm_core.cli import main; main()", *shown]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    assert "ttm · demo · full · completed" in done.stdout


def test_a_run_of_it_is_reproduced_to_the_bit(printed):
    folder, text = printed
    path = re.search(r"^linear: (experiments/\S+)$", text, re.MULTILINE)[1]
    command = [sys.executable, "-c", "from tsfm_core.cli import main; main()", "runs", "reproduce", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith(f"identical to {path}")
