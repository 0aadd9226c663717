"""What an audit rests on: the files of a run, and its data and its model where they are still there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tsfm_core.config.resolve import Resolved, read_config
from tsfm_core.data.store import ForecastFile
from tsfm_core.errors import DataError
from tsfm_core.prepare import Loaded, Prepared, load, prepare
from tsfm_core.run import Run
from tsfm_core.task import Task

__all__ = ["Evidence", "Failed", "Finding", "NotApplicable"]


class Failed(Exception):
    """What a check found is not as the run says."""


class NotApplicable(Exception):
    """A check has no subject in such a run."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    :param said: the numbers it rests on, or the reason.
    :param question: what was checked.
    """

    check: str
    result: Literal["ok", "FAIL", "not applicable", "not checked"]
    said: str
    question: str


class Evidence:
    """Each part is opened when a check asks for it; what is not there raises the sentence that says so."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return run.json."""
        return self.run.facts

    @cached_property
    def resolved(self) -> Resolved:
        """Return the stored configuration."""
        return read_config(self.run.config_path)

    @cached_property
    def file(self) -> ForecastFile:
        """Return the stored forecasts."""
        return ForecastFile(self.run.forecasts_path)

    @property
    def task(self) -> Task:
        """Return the task as it was forecast."""
        return self.file.task

    @property
    def trained(self) -> bool:
        """Return whether this run trained its model."""
        return bool(self.facts["command"] == "train")

    @cached_property
    def opened(self) -> Prepared:
        """Return the data as the configuration gives it today, cut into windows."""
        return prepare(self.resolved.config, self.task, self.facts["command"])

    @property
    def prepared(self) -> Prepared:
        """Return the same, if it is the data that the run had: any other says nothing about the run.

        :raises DataError: otherwise.
        """
        if self.opened.panel.fingerprint != self.facts["data"]["fingerprint"]:
            raise DataError("the data is not what the run had")
        return self.opened

    @cached_property
    def loaded(self) -> Loaded:
        """Return the model that the run's forecasts are of: its best checkpoint, or the one that it tested."""
        best = self.run.best_checkpoint
        flags = {"model.checkpoint": str(best.resolve())} if best else {}
        resolved = read_config(self.run.config_path, (), flags, trains=False)
        return load(self.facts["model"], resolved, "backtest", from_run=bool(best or self.facts["parent"]))
