"""The plugin contract: one typed class for models, one for everything else.

A Protocol method here is three things at once: pluggy's specification, the documentation and the static type. The host
selects the plugin, the plugin answers: no hook asks "is this name mine?". No defaults, no ``*args``, no keyword-only
arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tsfm_core.data.forecasts import Forecasts
    from tsfm_core.data.windows import Windows
    from tsfm_core.records import (
        Dataset,
        EvaluationProtocol,
        Feature,
        IntervalMethod,
        Job,
        Launcher,
        Metric,
        ModelCard,
        Runtime,
        Tracker,
    )
    from tsfm_core.task import Task

__all__ = ["PROJECT", "ModelHooks", "PluginHooks", "hookimpl", "hookspec"]

PROJECT = "tsfm"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class ModelHooks(Protocol):
    """What a model package answers, registered in the entry-point group ``tsfm.models``."""

    @hookspec(firstresult=True)
    def model_card(self) -> ModelCard:
        """Return the static facts about this backend.

        Called by every listing: no torch, no network, no file.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def load_model(self, config: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Any:
        """Return the model that the other verbs get back. Called before any data is opened.

        :param config: the ``model:`` section, an instance of the card's ``config_schema``.
        :param checkpoint: a directory, a hub name, or None for random weights.
        :raises CapabilityError: for what only the checkpoint knows: horizon, context, quantiles, covariates.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def prepare_data(self, model: Any, windows: Windows, task: Task) -> Any:
        """Return what ``train`` and ``predict`` read. Pure and lazy: fit nothing, copy nothing."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def train(self, model: Any, data: Any, validation: Any, job: Job) -> Any:
        """Train on ``data``, choose by ``validation`` (None where the split has none), and return the best model.

        Leaves the checkpoints ``last`` and ``best`` in ``job.checkpoint_dir``; ``load_model`` on ``best`` in a new
        process forecasts the same bits. Left out by a model that cannot be trained.

        :param data: what ``prepare_data`` returned for :class:`TrainingWindows`, the only windows with a truth.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def predict(self, model: Any, data: Any, task: Task) -> Forecasts:
        """Forecast every window of ``data``, in the order of the windows.

        Called on chunks of at most 65,536 windows; the answer must not depend on the chunking.

        :return: ``mean [N, H]``, ``quantiles [N, Q, H]``, at least one of them.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def statistics(
        self, model: Any, data: Any, runtime: Runtime
    ) -> Mapping[str, tuple[Sequence[float], Sequence[float]]]:
        """Return what ``train`` learns of the data beside the weights, such as scalers: as stored, and learnt again.

        Called by ``tsfm audit``: the two must agree. Left out by a model that learns nothing beside its weights.

        :param model: as ``load_model`` gave it from the best checkpoint.
        :param data: what ``prepare_data`` returned for the training windows.
        :param runtime: as ``load_model`` got it, with the seed of the training.
        :return: by name ``(stored, learnt from data)``, numbers in the same order.
        """
        raise NotImplementedError


class PluginHooks(Protocol):
    """What any package may contribute, registered in the entry-point group ``tsfm.plugins``."""

    @hookspec
    def metrics(self) -> list[Metric]:
        """Return metrics. A name that another package has raises and names both."""
        raise NotImplementedError

    @hookspec
    def intervals(self) -> list[IntervalMethod]:
        """Return ways to say how sure a score is."""
        raise NotImplementedError

    @hookspec
    def datasets(self) -> list[Dataset]:
        """Return data sets for ``data.source``."""
        raise NotImplementedError

    @hookspec
    def features(self) -> list[Feature]:
        """Return channels that are computed from others."""
        raise NotImplementedError

    @hookspec
    def protocols(self) -> list[EvaluationProtocol]:
        """Return ways to cut test windows for ``evaluation.protocol``."""
        raise NotImplementedError

    @hookspec
    def launchers(self) -> list[Launcher]:
        """Return ways to train a model in several processes, for ``runtime.distributed``."""
        raise NotImplementedError

    @hookspec
    def trackers(self) -> list[Tracker]:
        """Return what may be told of a run while it goes on, by the names of ``tracking``."""
        raise NotImplementedError

    @hookspec
    def commands(self, app: Any) -> None:
        """Add commands to ``app``, the typer application of ``tsfm``."""
        raise NotImplementedError
