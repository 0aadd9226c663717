"""The host with real packages: good ones, and every way to be broken, each with its sentence."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from tsfm_core.errors import PluginError, UnknownModelError
from tsfm_core.plugins import INSTALL_HINTS, MODELS, PLUGINS, Registry, Row

#: Each case: the hooks that differ from the good fake's, and what its sentence must name.
BROKEN = {
    "import": ({"more": "import nothing_of_that_name\n"}, ["ModuleNotFoundError", "nothing_of_that_name"]),
    "leaves": ({"more": "raise SystemExit(3)\n"}, ["SystemExit", "3"]),
    "syntax": ({"more": "def (:\n"}, ["SyntaxError"]),
    "misspelt_hook": (
        {"predict": "@hookimpl\ndef predcit(model, data, task): ...\n"},
        ["'predcit'", "no hook of tsfm.models", "'predict'"],
    ),
    "misspelt_argument": (
        {"load_model": "@hookimpl\ndef load_model(config, task, chekpoint, runtime): return 1\n"},
        ["load_model", "'chekpoint'", "did you mean 'checkpoint'"],
    ),
    "default": (
        {"load_model": "@hookimpl\ndef load_model(config, task, runtime, chekpoint=None): return 1\n"},
        ["load_model", "'chekpoint'", "default"],
    ),
    "keyword_only": (
        {"load_model": "@hookimpl\ndef load_model(config, task, *, checkpoint): return 1\n"},
        ["load_model", "keyword-only argument checkpoint"],
    ),
    "positional_only": (
        {"load_model": "@hookimpl\ndef load_model(config, /, task): return 1\n"},
        ["load_model", "positional-only argument config"],
    ),
    "star": ({"load_model": "@hookimpl\ndef load_model(*args): return 1\n"}, ["load_model", "*args"]),
    "stars": ({"load_model": "@hookimpl\ndef load_model(**kwargs): return 1\n"}, ["load_model", "**kwargs"]),
    "missing": ({"predict": None}, ["lacks the hook predict"]),
    "unmarked": ({"predict": "def predict(model, data, task): return 1\n"}, ["predict", "no mark"]),
    "unmarked_optional": ({"train": "def train(model, data, validation, job): return 1\n"}, ["train", "no mark"]),
    "others_mark": (
        {
            "more": "import pluggy\nother = pluggy.HookimplMarker('other')\n",
            "predict": "@other\ndef predict(model, data, task): return 1\n",
        },
        ["predict", "no mark of tsfm_core.hookimpl"],
    ),
    "foreign_hook": ({"metrics": "@hookimpl\ndef metrics(): return []\n"}, ["'metrics'", "no hook of tsfm.models"]),
    "wrapper_without_yield": (
        {"train": "@hookimpl(wrapper=True)\ndef train(model): return 1\n"},
        ["wrapper of train", "yield"],
    ),
    "card_raises": (
        {"model_card": "@hookimpl\ndef model_card(): raise LookupError('no card today')\n"},
        ["model_card raised LookupError: no card today"],
    ),
    "card_leaves": ({"model_card": "@hookimpl\ndef model_card(): raise SystemExit\n"}, ["model_card", "SystemExit"]),
    "card_of_another_kind": (
        {"model_card": "@hookimpl\ndef model_card(): return {'summary': 'x'}\n"},
        ["model_card returned dict; expected ModelCard"],
    ),
    "card_is_none": (
        {"model_card": "@hookimpl\ndef model_card(): pass\n"},
        ["model_card returned None; expected ModelCard"],
    ),
}


def row_of(name: str, package: str | None = None, group: str = MODELS) -> Row:
    [row] = [row for row in Registry().rows(group) if row.name == name and package in (None, row.package)]
    return row


def test_a_good_package_is_a_row_and_a_backend(site):
    site.model("good", "fake-good")
    assert row_of("good") == Row("good", "fake-good", "1.0", "ok", None, "a fake")
    backend = Registry().model("good")
    assert (backend.package, backend.version, backend.trainable) == ("fake-good", "1.0", False)
    assert backend.card.strategies == ("zero_shot",)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_package_is_a_row_with_one_sentence(site, case):
    hooks, named = BROKEN[case]
    site.model("good")
    site.model("bad", "fake-bad", **hooks)
    row = row_of("bad")
    assert row.status == "broken"
    assert row.problem
    assert "\n" not in row.problem
    for part in named:
        assert part in row.problem
    with pytest.raises(PluginError) as raised:
        Registry().model("bad")
    assert row.problem in str(raised.value)
    assert row_of("good").status == "ok"
    assert row_of("naive").status == "ok"


def test_listings_exit_0_and_use_exits_1_with_the_same_sentence(site, tsfm, config):
    cases = ("import", "misspelt_argument", "card_raises")
    for case in cases:
        site.model(case, **BROKEN[case][0])
    site.model("good")
    listed = tsfm("models", "list", "--json")
    assert listed.code == 0
    rows = {row["name"]: row for row in json.loads(listed.out)}
    assert rows["good"]["status"] == "ok"
    table = tsfm("models", "list")
    assert table.code == 0
    for case in cases:
        assert rows[case]["status"] == "broken"
        assert rows[case]["problem"] in table.out
        used = tsfm("backtest", case, "--config", config)
        assert (used.code, used.out) == (1, "")
        assert rows[case]["problem"] in used.err
        assert used.err.count("\n") == 1
    assert not Path("experiments").exists()
    assert tsfm("models", "show", "good").code == 0
    assert tsfm("--help").code == 0


def test_plugins_check_exits_1_and_names_each_problem(site, tsfm):
    site.model("bad", "fake-bad", predict=None)
    checked = tsfm("plugins", "check")
    assert checked.code == 1
    assert "bad (fake-bad 1.0): it lacks the hook predict" in checked.out
    rows = {row["name"]: row for row in json.loads(tsfm("plugins", "check", "--json").out)}
    assert (rows["naive"]["group"], rows["naive"]["status"]) == (MODELS, "ok")
    assert (rows["core"]["group"], rows["core"]["package"]) == (PLUGINS, "tsfm-core")
    assert rows["bad"]["status"] == "broken"


@pytest.mark.parametrize(
    ("requirement", "refused"),
    [
        ("tsfm-core>=9", True),
        ("tsfm_core >=9", True),
        ("tsfm-core<0.0.1", True),
        ("tsfm-core>=0.0.1", False),
        ("tsfm-core", False),
        ("tsfm-core>=9; extra == 'future'", False),
        ("tsfm-core>=9; python_version < '3'", False),
        ("some-other>=9", False),
    ],
)
def test_a_package_for_another_core_is_refused_before_its_code_runs(site, requirement, refused):
    trace = site.folder / "it_ran"
    source = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n"
    site.install("fake-future", source, models=("future",), requires=(requirement,), version="0.9.0")
    row = row_of("future")
    assert trace.exists() is not refused
    if refused:
        assert row.problem is not None
        assert row.problem.startswith("fake-future 0.9.0 needs tsfm-core")
        assert "found 0." in row.problem


def test_metadata_that_cannot_be_read_breaks_one_row(site):
    site.install("fake-garbled", "", models=("garbled",), requires=("tsfm-core >>> 3",))
    assert "InvalidRequirement" in (row_of("garbled").problem or "")
    assert row_of("naive").status == "ok"


def test_two_strangers_with_one_name_are_both_refused(site):
    site.model("twin", "fake-one")
    site.model("twin", "fake-two")
    sentence = "fake-one and fake-two both claim the name 'twin'"
    assert row_of("twin", "fake-one").problem == sentence
    assert row_of("twin", "fake-two").problem == sentence
    with pytest.raises(PluginError, match=sentence):
        Registry().model("twin")


@pytest.mark.parametrize("name", ["naive", "linear"])
def test_a_stranger_cannot_take_a_name_of_ours(site, tsfm, config, name):
    site.model(name, "a-stranger", model_card="raise RuntimeError('the stranger ran')\n")
    registry = Registry()
    assert registry.model(name).package == "tsfm-core"
    row = row_of(name, "a-stranger")
    assert row.problem is not None
    assert row.problem.startswith(f"the name '{name}' is taken by tsfm-core 0.")
    assert row_of(name, "tsfm-core").status == "ok"
    assert tsfm("models", "show", name).code == 0


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".hidden", "-x", "a b", "run_fast", "best_run", "ü"])
def test_a_model_name_cannot_leave_the_experiments_or_pass_for_a_run(site, name):
    trace = site.folder / "it_ran"
    site.install("fake-path", f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n", models=(name,))
    assert f"{name!r} is no model name" in (row_of(name).problem or "")
    assert not trace.exists()


def test_one_module_cannot_be_two_plugins(site):
    site.install("fake-both", MODEL_AND_METRIC, models=("both",), plugins=("both",))
    problems = [row_of("both", group=group).problem for group in (MODELS, PLUGINS)]
    assert any(problem and "no hook of tsfm." in problem for problem in problems)


MODEL_AND_METRIC = "from tsfm_core import hookimpl\n@hookimpl\ndef metrics(): return []\n"


def test_one_module_cannot_have_two_names(site):
    site.model("first", "fake-pair")
    info = next(site.folder.glob("fake_pair-*.dist-info"))
    (info / "entry_points.txt").write_text("[tsfm.models]\nfirst = fake_pair\nsecond = fake_pair\n")
    assert row_of("first").status == "ok"
    registry = Registry()
    registry.model("first")
    with pytest.raises(PluginError, match=r"already the plugin tsfm\.models:first"):
        registry.model("second")


def test_an_unknown_model_gets_the_nearest_name_or_an_install_line_of_ours(site, tsfm):
    site.model("good")
    near = tsfm("models", "show", "god")
    assert near.code == 1
    assert "did you mean 'good'?" in near.err
    far = tsfm("models", "show", "chronicle")
    assert far.code == 1
    assert "pip install" not in far.err
    assert "good" in far.err


@pytest.mark.parametrize("name", sorted(INSTALL_HINTS))
def test_a_name_of_ours_that_is_not_installed_gets_its_install_line(name):
    registry = Registry()
    if name in {row.name for row in registry.rows(MODELS)}:
        pytest.skip(f"{INSTALL_HINTS[name]} is installed here")
    with pytest.raises(UnknownModelError, match=f"pip install {INSTALL_HINTS[name]}"):
        registry.model(name)


def test_only_our_own_packages_are_ever_suggested():
    assert all(package.startswith("tsfm-") for package in INSTALL_HINTS.values())
    with pytest.raises(UnknownModelError) as raised:
        Registry().model("chronicle")
    assert "pip" not in str(raised.value)


@pytest.mark.parametrize("verb", ["load_model", "prepare_data", "predict"])
def test_a_hook_that_returns_nothing_is_named(site, tsfm, config, verb):
    arguments = {"load_model": "config", "prepare_data": "windows", "predict": "data"}[verb]
    site.model("silent", "fake-silent", **{verb: f"@hookimpl\ndef {verb}({arguments}): pass\n"})
    done = tsfm("backtest", "silent", "--config", config)
    assert done.code == 1
    assert f"silent returned nothing from {verb}; tell the authors of fake-silent" in done.err


def test_an_exception_in_a_verb_keeps_its_type_and_traceback_and_names_the_package(site, tsfm, config):
    site.model("raises", "fake-raises", predict="@hookimpl\ndef predict(model):\n    return {}['nothing here']\n")
    with pytest.raises(KeyError) as raised:
        tsfm("backtest", "raises", "--config", config)
    assert raised.value.__notes__ == ["while fake-raises 1.0 ran predict for the model 'raises'"]
    assert Path(traceback.extract_tb(raised.value.__traceback__)[-1].filename).name == "fake_raises.py"


def test_our_own_errors_pass_through_a_verb_as_sentences(site, tsfm, config):
    site.model(
        "refuses",
        more="from tsfm_core import CapabilityError\n",
        load_model="@hookimpl\ndef load_model(task):\n    raise CapabilityError('no', 'use another')\n",
    )
    done = tsfm("backtest", "refuses", "--config", config)
    assert (done.code, done.err) == (1, "tsfm: no; use another\n")


WRAPPER = """
import pathlib

@hookimpl(wrapper=True)
def predict(model, data, task):
    forecasts = yield
    with pathlib.Path(__file__).with_name("seen").open("a") as file:
        file.write(f"{len(data)} {len(forecasts)}\\n")
    return forecasts
"""


def test_a_wrapper_of_a_third_package_wraps_a_models_verb(site, tsfm, config):
    site.model("good")
    site.plugin("fake-timer", WRAPPER)
    assert row_of("fake-timer", group=PLUGINS).status == "ok"
    assert tsfm("backtest", "good", "--config", config).code == 0
    seen = [line.split() for line in (site.folder / "seen").read_text().splitlines()]
    assert seen
    assert all(given == returned for given, returned in seen)
    (site.folder / "seen").unlink()
    assert tsfm("backtest", "naive", "--config", config).code == 0
    assert (site.folder / "seen").exists()


def test_a_models_own_wrapper_wraps_no_other_model(site, tsfm, config):
    site.model("good", train=None, more=WRAPPER.replace("def predict", "def around").replace("(wrapper=True)", WRAPS))
    assert row_of("good").status == "ok"
    assert tsfm("backtest", "naive", "--config", config, "--set", "evaluation.baselines=[good]").code == 0
    assert len((site.folder / "seen").read_text().splitlines()) == 3  # its own three sets, not naive's


def test_a_verb_is_answered_by_the_model_that_was_named(site, tsfm, config):
    site.model("far", predict=MODEL_FAR_OFF)
    settings = (["--set", f"evaluation.baselines={names}"] for names in ("[]", "[far,mean]"))
    runs = [json.loads(tsfm("backtest", "naive", "--config", config, *one, "--json").out)["run"] for one in settings]
    alone, among = ((Path(run) / "forecasts.parquet").read_bytes() for run in runs)
    assert alone == among


MODEL_FAR_OFF = """
@hookimpl
def predict(data, task):
    import numpy as np
    from tsfm_core import Forecasts

    return Forecasts.of(data, mean=np.full((len(data), task.prediction_length), 1e6))
"""


WRAPS = "(wrapper=True, specname='predict')"


def test_a_wrapper_of_an_unknown_verb_is_refused(site):
    site.plugin("fake-timer", WRAPPER.replace("def predict(model, data, task)", "def forecast(model)"))
    problem = row_of("fake-timer", group=PLUGINS).problem
    assert problem is not None
    assert "'forecast', which is no hook of tsfm.plugins" in problem


def test_a_card_is_asked_of_the_model_alone(site):
    site.model("good")
    site.plugin("fake-nosy", "@hookimpl(wrapper=True)\ndef model_card():\n    yield\n    raise RuntimeError\n")
    registry = Registry()
    assert [row.status for row in registry.rows(PLUGINS) if row.name == "fake-nosy"] == ["ok"]
    assert registry.model("good").card.summary == "a fake"
