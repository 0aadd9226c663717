"""The sections ``model:`` and ``training:`` of the three models: pydantic only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from tsfm_core import Section
from tsfm_torch import AdapterTraining, EarlyStopping, TrainingConfig

__all__ = ["DEFAULTS", "BoltSection", "Chronos2Section", "ChronosTraining", "T5Section", "T5Training"]

_DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

#: What ``from_scratch`` builds where a key is not given.
DEFAULTS: dict[str, dict[str, Any]] = {
    "chronos": {
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 2048,
        "num_layers": 6,
        "num_heads": 8,
        "dropout_rate": 0.1,
        "patch_size": 16,
        "quantiles": (0.01, *(round(0.05 * at, 2) for at in range(1, 20)), 0.99),
    },
    "chronos_bolt": {
        "d_model": 256,
        "d_kv": 64,
        "d_ff": 1024,
        "num_layers": 4,
        "num_decoder_layers": 4,
        "num_heads": 4,
        "dropout_rate": 0.1,
        "patch_size": 16,
        "quantiles": _DECILES,
    },
    "chronos_t5": {
        "d_model": 256,
        "d_kv": 64,
        "d_ff": 1024,
        "num_layers": 4,
        "num_decoder_layers": 4,
        "num_heads": 4,
        "dropout_rate": 0.1,
        "n_tokens": 4096,
        "limit": 15.0,
    },
}


def _size(family: str, key: str, description: str, least: int = 1) -> Any:
    return Field(default=None, ge=least, description=f"{description}; from_scratch only, default {_shown(family, key)}")


def _dropout(family: str) -> Any:
    description = f"dropout everywhere; default: the checkpoint's, or {_shown(family, 'dropout_rate')} from_scratch"
    return Field(default=None, ge=0, lt=1, description=description)


def _quantiles(family: str) -> Any:
    description = f"levels that the network gives, 0.5 among them; from_scratch only, default {_shown(family)}"
    return Field(default=None, min_length=1, description=description)


def _shown(family: str, key: str = "quantiles") -> str:
    value = DEFAULTS[family][key]
    return f"{value[0]} to {value[-1]}, {len(value)} in all" if isinstance(value, tuple) else str(value)


_IGNORE = Field(default=False, description="leave the task's covariates out, which this model cannot use")


class _Quantiles(Section):
    @field_validator("quantiles", check_fields=False)
    @classmethod
    def _with_a_median(cls, levels: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if levels is None:
            return levels
        if 0.5 not in levels or list(levels) != sorted(set(levels)) or not 0 < levels[0] <= levels[-1] < 1:
            raise ValueError("quantiles lie strictly between 0 and 1, ascending, each once, with 0.5 among them")
        return levels


class Chronos2Section(_Quantiles):
    """The network. A checkpoint has its sizes already: only the dropout may change, where weights are trained."""

    d_model: int | None = _size("chronos", "d_model", "features of a patch")
    d_kv: int | None = Field(
        default=None,
        ge=2,
        multiple_of=2,
        description=f"features of an attention head; from_scratch only, default {DEFAULTS['chronos']['d_kv']}",
    )
    d_ff: int | None = _size("chronos", "d_ff", "features of the hidden layers")
    num_layers: int | None = _size("chronos", "num_layers", "blocks of the encoder")
    num_heads: int | None = _size("chronos", "num_heads", "attention heads")
    dropout_rate: float | None = _dropout("chronos")
    patch_size: int | None = _size("chronos", "patch_size", "steps in a patch, of context and forecast")
    quantiles: tuple[float, ...] | None = _quantiles("chronos")
    cross_learning: bool = Field(
        default=False,
        description="let windows with the same cutoff inform each other: a forecast then depends on who else is there",
    )


class BoltSection(_Quantiles):
    """The network. A checkpoint has its sizes already: only the dropout may change, where weights are trained."""

    d_model: int | None = _size("chronos_bolt", "d_model", "features of a patch")
    d_kv: int | None = _size("chronos_bolt", "d_kv", "features of an attention head")
    d_ff: int | None = _size("chronos_bolt", "d_ff", "features of the hidden layers")
    num_layers: int | None = _size("chronos_bolt", "num_layers", "blocks of the encoder")
    num_decoder_layers: int | None = _size("chronos_bolt", "num_decoder_layers", "blocks of the decoder")
    num_heads: int | None = _size("chronos_bolt", "num_heads", "attention heads")
    dropout_rate: float | None = _dropout("chronos_bolt")
    patch_size: int | None = _size("chronos_bolt", "patch_size", "steps in a patch of the context")
    quantiles: tuple[float, ...] | None = _quantiles("chronos_bolt")
    ignore_covariates: bool = _IGNORE


class T5Section(Section):
    """The network and how it draws. A checkpoint has its sizes already."""

    d_model: int | None = _size("chronos_t5", "d_model", "features of a token")
    d_kv: int | None = _size("chronos_t5", "d_kv", "features of an attention head")
    d_ff: int | None = _size("chronos_t5", "d_ff", "features of the hidden layers")
    num_layers: int | None = _size("chronos_t5", "num_layers", "blocks of the encoder")
    num_decoder_layers: int | None = _size("chronos_t5", "num_decoder_layers", "blocks of the decoder")
    num_heads: int | None = _size("chronos_t5", "num_heads", "attention heads")
    dropout_rate: float | None = _dropout("chronos_t5")
    n_tokens: int | None = _size("chronos_t5", "n_tokens", "bins of values and two special tokens", 5)
    limit: float | None = Field(
        default=None,
        gt=0,
        description="bins reach from -limit to limit times the context's mean absolute value; from_scratch only, "
        f"default {_shown('chronos_t5', 'limit')}",
    )
    num_samples: int | None = Field(
        default=None, ge=1, description="sample paths of a forecast; default: the checkpoint's, or 20"
    )
    temperature: float | None = Field(
        default=None, gt=0, description="of the draws: below 1 narrower; default: the checkpoint's, or 1"
    )
    top_k: int | None = Field(
        default=None, ge=1, description="draw among so many likeliest tokens; default: the checkpoint's, or 50"
    )
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="draw among the likeliest that reach this share; default likewise, or 1"
    )
    ignore_covariates: bool = _IGNORE


class _ByLoss(EarlyStopping):
    metric: Literal["rmse", "mae", "loss"] = Field(
        default="loss",
        description="judged on the validation windows: the quantile loss, or rmse and mae of the median in the "
        "target's unit",
    )


class ChronosTraining(AdapterTraining):
    """The training of Chronos-2 and Chronos-Bolt, by the quantile loss on each window's own scale."""

    learning_rate: float = Field(default=1e-4, gt=0, description="of AdamW, at its highest")
    early_stopping: _ByLoss | None = Field(
        default=None, description="stop when validation gets no better; null: train to the end"
    )


class _ByCrossEntropy(EarlyStopping):
    metric: Literal["loss"] = Field(default="loss", description="the cross-entropy of the validation windows")


class T5Training(TrainingConfig):
    """The training of Chronos-T5, by the cross-entropy of the next bin."""

    learning_rate: float = Field(default=1e-4, gt=0, description="of AdamW, at its highest")
    early_stopping: _ByCrossEntropy | None = Field(
        default=None, description="stop when validation gets no better; null: train to the end"
    )
