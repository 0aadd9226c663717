"""The task: what is forecast from what."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tsfm_core import freq as _freq
from tsfm_core.errors import TsfmError
from tsfm_core.units import check_unit

__all__ = ["Task", "as_value_error"]

_ROLES = ("item_id", "timestamp", "target")


class Task(BaseModel):
    """What identifies a forecast: nobody passes a bare horizon, unit or frequency.

    Frozen; unknown fields are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # built at its first use

    target: str = Field(description="the channel that is forecast", min_length=1)
    unit: str = Field(description="unit of the target: mg/dL, mmol/L, or custom:NAME")
    freq: str = Field(description="step of the grid, such as 5min")
    context_length: int = Field(description="steps that a model may see", ge=1, le=1_000_000)
    prediction_length: int = Field(description="steps that are forecast", ge=1, le=1_000_000)
    quantile_levels: tuple[float, ...] = Field(default=(), description="levels in (0, 1), ascending; empty: point only")
    past_covariates: tuple[str, ...] = Field(default=(), description="channels known up to the cutoff")
    known_covariates: tuple[str, ...] = Field(default=(), description="channels known over the horizon too")

    @field_validator("unit")
    @classmethod
    def _known_unit(cls, unit: str) -> str:
        as_value_error(check_unit, unit)
        return unit

    @field_validator("freq")
    @classmethod
    def _fixed_freq(cls, alias: str) -> str:
        as_value_error(_freq.seconds, alias)
        return alias

    @field_validator("quantile_levels")
    @classmethod
    def _ascending_levels(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < level < 1 for level in levels) or list(levels) != sorted(set(levels)):
            raise ValueError("quantile levels lie strictly between 0 and 1, ascending, each once")
        return levels

    @field_validator("past_covariates", "known_covariates")
    @classmethod
    def _names_of_their_own(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        if not set(channels).isdisjoint(_ROLES):
            raise ValueError(f"no covariate may be called {' or '.join(_ROLES)}: they are roles of data.columns")
        return channels

    @model_validator(mode="after")
    def _channels_once(self) -> Task:
        if len(set(self.channels)) != len(self.channels):
            raise ValueError(f"a channel is named twice among {', '.join(self.channels)}")
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """Return the target, the past covariates and the known covariates, in this order."""
        return (self.target, *self.past_covariates, *self.known_covariates)

    @property
    def step_seconds(self) -> int:
        """Return the step of the grid in seconds."""
        return _freq.seconds(self.freq)


def as_value_error(check: Callable[[str], object], value: str) -> None:
    """Run one of our checks inside a pydantic validator, which knows how to name the key of a ValueError only."""
    try:
        check(value)
    except TsfmError as error:
        raise ValueError(str(error)) from error
