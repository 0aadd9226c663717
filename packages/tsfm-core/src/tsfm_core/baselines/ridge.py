"""The ridge map behind ``linear``: closed form, in numpy, missing truths masked step by step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tsfm_core.checkpoints import BEST, save_checkpoint
from tsfm_core.data.forecasts import Forecasts
from tsfm_core.data.windows import TrainingWindows, Windows, fill_context
from tsfm_core.errors import CapabilityError
from tsfm_core.records import Job
from tsfm_core.task import Task

__all__ = ["RidgeMap"]

Floats = npt.NDArray[np.float64]
_BATCH = 4096
_RESIDUAL_WINDOWS = 20_000  # windows that the residual quantiles are read from, evenly spread
_FILE, _FACTS = "model.safetensors", "linear.json"


@dataclass(frozen=True)
class RidgeMap:
    """``forecast = last + (context - last) @ weights``, with ``weights [L, H]`` and residual quantiles ``[Q, H]``."""

    task: Task
    lags: int
    weights: Floats | None = None
    residuals: Floats | None = None

    @classmethod
    def load(cls, given: int | None, task: Task, checkpoint: str | None) -> RidgeMap:
        """Return the map of a checkpoint directory, or an empty one of ``given`` lags."""
        lags = given or task.context_length
        if lags > task.context_length:
            raise CapabilityError(f"model.lags {lags} is longer than the context of {task.context_length} steps")
        if checkpoint is None:
            return cls(task, lags)
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(checkpoint)
        try:
            facts = json.loads((folder / _FACTS).read_text())
            lags = facts["lags"]
            found = (facts["prediction_length"], facts["quantile_levels"], facts["freq"])
            tensors = load_file(folder / _FILE)
        except (OSError, ValueError, LookupError, TypeError, SafetensorError) as error:
            raise CapabilityError(
                f"{folder} is no checkpoint of linear: {error}", "train one: tsfm train linear"
            ) from error
        if given not in (None, lags):
            raise CapabilityError(f"{folder} maps {lags} lags; model.lags is {given}", "leave model.lags out")
        asked = (task.prediction_length, list(task.quantile_levels), task.freq)
        if asked != found or task.context_length < lags:
            raise CapabilityError(
                f"{folder} maps {lags} lags to prediction_length, quantile_levels, freq = {found}; "
                f"the task asks for {asked} from {task.context_length}"
            )
        return cls(task, lags, tensors["weights"], tensors.get("residuals"))

    def fit(self, windows: TrainingWindows, job: Job) -> RidgeMap:
        """Return the fitted map, and leave it as a checkpoint."""
        weights = self._solve(windows, job.training.ridge)
        fitted = RidgeMap(self.task, self.lags, weights)
        levels = self.task.quantile_levels
        fitted = RidgeMap(self.task, self.lags, weights, fitted._residual_quantiles(windows) if levels else None)
        save_checkpoint(job.checkpoint_dir, 1, fitted._write, best=True)
        job.log_path.write_text(json.dumps({"step": 1, "windows": len(windows)}) + "\n")
        # what a new process would load, so that both forecast the same bits
        return RidgeMap.load(self.lags, self.task, str(job.checkpoint_dir / BEST))

    def forecast(self, windows: Windows) -> Forecasts:
        """Forecast every window."""
        if self.weights is None:
            raise CapabilityError("linear has no weights of its own", "train it first: tsfm train linear")
        parts = [self._point(inputs, last) for inputs, last in self._batches(windows)]
        mean = np.concatenate(parts) if parts else np.empty((0, self.task.prediction_length))
        quantiles = None if self.residuals is None else mean[:, None, :] + self.residuals
        return Forecasts.of(
            windows, mean.astype(np.float32), None if quantiles is None else quantiles.astype(np.float32)
        )

    def _point(self, inputs: Floats, last: Floats) -> Floats:
        assert self.weights is not None
        # einsum keeps the order of sums whatever the batch: the answer must not depend on the chunking
        return np.asarray(last + np.einsum("bl,lh->bh", inputs, self.weights))

    def _batches(self, windows: Windows) -> Iterator[tuple[Floats, Floats]]:
        """Yield the contexts relative to their last value ``[B, L]`` and that value ``[B, 1]``."""
        for start in range(0, len(windows), _BATCH):
            filled = fill_context(windows.inputs(slice(start, start + _BATCH)).target)[0]
            latest = filled[:, -self.lags :].astype(np.float64)
            yield latest - latest[:, -1:], latest[:, -1:]

    def _solve(self, windows: TrainingWindows, ridge: float) -> Floats:
        """Return ``[L, H]``: for every step the least squares over the windows in which that step was observed."""
        horizon = self.task.prediction_length
        gram = np.zeros((self.lags, self.lags))
        cross = np.zeros((self.lags, horizon))
        missing: dict[int, Floats] = {}
        for at, (inputs, last) in enumerate(self._batches(windows)):
            truth = windows.truth(slice(at * _BATCH, (at + 1) * _BATCH)) - last
            observed = np.isfinite(truth)
            gram += inputs.T @ inputs
            cross += inputs.T @ np.where(observed, truth, 0.0)
            for step in np.flatnonzero(~observed.all(axis=0)).tolist():
                without = inputs[~observed[:, step]]
                missing[step] = missing.get(step, np.zeros_like(gram)) + without.T @ without
        penalty = np.eye(self.lags) * max(ridge * np.trace(gram) / (self.lags * max(len(windows), 1)), 1e-9)
        weights = np.linalg.solve(gram + penalty, cross)
        for step, without in missing.items():
            weights[:, step] = np.linalg.solve(gram - without + penalty, cross[:, step])
        return weights

    def _residual_quantiles(self, windows: TrainingWindows) -> Floats:
        rows = np.unique(np.linspace(0, len(windows) - 1, min(len(windows), _RESIDUAL_WINDOWS)).astype(np.int64))
        some = windows.take(rows)
        point = self.forecast(some).mean
        assert point is not None
        residuals = some.truth(slice(None)) - point.astype(np.float64)
        residuals[:, ~np.isfinite(residuals).any(axis=0)] = 0.0  # a step that was never observed
        return np.asarray(np.nanquantile(residuals, self.task.quantile_levels, axis=0))

    def _write(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        tensors = {"weights": self.weights, "residuals": self.residuals}
        # safetensors writes the memory as it lies: an array that is not contiguous would be read back shuffled
        given = {name: np.ascontiguousarray(array) for name, array in tensors.items() if array is not None}
        save_file(given, folder / _FILE)
        levels = list(self.task.quantile_levels)
        facts = {"lags": self.lags, "prediction_length": self.task.prediction_length, "quantile_levels": levels}
        (folder / _FACTS).write_text(json.dumps(facts | {"freq": self.task.freq}, indent=1) + "\n")
