"""transformers' reporters, told of a run by its files rather than by its own Trainer."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from transformers import TrainerCallback
from transformers.integrations import MLflowCallback, TensorBoardCallback, WandbCallback

from tsfm_core import TrackedRun, TrackerSession

__all__ = ["open_mlflow", "open_tensorboard", "open_wandb"]


class _Reporter:
    """A reporter, and the arguments and the state that it thinks a Trainer has."""

    def __init__(self, callback: TrainerCallback, run: TrackedRun) -> None:
        self.callback = callback
        self._arguments = _Arguments(run)
        self._state = SimpleNamespace(
            is_world_process_zero=True, is_hyper_param_search=False, trial_name=None, global_step=0, logging_steps=1
        )

    def begin(self) -> None:
        self.callback.on_train_begin(self._arguments, self._state, None)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._state.global_step = step
        self.callback.on_log(self._arguments, self._state, None, logs=dict(values))

    def end(self) -> None:
        self.callback.on_train_end(self._arguments, self._state, None)

    @property
    def step(self) -> int:
        """Return the last step that was told of."""
        return int(self._state.global_step)


class _Arguments:
    """What reporters read of TrainingArguments: the run's own settings, in which no secret is, in their place."""

    def __init__(self, run: TrackedRun) -> None:
        self.run_name, self.output_dir = run.name, str(run.folder)
        self._settings = {
            key: value if isinstance(value, int | float) else str(value) for key, value in run.settings.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the settings, each a number or text."""
        return dict(self._settings)

    def to_json_string(self) -> str:
        """Return the same as JSON."""
        return json.dumps(self._settings, indent=2)


def open_tensorboard(run: TrackedRun) -> TrackerSession:
    """Write event files beside the run's own log; a training that goes on adds one more file."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(log_dir=str(run.folder / "tensorboard"))
    reporter = _Reporter(TensorBoardCallback(tb_writer=writer), run)
    reporter.begin()

    def end(status: str, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        for name, score in scores.items():
            writer.add_scalar(name, score, reporter.step)
        for file in files:
            writer.add_text(file.name, f"```\n{file.read_text(encoding='utf-8')}\n```", reporter.step)
        reporter.end()

    return TrackerSession(None, reporter.log, end)


def open_mlflow(run: TrackedRun) -> TrackerSession:
    """Open a run at MLFLOW_TRACKING_URI, or in a database beside all experiments.

    A training that goes on has its own run.
    """
    import mlflow

    ours = not mlflow.is_tracking_uri_set()
    with _alone(run.root):  # two that make the database at once would break it
        if ours:
            mlflow.set_tracking_uri(f"sqlite:///{run.root.absolute() / 'mlflow.db'}")
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", run.group)
        found = mlflow.get_experiment_by_name(name)
        place = (run.root.absolute() / "mlflow").as_uri() if ours else None
        experiment = found.experiment_id if found else mlflow.create_experiment(name, place)
    if run.id:
        opened = mlflow.start_run(run_id=run.id)
    else:
        opened = mlflow.start_run(run_name=run.name, experiment_id=experiment)
    # weights go nowhere: with this variable each checkpoint would
    with _environment(HF_MLFLOW_LOG_ARTIFACTS=None, MLFLOW_RUN_ID=None):
        reporter = _Reporter(MLflowCallback(), run)
        reporter.begin()

    def end(status: str, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        try:
            if scores:
                mlflow.log_metrics(dict(scores), step=reporter.step)
            for file in files:
                mlflow.log_artifact(str(file))
        finally:
            reporter.end()
            mlflow.flush_async_logging()
            mlflow.end_run({"completed": "FINISHED", "failed": "FAILED"}.get(status, "KILLED"))
            if ours:
                mlflow.set_tracking_uri("")

    return TrackerSession(opened.info.run_id, reporter.log, end)


def open_wandb(run: TrackedRun) -> TrackerSession:
    """Open a run as the WANDB_ variables say; a training that goes on has its own.

    What it would collect beside (terminal, command line, code) stays here: a secret may be in it.
    """
    import wandb

    settings = wandb.Settings(console="off", x_disable_meta=True, save_code=False, silent=True)
    opened = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "tsfm"),
        name=run.name,
        group=run.group,
        id=run.id,
        resume="allow",
        dir=os.environ.get("WANDB_DIR", str(run.folder)),
        settings=settings,
    )
    # of a network that is not here nothing can be watched, and weights go nowhere
    with _environment(WANDB_WATCH="false", WANDB_LOG_MODEL="false"):
        reporter = _Reporter(WandbCallback(), run)
        reporter.begin()

    def end(status: str, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        try:
            reporter.end()
            opened.summary.update(dict(scores) | {"status": status})
            # copies of the files wait with the run until they are sent
            with _environment(WANDB_DATA_DIR=os.environ.get("WANDB_DATA_DIR", str(run.folder / "wandb" / "data"))):
                artifact = wandb.Artifact(f"run-{opened.id}", type="run")
                for file in files:
                    artifact.add_file(str(file))
                if files:
                    opened.log_artifact(artifact)
        finally:
            opened.finish(exit_code=int(status != "completed"))

    return TrackerSession(opened.id, reporter.log, end)


@contextmanager
def _environment(**values: str | None) -> Iterator[None]:
    """Set variables that a reporter reads, and give them back as they were; None: not set."""
    before = {name: os.environ.get(name) for name in values}

    def put(given: Mapping[str, str | None]) -> None:
        for name, value in given.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    put(values)
    try:
        yield
    finally:
        put(before)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep every other process of this machine that is here out meanwhile."""
    with (folder / ".mlflow.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
