"""Configuration of the baselines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tsfm_core.config.schema import Section

__all__ = ["Linear", "LinearTraining", "Rule", "Seasonal", "ZeroShot"]


class Rule(Section):
    """A rule has no options."""


class Seasonal(Section):
    """Options of ``seasonal_naive``."""

    seasonality: int | None = Field(default=None, ge=1, description="steps in a season; default: a day")


class Linear(Section):
    """Options of ``linear``."""

    lags: int | None = Field(default=None, ge=1, description="latest steps that the map reads; default: context_length")


class ZeroShot(Section):
    """A rule is never trained."""

    strategy: Literal["zero_shot"] = Field(default="zero_shot", description="there is nothing to train")


class LinearTraining(Section):
    """Training of ``linear``: one closed-form fit."""

    strategy: Literal["from_scratch"] = Field(default="from_scratch", description="fitted to the training windows")
    ridge: float = Field(
        default=1.0, gt=0, description="penalty on the squared weights, a multiple of the windows' mean square"
    )
