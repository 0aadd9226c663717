"""Checkpoints: from a name to directories, and what the small files in them say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tsfm_core import CapabilityError, ConfigError
from tsfm_torch import ADAPTER_CONFIG, checkpoint_directory, read_json, sha256_of

__all__ = ["PIPELINES", "Adapters", "Checkpoint", "open_checkpoint", "weight_files"]

CONFIG, ADAPTERS = "config.json", "tsfm_chronos.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_PATTERNS = ["*.json", "*.safetensors"]

#: The model that serves what config.json calls its pipeline.
PIPELINES = {
    "Chronos2Pipeline": "chronos",
    "ChronosBoltPipeline": "chronos_bolt",
    "ChronosPipeline": "chronos_t5",
}


class Adapters(BaseModel):
    """What peft's files cannot say of adapters that were trained here.

    :param base: the checkpoint that they belong to, a directory or a hub name.
    :param base_sha256: of the base's weights.
    :param chronos_config: as it was when they were trained: a longer context or horizon is learnt with adapters too.
    :param dropout_rate: likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    base_sha256: str
    chronos_config: dict[str, Any]
    dropout_rate: float | None = None

    def write(self, directory: Path) -> None:
        """Write the file that :func:`open_checkpoint` reads."""
        (directory / ADAPTERS).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk.

    :param name: as the configuration names it, for messages.
    :param base: the name under which its whole weights are found again: an absolute directory or a hub name.
    :param directory: of the whole weights.
    :param config: config.json of the whole weights, with what adapters have learnt.
    :param adapters: the directory of adapters that belong on top, if the checkpoint is one.
    """

    name: str
    base: str
    directory: Path
    config: Mapping[str, Any]
    adapters: Path | None = None

    def weights(self) -> list[Path]:
        """Return the files of the whole weights."""
        return weight_files(self.directory, self.name)

    def sha256(self) -> str:
        """Return the hash of the whole weights."""
        return sha256_of(self.weights())


def open_checkpoint(name: str, model: str) -> Checkpoint:
    """Find a checkpoint and read its small files; the weights are read later.

    :param name: a directory, or the name of a hub repository; of whole weights or of adapters.
    :param model: the model that must be able to serve it.
    :raises ConfigError: for one that is not there or not whole, or a hub that cannot be reached.
    :raises CapabilityError: for one that another model serves, or none.
    """
    directory = checkpoint_directory(name, _PATTERNS)
    adapted = (directory / ADAPTER_CONFIG).is_file()
    found = _with_adapters(name, directory) if adapted else _whole(name, name, directory)
    _check_kind(found, model)
    return found


def _whole(name: str, base: str, directory: Path) -> Checkpoint:
    config = read_json(directory / CONFIG, name)
    local = Path(base).expanduser()
    if not all(file.is_file() for file in weight_files(directory, name)):
        hint = "set model.checkpoint to a complete checkpoint"
        if not local.is_dir():
            hint = "connect once so that they can be fetched, or set model.checkpoint to a local directory"
        raise ConfigError(f"the checkpoint {name} has no weights in safetensors, or not all of them", hint)
    return Checkpoint(name, str(local.resolve()) if local.is_dir() else base, directory, config)


def weight_files(directory: Path, name: str) -> list[Path]:
    """Return the files that hold a checkpoint's weights: one, or those that an index names."""
    index = directory / INDEX
    if (directory / WEIGHTS).is_file() or not index.is_file():
        return [directory / WEIGHTS]
    named = read_json(index, name).get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(file, str) for file in named.values()):
        raise ConfigError(f"the checkpoint {name} has an {INDEX} without a weight_map", "fetch it again")
    return sorted({directory / Path(file).name for file in named.values()})


def _with_adapters(name: str, directory: Path) -> Checkpoint:
    settings = read_json(directory / ADAPTER_CONFIG, name)
    base, revision = settings.get("base_model_name_or_path"), settings.get("revision")
    if not isinstance(base, str) or not base:
        raise ConfigError(f"the adapters in {name} do not say which checkpoint they belong to", "train them again")
    try:
        whole = _whole(base, base, checkpoint_directory(base, _PATTERNS, lambda: revision))
    except ConfigError as error:
        said = f"the adapters in {name} belong to {base}, which is not to be had: {error.message}"
        raise ConfigError(said, f"put it there, or correct base_model_name_or_path in {ADAPTER_CONFIG}") from error
    config = dict(whole.config)
    if (directory / ADAPTERS).is_file():
        try:
            record = Adapters.model_validate(read_json(directory / ADAPTERS, name))
        except ValidationError as error:
            raise ConfigError(f"{name}: {ADAPTERS} is not what tsfm-chronos writes", "train again") from error
        if record.base_sha256 != whole.sha256():
            raise CapabilityError(
                f"the adapters in {name} were trained on other weights than {base} holds now",
                "put those weights back, or train the adapters again",
            )
        config["chronos_config"] = record.chronos_config
        if record.dropout_rate is not None:
            config["dropout_rate"] = record.dropout_rate
    return Checkpoint(name, whole.base, whole.directory, config, directory)


def _check_kind(checkpoint: Checkpoint, model: str) -> None:
    name, config = checkpoint.name, checkpoint.config
    if not isinstance(config.get("chronos_config"), dict):
        kind = config.get("model_type")
        raise CapabilityError(f"{name} holds a model of type {kind!r}, no Chronos", "tsfm models list shows the others")
    pipeline = config.get("chronos_pipeline_class", "ChronosPipeline")
    serving = PIPELINES.get(str(pipeline))
    if serving != model:
        hint = f"use the model {serving}" if serving else f"tsfm-chronos serves {', '.join(PIPELINES)}"
        raise CapabilityError(f"{name} is a checkpoint of {pipeline}, which {model} does not serve", hint)
