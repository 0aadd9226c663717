"""The package's own forecasts, loss and gradients, and ours, on the same windows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tsfm_core import Panel, TrainingWindows
from tsfm_core.data.cutoffs import Cutoffs

Write = Callable[..., Path]
LEVELS = (0.1, 0.5, 0.9)


def theirs(pipeline: Any, inputs: Any, horizon: int, levels: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the package's quantiles ``[B, Q, H]`` and what it calls the mean ``[B, H]``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantiles, mean = pipeline.predict_quantiles(inputs, prediction_length=horizon, quantile_levels=list(levels))
    if isinstance(quantiles, list):
        quantiles, mean = torch.cat(quantiles), torch.cat(mean)
    return quantiles.transpose(1, 2).numpy(), mean.numpy()


def ragged(windows: TrainingWindows) -> TrainingWindows:
    """Return windows whose contexts begin later and later, with readings missing inside."""
    panel = windows.panel
    columns = {name: values.copy() for name, values in panel.columns.items()}
    columns["glucose"][::13] = np.nan
    fields = {"item_ids": panel.item_ids, "offsets": panel.offsets, "starts": panel.starts, "step": panel.step}
    cutoffs = windows.cutoffs_at
    seen = cutoffs - 5 - np.arange(len(cutoffs)) % 120
    return TrainingWindows(Panel(**fields, columns=columns, unit=panel.unit), windows.task, Cutoffs.of(cutoffs, seen))


def quantile_inputs(windows: TrainingWindows) -> torch.Tensor:
    return torch.from_numpy(windows.inputs(slice(None)).target)


@pytest.mark.parametrize("horizon", [7, 32, 50])
@pytest.mark.parametrize("levels", [LEVELS, (0.12, 0.5, 0.77), ()])
@pytest.mark.parametrize("name", ["chronos", "chronos_bolt"])
def test_quantiles_are_the_packages_own(
    kits: Any, untrained: Write, theirs_of: Any, name: str, levels: tuple[float, ...], horizon: int
) -> None:
    """Within the network's horizon and past it, on whole and ragged contexts, at its levels and between them."""
    checkpoint = untrained(name)
    kit = kits(name)
    task = kit.task(context_length=128, prediction_length=horizon, quantile_levels=levels)
    whole = kit.windows(task).take(slice(0, 23))
    pipeline = theirs_of(checkpoint)
    for windows in (whole, ragged(whole)):
        forecasts = kit.predict(kit.load(task, checkpoint, batch_size=9), windows)
        inputs = quantile_inputs(windows)
        quantiles, mean = theirs(pipeline, inputs[:, None] if name == "chronos" else inputs, horizon, levels or LEVELS)
        if levels:
            assert forecasts.mean is None
            np.testing.assert_allclose(forecasts.quantiles, quantiles, rtol=1e-5)
        else:
            assert forecasts.quantiles is None
            np.testing.assert_allclose(forecasts.mean, mean, rtol=1e-5)


@pytest.mark.parametrize("horizon", [32, 50])
def test_covariates_are_read_as_the_package_reads_them(
    kits: Any, untrained: Write, theirs_of: Any, horizon: int
) -> None:
    checkpoint = untrained("chronos")
    kit = kits("chronos")
    task = kit.task(
        context_length=128,
        prediction_length=horizon,
        quantile_levels=LEVELS,
        past_covariates=("iob",),
        known_covariates=("meal",),
    )
    windows = kit.windows(task).take(slice(0, 11))
    inputs = windows.inputs(slice(None))
    dicts = [
        {
            "target": inputs.target[at],
            "past_covariates": {"iob": inputs.past_covariates[at, :, 0], "meal": inputs.known_covariates[at, :128, 0]},
            "future_covariates": {"meal": inputs.known_covariates[at, 128:, 0]},
        }
        for at in range(len(windows))
    ]
    forecasts = kit.predict(kit.load(task, checkpoint, batch_size=4), windows)
    np.testing.assert_allclose(forecasts.quantiles, theirs(theirs_of(checkpoint), dicts, horizon, LEVELS)[0], rtol=1e-5)


@pytest.mark.parametrize("horizon", [20, 40])
@pytest.mark.parametrize("keys", [{}, {"num_samples": 9, "temperature": 0.7, "top_k": 7, "top_p": 0.8}])
def test_sample_paths_are_those_of_the_package_after_its_seed_is_set(
    kits: Any, untrained: Write, theirs_of: Any, horizon: int, keys: dict[str, Any]
) -> None:
    """Window by window there; in batches here."""
    from tsfm_chronos.families.drawing import window_seed

    checkpoint = untrained("chronos_t5")
    kit = kits("chronos_t5")
    task = kit.task(context_length=128, prediction_length=horizon, quantile_levels=LEVELS)
    windows = ragged(kit.windows(task).take(slice(0, 7)))
    forecasts = kit.predict(kit.load(task, checkpoint, batch_size=3, seed=5, **keys), windows)
    pipeline = theirs_of(checkpoint)
    logging.getLogger("chronos").setLevel(logging.ERROR)
    for at, (item, cutoff) in enumerate(zip(windows.item_id, windows.cutoff, strict=True)):
        torch.manual_seed(window_seed(5, item, cutoff))
        samples = pipeline.predict(quantile_inputs(windows)[at], prediction_length=horizon, **keys)
        quantiles = torch.quantile(samples[0], torch.tensor(LEVELS), dim=0)
        np.testing.assert_allclose(forecasts.quantiles[at], quantiles, rtol=1e-5)
        np.testing.assert_allclose(forecasts.mean[at], samples[0].mean(dim=0), rtol=1e-5)


def test_one_step_of_training_is_the_packages_own(kit: Any, family: str, small: dict[str, Any]) -> None:
    """Loss and every gradient, on complete windows without covariates, the horizon two whole patches."""
    task = kit.task(context_length=128, prediction_length=32)
    windows = kit.windows(task)
    rows = np.arange(0, 240, 17)
    model = kit.load(task, **small[family])
    network, family_ = model.network, model.family
    batch = family_.batch(network, windows, rows)
    module = family_.module(network, task).train()
    loss = family_.loss(network, module(batch), batch)
    loss.backward()
    ours = {name: torch.zeros(()) if p.grad is None else p.grad.clone() for name, p in network.named_parameters()}

    again = untouched(family, model)
    context, truth = torch.from_numpy(windows.inputs(rows).target), torch.from_numpy(windows.truth(rows))
    if family == "chronos":
        expected = again(context=context, future_target=truth, num_output_patches=2).loss
    elif family == "chronos_bolt":
        expected = again(context=context, target=truth).loss
    else:
        tokens = tokenizer(again)
        ids, mask, scale = tokens.context_input_transform(context)
        labels, seen = tokens.label_input_transform(truth, scale)
        labels[~seen] = -100
        expected = again(input_ids=ids, attention_mask=mask, labels=labels).loss
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, values in again.named_parameters():
        close = 1e-6 * float(values.grad.abs().max() + 1)
        np.testing.assert_allclose(ours[name].expand_as(values), values.grad, atol=close, err_msg=name)


def untouched(family: str, model: Any) -> Any:
    """Return a network of the package's own class, with nothing of ours in it, and the model's weights."""
    from tsfm_chronos.network import build

    config = model.network.config.to_dict()
    network = build(model.family, config, seed=99).train()
    network.load_state_dict(model.network.state_dict())
    return network


def tokenizer(network: Any) -> Any:
    from chronos import ChronosConfig

    return ChronosConfig(**network.config.chronos_config).create_tokenizer()


@pytest.mark.parametrize("name", ["chronos", "chronos_bolt"])
def test_what_is_missing_is_left_out_of_the_loss(kits: Any, small: dict[str, Any], name: str) -> None:
    """By hand, in float64, from the quantiles that the module answers."""
    kit = kits(name)
    channels = {"past_covariates": ("iob",)} if name == "chronos" else {}
    task = kit.task(context_length=96, prediction_length=20, **channels)
    windows = kit.windows(task)
    columns = kit.columns()
    columns["glucose"][100:200:3] = np.nan
    holes = kit.windows(task, columns)
    assert len(holes) == len(windows)
    rows = np.arange(5, 60, 7)
    model = kit.load(task, **small[name])
    network = model.network
    batch = model.family.batch(network, holes, rows)
    with torch.inference_mode():
        answer = model.family.module(network, task)(batch)
        loss = model.family.loss(network, answer, batch).item()
        none = model.family.loss(network, answer, batch | {"truth": torch.full((len(rows), 20), torch.nan)}).item()
    values, loc, scale = (part.double().numpy() for part in answer)
    truth = (holes.truth(rows).astype(np.float64) - loc) / scale
    truth = np.arcsinh(truth) if name == "chronos" else truth
    levels = np.array(network.chronos_config.quantiles)[:, None]
    error = truth[:, None] - values
    each = 2 * np.nanmean(np.maximum(levels * error, (levels - 1) * error), axis=(0, 2))
    expected = each.sum() if name == "chronos" else 20 * each.mean()
    assert np.isnan(truth).any()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert none == 0
