"""What a family of networks must answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from tsfm_core import CapabilityError, Task, TrainingWindows, Windows

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tsfm_chronos.model import Chronos

__all__ = [
    "BACKBONE",
    "Answer",
    "Family",
    "Floats",
    "Rows",
    "check_facts",
    "check_lengths",
    "check_levels",
    "check_paths",
    "truth_of",
]

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

#: The part of a module of a network with a head that answers what the head is given.
BACKBONE = "backbone"

#: What a module answers: for quantiles ``(values [B, Q, H], loc [B, 1], scale [B, 1])`` on the window's scale.
Answer = Any


class Family(Protocol):
    """One family. B windows a batch, context C, horizon H, Q levels of the network.

    :ivar name: of the entry point.
    :ivar adapter_targets: layers that get an adapter by default.
    :ivar head: the layers behind what :data:`BACKBONE` of a module answers; "": none are trained alone.
    :ivar draws: whether forecasts are drawn, too slow to judge a training by; else the module answers quantiles.
    :ivar facts: what chronos_config in config.json must hold, and of what kind.
    """

    name: str
    adapter_targets: tuple[str, ...]
    head: str
    draws: bool
    facts: Mapping[str, type]

    def random_config(self, sizes: Mapping[str, Any], task: Task) -> dict[str, Any]:
        """Return config.json of a new network for ``task``."""

    def classes(self, config: Mapping[str, Any]) -> tuple[Any, type[Any]]:
        """Return the configuration as upstream's object, and the network's class."""

    def sizes(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return what ``model:`` calls the sizes in config.json."""

    def lengthen(self, config: dict[str, Any], task: Task) -> None:
        """Let a network that is trained reach the task's context and horizon, where its kind can."""

    def check(self, config: Mapping[str, Any], section: Any, task: Task, name: str, trains: bool) -> None:
        """Check what only the configuration knows: context, horizon, levels.

        :raises CapabilityError: naming the way out.
        """

    def batch_size(self, task: Task, section: Any, config: Mapping[str, Any]) -> int:
        """Return how many windows make a forward pass where runtime.batch_size is auto."""

    def ready(self, network: Any, task: Task) -> Any:
        """Return the network as this package runs it."""

    def module(self, network: Any, task: Task) -> nn.Module:
        """Return what is trained: a module whose answer to a batch :meth:`loss` reads."""

    def batch(self, network: Any, windows: Windows, rows: Rows) -> dict[str, Tensor]:
        """Gather the windows at ``rows``, on the CPU; with ``truth`` where the windows have one."""

    def loss(self, network: Any, answer: Answer, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss: upstream's own, with what was not observed left out."""

    def weight(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return how many terms the loss of a batch is the mean over."""

    def forecast(self, model: Chronos, windows: Windows, rows: Rows) -> tuple[Floats | None, Floats | None]:
        """Return mean ``[B, H]`` and quantiles ``[B, levels, H]`` of the windows at ``rows``, one of them at least."""


def check_facts(family: Family, config: Mapping[str, Any], name: str) -> None:
    """Check that config.json says what is needed before a network is built.

    :raises CapabilityError: naming the fact that is not there or cannot be.
    """
    chronos = config["chronos_config"]
    for key, kind in family.facts.items():
        value = chronos.get(key)
        numbers = value if kind is list else [value]
        good = isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool) and value
        if kind in (int, float, list) and good:
            good = all(isinstance(one, int | float) and one > 0 for one in numbers) and numbers == sorted(set(numbers))
            good = good and (kind is not list or numbers[-1] < 1)
        if not good:
            raise CapabilityError(
                f"config.json of {name} has the chronos_config.{key} {value!r}", "fetch or train the checkpoint again"
            )


def truth_of(windows: Windows, rows: Rows) -> Floats | None:
    """Return the truth ``[B, H]`` of training windows; None of others."""
    return windows.truth(rows) if isinstance(windows, TrainingWindows) else None


def check_lengths(context: int, longest: int, task: Task, name: str, trains: bool) -> None:
    """Check the context, and the horizon of a network that is trained.

    :raises CapabilityError: naming what it can do.
    """
    if task.context_length > context:
        raise CapabilityError(
            f"{name} reads at most {context} steps, and task.context_length is {task.context_length}",
            f"set task.context_length to {context} or less",
        )
    if trains and task.prediction_length > longest:
        raise CapabilityError(
            f"{name} learns at most {longest} steps, and task.prediction_length is {task.prediction_length}",
            f"set task.prediction_length to {longest} or less, or training.strategy to from_scratch",
        )


def check_levels(given: tuple[float, ...], task: Task, name: str) -> None:
    """Check that a network with the levels ``given`` can give the task's.

    :raises CapabilityError: for a level outside, or a network without a median.
    """
    outside = [level for level in task.quantile_levels if not given[0] <= level <= given[-1]]
    if outside:
        raise CapabilityError(
            f"{name} gives quantiles from {given[0]} to {given[-1]}, and task.quantile_levels asks for {outside[0]}",
            "ask for levels between these; what lies between two of the network's is interpolated",
        )
    if 0.5 not in given:
        raise CapabilityError(f"{name} has no median among its levels", "use a checkpoint that has the level 0.5")


def check_paths(given: tuple[float, ...], task: Task, name: str, longest: int) -> None:
    """Check that a network that goes on from nine quantile paths has them, where it must go on.

    :raises CapabilityError: naming the level that it lacks.
    """
    missing = [level for level in (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9) if level not in given]
    if task.prediction_length > longest and missing:
        raise CapabilityError(
            f"{name} forecasts {longest} steps at once, and going on needs the level {missing[0]}, which it has not",
            f"set task.prediction_length to {longest} or less",
        )
