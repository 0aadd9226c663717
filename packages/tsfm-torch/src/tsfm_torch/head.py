"""Training a head: the backbone is run once over all windows, and what it answered is looked up from then on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tsfm_core import CapabilityError, ConfigError, TrainingWindows
from tsfm_torch.batches import fixed_batches
from tsfm_torch.journal import Journal
from tsfm_torch.trainable import Batch, Trainable

__all__ = ["FOLDER", "backbone_kept", "refuse_several_processes"]

FOLDER = ".backbone"

_KEY = "backbone output {}"
_BATCH = 256

Rows = npt.NDArray[np.int64]


def refuse_several_processes(trainable: Trainable) -> None:
    """Refuse to keep a backbone's answers in a training that several processes share.

    :raises CapabilityError: always there.
    """
    if trainable.backbone and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise CapabilityError(
            "training.strategy head runs the backbone once, in one process, and there are several",
            "train it with one, or set training.strategy to full or lora",
        )


@contextmanager
def backbone_kept(
    trainable: Trainable,
    parts: list[TrainingWindows],
    folder: Path,
    device: torch.device,
    journal: Journal,
) -> Iterator[Trainable]:
    """Yield ``trainable`` with its backbone's answers looked up; without a backbone, as it is.

    They are kept in ``folder / ".backbone"``, in files that are mapped into memory; these are removed when the block
    ends, or by the next start. Inside, batches of ``parts`` alone can be had: of these very objects.

    :raises ConfigError: where the disk has no room for them.
    """
    if not trainable.backbone:
        yield trainable
        return
    assert trainable.training_batch is None  # kept answers are those to the windows as they are
    place = folder / FOLDER
    if place.exists():
        shutil.rmtree(place)  # of a training that was killed
    place.mkdir(parents=True)
    modules = [trainable.module.get_submodule(name) for name in trainable.backbone]
    lookup = _Lookup(trainable, modules, [])
    try:
        size = 0
        for number, windows in enumerate(parts):
            some = _run(trainable, modules, windows, place / str(number), device)
            lookup.kept.append((windows, some))
            size += sum(one.size for one in some.files)
        journal.cached(sum(len(windows) for windows in parts), size)
        for at, module in enumerate(modules):
            module.forward = lookup.answering(at)
        yield replace(trainable, batch=lookup.batch, forward=lookup.forward)
    finally:
        for module in modules:
            module.__dict__.pop("forward", None)
        shutil.rmtree(place)


@dataclass(frozen=True)
class _File:
    """One tensor of the backbone's answers, all windows along its first dimension."""

    path: Path
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def open(self, mode: Any) -> Any:
        return np.lib.format.open_memmap(self.path, mode, np.float32, self.shape if mode == "w+" else None)


@dataclass(frozen=True)
class _Kept:
    """The answers to all windows of a part.

    :param specs: of each backbone module: how its answer is put together.
    :param constants: for each tensor or other part of an answer, in order: its value where it is no tensor.
    :param files: the tensors, in order.
    :param arrays: the same, mapped.
    """

    specs: list[Any]
    constants: list[list[Any]]
    files: list[_File]
    arrays: list[npt.NDArray[np.float32]]


def _run(
    trainable: Trainable, modules: list[nn.Module], windows: TrainingWindows, place: Path, device: torch.device
) -> _Kept:
    """Run the backbone over all windows, in eval mode, and write its answers."""
    answers: list[Any] = [None] * len(modules)

    def keeping(at: int) -> Any:
        def hook(module: nn.Module, given: Any, answer: Any) -> None:
            answers[at] = answer

        return hook

    hooks = [module.register_forward_hook(keeping(at)) for at, module in enumerate(modules)]
    trainable.module.to(device).eval()
    kept: _Kept | None = None
    done = 0
    try:
        with torch.no_grad():
            for rows, count in fixed_batches(len(windows), min(_BATCH, len(windows))):
                batch = {key: values.to(device) for key, values in trainable.batch(windows, rows).items()}
                trainable.forward(trainable.module, batch)
                tensors = [one for one in pytree.tree_leaves(answers) if isinstance(one, Tensor)]
                kept = kept or _begin(answers, tensors, len(rows), len(windows), place)
                for values, array in zip(tensors, kept.arrays, strict=True):
                    array[done : done + count] = values[:count].cpu().numpy()
                done += count
    finally:
        for one in hooks:
            one.remove()
    assert kept is not None  # a training has windows
    return replace(kept, arrays=[file.open("r") for file in kept.files])


def _begin(answers: list[Any], tensors: list[Tensor], batch: int, windows: int, place: Path) -> _Kept:
    """Make the files, once the first answers show what is to be kept."""
    odd = [values for values in tensors if values.dtype != torch.float32 or values.shape[:1] != (batch,)]
    assert not odd, "a backbone answers each window with float32"
    needed = sum(values[0].numel() for values in tensors) * 4 * windows
    free = shutil.disk_usage(place.parent).free
    if needed > free:
        raise ConfigError(
            f"training.strategy head keeps the backbone's outputs, {needed / 1e9:.3f} GB for {windows:,} windows, "
            f"and {place.parent.parent} has {free / 1e9:.3f} GB free",
            "raise data.stride, make room, or set training.strategy to full",
        )
    place.mkdir()
    shapes = [(windows, *values.shape[1:]) for values in tensors]
    files = [_File(place / f"{at}.npy", shape) for at, shape in enumerate(shapes)]
    flat = [pytree.tree_flatten(answer) for answer in answers]
    return _Kept(
        specs=[spec for _, spec in flat],
        constants=[[None if isinstance(one, Tensor) else (one,) for one in leaves] for leaves, _ in flat],
        files=files,
        arrays=[file.open("w+") for file in files],
    )


@dataclass
class _Lookup:
    """Gives the backbone's answers to the windows of a batch, in the place of the backbone."""

    trainable: Trainable
    modules: list[nn.Module]
    kept: list[tuple[TrainingWindows, _Kept]]
    _now: Batch | None = None

    def batch(self, windows: TrainingWindows, rows: Rows) -> Batch:
        """Return the batch, and beside it what the backbone answers to it."""
        kept = next(some for known, some in self.kept if known is windows)
        answers = {_KEY.format(at): torch.from_numpy(array[rows]) for at, array in enumerate(kept.arrays)}
        return self.trainable.batch(windows, rows) | answers

    def forward(self, module: nn.Module, batch: Batch) -> Any:
        """Return the module's answer to a batch of :meth:`batch`."""
        self._now = batch
        try:
            return self.trainable.forward(module, batch)
        finally:
            self._now = None

    def answering(self, at: int) -> Any:
        """Return what the backbone's module ``at`` runs instead of itself."""
        kept = self.kept[0][1]
        first = sum(one is None for leaves in kept.constants[:at] for one in leaves)

        def forward(*args: Any, **kwargs: Any) -> Any:
            assert self._now is not None
            number, leaves = first, []
            for constant in kept.constants[at]:
                leaves.append(constant[0] if constant else self._now[_KEY.format(number)])
                number += constant is None
            return pytree.tree_unflatten(leaves, kept.specs[at])

        return forward
