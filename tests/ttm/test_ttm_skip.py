"""The linear skip: what it knows that the network does not, and that it comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tsfm_core import CapabilityError, ConfigError, DataError
from tsfm_ttm.network import save
from tsfm_ttm.skip import LinearSkip
from tsfm_ttm.solving import fit_skip

Write = Callable[..., Path]
RICH = {"past_covariates": ("iob",), "known_covariates": ("meal",), "quantile_levels": (0.1, 0.5, 0.9)}
STILL = {"learning_rate": 1e-12, "max_steps": 1}  # the network stays, so that the skip alone answers


def skipping(kit: Any, directory: Path, **changes: Any) -> Any:
    return kit.load(kit.task(**changes), directory, strategy="full", linear_skip=True)


def error(kit: Any, model: Any, windows: Any) -> float:
    return float(np.square(kit.values(model, windows) - windows.truth(slice(None))).mean())


def assert_solved(skip: LinearSkip, features: np.ndarray, forecast: np.ndarray, truth: np.ndarray) -> None:
    """Each step by itself: least squares over features, that step's forecast, and rows that stand for the penalty.

    Forecast and truth are relative to the last reading, ``[windows, H]``.
    """
    weights, gate = skip.weights.double().numpy(), skip.gate.double().numpy()
    for step in (0, 5, 11):
        given = np.column_stack([features, forecast[:, step]])
        found = []
        for penalty in 10.0 ** np.arange(0, 5.5, 0.5):
            ridge = np.sqrt(penalty) * np.eye(given.shape[1])[:-1]
            both = np.vstack([given, ridge]), np.append(truth[:, step], np.zeros(len(ridge)))
            found.append(np.linalg.lstsq(*both)[0])
        mine = np.append(weights[:, step], gate[step])
        assert min(np.abs(each - mine).max() for each in found) < 1e-3


def standardised(model: Any, windows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return context and truth as the network sees them."""
    context = windows.inputs(slice(None)).target.astype(np.float64)
    mean, std = model.scaler.mean[0], model.scaler.std[0]
    return (context - mean) / std, (windows.truth(slice(None)) - mean) / std


def test_it_is_the_ridge_map_of_a_second_solution(kit: Any, untrained: Write) -> None:
    windows = kit.windows(kit.task())
    model = kit.train(skipping(kit, untrained()), windows, **STILL)
    context, truth = standardised(model, windows)
    last = context[:, -1:]
    with torch.inference_mode():
        past = torch.from_numpy(context.astype(np.float32))[..., None]
        alone = model.network.network(past_values=past, return_loss=False).prediction_outputs[..., 0].double().numpy()
    features = np.hstack([context[:, :-1] - last, last, np.ones_like(last)])
    assert_solved(model.network, features, alone - last, truth - last)


@pytest.mark.parametrize("scaling", ["none", "last"])
def test_beside_a_network_that_sees_the_level_it_leaves_out_the_lags_and_fits_the_mean(
    kit: Any, small: dict[str, Any], scaling: str
) -> None:
    """The levels are uneven, so that their mean is neither the median nor the middle one of them."""
    levels = {"quantile_levels": (0.1, 0.5, 0.7, 0.8, 0.9)}
    windows = kit.windows(kit.task(**levels))
    kit.train(kit.load(kit.task(**levels), **small, scaling=scaling), windows, "first", max_steps=1)
    own = kit.predict(kit.load(kit.task(**levels), kit.best("first")), windows).mean
    model = kit.train(skipping(kit, kit.best("first"), **levels), windows, **STILL)
    context, truth = standardised(model, windows)
    last = context[:, -1:]
    mean = (own - model.scaler.mean[0]) / model.scaler.std[0]
    assert_solved(model.network, np.hstack([last, np.ones_like(last)]), mean - last, truth - last)


def test_it_sees_the_level_and_the_covariates_that_the_network_does_not(kit: Any, untrained: Write) -> None:
    directory = untrained()
    columns = kit.columns()
    noise = np.random.default_rng(1).normal(0, 20, len(columns["glucose"])).astype(np.float32)
    columns["meal"] = noise  # what comes is announced, and shows in no reading before
    columns["glucose"] = 140 + noise
    plain, told = kit.windows(kit.task(), columns), kit.windows(kit.task(known_covariates=("meal",)), columns)
    first, rest = slice(0, 200), slice(200, None)

    def trained(windows: Any, name: str) -> Any:
        known = windows.task.known_covariates
        return kit.train(skipping(kit, directory, known_covariates=known), windows.take(first), name, **STILL)

    blind = error(kit, kit.load(kit.task(), directory), plain.take(rest))
    level = error(kit, trained(plain, "plain"), plain.take(rest))
    announced = error(kit, trained(told, "told"), told.take(rest))
    assert level < blind
    assert announced < 0.7 * level


def test_each_step_takes_the_penalty_that_serves_unseen_windows(kit: Any, untrained: Write) -> None:
    """A series without memory: whatever is fitted closely to it fails later, so the map must shrink to its mean."""
    columns = {"glucose": np.random.default_rng(2).normal(150, 30, 400).astype(np.float32)}
    windows = kit.windows(kit.task(), columns)
    model = kit.train(skipping(kit, untrained()), windows.take(slice(0, 200)), **STILL)
    later = windows.take(slice(220, None))
    assert error(kit, model, later) < 1.15 * float(np.nanvar(later.truth(slice(None))))


def test_quantiles_move_together_and_stay_in_order(kit: Any, untrained: Write) -> None:
    windows = kit.windows(kit.task(**RICH))
    model = kit.train(skipping(kit, untrained(), **RICH), windows)
    values = kit.values(model, windows)
    assert values.shape == (len(windows), 3, 12)
    assert (np.diff(values, axis=1) >= 0).all()
    assert abs((windows.truth(slice(None)) < values[:, 1]).mean() - 0.5) < 0.25


@pytest.mark.parametrize("channels", [{}, RICH])
def test_the_checkpoint_forecasts_the_same_bits(kit: Any, untrained: Write, channels: dict[str, Any]) -> None:
    windows = kit.windows(kit.task(**channels))
    model = kit.train(skipping(kit, untrained(), **channels), windows, max_steps=8, learning_rate=1e-3)
    again = kit.load(kit.task(**channels), kit.best())
    assert isinstance(again.network, LinearSkip)
    np.testing.assert_array_equal(kit.values(again, windows), kit.values(model, windows))
    for name, values in model.network.state_dict().items():
        assert torch.equal(values, again.network.state_dict()[name]), name


def test_granite_reads_the_network_beside_it(kit: Any, untrained: Write) -> None:
    windows = kit.windows(kit.task(past_covariates=("iob",)))
    model = kit.train(skipping(kit, untrained(), past_covariates=("iob",)), windows)
    files = sorted(path.name for path in kit.best().iterdir())
    assert files == ["config.json", "linear_skip.safetensors", "model.safetensors", "tsfm_ttm.json"]
    from tsfm_ttm.granite import tinytimemixer

    network = tinytimemixer().TinyTimeMixerForPrediction.from_pretrained(kit.best())
    assert network.config.num_input_channels == 1
    for read, held in zip(network.parameters(), model.network.network.parameters(), strict=True):
        assert torch.equal(read, held)


def test_the_network_learns_and_the_skip_stays(kit: Any, untrained: Write) -> None:
    directory, windows = untrained(), kit.windows(kit.task())
    still = kit.train(skipping(kit, directory), windows, "still", **STILL)
    before = error(kit, still, windows)
    learnt = kit.train(skipping(kit, directory), windows, "learnt", max_steps=60, learning_rate=1e-2, loss="mse")
    assert torch.equal(still.network.weights, learnt.network.weights)
    assert torch.equal(still.network.gate, learnt.network.gate)
    assert error(kit, learnt, windows) < before


def test_a_skip_checkpoint_can_be_trained_on_and_serves_its_own_task(kit: Any, untrained: Write) -> None:
    windows = kit.windows(kit.task(past_covariates=("iob",)))
    kit.train(skipping(kit, untrained(), past_covariates=("iob",)), windows, "first")
    first = kit.best("first")
    again = kit.train(skipping(kit, first, past_covariates=("iob",)), windows, "second")
    assert np.isfinite(kit.values(again, windows)).all()
    with pytest.raises(CapabilityError, match=r"beside a linear skip, .* is false; set model.linear_skip to true"):
        kit.load(kit.task(past_covariates=("iob",)), first, strategy="full")
    with pytest.raises(CapabilityError, match=r"trained with task.past_covariates \[iob\], and it is \[\] now"):
        kit.load(kit.task(), first)
    part = kit.task(past_covariates=("iob",), prediction_length=6)
    expected = kit.values(kit.load(windows.task, first), windows)[:, :6]
    np.testing.assert_array_equal(kit.values(kit.load(part, first), windows), expected)
    (first / "linear_skip.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CapabilityError, match=r"the linear skip of .* cannot be read: .*; fetch or train it again"):
        kit.load(kit.task(past_covariates=("iob",)), first)


def test_what_cannot_have_one_is_refused(kit: Any, small: dict[str, Any], untrained: Write) -> None:
    with pytest.raises(CapabilityError, match=r"has no linear skip, and .* is true; set training.strategy to full"):
        kit.load(kit.task(), untrained(), linear_skip=True)
    with pytest.raises(ConfigError, match="trained by full, and training.strategy is from_scratch; set training"):
        kit.load(kit.task(), **small, linear_skip=True)
    with pytest.raises(ConfigError, match="trained by full, and training.strategy is lora"):
        kit.load(kit.task(), untrained("other"), strategy="lora", linear_skip=True)


def test_truths_with_gaps_are_left_out_of_the_solution(kit: Any, untrained: Write) -> None:
    columns = kit.columns()
    columns["glucose"][::5] = np.nan
    windows = kit.windows(kit.task(), columns)
    with pytest.raises(DataError, match="whole truth was observed, and there is none"):
        kit.train(skipping(kit, untrained()), windows)


def test_how_the_windows_are_batched_does_not_matter(kit: Any, untrained: Write) -> None:
    windows = kit.windows(kit.task(past_covariates=("iob",)))
    model = kit.train(skipping(kit, untrained(), past_covariates=("iob",)), windows)
    whole = kit.values(model, windows)
    for size in (1, 7):
        parts = [kit.values(model, windows.take(slice(at, at + size))) for at in range(0, 21, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole[:21])


def test_saving_needs_no_gradient_through_the_skip(kit: Any, untrained: Write) -> None:
    model = skipping(kit, untrained())
    fit_skip(model.network, kit.windows(kit.task()), model.scaler, seed=0)
    assert not [name for name, _ in model.network.named_parameters() if not name.startswith("network.")]
    folder = kit.folder / "saved"
    folder.mkdir()
    save(model.network, folder)
    assert (folder / "linear_skip.safetensors").is_file()
