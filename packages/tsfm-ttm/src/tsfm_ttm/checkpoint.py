"""Checkpoints: from a name to a directory, and what the files in it say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tsfm_core import CapabilityError, ConfigError, Task

__all__ = ["CONFIG", "WEIGHTS", "Checkpoint", "Training", "open_checkpoint"]

CONFIG, WEIGHTS, TRAINING = "config.json", "model.safetensors", "tsfm_ttm.json"


class Training(BaseModel):
    """What granite's files cannot say of a network trained here: its channels, their order and their statistics.

    :param mean: of each of ``task.channels`` over the training windows.
    :param std: likewise; both in the channel's own unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def write(self, directory: Path) -> None:
        """Write the file that :func:`open_checkpoint` reads."""
        (directory / TRAINING).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk.

    :param name: as the configuration names it, for messages.
    :param config: granite's config.json.
    :param training: None for one that was not trained here.
    """

    name: str
    directory: Path
    config: Mapping[str, Any]
    training: Training | None


def open_checkpoint(name: str, task: Task) -> Checkpoint:
    """Find a checkpoint and read its small files; the weights are read later.

    :param name: a directory, or the name of a hub repository.
    :raises ConfigError: for a directory that is not there or is no checkpoint, or a hub that cannot be reached.
    """
    path = Path(name).expanduser()
    directory = path if path.is_dir() else _fetch(name, task)
    config = _json(directory / CONFIG, name)
    training = None
    if (directory / TRAINING).exists():
        try:
            training = Training.model_validate(_json(directory / TRAINING, name))
        except ValidationError as error:
            raise ConfigError(f"{name}: {TRAINING} is not what tsfm-ttm writes", "train again") from error
    if not (directory / WEIGHTS).is_file():
        raise ConfigError(f"the checkpoint {name} has no {WEIGHTS}", "set model.checkpoint to a complete checkpoint")
    return Checkpoint(name, directory, config, training)


def _json(file: Path, name: str) -> Any:
    if not file.is_file():
        raise ConfigError(
            f"the checkpoint {name} has no {file.name}", "set model.checkpoint to a checkpoint's directory"
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"the checkpoint {name} has a {file.name} that is no JSON", "fetch or train it again"
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(f"the checkpoint {name} has a {file.name} that is no JSON object", "fetch or train it again")
    return content


def _fetch(name: str, task: Task) -> Path:
    """Return the local copy of a hub repository, fetched if it is not there yet."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", name):
        raise ConfigError(
            f"model.checkpoint is {name!r}, and there is no such directory", "name a directory or a hub repository"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, revision=_revision(name, task), allow_patterns=[CONFIG, WEIGHTS]))
    except (RepositoryNotFoundError, GatedRepoError, HFValidationError) as error:
        raise ConfigError(f"{name!r} is neither a directory nor a repository of the hub that you may read") from error
    except OSError as error:
        raise ConfigError(
            f"{name!r} is no directory and the hub cannot be reached",
            "connect once so that it can be fetched, or set model.checkpoint to a local directory",
        ) from error


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
