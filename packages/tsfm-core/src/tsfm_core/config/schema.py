"""The sections of a configuration. A default is written once, here.

The sections ``model`` and ``training`` belong to the chosen backend: its card names their pydantic classes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from tsfm_core import freq as _freq
from tsfm_core.task import Task, as_value_error
from tsfm_core.units import check_unit

__all__ = ["Config", "DataConfig", "EvaluationConfig", "OutputConfig", "RuntimeConfig", "Section", "SplitConfig"]


def _moment(value: object) -> datetime:
    """Return a date or a date and time; pydantic alone refuses a bare date and reads "0.2" as seconds since 1970."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("input should be a date or a date and time, such as 2024-01-31T08:00") from None
    if moment.tzinfo:
        raise ValueError("a moment is naive local time, without an offset from UTC")
    return moment


Share = Annotated[float, Field(gt=0, lt=1)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Combine = Literal["median", "mean", "sum"]


class Section(BaseModel):
    """A part of the configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class DataConfig(Section):
    """Where the series come from, and what to do where they are not as they should be."""

    source: str = Field(description="csv, parquet, or a data set that a package contributes")
    path: str | None = Field(default=None, description="file or folder of the source")
    columns: dict[str, str] = Field(
        default_factory=dict, description="the file's column of item_id, timestamp, target, or of a covariate"
    )
    unit: str | None = Field(
        default=None, description="unit of the target column; default: the data set's, or task.unit"
    )
    timestamp_format: str | None = Field(default=None, description="strptime format; default: ISO 8601")
    items: tuple[str, ...] | None = Field(default=None, description="the only items to read")
    exclude: tuple[str, ...] = Field(default=(), description="items to leave out")
    start: dict[str, Moment] = Field(default_factory=dict, description="rows before it are left out, for each item")
    unsorted: Literal["refuse", "sort"] = Field(default="refuse", description="rows of an item that go back in time")
    off_grid: Literal["refuse", "floor"] = Field(default="refuse", description="stamps between two steps of task.freq")
    duplicates: Literal["refuse"] | Combine | dict[str, Combine] = Field(
        default="refuse", description="several rows in one slot: how to combine them, for all channels or each by name"
    )
    mixed_freq: Literal["refuse", "keep"] = Field(
        default="refuse", description="items with another step than task.freq"
    )
    max_gap: str | None = Field(
        default=None, description="longest gap that a window may span; default: 45min, or one step if that is longer"
    )
    min_observed: Share | Literal[1] = Field(default=0.8, description="share of a window's truth that must be observed")
    min_context: int | None = Field(default=None, ge=1, description="steps of context needed; default: context_length")
    stride: int = Field(default=1, ge=1, description="steps between the cutoffs of training windows")

    @field_validator("max_gap")
    @classmethod
    def _fixed_gap(cls, gap: str | None) -> str | None:
        if gap is not None:
            as_value_error(_freq.seconds, gap)
        return gap

    @field_validator("unit")
    @classmethod
    def _known_unit(cls, unit: str | None) -> str | None:
        if unit is not None:
            as_value_error(check_unit, unit)
        return unit


class SplitConfig(Section):
    """What is held out, and what choices are made on."""

    temporal_holdout: Share | Moment | None = Field(
        default=None, description="last share of each item's rows, or the moment they are held out from"
    )
    patient_holdout: Share | tuple[str, ...] | None = Field(
        default=None, description="items held out whole, or the share of items to draw with the seed"
    )
    validation: float = Field(default=0.0, ge=0, lt=1, description="last share of the training span")


class RuntimeConfig(Section):
    """Where a model runs."""

    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        default="auto", description="windows per forward pass when forecasting"
    )


class EvaluationConfig(Section):
    """How test windows are cut and scored."""

    protocol: str = Field(
        default="sliding", description="how cutoffs are chosen; tsfm plugins list shows what is there"
    )
    stride: int = Field(default=1, ge=1, description="steps between neighbouring cutoffs")
    metrics: tuple[str, ...] = Field(default=("rmse", "mae"), description="scores to compute")
    seasonality: int | None = Field(default=None, ge=1, description="steps in a season; default: a day")
    baselines: tuple[str, ...] = Field(
        default=("naive", "linear"), description="models scored on the same windows and shown beside this one"
    )


class OutputConfig(Section):
    """Where runs are written."""

    root: str = Field(default="experiments", min_length=1, description="folder of all experiments")


class Config(Section):
    """A whole configuration; a command asks for the sections that it needs."""

    experiment: str = Field(
        default="default", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100, description="a named group of runs"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="of everything that is drawn")
    task: Task | None = None
    data: DataConfig | None = None
    split: SplitConfig | None = None
    model: dict[str, Any] = Field(default_factory=dict, description="checkpoint, and what the backend's schema holds")
    runtime: RuntimeConfig = RuntimeConfig()
    training: dict[str, Any] = Field(default_factory=dict, description="what the backend's training schema holds")
    evaluation: EvaluationConfig = EvaluationConfig()
    output: OutputConfig = OutputConfig()
