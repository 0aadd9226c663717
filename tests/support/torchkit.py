"""What tests of the engine do again and again: windows of one series, and trainings of a network of a few weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from tsfm_core import Job, Panel, Runtime, Task, TrainingWindows
from tsfm_core.data.windows import WindowRule
from tsfm_torch import Trainable, TrainingConfig, fit

CONTEXT, HORIZON = 12, 4


def windows_of(values: np.ndarray, min_observed: float = 0.8) -> TrainingWindows:
    """Return every window of one series."""
    count = len(values)
    task = Task(target="glucose", unit="mg/dL", freq="5min", context_length=CONTEXT, prediction_length=HORIZON)
    start = np.array(["2024-01-01"], dtype="datetime64[s]")
    panel = Panel(("a",), np.array([0, count]), start, 300, {"glucose": values.astype(np.float32)}, "mg/dL")
    everywhere = np.ones(count, bool)
    rule = WindowRule(max_gap=10**9, min_observed=min_observed, min_context=CONTEXT)
    return rule.cut(panel, task, lambda part: everywhere, np.array([0]), np.array([count]))[0]


def noisy_sine(count: int) -> np.ndarray:
    return 100 + 20 * np.sin(np.arange(count) / 5) + np.random.default_rng(0).normal(0, 2, count)


class Net(torch.nn.Module):
    """A linear map with dropout."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(dropout)
        self.map = torch.nn.Linear(CONTEXT, HORIZON)

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        return self.map(self.dropout(past))


class Constant(torch.nn.Module):
    """One number, forecast always."""

    def __init__(self) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(()))

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(past), HORIZON)


def masked(error: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    observed = torch.isfinite(truth)
    return torch.where(observed, error, 0.0).sum() / observed.sum().clamp(min=1)


def squared(answer: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return masked((answer - batch["truth"].nan_to_num()).square(), batch["truth"])


def absolute(answer: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return masked((answer - batch["truth"].nan_to_num()).abs(), batch["truth"])


@dataclass
class Fitted:
    """One training and what it left."""

    module: torch.nn.Module
    folder: Path
    rows: list[list[int]] = field(default_factory=list)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "training.jsonl").read_text().splitlines()]

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "loss" in line]

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "validation" in line]

    @property
    def weights(self) -> dict[str, np.ndarray]:
        return {name: values.numpy() for name, values in self.module.state_dict().items()}

    def stored(self, link: str) -> dict[str, np.ndarray]:
        read = safetensors.torch.load_file(self.folder / "checkpoints" / link / "model.safetensors")
        return {name: values.numpy() for name, values in read.items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def fit_net(
    folder: Path,
    data: TrainingWindows | None = None,
    validation: TrainingWindows | None = None,
    *,
    module: torch.nn.Module | None = None,
    loss: Callable[..., torch.Tensor] = squared,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "fp32",
    resume: bool = False,
    each_batch: Callable[[int], None] = lambda number: None,
    **keys: Any,
) -> Fitted:
    """Train a small network in ``folder``; further keyword arguments are keys of ``training:``.

    :param each_batch: is called with the number of each batch, before it is gathered.
    """
    torch.manual_seed(0)
    fitted = Fitted(module or Net(), folder)

    def batch(windows: TrainingWindows, rows: np.ndarray) -> dict[str, torch.Tensor]:
        fitted.rows.append(rows.tolist())
        each_batch(len(fitted.rows))
        past = np.nan_to_num((windows.inputs(rows).target - 100) / 20)
        return {"past": torch.from_numpy(past), "truth": torch.from_numpy((windows.truth(rows) - 100) / 20)}

    def save(directory: Path) -> None:
        safetensors.torch.save_file(fitted.module.state_dict(), directory / "model.safetensors")

    def load(directory: Path) -> None:
        fitted.module.load_state_dict(safetensors.torch.load_file(directory / "model.safetensors"))

    job = Job(
        training=TrainingConfig(strategy="from_scratch", **keys),
        runtime=Runtime("from_scratch", seed=seed, device=device, precision=precision),
        checkpoint_dir=folder / "checkpoints",
        log_path=folder / "training.jsonl",
        resume=resume,
    )
    trainable = Trainable(
        module=fitted.module,
        batch=batch,
        forward=lambda network, given: network(given["past"]),
        loss=loss,
        point=lambda answer: answer * 20 + 100,
        save=save,
        load=load,
        weight=lambda given: torch.isfinite(given["truth"]).sum(),
    )
    fit(trainable, data or windows_of(noisy_sine(215)), validation, job)
    return fitted
