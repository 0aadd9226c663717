"""One training, from windows to the best checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
import transformers

from tsfm_core import CapabilityError, ConfigError, Job, Stopped, TrainingWindows, defer_stop, replace_best
from tsfm_core.errors import did_you_mean
from tsfm_torch import processes
from tsfm_torch.determinism import deterministic
from tsfm_torch.device import choose_device
from tsfm_torch.freezing import frozen
from tsfm_torch.head import backbone_kept, refuse_several_processes
from tsfm_torch.journal import Journal
from tsfm_torch.loader import Loader
from tsfm_torch.progress import progress_bar
from tsfm_torch.quantization import count_weights
from tsfm_torch.quiet import quietly
from tsfm_torch.recomputing import recomputing
from tsfm_torch.schema import TrainingConfig
from tsfm_torch.state import Choice, begin_again, finish, finished, tidy
from tsfm_torch.trainable import Trainable
from tsfm_torch.trainer import Arguments, EngineTrainer

__all__ = ["fit"]

_EVALUATION_BATCH = 256


def fit(trainable: Trainable, data: TrainingWindows, validation: TrainingWindows | None, job: Job) -> None:
    """Train ``trainable.module`` in place; afterwards it holds the best weights and is in eval mode.

    Everything that is drawn (dropout, order of the windows) comes from ``job.runtime.seed``: the same seed gives the
    same bits on a CPU with the same number of threads, also where the training was killed and goes on (``job.resume``).
    Leaves ``step_<n>/`` for the latest and the best checkpoint in ``job.checkpoint_dir``, the links ``last`` and
    ``best``, and ``job.log_path``. Without validation windows the latest checkpoint is the best. What
    ``trainable.finish`` writes takes the place of ``best``, as ``merged_step_<n>/``.

    :raises ConfigError: for early stopping without validation windows, or a loss that is not finite.
    :raises CapabilityError: for a device that is not there, or what this network or device cannot do.
    :raises Stopped: where a signal has come; a checkpoint has been written.
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
    over = finished(job.checkpoint_dir) if job.resume else None
    best = over or _train(trainable, data, validation, job, device)
    trainable.load(job.checkpoint_dir / f"step_{best}")
    trainable.module.eval()
    if over is None:
        if processes.rank() == 0:
            if trainable.finish:
                replace_best(job.checkpoint_dir, trainable.finish)
            finish(job.checkpoint_dir, best, training.keep_optimizer)
        processes.part()


def _train(
    trainable: Trainable,
    data: TrainingWindows,
    validation: TrainingWindows | None,
    job: Job,
    device: torch.device,
) -> int:
    """Train to the end, and return the step of the best checkpoint."""
    refuse_several_processes(trainable)
    training: TrainingConfig = job.training
    choice = Choice(training, trainable.chosen_by)
    state = begin_again(job.checkpoint_dir, choice) if job.resume else None
    over = _steps_over(state)
    loader = Loader(
        trainable, data, job.runtime.seed, training.batch_size, training.gradient_accumulation_steps, begin=over
    )
    steps = int(min(training.num_epochs * loader.steps, training.max_steps or math.inf))
    with ExitStack() as during:
        during.enter_context(_quiet_transformers())
        during.enter_context(deterministic(job.runtime.deterministic))
        with quietly():
            arguments = _arguments(job, steps, device)
            assert arguments.device == device
        loader.rank, loader.world = processes.rank(), processes.count()  # Trainer's arguments have joined them
        first = loader.rank == 0
        if job.resume and first:
            tidy(job.checkpoint_dir, choice)
        processes.wait()
        during.enter_context(frozen(trainable.module, training.freeze))
        during.enter_context(recomputing(trainable.module, training.gradient_checkpointing))
        journal = during.enter_context(Journal(job.log_path if first else None, over))
        parts = [data] if validation is None else [data, validation]
        loader.trainable = during.enter_context(backbone_kept(trainable, parts, job.checkpoint_dir, device, journal))
        journal.weights(*count_weights(trainable.module))
        show = during.enter_context(progress_bar("training", steps))
        stop = during.enter_context(defer_stop())
        trainer = EngineTrainer(
            loader.trainable,
            loader,
            validation,
            job,
            arguments,
            choice,
            every=training.save_every or loader.steps,
            journal=journal,
            show=show,
            stop=stop,
        )
        if not first:
            torch.manual_seed(job.runtime.seed + loader.rank)  # Trainer has seeded all alike: no two draw one dropout
        if over < steps and not choice.is_enough:
            with _compiling(training.torch_compile):
                trainer.train(resume_from_checkpoint=str(state) if state else None)
            # autocast has been put around its forward pass
            trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
        if trainer.stopped and trainer.state.global_step < steps and not choice.is_enough:
            raise Stopped(f"stopped by {trainer.stopped} after step {trainer.state.global_step} of {steps}")
    return choice.best_step


def _steps_over(state: Path | None) -> int:
    if state is None:
        return 0
    over: int = json.loads((state / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
    return over


def _arguments(job: Job, steps: int, device: torch.device) -> Arguments:
    training: TrainingConfig = job.training
    precision = job.runtime.precision
    if precision == "fp16" and device.type == "cpu":
        # Trainer would compute in float32 without a word
        raise CapabilityError("runtime.precision is fp16, which a CPU does not train in", "set it to bf16 or fp32")
    return Arguments(
        output_dir=str(job.checkpoint_dir),
        one_device=str(device),
        use_cpu=device.type == "cpu",
        seed=job.runtime.seed,
        max_steps=steps,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=job.runtime.batch_size or _EVALUATION_BATCH,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        # the schedule that transformers calls constant has no warm-up
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(training.schedule, training.schedule),
        warmup_steps=math.ceil(training.warmup * steps),
        optim="adamw_torch_fused",
        max_grad_norm=training.max_grad_norm or 0.0,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        torch_compile_backend=_compiler(training.torch_compile),
        # what follows is done by EngineTrainer, or not at all
        ignore_data_skip=True,
        average_tokens_across_devices=False,
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


def _compiler(backend: str | None) -> str | None:
    """Return the backend of torch.compile, which must be one."""
    if backend is not None and backend not in torch.compiler.list_backends(exclude_tags=()):
        near = did_you_mean(backend, torch.compiler.list_backends())
        raise ConfigError(f"training.torch_compile is {backend!r}, no backend of torch.compile", near or "try inductor")
    return backend


@contextmanager
def _compiling(backend: str | None) -> Iterator[None]:
    """Say in a sentence where the network cannot be compiled."""
    if backend is None:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        said = " ".join(str(error).partition("\n\n")[0].split())
        raise CapabilityError(
            f"training.torch_compile is {backend!r}, which cannot compile this network here: {said}",
            "install what it needs, such as a C++ compiler, or leave it out",
        ) from error


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep Trainer from printing, and give its loggers back as they were."""
    verbosity = transformers.logging.get_verbosity()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
