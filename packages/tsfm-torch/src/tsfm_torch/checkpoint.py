"""Checkpoints by name: from a directory or a hub repository to files, and what the small ones say."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tsfm_core import ConfigError

__all__ = ["check_sizes", "checkpoint_directory", "read_json", "sha256_of"]


def checkpoint_directory(name: str, patterns: Sequence[str], revision: Callable[[], str | None] | None = None) -> Path:
    """Return the directory of a checkpoint; a hub repository is fetched where there is no local copy yet.

    :param name: a directory, or the name of a hub repository.
    :param patterns: of the files that are wanted from a repository.
    :param revision: gives the branch of a repository; by default its main one.
    :raises ConfigError: for a name that is neither, or a hub that cannot be reached.
    """
    if _is_directory(name):
        return Path(name).expanduser()
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", name):
        raise ConfigError(
            f"model.checkpoint is {name!r}, and there is no such directory", "name a directory or a hub repository"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    branch = revision() if revision else None
    try:
        return Path(snapshot_download(name, revision=branch, allow_patterns=list(patterns)))
    except (RepositoryNotFoundError, GatedRepoError, HFValidationError) as error:
        raise ConfigError(f"{name!r} is neither a directory nor a repository of the hub that you may read") from error
    except OSError as error:
        raise ConfigError(
            f"{name!r} is no directory and the hub cannot be reached",
            "connect once so that it can be fetched, or set model.checkpoint to a local directory",
        ) from error


def _is_directory(name: str) -> bool:
    try:
        return bool(name.strip()) and Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):  # too long for a path, or of a user who is not there
        return False


def read_json(file: Path, name: str) -> dict[str, Any]:
    """Return the JSON object in a file of the checkpoint ``name``.

    :raises ConfigError: for a file that is not there or holds something else.
    """
    if not file.is_file():
        raise ConfigError(
            f"the checkpoint {name} has no {file.name}", "set model.checkpoint to a checkpoint's directory"
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"the checkpoint {name} has a {file.name} that is no JSON", "fetch or train it again"
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(f"the checkpoint {name} has a {file.name} that is no JSON object", "fetch or train it again")
    return content


def sha256_of(files: Iterable[Path]) -> str:
    """Return the hash of the files' hashes: of whole weights, which may lie in several."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as weights:
            digest.update(hashlib.file_digest(weights, "sha256").digest())
    return digest.hexdigest()


def check_sizes(
    given: Mapping[str, Any], existing: Mapping[str, Any], name: str, changeable: Sequence[str]
) -> dict[str, Any]:
    """Return the keys of ``model:`` that are given, checked against what a checkpoint has.

    :param given: by key; None: not given.
    :param existing: the checkpoint's own values.
    :param changeable: keys that may say something else.
    :raises ConfigError: for a key that says something else and may not.
    """
    said = {key: value for key, value in given.items() if value is not None}
    for key, value in said.items():
        was = existing.get(key)
        if value == was or key in changeable:
            continue
        dropout = "dropout" in key
        why = "nothing is trained" if dropout else "the sizes of a checkpoint are fixed"
        raise ConfigError(
            f"model.{key} is {value}, but {name} has {was} and {why}",
            f"leave model.{key} out" + ("" if dropout else ", or set training.strategy to from_scratch"),
        )
    return said
