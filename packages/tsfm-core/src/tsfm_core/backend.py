"""A typed front of one model plugin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tsfm_core.admission import MODELS
from tsfm_core.errors import PluginError, TsfmError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tsfm_core.data.forecasts import Forecasts
    from tsfm_core.data.windows import Windows
    from tsfm_core.plugins import Registry
    from tsfm_core.records import Job, ModelCard, Runtime
    from tsfm_core.task import Task

__all__ = ["Backend"]


@dataclass(frozen=True)
class Backend:
    """Calls the verbs of one model; keeps pluggy's ``Any`` out of the rest."""

    registry: Registry
    name: str
    package: str
    version: str
    card: ModelCard

    @property
    def trainable(self) -> bool:
        """Return whether the plugin implements ``train``."""
        return self.registry.implements(f"{MODELS}:{self.name}", "train")

    @property
    def shows_statistics(self) -> bool:
        """Return whether the plugin implements ``statistics``."""
        return self.registry.implements(f"{MODELS}:{self.name}", "statistics")

    def load_model(self, config: Any, task: Task, checkpoint: str | None, runtime: Runtime) -> Any:
        """See :meth:`ModelHooks.load_model`."""
        return self._call("load_model", config=config, task=task, checkpoint=checkpoint, runtime=runtime)

    def prepare_data(self, model: Any, windows: Windows, task: Task) -> Any:
        """See :meth:`ModelHooks.prepare_data`."""
        return self._call("prepare_data", model=model, windows=windows, task=task)

    def train(self, model: Any, data: Any, validation: Any, job: Job) -> Any:
        """See :meth:`ModelHooks.train`."""
        return self._call("train", model=model, data=data, validation=validation, job=job)

    def predict(self, model: Any, data: Any, task: Task) -> Forecasts:
        """See :meth:`ModelHooks.predict`."""
        forecasts: Forecasts = self._call("predict", model=model, data=data, task=task)
        return forecasts

    def statistics(
        self, model: Any, data: Any, runtime: Runtime
    ) -> Mapping[str, tuple[Sequence[float], Sequence[float]]]:
        """See :meth:`ModelHooks.statistics`."""
        found: Mapping[str, tuple[Sequence[float], Sequence[float]]] = self._call(
            "statistics", model=model, data=data, runtime=runtime
        )
        return found

    def _call(self, verb: str, **arguments: Any) -> Any:
        if not self.registry.implements(f"{MODELS}:{self.name}", verb):
            raise PluginError(f"{self.name} does not implement {verb}")
        try:
            answer = self.registry.call(self.name, verb, arguments)
        except TsfmError:
            raise
        except Exception as error:
            error.add_note(f"while {self.package} {self.version} ran {verb} for the model {self.name!r}")
            raise
        if answer is None:
            raise PluginError(f"{self.name} returned nothing from {verb}", f"tell the authors of {self.package}")
        return answer
