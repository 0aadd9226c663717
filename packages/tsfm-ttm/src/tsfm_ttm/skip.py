"""A ridge map beside the network: what scaling each window by itself takes from it, and what covariates tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d

from tsfm_core import CapabilityError, Task
from tsfm_ttm.checkpoint import SKIP
from tsfm_ttm.forecasting import mean_weights

__all__ = ["LinearSkip"]

#: Each covariate is read as so many means: of the latest eighth of the context, or of the horizon.
_MEANS = 8

#: The size of a covariate's features beside that of the target's, which the penalty is the same for.
_SMALLER = 0.25


class LinearSkip(nn.Module):
    """``last + features @ weights + gate * (network's forecast - last)``, all on standardised values.

    The network is given the target alone. Weights and gate are solved for once, before the network is trained through
    the gate, and stay: no gradient reaches them.

    :param network: granite's, of one channel; None: the map alone is to be solved for.
    :param lags: whether the readings before the last are features; default: unless the network sees them as they are.
    """

    weights: Tensor
    gate: Tensor
    _mean_weights: Tensor

    def __init__(self, network: Any, task: Task, lags: bool | None = None) -> None:
        super().__init__()
        self.network = network
        past, known = len(task.past_covariates), len(task.known_covariates)
        self._past = past
        scales = network is None or bool(network.config.scaling)
        self._lags = (task.context_length - 1) * (scales if lags is None else lags)
        of_mean = torch.from_numpy(mean_weights(task.quantile_levels or (0.5,)))
        self.register_buffer("_mean_weights", of_mean, persistent=False)
        means = min(_MEANS, max(1, task.context_length // _MEANS))
        self._means = means, min(_MEANS, task.prediction_length)
        count = self._lags + 2 + past * (means + 1) + known * self._means[1]
        self.register_buffer("weights", torch.zeros(count, task.prediction_length))
        self.register_buffer("gate", torch.ones(task.prediction_length))

    def forward(
        self, past_values: Tensor, past_observed_mask: Tensor, future_values: Tensor | None = None, **options: Any
    ) -> Any:
        """Return granite's output with the forecasts moved; quantiles all move alike, so that none cross.

        :param past_values: ``[B, C, channels]``, the target first, then past, then known covariates.
        :param future_values: ``[B, H, channels]``, where there are known covariates.
        """
        output = self.network(
            past_values=past_values[..., :1], past_observed_mask=past_observed_mask[..., :1], **options
        )
        last = past_values[:, -1:, 0]
        map_ = self.features(past_values, past_observed_mask, future_values) @ self.weights
        point = self.point(output)
        shift = (map_ + (self.gate - 1) * (point - last))[..., None]
        output.prediction_outputs = output.prediction_outputs + shift
        if output.quantile_outputs is not None:
            output.quantile_outputs = output.quantile_outputs + shift[:, None]
        return output

    def point(self, output: Any) -> Tensor:
        """Return the network's point forecast ``[B, H]``, where it gives quantiles the mean that they stand for.

        Least squares is of means: the median of what is skewed lies beside them.
        """
        if output.quantile_outputs is None:
            point: Tensor = output.prediction_outputs[..., 0]
            return point
        mean: Tensor = (output.quantile_outputs[..., 0] * self._mean_weights[:, None]).sum(dim=1)
        return mean

    def features(self, past: Tensor, observed: Tensor, future: Tensor | None) -> Tensor:
        """Return ``[B, F]``: the lags relative to the last reading, if any, that reading, 1, the covariates' means."""
        target, last = past[..., 0], past[:, -1:, 0]
        columns = [target[:, :-1] - last] if self._lags else []
        columns += [last, torch.ones_like(last)]
        if self._past:
            of_past = slice(1, 1 + self._past)
            latest = past[:, -max(1, past.shape[1] // _MEANS) :, of_past]
            columns += [_SMALLER * self._pooled(latest, self._means[0])]
            columns += [_SMALLER * observed[:, -1, of_past].to(past.dtype)]
        if future is not None:
            columns += [self._pooled(future[..., 1 + self._past :], self._means[1])]
        return torch.cat(columns, dim=1)

    @staticmethod
    def _pooled(values: Tensor, means: int) -> Tensor:
        return adaptive_avg_pool1d(values.transpose(1, 2), means).flatten(1)

    def write(self, directory: Path) -> None:
        """Write the map beside granite's files."""
        held = {"weights": self.weights, "gate": self.gate}
        safetensors.torch.save_file(
            {name: values.detach().cpu().contiguous() for name, values in held.items()}, directory / SKIP
        )

    def read(self, directory: Path, name: str) -> None:
        """Read what :meth:`write` wrote.

        :raises CapabilityError: for a file that cannot be read or belongs to another task.
        """
        try:
            held = safetensors.torch.load_file(directory / SKIP)
            self.weights.copy_(held["weights"])
            self.gate.copy_(held["gate"])
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise CapabilityError(
                f"the linear skip of {name} cannot be read: {said}", "fetch or train it again"
            ) from error
