"""The sections ``model:`` and ``training:``: pydantic only."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tsfm_core import Section
from tsfm_torch import AdapterTraining

__all__ = ["DEFAULTS", "AugmentSection", "TtmConfig", "TtmTraining"]

#: What ``from_scratch`` builds where a key is not given: the shape of TTM-r2.
DEFAULTS: dict[str, Any] = {
    "d_model": 192,
    "num_layers": 2,
    "decoder_d_model": 128,
    "decoder_num_layers": 2,
    "expansion_factor": 2,
    "adaptive_patching_levels": 3,
    "dropout": 0.2,
    "head_dropout": 0.2,
}


def _size(key: str, least: int, description: str) -> Any:
    return Field(default=None, ge=least, description=f"{description}; from_scratch only, default {DEFAULTS[key]}")


def _dropout(key: str, where: str) -> Any:
    description = f"dropout of {where}; default: the checkpoint's, or {DEFAULTS[key]} from_scratch"
    return Field(default=None, ge=0, lt=1, description=description)


class TtmConfig(Section):
    """The network. A checkpoint has its sizes already: only the dropouts may change, where weights are trained."""

    patch_length: int | None = Field(
        default=None,
        ge=1,
        description="steps in a patch, a divisor of task.context_length; from_scratch only, "
        "default: the longest that leaves at least 8 patches",
    )
    d_model: int | None = _size("d_model", 1, "features of the backbone")
    num_layers: int | None = _size("num_layers", 1, "mixer layers in each level of the backbone")
    decoder_d_model: int | None = _size("decoder_d_model", 1, "features of the decoder")
    decoder_num_layers: int | None = _size("decoder_num_layers", 1, "mixer layers of the decoder")
    expansion_factor: int | None = _size("expansion_factor", 1, "width of the hidden layers, as a multiple")
    adaptive_patching_levels: int | None = _size(
        "adaptive_patching_levels",
        0,
        "levels of the backbone, each with twice the patches and half the features; 0: one plain level",
    )
    dropout: float | None = _dropout("dropout", "the backbone")
    head_dropout: float | None = _dropout("head_dropout", "decoder and head")
    scaling: Literal["window", "none", "last"] | None = Field(
        default=None,
        description="window: each window by its own mean and deviation; none: by those of the training windows alone, "
        "so that the network knows the level; last: like none, and it answers what is added to the last reading and a "
        "ridge map; from_scratch only, default window",
    )
    quantile_head: Literal["granite", "steps"] | None = Field(
        default=None,
        description="what makes quantiles of the point forecast. steps: a width of its own for each level and step, "
        "from the decoder's features and the window's deviation; granite: widths from the shape of the point forecast. "
        "A checkpoint keeps the head that it has; default steps from_scratch, and where a checkpoint gets its first",
    )
    linear_skip: bool | None = Field(
        default=None,
        description="a ridge map of readings and covariates beside the network, which is then given the target alone; "
        "full only, default false",
    )


def _deviation(description: str) -> Any:
    return Field(default=0.0, ge=0, description=f"{description}; 0: none")


def _share(description: str) -> Any:
    return Field(default=0.0, ge=0, le=1, description=f"share of the windows {description}")


class AugmentSection(Section):
    """What is drawn anew for each training window in each epoch. Covariates stay as they are."""

    amplitude: float = _deviation(
        "deviation of the logarithm of a factor on context and truth, about the mean of the training windows"
    )
    level: float = _deviation("deviation of a shift of context and truth, in the target's unit")
    noise: float = _deviation(
        "deviation of noise of the sensor, in the target's unit, on the context alone; of 0.7 correlation in 5 minutes"
    )
    shorten: float = _share("whose history is hidden before a step drawn evenly; at least 12 steps are left")
    hide: float = _share("with 1 to 4 gaps of 1 to 24 steps in the context, never of its last reading")
    thin: float = _share("with every third step of the context alone left, as of a 15-min sensor on a 5-min grid")


class TtmTraining(AdapterTraining):
    """The training of a Tiny Time Mixer."""

    loss: Literal["mse", "mae", "huber"] | None = Field(
        default=None,
        description="loss of a point forecast, on values standardised over the training windows; default huber. "
        "With task.quantile_levels the quantile loss is used and this key is refused",
    )
    augment: AugmentSection | None = Field(
        default=None, description="changes of the training windows; null: they are trained on as they are"
    )

    @model_validator(mode="after")
    def _nothing_drawn_for_what_is_kept(self) -> Self:
        if self.augment is not None and self.strategy == "head":
            raise ValueError(
                "head keeps the backbone's answers to the windows as they are and has no use for augment; "
                "set strategy to full, or leave it out"
            )
        return self
