"""The closed form of a linear skip: ridge regression whose penalty each step chooses on items that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from tsfm_core import DataError, TrainingWindows
from tsfm_torch import shuffled
from tsfm_ttm.model import network_inputs
from tsfm_ttm.scaling import Scaler
from tsfm_ttm.skip import LinearSkip

__all__ = ["Sums", "best_of", "fit_map", "fit_skip", "sums_of"]

Floats = npt.NDArray[np.float64]

#: A map of hundreds of lags gains nothing from more windows; beyond, so many are drawn.
_ENOUGH = 65_536
_AT_ONCE = 256
_PARTS = 6
_PENALTIES = 10.0 ** np.arange(0, 5.5, 0.5)


def fit_skip(skip: LinearSkip, windows: TrainingWindows, scaler: Scaler, seed: int) -> None:
    """Solve for the weights and the gate of ``skip``, in place, with its network as it is.

    Only windows whose whole truth was observed count. The penalty is chosen by leaving out each of up to six groups of
    items in turn; of a single item, each sixth of its windows.

    :param seed: draws the windows where there are very many.
    :raises DataError: where no truth was observed as a whole.
    """
    weights, gate = best_of(_by_part(skip, windows, scaler, seed, "set model.linear_skip to false"))
    device = skip.weights.device
    skip.weights.copy_(torch.from_numpy(weights).to(device))
    skip.gate.copy_(torch.from_numpy(gate).to(device))


def fit_map(network: Any, windows: TrainingWindows, scaler: Scaler, seed: int) -> None:
    """Solve for the map of a network that forecasts from the last reading, in place, as if it answered nothing.

    Windows, penalty and refusal are those of :func:`fit_skip`.
    """
    alone = windows.task.model_copy(update={"past_covariates": (), "known_covariates": ()})
    sums = _by_part(LinearSkip(None, alone), windows, scaler, seed, "set model.scaling to none or window")
    network.backbone.scaler.map.copy_(torch.from_numpy(best_of(sums)[0]))


def _by_part(skip: LinearSkip, windows: TrainingWindows, scaler: Scaler, seed: int, otherwise: str) -> list[Sums]:
    """Return the sums over each part of the windows that is left out in turn."""
    count = len(windows)
    rows = np.arange(count) if count <= _ENOUGH else np.sort(shuffled(np.arange(_ENOUGH), count, seed, 0))
    items = np.unique(windows.take(rows).item_id.astype(str), return_inverse=True)[1]
    parts = items % _PARTS if items.any() else np.arange(len(rows)) * _PARTS // len(rows)
    sums = [sums_of(skip, windows, rows[parts == part], scaler) for part in np.unique(parts)]
    sums = [one for one in sums if one.count]
    if not sums:
        said = "a ridge map is fitted to windows whose whole truth was observed, and there is none"
        raise DataError(said, otherwise)
    return sums


@dataclass(frozen=True)
class Sums:
    """Sums over windows of products of features X ``[F]``, the network's forecast Z and the truth Y ``[H]``.

    Z and Y are relative to the last reading.
    """

    count: int
    xx: Floats
    xy: Floats
    xz: Floats
    zz: Floats
    zy: Floats
    yy: Floats

    @classmethod
    def of(cls, features: Floats, forecast: Floats, truth: Floats) -> Self:
        """Return the sums over the rows of X, Z and Y."""
        return cls(
            len(features),
            features.T @ features,
            features.T @ truth,
            features.T @ forecast,
            (forecast**2).sum(axis=0),
            (forecast * truth).sum(axis=0),
            (truth**2).sum(axis=0),
        )

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(one + two for one, two in zip(vars(self).values(), vars(other).values(), strict=True)))

    def solve(self, penalty: float) -> tuple[Floats, Floats]:
        """Return weights ``[F, H]`` and gate ``[H]``: each step sees the network's forecast of that step alone.

        The gate is that of the part of the forecast which the features do not explain (Frisch, Waugh and Lovell).
        """
        steps = self.xy.shape[1]
        solved = np.linalg.solve(self.xx + penalty * np.eye(len(self.xx)), np.hstack([self.xy, self.xz]))
        of_truth, of_forecast = solved[:, :steps], solved[:, steps:]
        unexplained = self.zz - (self.xz * of_forecast).sum(axis=0)
        gate = (self.zy - (self.xz * of_truth).sum(axis=0)) / np.maximum(unexplained, 1e-9)
        return of_truth - of_forecast * gate, gate

    def error(self, weights: Floats, gate: Floats) -> Floats:
        """Return the sum of squared errors of a solution, ``[H]``."""
        own = (weights * (self.xx @ weights)).sum(axis=0) + gate**2 * self.zz + self.yy
        cross = gate * (weights * self.xz).sum(axis=0) - (weights * self.xy).sum(axis=0) - gate * self.zy
        return np.asarray(own + 2 * cross)


def best_of(sums: list[Sums]) -> tuple[Floats, Floats]:
    """Return weights ``[F, H]`` and gate ``[H]``: each step has the penalty with the least error on parts left out."""
    total = sum(sums[1:], sums[0])
    solutions = [total.solve(penalty) for penalty in _PENALTIES]
    if len(sums) == 1:
        return solutions[len(_PENALTIES) // 2]
    errors = np.zeros((len(_PENALTIES), total.xy.shape[1]))
    for left in range(len(sums)):
        others = [one for at, one in enumerate(sums) if at != left]
        rest = sum(others[1:], others[0])
        errors += [sums[left].error(*rest.solve(penalty)) for penalty in _PENALTIES]
    chosen = errors.argmin(axis=0)
    weights, gates = (np.stack(each) for each in zip(*solutions, strict=True))
    steps = np.arange(len(chosen))
    return weights[chosen, :, steps].T, gates[chosen, steps]


def sums_of(skip: LinearSkip, windows: TrainingWindows, rows: npt.NDArray[np.int64], scaler: Scaler) -> Sums:
    """Return the sums over the windows at ``rows`` whose whole truth was observed."""
    features, horizon = skip.weights.shape
    total = Sums.of(np.zeros((0, features)), np.zeros((0, horizon)), np.zeros((0, horizon)))
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        truth = scaler.standardise(windows.truth(some)[..., None], slice(0, 1))[..., 0]
        whole = np.isfinite(truth).all(axis=1)
        if not whole.any():
            continue
        given = network_inputs(windows, some[whole], scaler)
        batch = {name: values.to(skip.weights.device) for name, values in given.items()}
        past, observed = batch["past_values"], batch["past_observed_mask"]
        last = past[:, -1:, 0].cpu().double().numpy()
        forecast = np.zeros((len(last), horizon))
        with torch.inference_mode():
            later = batch.get("future_values") if skip.network is not None else None
            described = skip.features(past, observed, later)
            if skip.network is not None:
                past, observed = past[..., :1], observed[..., :1]
                output = skip.network(past_values=past, past_observed_mask=observed, return_loss=False)
                forecast = skip.point(output).cpu().double().numpy() - last
        total += Sums.of(described.cpu().double().numpy(), forecast, truth[whole].astype(np.float64) - last)
    return total
