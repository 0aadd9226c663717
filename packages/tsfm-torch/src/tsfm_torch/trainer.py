"""transformers' Trainer, with its data, its loss, its evaluation and its checkpoints replaced by ours."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainingArguments

from tsfm_core import Job, TrainingWindows, save_checkpoint
from tsfm_torch.batches import RowNumbers, ShuffledRows
from tsfm_torch.journal import Journal
from tsfm_torch.schema import TrainingConfig
from tsfm_torch.trainable import Batch, Trainable
from tsfm_torch.validation import evaluate

__all__ = ["Arguments", "EngineTrainer"]


@dataclass
class Arguments(TrainingArguments):  # type: ignore[misc]  # transformers is not typed
    """Trainer's arguments, held to one device: left alone it would spread over every GPU it sees."""

    one_device: str = "cpu"

    @cached_property
    def _setup_devices(self) -> torch.device:
        device = torch.device(self.one_device)
        super()._setup_devices  # noqa: B018  # a property with effects: accelerate's state is made here
        self._n_gpu: int = 1 if device.type == "cuda" else 0
        if device.type == "cuda":
            torch.cuda.set_device(device)
        return device


class EngineTrainer(Trainer):  # type: ignore[misc]  # transformers is not typed
    """Trains a :class:`Trainable`; what it does at which step is decided by :class:`_Schedule`."""

    def __init__(
        self,
        trainable: Trainable,
        windows: TrainingWindows,
        validation: TrainingWindows | None,
        job: Job,
        arguments: Arguments,
        every: int,
        journal: Journal,
        show: Callable[[int], None],
    ) -> None:
        super().__init__(
            trainable.module,
            arguments,
            data_collator=lambda rows: trainable.batch(windows, np.asarray(rows)),
            train_dataset=RowNumbers(len(windows)),
            callbacks=[_Schedule(every, validation is not None, show)],
        )
        self.remove_callback(PrinterCallback)
        self._trainable, self._validation, self._job, self._journal = trainable, validation, job, journal
        self._choice = _Choice(job.training, trainable.chosen_by)

    def compute_loss(self, model: Any, inputs: Batch, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the loss of a batch and note it."""
        loss = self._trainable.loss(self._trainable.forward(model, inputs), inputs)
        step = self.state.global_step + 1
        epoch = step / self._steps_in_epoch
        self._journal.step(step, epoch, loss.detach(), self.optimizer.param_groups[0]["lr"])
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score the validation windows; remember whether this is the best so far; stop when it is time."""
        assert self._validation is not None
        scores = evaluate(self._trainable, self._validation, self.args.per_device_eval_batch_size, self.args.device)
        self._choice.take(scores)
        step = self.state.global_step
        self._journal.evaluation(step, step / self._steps_in_epoch, scores, self._choice.is_best)
        control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores)
        control.should_training_stop |= self._choice.is_enough
        return scores

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self._journal.flush()  # a loss that is not finite is found here, before its weights are kept
        folder = self._job.checkpoint_dir
        save_checkpoint(folder, self.state.global_step, self._trainable.save, best=self._choice.is_best)
        _forget_others(folder)

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> ShuffledRows:
        return ShuffledRows(len(self.train_dataset), self._job.runtime.seed)

    def floating_point_ops(self, inputs: Batch) -> int:
        """Return 0: counting the model's parameters at every step is slow, and nobody reads the sum."""
        return 0

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> None:
        """Compute nothing: gradients are not clipped, so their norm would only be logged."""

    @property
    def _steps_in_epoch(self) -> int:
        training: TrainingConfig = self._job.training
        return math.ceil(len(self.train_dataset) / training.batch_size)


@dataclass
class _Choice:
    """Which evaluation was the best; without evaluations the latest checkpoint is."""

    training: TrainingConfig
    chosen_by: str
    is_best: bool = True
    _lowest: float = field(default=float("inf"))
    _worse: int = 0

    def take(self, scores: dict[str, float]) -> None:
        stopping = self.training.early_stopping
        score = scores[stopping.metric if stopping else self.chosen_by]
        self.is_best = score < self._lowest
        self._lowest = min(self._lowest, score)
        self._worse = 0 if self.is_best else self._worse + 1

    @property
    def is_enough(self) -> bool:
        stopping = self.training.early_stopping
        return stopping is not None and self._worse >= stopping.patience


class _Schedule(TrainerCallback):  # type: ignore[misc]
    """Evaluate and save every so many steps, and at the end."""

    def __init__(self, every: int, evaluates: bool, show: Callable[[int], None]) -> None:
        self._every, self._evaluates, self._show = every, evaluates, show

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._show(state.global_step)
        if state.global_step % self._every == 0 or state.global_step >= state.max_steps:
            control.should_evaluate = self._evaluates
            control.should_save = True


def _forget_others(folder: Path) -> None:
    """Remove every checkpoint that neither ``last`` nor ``best`` points at."""
    kept = {(folder / link).resolve() for link in ("last", "best")}
    for step in folder.glob("step_*"):
        if step.resolve() not in kept:
            shutil.rmtree(step)
