"""transformers' Trainer, with its data, its loss, its evaluation and its checkpoints replaced by ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainingArguments

from tsfm_core import Job, TrainingWindows, save_checkpoint
from tsfm_torch.generators import generators, set_generators
from tsfm_torch.journal import Journal
from tsfm_torch.loader import WEIGHT, Loader
from tsfm_torch.processes import each_of, sum_of, wait
from tsfm_torch.state import FOLDER, Choice, forget
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
    """Trains a :class:`Trainable`; what it does at which step is decided in ``_step_over``.

    :param every: steps between evaluations, each with a checkpoint.
    :param show: is told the number of steps that are over.
    :param stop: returns the name of the signal that asks it to stop, or None.
    """

    def __init__(
        self,
        trainable: Trainable,
        loader: Loader,
        validation: TrainingWindows | None,
        job: Job,
        arguments: Arguments,
        choice: Choice,
        every: int,
        journal: Journal,
        show: Callable[[int], None],
        stop: Callable[[], str | None],
    ) -> None:
        super().__init__(trainable.module, arguments, callbacks=[_AfterStep(self._step_over)])
        self.remove_callback(PrinterCallback)
        # a step's loss is the mean over all its pieces: nothing is left to divide
        self.model_accepts_loss_kwargs = self.loss_is_scaled_for_ga = True
        self._trainable, self._loader, self._validation = trainable, loader, validation
        self._job, self._choice, self._journal = job, choice, journal
        self._every, self._show, self._stop = every, show, stop
        self._stopped: str | None = None
        self._loss: torch.Tensor | None = None
        self._rate = 0.0

    @property
    def stopped(self) -> str | None:
        """Return the name of the signal that has ended the training, or None."""
        return self._stopped

    def get_train_dataloader(self) -> Loader:
        """Return our own loader: it knows where to begin, and which windows are this process's."""
        return self._loader

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], float]:
        """Return this process's pieces of a step, each with its share in the step's loss."""
        pieces = list(islice(epoch_iterator, num_batches))
        if pieces and WEIGHT in pieces[0]:
            total = sum_of(float(sum(piece[WEIGHT] for piece in pieces)), device)
            for piece in pieces:
                # processes' gradients are averaged: what is summed over them must be that much larger
                piece[WEIGHT] = (piece[WEIGHT] * self._loader.world / max(total, 1.0)).float()
        return pieces, 1.0

    def compute_loss(self, model: Any, inputs: Batch, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the loss of a piece, as its share in the step's, and note it."""
        share = inputs.pop(WEIGHT, None)
        loss = self._trainable.loss(self._trainable.forward(model, inputs), inputs)
        loss = loss if share is None else loss * share
        self._loss = loss.detach() if self._loss is None else self._loss + loss.detach()
        self._rate = self.optimizer.param_groups[0]["lr"]
        return loss

    def _step_over(self, state: Any, control: Any) -> None:
        """Note the step, and say whether to evaluate, to save and to end now."""
        step = state.global_step
        assert self._loss is not None
        loss, self._loss = self._loss, None
        if self._loader.world > 1:
            loss = sum_of(loss, self.args.device) / self._loader.world
        self._journal.step(step, self._epochs, loss, self._rate)
        self._show(step)
        if step % self._every == 0 or step >= state.max_steps:
            control.should_evaluate = self._validation is not None
            control.should_save = True
        asked = self._stop()
        if sum_of(float(asked is not None), self.args.device):  # to any of the processes
            self._stopped = asked or "a signal to another process"
            control.should_save = control.should_training_stop = True

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score the validation windows; remember whether this is the best so far; stop when it is time."""
        assert self._validation is not None
        scores = evaluate(self._trainable, self._validation, self.args.per_device_eval_batch_size, self.args.device)
        self._choice.take(self.state.global_step, scores)
        self._journal.evaluation(self.state.global_step, self._epochs, scores, self._choice.is_best)
        control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores)
        control.should_training_stop |= self._choice.is_enough
        return scores

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self._journal.flush()  # a loss that is not finite is found here, before its weights are kept
        step, folder = self.state.global_step, self._job.checkpoint_dir
        best = self._choice.keep(step, self._validation is not None)
        drawn = each_of(generators())
        if self.args.should_save:
            save_checkpoint(folder, step, lambda place: self._write(place, drawn), best)
            forget(folder, self._job.training.keep_every)
        wait()

    def _write(self, place: Path, drawn: list[Any]) -> None:
        self._trainable.save(place)
        state = place / FOLDER
        state.mkdir()
        self._save_optimizer_and_scheduler(str(state))
        self._save_scaler(str(state))
        for rank, one in enumerate(drawn):
            torch.save(one, state / f"generators_{rank}.pt")
        self.state.save_to_json(str(state / "trainer_state.json"))
        self._choice.write(state)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self._trainable.load(Path(resume_from_checkpoint).parent)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        assert checkpoint is not None
        set_generators(torch.load(Path(checkpoint) / f"generators_{self._loader.rank}.pt", weights_only=True))

    def floating_point_ops(self, inputs: Batch) -> int:
        """Return 0: counting the model's parameters at every step is slow, and nobody reads the sum."""
        return 0

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> None:
        """Compute nothing: the norm would only be logged."""

    @property
    def _epochs(self) -> float:
        return float(self.state.global_step / self._loader.steps)


class _AfterStep(TrainerCallback):  # type: ignore[misc]
    """Calls back after each step."""

    def __init__(self, over: Callable[[Any, Any], None]) -> None:
        self._over = over

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._over(state, control)
