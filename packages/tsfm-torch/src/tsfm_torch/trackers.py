"""``tensorboard``, ``mlflow`` and ``wandb``, each through transformers' own reporter: cheap until one is opened."""

from __future__ import annotations

import os
from importlib.util import find_spec

from tsfm_core import CapabilityError, TrackedRun, Tracker, TrackerSession

__all__ = ["TRACKERS"]


def _check_tensorboard() -> None:
    _require("tensorboard")


def _check_mlflow() -> None:
    _require("mlflow")


def _check_wandb() -> None:
    """Refuse what would ask for an account at the keyboard: nobody may sit there."""
    _require("wandb")
    if os.environ.get("WANDB_MODE", "online") == "online" and not os.environ.get("WANDB_API_KEY"):
        import wandb

        if not wandb.api.api_key:
            raise CapabilityError(
                "tracking names wandb, and no account of it is known here",
                "export WANDB_MODE=offline to keep its files here, or WANDB_API_KEY, or run wandb login",
            )


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise CapabilityError(f"tracking names {package}, which is not installed", f"pip install {package}")


def _tensorboard(run: TrackedRun) -> TrackerSession:
    from tsfm_torch.reporters import open_tensorboard

    return open_tensorboard(run)


def _mlflow(run: TrackedRun) -> TrackerSession:
    from tsfm_torch.reporters import open_mlflow

    return open_mlflow(run)


def _wandb(run: TrackedRun) -> TrackerSession:
    from tsfm_torch.reporters import open_wandb

    return open_wandb(run)


TRACKERS = [
    Tracker("tensorboard", "event files in logs/tensorboard of the run", _check_tensorboard, _tensorboard),
    Tracker("mlflow", "MLFLOW_TRACKING_URI, or mlflow.db in the folder of all experiments", _check_mlflow, _mlflow),
    Tracker("wandb", "as WANDB_MODE says, its files in WANDB_DIR or logs/ of the run", _check_wandb, _wandb),
]
