"""Checkpoints: from a name to a directory, and what the files in it say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tsfm_core import CapabilityError, ConfigError, DataError, Task, conversion_factor
from tsfm_torch import ADAPTER_CONFIG, ADAPTER_WEIGHTS, checkpoint_directory, read_json, sha256_of
from tsfm_ttm.shipped import shipped_folder

__all__ = ["CONFIG", "SKIP", "WEIGHTS", "Checkpoint", "Training", "open_checkpoint"]

CONFIG, WEIGHTS, TRAINING = "config.json", "model.safetensors", "tsfm_ttm.json"
SKIP = "linear_skip.safetensors"
_PATTERNS = [CONFIG, WEIGHTS, TRAINING, SKIP, ADAPTER_CONFIG, ADAPTER_WEIGHTS]


class Training(BaseModel):
    """What granite's files cannot say of a network trained here: its channels, their order and their statistics.

    :param mean: of each of ``task.channels`` over the training windows.
    :param std: likewise; both in the channel's own unit.
    :param kept_scale: whether the target's mean and deviation are those of the checkpoint that the training began with.
    :param base_sha256: of the weights that adapters belong to; None: the checkpoint holds whole weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    mean: tuple[float, ...]
    std: tuple[float, ...]
    base_sha256: str | None = None
    kept_scale: bool | None = None

    def factor(self, task: Task) -> float:
        """Return the number that turns a forecast of this network into the unit of ``task``.

        :raises DataError: where the two are not units of one quantity.
        """
        return conversion_factor(self.task.unit, task.unit)

    def converts(self, task: Task) -> bool:
        """Return whether there is such a number."""
        try:
            return self.factor(task) > 0
        except DataError:
            return False

    def write(self, directory: Path) -> None:
        """Write the file that :func:`open_checkpoint` reads."""
        (directory / TRAINING).write_text(self.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk.

    :param name: as the configuration names it, for messages.
    :param base: the name under which its whole weights are found again: an absolute directory or a hub name.
    :param directory: of the whole weights.
    :param config: granite's config.json.
    :param training: None for one that was not trained here.
    :param adapters: the directory of adapters that belong on top, if the checkpoint is one.
    """

    name: str
    base: str
    directory: Path
    config: Mapping[str, Any]
    training: Training | None
    adapters: Path | None = None

    def sha256(self) -> str:
        """Return the hash of the whole weights."""
        return sha256_of([self.directory / WEIGHTS])

    @property
    def shipped(self) -> bool:
        """Whether it came with this package."""
        return self.directory == shipped_folder(self.name)

    @property
    def linear_skip(self) -> bool:
        """Whether a linear skip lies beside the network."""
        return (self.directory / SKIP).is_file()

    @property
    def quantile_head(self) -> Literal["granite", "steps"] | None:
        """Which of the quantile heads it has, if any."""
        if self.config.get("multi_quantile_head"):
            return "granite"
        return "steps" if self.config.get("quantile_head") == "steps" else None

    @property
    def sees_level(self) -> bool:
        """Whether its network is shown readings as they are, not scaled window by window."""
        return not self.config.get("scaling", "std")

    def answers(self, task: Task) -> Task:
        """Return ``task`` with the steps and the quantile levels that the network gives, untrained steps left out."""
        steps = self.config.get("prediction_filter_length") or self.config["prediction_length"]
        levels = self.config.get("quantile_levels") if self.quantile_head else None
        given = {"prediction_length": steps, "quantile_levels": tuple(sorted(levels or ()))}
        return task.model_copy(update=given)


def open_checkpoint(name: str, task: Task) -> Checkpoint:
    """Find a checkpoint and read its small files; the weights are read later.

    :param name: a directory, the name of the checkpoint that ships with this package, or that of a hub repository.
    :raises ConfigError: for a directory that is not there or is no checkpoint, or a hub that cannot be reached.
    :raises CapabilityError: for adapters whose base is not what it was.
    """
    directory = _directory(name, task)
    config = read_json(directory / CONFIG, name)
    training = None
    if (directory / TRAINING).exists():
        try:
            training = Training.model_validate(read_json(directory / TRAINING, name))
        except ValidationError as error:
            raise ConfigError(f"{name}: {TRAINING} is not what tsfm-ttm writes", "train again") from error
    if (directory / ADAPTER_CONFIG).is_file():
        base, weights = _base(name, directory, training)
        return Checkpoint(name, base, weights, config, training, directory)
    if not (directory / WEIGHTS).is_file():
        raise ConfigError(f"the checkpoint {name} has no {WEIGHTS}", "set model.checkpoint to a complete checkpoint")
    return Checkpoint(name, _found_again(name), directory, config, training)


def _base(name: str, adapters: Path, training: Training | None) -> tuple[str, Path]:
    """Return name and directory of the whole weights that adapters belong to."""
    base = read_json(adapters / ADAPTER_CONFIG, name).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ConfigError(f"the adapters in {name} do not say which checkpoint they belong to", "train them again")
    if training is None or training.base_sha256 is None:
        raise ConfigError(f"the adapters in {name} have no {TRAINING} beside them, with their task", "train them again")
    task = training.task
    try:
        directory = _directory(base, task)
        if not (directory / WEIGHTS).is_file():
            raise ConfigError(f"it has no {WEIGHTS}")
    except ConfigError as error:
        said = f"the adapters in {name} belong to {base}, which is not to be had: {error.message}"
        raise ConfigError(said, f"put it there, or correct base_model_name_or_path in {ADAPTER_CONFIG}") from error
    if training.base_sha256 != sha256_of([directory / WEIGHTS]):
        raise CapabilityError(
            f"the adapters in {name} were trained on other weights than {base} holds now",
            "put those weights back, or train the adapters again",
        )
    return _found_again(base), directory


def _directory(name: str, task: Task) -> Path:
    shipped = shipped_folder(name)
    if shipped and not Path(name).is_dir():  # a directory is what it says, as for the name of any repository
        return shipped
    return checkpoint_directory(name, _PATTERNS, lambda: _revision(name, task))


def _found_again(name: str) -> str:
    local = Path(name).expanduser()
    return str(local.resolve()) if local.is_dir() else name


def _revision(name: str, task: Task) -> str | None:
    """Return the branch of one of IBM's repositories that fits the task: the same context, the nearest horizon.

    Read from granite's own table. Its ``get_model`` is not asked: it may answer with a shorter or longer context, which
    would then be cut or padded with zeros, or with a network that needs a frequency token.

    :raises CapabilityError: naming the contexts and horizons that the repository offers.
    """
    offered = [one for one in _table() if one["model_card"] == name and not re.search("-ft-|-dec-", one["key"])]
    if not offered:
        return None
    fitting = [
        one
        for one in offered
        if one["context_length"] == task.context_length and one["prediction_length"] >= task.prediction_length
    ]
    if not fitting:
        shapes = sorted({(one["context_length"], one["prediction_length"]) for one in offered})
        listed = ", ".join(f"{context}/{horizon}" for context, horizon in shapes)
        raise CapabilityError(
            f"{name} has no checkpoint for task.context_length {task.context_length} and "
            f"task.prediction_length {task.prediction_length}; it offers {listed}",
            "choose a context from this list and a horizon that is not longer, or training.strategy from_scratch",
        )
    revision: str = min(fitting, key=lambda one: (one["prediction_length"], "-lite" in one["key"]))["revision"]
    return revision


def _table() -> list[dict[str, Any]]:
    """Return granite's list of checkpoints, each with its key."""
    from importlib.resources import files

    import yaml

    from tsfm_ttm.granite import quietly

    with quietly():
        listed = files("tsfm_public.resources.model_paths_config") / "ttm.yaml"
    groups = yaml.safe_load(listed.read_text(encoding="utf-8"))
    return [{"key": key, **one} for group in groups.values() for key, one in group.items()]
