"""What a training must remember to go on, to the last bit, beside its weights."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsfm_core import point_link
from tsfm_torch.schema import TrainingConfig

__all__ = ["FOLDER", "Choice", "begin_again", "finish", "finished", "forget", "last_state", "tidy"]

#: The folder in a checkpoint that holds optimizer, scheduler and random generators, as Trainer writes them.
FOLDER = "trainer"

_CHOICE, _FINISHED = "choice.json", "finished.json"


@dataclass
class Choice:
    """Which evaluation was the best; without evaluations the latest checkpoint is.

    :param best_step: of the best checkpoint so far.
    """

    training: TrainingConfig
    chosen_by: str
    lowest: float = math.inf
    worse: int = 0
    best_step: int = 0
    judged_step: int = 0

    def take(self, step: int, scores: dict[str, float]) -> None:
        """Judge the scores of the evaluation after ``step``."""
        stopping = self.training.early_stopping
        score = scores[stopping.metric if stopping else self.chosen_by]
        better = score < self.lowest
        self.lowest = min(self.lowest, score)
        self.worse = 0 if better else self.worse + 1
        self.judged_step = step
        if better:
            self.best_step = step

    def keep(self, step: int, evaluates: bool) -> bool:
        """Return whether the checkpoint of ``step`` is the best; it is where nothing was judged so far."""
        if not evaluates or not self.judged_step:
            self.best_step = step
        return self.best_step == step

    @property
    def is_best(self) -> bool:
        """Return whether the last evaluation was the best."""
        return self.best_step == self.judged_step

    @property
    def is_enough(self) -> bool:
        """Return whether there was no better evaluation for so long that the training ends."""
        stopping = self.training.early_stopping
        return stopping is not None and self.worse >= stopping.patience

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        held = {"lowest": self.lowest if math.isfinite(self.lowest) else None, "worse": self.worse}
        held |= {"best_step": self.best_step, "judged_step": self.judged_step}
        (folder / _CHOICE).write_text(json.dumps(held) + "\n", encoding="utf-8")

    def read(self, folder: Path) -> None:
        """Take up what :meth:`write` left."""
        held: dict[str, Any] = json.loads((folder / _CHOICE).read_text(encoding="utf-8"))
        self.lowest = math.inf if held["lowest"] is None else held["lowest"]
        self.worse, self.best_step, self.judged_step = held["worse"], held["best_step"], held["judged_step"]


def last_state(checkpoints: Path) -> Path | None:
    """Return the folder of the state that a training goes on from, or None where it begins."""
    state = (checkpoints / "last").resolve() / FOLDER
    return state if state.is_dir() else None


def begin_again(checkpoints: Path, choice: Choice) -> Path | None:
    """Return :func:`last_state`, with ``choice`` as it was then. Writes nothing."""
    state = last_state(checkpoints)
    if state is not None:
        choice.read(state)
    return state


def tidy(checkpoints: Path, choice: Choice) -> None:
    """Remove what a kill has left half written, and point ``best`` at the best of a training that goes on."""
    for aside in checkpoints.glob(".*step_*.tmp"):
        shutil.rmtree(aside)
    if choice.best_step:
        point_link(checkpoints / "best", f"step_{choice.best_step}")


def forget(checkpoints: Path, keep_every: int | None) -> None:
    """Remove the checkpoints that neither ``last`` nor ``best`` points at, but for those of every so many steps."""
    kept = {(checkpoints / link).resolve() for link in ("last", "best")}
    for folder in checkpoints.glob("step_*"):
        step = int(folder.name.removeprefix("step_"))
        if folder.resolve() not in kept and (not keep_every or step % keep_every):
            # not whole any more, not there under its name
            aside = folder.rename(folder.with_name(f".{folder.name}.tmp"))
            shutil.rmtree(aside)


def finish(checkpoints: Path, best_step: int, keep_optimizer: bool) -> None:
    """Note that the training is over; what would let it go on is then removed, unless it is asked for."""
    aside = checkpoints / f".{_FINISHED}.tmp"
    aside.write_text(json.dumps({"best_step": best_step}) + "\n", encoding="utf-8")
    aside.rename(checkpoints / _FINISHED)
    if not keep_optimizer:
        for state in checkpoints.glob(f"step_*/{FOLDER}"):
            shutil.rmtree(state)


def finished(checkpoints: Path) -> int | None:
    """Return the step of the best checkpoint of a training that is over, or None."""
    note = checkpoints / _FINISHED
    if not note.is_file():
        return None
    best: int = json.loads(note.read_text(encoding="utf-8"))["best_step"]
    return best
