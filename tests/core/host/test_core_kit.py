"""The conformance kit: core's models pass, and each way to break a promise is caught by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tsfm_core import Task
from tsfm_core.errors import CapabilityError, UnknownModelError
from tsfm_core.testing import check_model, sample_panel

#: A model that learns one number and keeps its promises; the wrong ones below differ from it by one line.
CARD = """
class Fits(Section):
    strategy: Literal["from_scratch"] = "from_scratch"

@hookimpl
def model_card():
    return ModelCard("a fake", "MIT", ("from_scratch",), Options, Fits)
"""
LOAD = """
@hookimpl
def load_model(config, task, checkpoint, runtime):
    import json, pathlib
    offset = json.loads(pathlib.Path(checkpoint, "offset.json").read_text()) if checkpoint else None
    return {"offset": offset, "seed": runtime.seed}
"""
TRAIN = """
@hookimpl
def train(model, data, validation, job):
    import json
    import numpy as np
    from tsfm_core import save_checkpoint
    random = np.random.default_rng(SEED)
    offset = float(np.nanmean(data.truth(slice(0, 200)))) + random.normal()
    def write(folder):
        (folder / "offset.json").write_text(json.dumps(KEPT))
    save_checkpoint(job.checkpoint_dir, 1, write, best=True)
    return model | {"offset": offset}
"""
PREDICT = """
@hookimpl
def predict(model, data, task):
    import numpy as np
    from tsfm_core import Forecasts, fill_context
    last = fill_context(data.inputs(slice(None)).target)[0][:, -1:].astype(np.float64)
    EXTRA
    return Forecasts.of(data, mean=(last + OFFSET).repeat(task.prediction_length, axis=1))
"""

LABELLED = """
@hookimpl
def model_card():
    facts = {"past_covariates": True, "categorical_covariates": True}
    return ModelCard("a fake", "MIT", ("zero_shot",), Options, Training, **facts)
"""


def train(seed: str = "model['seed']", kept: str = "offset") -> str:
    return TRAIN.replace("SEED", seed).replace("KEPT", kept)


def predict(extra: str = "pass", offset: str = "0.0") -> str:
    return PREDICT.replace("EXTRA", extra).replace("OFFSET", offset)


#: The hook that shows the number; what it learns again is the training's, or has one line wrong.
STATISTICS = """
@hookimpl
def statistics(model, data, runtime):
    import numpy as np
    random = np.random.default_rng(runtime.seed)
    return {"offset": ([model["offset"]], [float(np.nanmean(data.truth(slice(0, 200)))) + random.normal()])}
"""


@pytest.fixture
def learner(site):
    """Install the model that learns one number, with some hooks replaced."""

    def install(**hooks: str | None) -> None:
        made = {"model_card": CARD, "load_model": LOAD, "train": train(), "predict": predict(offset="model['offset']")}
        site.model("fake", **made | hooks)

    return install


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        ("naive", {}),
        ("mean", {"task": {"quantile_levels": []}}),
        ("seasonal_naive", {"model": {"seasonality": 48}}),
        ("linear", {"model": {"lags": 24}, "training": {"ridge": 0.1}, "task": {"context_length": 48}}),
    ],
)
def test_cores_own_models_keep_every_promise(tmp_path, name, sections):
    checks = check_model(name, tmp_path, **sections)
    assert len(checks) == 13
    assert "the_future_stays_hidden" in checks


def test_a_fake_that_keeps_its_promises_passes(learner, tmp_path):
    learner(statistics=STATISTICS)
    assert check_model("fake", tmp_path)


def test_a_card_with_categorical_covariates_is_given_one(site, tmp_path):
    names = "np.array(data.panel.categories['state'])"
    whole = "codes = data.panel.columns['state']; codes = codes[np.isfinite(codes)].astype(int)"
    counted = f"{whole}; assert set({names}[codes]) == {{'busy', 'calm'}}, {names}[codes]"
    site.model("fake", model_card=LABELLED, predict=predict(counted))
    assert check_model("fake", tmp_path)
    task = Task(
        target="x",
        unit="custom:kit",
        freq="5min",
        context_length=96,
        prediction_length=12,
        past_covariates=("past", "state"),
    )
    panel = sample_panel(task)
    assert panel.categories == {"state": ("busy", "calm")}
    state = panel.columns["state"]
    assert set(np.unique(state[np.isfinite(state)])) == {0, 1}
    assert 0.1 < np.isnan(state).mean() < 0.3
    assert sample_panel(task.model_copy(update={"past_covariates": ("past",)})).categories == {}


#: Wrong answers of a model that learns nothing, and the promise that must be named.
WRONG = {
    "peeks at the future": (
        {"predict": predict("last = last + 1e-6 * data.panel.columns['x'][data.cutoffs_at + 1][:, None]")},
        "the_future_stays_hidden: Changing what lies after a cutoff",
    ),
    "peeks at labels to come": (
        {
            "model_card": LABELLED,
            "predict": predict(
                "last = last + np.nan_to_num(data.panel.columns['state'][data.cutoffs_at + 1])[:, None]"
            ),
        },
        "the_future_stays_hidden: Changing what lies after a cutoff",
    ),
    "depends on the batch": (
        {"predict": predict("last = last - last.mean()")},
        "chunking_changes_nothing: The forecasts are the same bits in chunks",
    ),
    "draws without a seed": (
        {"predict": predict("last = last + np.random.default_rng().normal()")},
        "the_seed_decides: The same seed gives the same bits",
    ),
    "imports at the top": ({"more": "import numpy\n"}, "importing_is_cheap: Importing the plugin"),
    "writes into the panel": (
        {"predict": predict("data.panel.columns['x'][0] = 1.0")},
        "the_data_is_left_alone: Training and forecasting change no value",
    ),
    "answers too few": (
        {"predict": predict("data, last = data.take(slice(1, None)), last[1:]")},
        "every_window_is_answered: Every window gets a finite forecast",
    ),
    "answers in another order": (
        {"predict": predict("data = data.take(np.arange(len(data))[::-1])")},
        "every_window_is_answered: Every window gets a finite forecast",
    ),
    "answers with NaN": (
        {"predict": predict("last = data.inputs(slice(None)).target[:, -30:-29]")},
        "every_window_is_answered: Every window gets a finite forecast",
    ),
    "copies the windows": (
        {"prepare_data": "@hookimpl\ndef prepare_data(windows):\n    windows.inputs(slice(None))\n    return 1\n"},
        "preparing_is_lazy: prepare_data copies nothing",
    ),
    "takes unknown keys": (
        {"more": "class Training(Section, extra='ignore'):\n    strategy: Literal['zero_shot'] = 'zero_shot'\n"},
        "sections_are_strict: An unknown key",
    ),
    "hides that it trains": (
        {"train": train()},
        "the_card_fits_the_hooks: The card names a strategy that trains if, and only if,",
    ),
}

#: Wrong trainings, likewise.
WRONG_TRAINING = {
    "keeps another model than it returns": (
        {"train": train(kept="offset + 0.001")},
        "a_checkpoint_is_the_model: load_model on ``best``, in a new process, forecasts the same bits.",
    ),
    "keeps no model": (
        {"train": "@hookimpl\ndef train(model, data, validation, job):\n    return model | {'offset': 1.0}\n"},
        "a_checkpoint_is_the_model: load_model on ``best``, in a new process, forecasts the same bits.",
    ),
    "shows other statistics": (
        {"statistics": STATISTICS.replace("200", "20")},
        "statistics_are_of_the_training_windows: What ``statistics`` learns again from the training windows",
    ),
    "ignores the seed": ({"train": train(seed="None")}, "the_seed_decides: The same seed gives the same bits"),
    "claims a covariate": (
        {"model_card": CARD.replace("Options, Fits", "Options, Fits, known_covariates=True")},
        "known_covariates_are_used: Changing a known covariate over the horizon moves the forecast.",
    ),
}


def breaks(tmp_path: Path, promise: str) -> None:
    """Check the fake and demand that exactly this kind of promise is named, with what was raised."""
    with pytest.raises(AssertionError) as raised:
        check_model("fake", tmp_path)
    said = str(raised.value).splitlines()
    assert said[0].startswith("the model 'fake' breaks ")
    assert any(line.startswith(promise) for line in said[1:]), said
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize("case", WRONG)
def test_a_broken_promise_is_named(site, tmp_path, case):
    hooks, promise = WRONG[case]
    site.model("fake", **{"predict": predict()} | hooks)
    breaks(tmp_path, promise)


@pytest.mark.parametrize("case", WRONG_TRAINING)
def test_a_broken_promise_of_training_is_named(learner, tmp_path, case):
    hooks, promise = WRONG_TRAINING[case]
    learner(**hooks)
    breaks(tmp_path, promise)


def test_a_card_that_claims_to_train_without_the_hook_is_refused(learner, tmp_path):
    learner(train=None)
    with pytest.raises(CapabilityError, match="trains nothing"):
        check_model("fake", tmp_path)


def test_an_exception_in_a_hook_is_the_cause_of_the_failure(site, tmp_path):
    site.model("fake", predict="@hookimpl\ndef predict(model):\n    return {}['nothing']\n")
    with pytest.raises(AssertionError, match=r"every_window_is_answered: .* KeyError: 'nothing'") as raised:
        check_model("fake", tmp_path)
    assert isinstance(raised.value.__cause__, KeyError)


def test_a_model_that_cannot_serve_the_kits_task_says_so(tmp_path):
    with pytest.raises(CapabilityError, match="season of 288 steps"):
        check_model("seasonal_naive", tmp_path)
    with pytest.raises(UnknownModelError, match="no model is called 'nobody'"):
        check_model("nobody", tmp_path)
