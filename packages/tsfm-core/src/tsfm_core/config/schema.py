"""The sections of a configuration. A default is written once, here.

The sections ``model`` and ``training`` belong to the chosen backend: its card names their pydantic classes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from tsfm_core import freq as _freq
from tsfm_core.task import Task, as_value_error
from tsfm_core.units import check_unit
from tsfm_core.zones import check_zone

__all__ = [
    "Config",
    "DataConfig",
    "EvaluationConfig",
    "OutputConfig",
    "RuntimeConfig",
    "Section",
    "SplitConfig",
    "TableOptions",
]


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
Kind = Literal["reading", "amount", "rate", "category"]


class Section(BaseModel):
    """A part of the configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class TableOptions(Section):
    """``data.options`` of a csv or parquet file."""

    item_id: str | None = Field(
        default=None, min_length=1, description="id of the only person in a file without a column of ids"
    )


class DataConfig(Section):
    """Where the series come from, and what to do where they are not as they should be."""

    source: str | None = Field(default=None, description="csv, parquet, or a data set that a package contributes")
    sources: tuple[str | dict[str, Any], ...] = Field(
        default=(), description="several at once: names, or mappings of the keys that differ, with a name each"
    )
    path: str | None = Field(default=None, description="file or folder of the source")
    columns: dict[str, str] = Field(
        default_factory=dict, description="the file's column of item_id, timestamp, target, timezone, or of a covariate"
    )
    kinds: dict[str, Kind] = Field(
        default_factory=dict,
        description="what covariates hold: a reading; an amount, which adds up and is 0 between entries; a held rate; "
        "a category, which is a label",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="what the data set's own schema holds")
    unit: str | None = Field(
        default=None, description="unit of the target column; default: the data set's, or task.unit"
    )
    timestamp_format: str | None = Field(default=None, description="strptime format; default: ISO 8601")
    timezone: str | None = Field(
        default=None, description="IANA zone of the people, where stamps have an offset from UTC; the grid is then UTC"
    )
    items: tuple[str, ...] | None = Field(default=None, description="the only items to read")
    exclude: tuple[str, ...] = Field(default=(), description="items to leave out")
    start: dict[str, Moment] = Field(default_factory=dict, description="rows before it are left out, for each item")
    unsorted: Literal["refuse", "sort"] | None = Field(
        default=None, description="rows of an item that go back in time; default: the data set's rule, or refuse"
    )
    off_grid: Literal["refuse", "floor", "round"] | None = Field(
        default=None, description="stamps between two steps of task.freq; default likewise"
    )
    duplicates: Literal["refuse"] | Combine | dict[str, Combine] | None = Field(
        default=None,
        description="several rows in one slot: how to combine them, for all readings or each by name; default likewise",
    )
    mixed_freq: Literal["refuse", "keep"] | None = Field(
        default=None, description="items with another step than task.freq; default likewise"
    )
    shared_rows: Literal["refuse", "drop", "keep"] | None = Field(
        default=None, description="rows that two items share; drop: from the one they are the smaller part of"
    )
    suspect_unit: Literal["refuse", "keep"] | None = Field(
        default=None, description="glucose that looks like another unit; default likewise"
    )
    valid_range: tuple[float, float] | None = Field(
        default=None, description="lowest and highest possible reading, in the source's unit; others are not readings"
    )
    imputation: Literal["none", "parity"] = Field(
        default="none",
        description="parity: gaps up to 55min are filled linearly, truths too, as published results were",
    )
    features: str = Field(default="exact", description="set of computed channels, where there are several of one name")
    max_gap: str | None = Field(
        default=None, description="longest gap that a window may span; default: 45min, or one step if that is longer"
    )
    min_observed: Share | Literal[1] = Field(default=0.8, description="share of a window's truth that must be observed")
    min_context: int | None = Field(default=None, ge=1, description="steps of context needed; default: context_length")
    stride: int = Field(default=1, ge=1, description="steps between the cutoffs of training windows")
    fewshot_percent: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="train on the last so many percent of each item's training windows, rounded down; null: on all",
    )

    @model_validator(mode="after")
    def _one_or_several(self) -> DataConfig:
        if bool(self.source) == bool(self.sources):
            raise ValueError("give data.source, or several data.sources")
        per_source = {"items", "exclude", "start", "path", "columns", "options"} & self.model_fields_set
        given = sorted(name for name in per_source if getattr(self, name) not in (None, (), {}))
        if self.sources and given:
            raise ValueError(f"{given[0]} belongs to one of the sources, not beside them")
        return self

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None:
            as_value_error(check_zone, zone)
        return zone

    @field_validator("valid_range")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float] | None) -> tuple[float, float] | None:
        if bounds is not None and bounds[0] >= bounds[1]:
            raise ValueError("the lowest possible reading comes first")
        return bounds

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

    temporal_holdout: Share | Moment | dict[str, Moment] | None = Field(
        default=None, description="last share of each item's rows, or the moment they are held out from, one or by item"
    )
    patient_holdout: Share | tuple[str, ...] | None = Field(
        default=None, description="items held out whole, or the share of items to draw with the seed"
    )
    validation: Annotated[float, Field(ge=0, lt=1)] | Moment | dict[str, Moment] = Field(
        default=0.0, description="last share of the training span, or the moment it begins at, one or by item"
    )
    holdout: str | None = Field(
        default=None, min_length=1, description="a research holdout's YAML file, in place of the two holdouts"
    )
    folds: Annotated[int, Field(ge=2)] | Literal["leave_one_out"] | None = Field(
        default=None, description="cross-validation: parts that the items are dealt into with the seed"
    )
    fold: int | None = Field(default=None, ge=0, description="the part that is the patient_holdout, from 0 on")
    digest: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="of the split that must result; any other is refused"
    )

    @field_validator("temporal_holdout", "validation", mode="before")
    @classmethod
    def _each_moment(cls, given: object) -> object:
        """Name the item whose moment is wrong: among the branches of a union it would be lost."""
        if not isinstance(given, dict):
            return given
        moments = {}
        for item, moment in given.items():
            try:
                moments[item] = _moment(moment)
            except ValueError as error:
                raise ValueError(f"{item} is {moment!r}: {error}") from None
        return moments

    @model_validator(mode="after")
    def _one_way_to_hold_out(self) -> SplitConfig:
        refused = {"holdout": ("temporal_holdout", "patient_holdout", "folds"), "folds": ("patient_holdout",)}
        for way, others in refused.items():
            beside = [other for other in others if getattr(self, other)]
            if getattr(self, way) and beside:
                raise ValueError(f"{way} says what is held out, and so does {beside[0]}: take one of them out")
        if (self.folds is None) != (self.fold is None):
            raise ValueError("folds and fold are given together: in how many parts, and which one is held out")
        if isinstance(self.folds, int) and self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold is {self.fold}, and folds {self.folds} has the parts 0 to {self.folds - 1}")
        return self


class RuntimeConfig(Section):
    """Where a model runs."""

    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        default="auto", description="windows per forward pass when forecasting"
    )
    nproc: int = Field(default=1, ge=1, description="processes that a training is shared among, one for each GPU")
    distributed: str = Field(
        default="auto", description="how they are launched; auto: the model's first way; tsfm models show lists them"
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32", description="of the numbers that a training computes with; weights and forecasts are float32"
    )
    deterministic: bool = Field(
        default=True, description="train by operations that give the same bits again; one that cannot is refused"
    )


class EvaluationConfig(Section):
    """How test windows are cut and scored."""

    protocol: str = Field(
        default="sliding", description="how cutoffs are chosen; tsfm plugins list shows what is there"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="what the protocol's own schema holds")
    stride: int = Field(default=1, ge=1, description="steps between neighbouring cutoffs")
    anchor_context: int | None = Field(
        default=None, ge=1, description="steps that must precede a cutoff whatever the context: equal for an ablation"
    )
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
    tracking: tuple[str, ...] = Field(
        default=(), description="what else is told of a run while it goes on: tensorboard, mlflow, wandb"
    )
    output: OutputConfig = OutputConfig()
