"""One training, from windows to the best checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import transformers

from tsfm_core import ConfigError, Job, TrainingWindows
from tsfm_torch.device import choose_device
from tsfm_torch.journal import Journal
from tsfm_torch.progress import progress_bar
from tsfm_torch.schema import TrainingConfig
from tsfm_torch.trainable import Trainable
from tsfm_torch.trainer import Arguments, EngineTrainer

__all__ = ["fit"]

_EVALUATION_BATCH = 256


def fit(trainable: Trainable, data: TrainingWindows, validation: TrainingWindows | None, job: Job) -> None:
    """Train ``trainable.module`` in place; afterwards it holds the best weights and is in eval mode.

    Everything that is drawn (dropout, order of the windows) comes from ``job.runtime.seed``: the same seed gives the
    same bits on a CPU with the same number of threads. Leaves ``step_<n>/`` for the latest and the best checkpoint in
    ``job.checkpoint_dir``, the links ``last`` and ``best``, and ``job.log_path``. Without validation windows the latest
    checkpoint is the best.

    :raises ConfigError: for early stopping without validation windows, or a loss that is not finite.
    :raises CapabilityError: for a device that is not there.
    """
    training: TrainingConfig = job.training
    if validation is not None and not len(validation):
        validation = None
    if validation is None and training.early_stopping:
        raise ConfigError(
            "training.early_stopping needs validation windows, and there are none",
            "set split.validation to a share such as 0.1, or early_stopping to null",
        )
    device = choose_device(job.runtime.device)
    per_epoch = math.ceil(len(data) / training.batch_size)
    steps = min(training.num_epochs * per_epoch, training.max_steps or math.inf)
    with _quiet_transformers(), Journal(job.log_path) as journal, progress_bar("training", int(steps)) as show:
        trainer = EngineTrainer(
            trainable,
            data,
            validation,
            job,
            _arguments(job, int(steps), device),
            every=training.save_every or per_epoch,
            journal=journal,
            show=show,
        )
        trainer.train()
    trainable.load(job.checkpoint_dir / "best")
    trainable.module.eval()


def _arguments(job: Job, steps: int, device: torch.device) -> Arguments:
    training: TrainingConfig = job.training
    return Arguments(
        output_dir=str(job.checkpoint_dir),
        one_device=str(device),
        use_cpu=device.type == "cpu",
        seed=job.runtime.seed,
        max_steps=steps,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=job.runtime.batch_size or _EVALUATION_BATCH,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        # the schedule that transformers calls constant has no warm-up
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(training.schedule, training.schedule),
        warmup_steps=math.ceil(training.warmup * steps),
        optim="adamw_torch_fused",
        max_grad_norm=0.0,
        # what follows is done by EngineTrainer, or not at all
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
        log_level="error",
    )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep Trainer from printing, and give its loggers back as they were."""
    verbosity = transformers.logging.get_verbosity()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
