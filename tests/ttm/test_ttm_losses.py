"""The losses against numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsfm_ttm.losses import point_loss, quantile_loss

NAN = float("nan")
TRUTH = torch.tensor([[1.0, NAN, 3.0], [NAN, NAN, -2.0]])
FORECAST = torch.tensor([[1.5, 9.0, 0.0], [9.0, 9.0, -2.0]])  # errors 0.5, 3 and 0


@pytest.mark.parametrize(
    ("kind", "expected"), [("mse", (0.25 + 9) / 3), ("mae", 3.5 / 3), ("huber", (0.125 + 2.5) / 3)]
)
def test_point_losses_are_means_over_what_was_observed(kind: str, expected: float) -> None:
    assert point_loss(kind, FORECAST, TRUTH).item() == pytest.approx(expected)


def test_the_quantile_loss_is_a_mean_over_what_was_observed() -> None:
    levels = torch.tensor([0.1, 0.5, 0.9])
    quantiles = torch.stack([FORECAST - 1, FORECAST, FORECAST + 1], dim=1)
    total = 0.0
    for row, step in ((0, 0), (0, 2), (1, 2)):
        for at, level in enumerate(levels.tolist()):
            error = TRUTH[row, step].item() - quantiles[row, at, step].item()
            total += level * error if error > 0 else (level - 1) * error
    assert quantile_loss(quantiles, TRUTH, levels).item() == pytest.approx(total / 9)


def test_the_median_loses_half_the_absolute_error() -> None:
    half = quantile_loss(FORECAST[:, None], TRUTH, torch.tensor([0.5]))
    assert half.item() == pytest.approx(point_loss("mae", FORECAST, TRUTH).item() / 2)


@pytest.mark.parametrize("kind", ["mse", "mae", "huber", "quantile"])
def test_nothing_observed_gives_zero_and_a_zero_gradient(kind: str) -> None:
    forecast = FORECAST.clone().requires_grad_()
    truth = torch.full_like(TRUTH, NAN)
    loss = (
        quantile_loss(forecast[:, None], truth, torch.tensor([0.5]))
        if kind == "quantile"
        else point_loss(kind, forecast, truth)
    )
    loss.backward()
    assert loss.item() == 0
    assert forecast.grad is not None
    np.testing.assert_array_equal(forecast.grad.numpy(), 0)
