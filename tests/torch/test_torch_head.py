"""Training a head on a backbone's kept answers, against the backbone really run at every step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from transformers.utils import ModelOutput

from tsfm_core import CapabilityError, ConfigError, Job, Panel, Runtime, Task, TrainingWindows
from tsfm_core.data.windows import WindowRule
from tsfm_torch import Trainable, TrainingConfig, fit
from tsfm_torch.head import FOLDER

CONTEXT, HORIZON = 12, 4


@dataclass
class Answer(ModelOutput):
    hidden: torch.Tensor | None = None
    extra: tuple[torch.Tensor, ...] | None = None
    nothing: None = None


class Backbone(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map, self.dropout = torch.nn.Linear(CONTEXT, 6), torch.nn.Dropout(0.5)
        self.runs = 0

    def forward(self, past: torch.Tensor) -> Answer:
        self.runs += 1
        return Answer(hidden=self.dropout(self.map(past)).tanh(), extra=(past[:, -1:],))


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = Backbone(), torch.nn.Linear(6, HORIZON)

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        answer = self.backbone(past)
        forecast: torch.Tensor = self.head(answer.hidden) + answer.extra[0]
        return forecast


class EvalBackbone(Net):
    """The same without a cache: its backbone is in eval mode whatever the trainer says."""

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        self.backbone.eval()
        return self


def windows_of(count: int) -> TrainingWindows:
    values = 1 + 0.2 * np.sin(np.arange(count) / 5) + np.random.default_rng(0).normal(0, 0.02, count)
    task = Task(target="glucose", unit="mg/dL", freq="5min", context_length=CONTEXT, prediction_length=HORIZON)
    start = np.array(["2024-01-01"], dtype="datetime64[s]")
    panel = Panel(("a",), np.array([0, count]), start, 300, {"glucose": values.astype(np.float32)}, "mg/dL")
    rule = WindowRule(max_gap=10**9, min_observed=1, min_context=CONTEXT)
    return rule.cut(panel, task, lambda part: np.ones(count, bool), np.array([0]), np.array([count]))[0]


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., tuple[Net, Path]]:
    def run(name: str, backbone: tuple[str, ...] = ("backbone",), kind: type[Net] = Net) -> tuple[Net, Path]:
        torch.manual_seed(0)
        net = kind()
        net.backbone.requires_grad_(False)
        folder = tmp_path / name

        def batch(windows: TrainingWindows, rows: Any) -> dict[str, torch.Tensor]:
            past, truth = windows.inputs(rows).target, windows.truth(rows)
            return {"past": torch.from_numpy(past), "truth": torch.from_numpy(truth)}

        trainable = Trainable(
            module=net,
            batch=batch,
            forward=lambda module, batch: module(batch["past"]),
            loss=lambda answer, batch: (answer - batch["truth"]).square().mean(),
            point=lambda answer: answer,
            save=lambda to: safetensors.torch.save_file(net.state_dict(), to / "model.safetensors"),
            load=lambda at: net.load_state_dict(safetensors.torch.load_file(at / "model.safetensors")),
            weight=lambda batch: torch.isfinite(batch["truth"]).sum(),
            backbone=backbone,
        )
        training = TrainingConfig(strategy="full", num_epochs=3, batch_size=16, learning_rate=1e-2)
        windows = windows_of(330)
        job = Job(training, Runtime("full", device="cpu"), folder / "checkpoints", folder / "training.jsonl")
        fit(trainable, windows.take(slice(0, 300)), windows.take(slice(300, None)), job)
        return net, folder

    return run


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def test_it_is_training_with_the_backbone_run_in_eval_mode_at_each_step(train: Callable[..., tuple[Net, Path]]) -> None:
    kept, kept_folder = train("kept")
    run, run_folder = train("run", (), EvalBackbone)
    for name, values in run.state_dict().items():
        torch.testing.assert_close(kept.state_dict()[name], values, rtol=1e-4, atol=1e-6)
    assert not torch.equal(kept.head.weight, Net().head.weight)
    scores = [
        [line["validation"]["rmse"] for line in lines_of(folder) if "validation" in line]
        for folder in (kept_folder, run_folder)
    ]
    assert len(scores[0]) == 3
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)


def test_the_backbone_runs_once_over_each_window(train: Callable[..., tuple[Net, Path]]) -> None:
    """300 and 15 windows in batches of 256; then never again, until the training is over."""
    net, folder = train("once")
    assert net.backbone.runs == 2 + 1
    past = torch.randn(3, CONTEXT)
    assert net(past).shape == (3, HORIZON)
    assert net.backbone.runs == 4, "it is itself again"
    first = lines_of(folder)
    assert {"trainable": 28, "parameters": 28 + 78} in first
    cached = next(line for line in first if "cached_windows" in line)
    assert cached["cached_windows"] == 315
    # 6 + 1 numbers of four bytes a window; two files with a header each, twice
    assert cached["cached_bytes"] == 315 * 7 * 4 + 4 * 128
    assert not (folder / "checkpoints" / FOLDER).exists()


def test_what_a_killed_training_left_is_removed(train: Callable[..., tuple[Net, Path]], tmp_path: Path) -> None:
    left = tmp_path / "again" / "checkpoints" / FOLDER / "0"
    left.mkdir(parents=True)
    (left / "0.npy").write_bytes(b"half")
    train("again")
    assert not left.parent.exists()


def test_a_disk_without_room_and_several_processes(
    train: Callable[..., tuple[Net, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda path: usage._replace(free=5000))
        said = r"keeps the backbone's outputs, 0.000 GB for 300 windows, and .* has 0.000 GB free; raise data.stride"
        with pytest.raises(ConfigError, match=said):
            train("full")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(CapabilityError, match="runs the backbone once, in one process, and there are several"):
        train("several")
