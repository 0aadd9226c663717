"""Every refusal is a sentence with the way out, raised before any data is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tsfm_core import CapabilityError, ConfigError

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"context_length": 100},
            "contexts of 96 steps, and task.context_length is 100; set task.context_length to 96",
        ),
        ({"context_length": 48}, "contexts of 96 steps, .*data.min_context admits"),
        ({"prediction_length": 13}, "at most 12 steps, and task.prediction_length is 13; set .* to 12 or less"),
        (
            {"quantile_levels": (0.1, 0.5, 0.9)},
            r"point forecasts only, .*\[0.1, 0.5, 0.9\]; set training.strategy to full",
        ),
        ({"past_covariates": ("iob",)}, "knows no covariates: what would read iob is random until it is trained"),
        ({"known_covariates": ("meal",)}, "set training.strategy to full, or task.past_covariates"),
    ],
)
def test_what_a_checkpoint_as_it_is_cannot_do(kit: Any, untrained: Write, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(CapabilityError, match=said):
        kit.load(kit.task(**changes), untrained())


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "t5"}, "holds a model of type 't5', no Tiny Time Mixer; set model.checkpoint to ibm-granite"),
        ({"architectures": ["TinyTimeMixerForDecomposedPrediction"]}, "is a TinyTimeMixerForDecomposedPrediction"),
        ({"decompose": True}, "which tsfm-ttm does not serve"),
        ({"resolution_prefix_tuning": True}, "needs a frequency token with every window"),
        ({"context_length": None}, "does not say its context_length and prediction_length"),
        ({"decoder_mode": "mix_channel"}, "mixes channels that it does not name"),
        ({"enable_forecast_channel_mixing": True}, "mixes channels that it does not name"),
        (
            {"multi_quantile_head": True, "quantile_levels": [0.1, 0.5, 0.9]},
            r"gives the quantile levels \[0.1, 0.5, 0.9\]|the weights of .* lack multi_quantile_head_block",
        ),
        ({"d_model": 32}, r"the weights of .* do not fit its config.json: .* and \d+ more"),
        ({"num_layers": 2}, r"the weights of .* do not fit its config.json"),
    ],
)
@pytest.mark.parametrize("strategy", ["zero_shot", "full"])
def test_checkpoints_of_another_kind(
    kit: Any, untrained: Write, config: dict[str, Any], said: str, strategy: str
) -> None:
    with pytest.raises(CapabilityError, match=said):
        kit.load(kit.task(), untrained(**config), strategy=strategy)


def test_a_checkpoint_that_is_not_there_or_not_whole(kit: Any, untrained: Write) -> None:
    with pytest.raises(ConfigError, match="model.checkpoint is '/no/such/place', and there is no such directory"):
        kit.load(kit.task(), "/no/such/place")
    (kit.folder / "empty").mkdir()
    with pytest.raises(
        ConfigError, match=r"empty has no config.json; set model.checkpoint to a checkpoint's directory"
    ):
        kit.load(kit.task(), kit.folder / "empty")
    for text, said in (("{", "that is no JSON"), ("[]", "that is no JSON object")):
        directory = untrained(f"text{len(text)}")
        (directory / "config.json").write_text(text)
        with pytest.raises(ConfigError, match=f"has a config.json {said}"):
            kit.load(kit.task(), directory)
    directory = untrained("cut")
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CapabilityError, match="the weights of .*cut cannot be read: "):
        kit.load(kit.task(), directory)
    weights.unlink()
    with pytest.raises(ConfigError, match=r"cut has no model.safetensors"):
        kit.load(kit.task(), directory)


def test_a_record_that_tsfm_did_not_write(kit: Any, untrained: Write) -> None:
    directory = untrained()
    (directory / "tsfm_ttm.json").write_text('{"mean": [1]}')
    with pytest.raises(ConfigError, match=r"tsfm_ttm.json is not what tsfm-ttm writes"):
        kit.load(kit.task(), directory)


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and nothing cached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/nowhere")


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("name", ["ibm-granite/granite-timeseries-ttm-r2", "someone/their-ttm"])
def test_a_hub_that_cannot_be_reached(kit: Any, name: str) -> None:
    said = f"'{name}' is no directory and the hub cannot be reached; connect once .* or set model.checkpoint"
    with pytest.raises(ConfigError, match=said):
        kit.load(kit.task(context_length=512, prediction_length=96), name)


def test_the_branch_of_a_hub_repository_fits_the_task(kit: Any) -> None:
    from tsfm_ttm.checkpoint import _revision

    r2 = "ibm-granite/granite-timeseries-ttm-r2"
    for context, horizon, branch in (
        (512, 96, "main"),
        (512, 12, "main"),
        (512, 97, "512-192-r2"),
        (1536, 720, "1536-720-r2"),
    ):
        assert _revision(r2, kit.task(context_length=context, prediction_length=horizon)) == branch
    assert _revision("someone/their-ttm", kit.task()) is None
    for context, horizon in ((288, 24), (512, 721), (90, 30)):
        with pytest.raises(CapabilityError, match=r"it offers 512/96, 512/192, .*; choose a context from this list"):
            _revision(r2, kit.task(context_length=context, prediction_length=horizon))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"patch_length": 60}, r"patch_length 60 does not cut task.context_length 96 .* one of 1, 2, 3, .*, 48"),
        ({"patch_length": 96}, "does not cut task.context_length 96 into whole patches"),
        ({"d_model": 18, "adaptive_patching_levels": 3}, "d_model 18 cannot be halved 2 times, as .*multiple of 4"),
        ({"d_model": 16, "adaptive_patching_levels": 3}, "with over 4 features left; set .* at least 20"),
    ],
)
def test_sizes_that_do_not_divide(kit: Any, keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        kit.load(kit.task(), **keys)


@pytest.mark.parametrize(("context", "patch"), [(512, 64), (1024, 128), (96, 12), (288, 36), (100, 10), (7, 1)])
def test_patches_fit_the_context(kit: Any, context: int, patch: int) -> None:
    from tsfm_ttm.architecture import random_architecture
    from tsfm_ttm.schema import TtmConfig

    fields = random_architecture(TtmConfig(), kit.task(context_length=context))
    assert fields["patch_length"] == fields["patch_stride"] == patch


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("patch_length", 32),
        ("d_model", 32),
        ("num_layers", 2),
        ("decoder_d_model", 8),
        ("decoder_num_layers", 2),
        ("expansion_factor", 3),
        ("adaptive_patching_levels", 1),
    ],
)
def test_each_size_takes_effect_and_is_fixed_in_a_checkpoint(
    kit: Any, small: dict[str, Any], untrained: Write, key: str, value: int
) -> None:
    def shapes(**keys: Any) -> dict[str, tuple[int, ...]]:
        network = kit.load(kit.task(), **(small | keys)).network
        return {name: tuple(values.shape) for name, values in network.state_dict().items()}

    assert shapes(**{key: value}) != shapes()
    with pytest.raises(ConfigError, match=f"model.{key} is {value}, but .* the sizes of a checkpoint are fixed; leave"):
        kit.load(kit.task(), untrained(), strategy="full", **{key: value})


def test_a_checkpoint_may_be_told_what_it_is(kit: Any, small: dict[str, Any], untrained: Write) -> None:
    """A stored configuration names the sizes that its checkpoint was trained with."""
    assert kit.load(kit.task(), untrained(), **small)
    with pytest.raises(ConfigError, match=r"model.dropout is 0.5, but .* has 0.0 and nothing is trained"):
        kit.load(kit.task(), untrained("other"), dropout=0.5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "heart_rate"}, "was trained with task.target glucose, and it is heart_rate now"),
        ({"unit": "custom:MW"}, "was trained with task.unit mg/dL, and it is custom:MW now; set task.unit to mg/dL"),
        ({"freq": "15min"}, "task.freq 5min, and it is 15min"),
        ({"past_covariates": ()}, r"task.past_covariates \[iob\], and it is \[\] now"),
        (
            {"past_covariates": ("meal",), "known_covariates": ("iob",)},
            r"task.past_covariates \[iob\], and it is \[meal\]",
        ),
        (
            {"quantile_levels": (0.2, 0.5, 0.8)},
            r"gives the quantile levels \[0.1, 0.5, 0.9\], .* is \[0.2, 0.5, 0.8\]; choose among them",
        ),
        ({"prediction_length": 6}, "reads meal over 12 steps, and task.prediction_length is 6; set .* to 12"),
    ],
)
def test_a_trained_checkpoint_serves_what_it_was_trained_for(
    kit: Any, small: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    fields = {"past_covariates": ("iob",), "known_covariates": ("meal",), "quantile_levels": (0.1, 0.5, 0.9)}
    task = kit.task(**fields)
    kit.train(kit.load(task, **small), kit.windows(task), max_steps=1)
    with pytest.raises(CapabilityError, match=said):
        kit.load(kit.task(**(fields | changes)), kit.best())


def test_steps_that_were_not_trained_are_not_served(kit: Any, untrained: Write) -> None:
    task = kit.task(prediction_length=6)
    kit.train(kit.load(task, untrained(), strategy="full"), kit.windows(task), max_steps=1)
    assert kit.load(kit.task(prediction_length=3), kit.best())
    with pytest.raises(CapabilityError, match="at most 6 steps, and task.prediction_length is 12"):
        kit.load(kit.task(), kit.best())
    assert json.loads((kit.best() / "config.json").read_text())["prediction_filter_length"] == 6


def test_a_device_that_is_not_there(kit: Any, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(CapabilityError, match="runtime.device is 'cuda', but torch finds no GPU here"):
        kit.load(kit.task(), device="cuda", **small)
