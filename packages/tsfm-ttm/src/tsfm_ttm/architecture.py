"""The fields of granite's configuration: for random weights, and what a task changes in any network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tsfm_core import ConfigError, Task
from tsfm_torch import check_sizes
from tsfm_ttm.schema import DEFAULTS, TtmConfig

__all__ = ["overrides", "random_architecture", "task_fields"]

_DROPOUTS = ("dropout", "head_dropout")

#: Keys of ``model:`` that are no fields of granite's, or have other values.
_OURS = {"linear_skip", "quantile_head", "scaling"}


def random_architecture(config: TtmConfig, task: Task) -> dict[str, Any]:
    """Return granite's fields for a network with random weights.

    :raises ConfigError: for sizes that do not divide.
    """
    given = {key: value for key, value in config.model_dump(exclude=_OURS).items() if value is not None}
    fields = {**DEFAULTS, **given, "scaling": "std" if config.scaling in (None, "window") else None}
    fields["forecast_from"] = "last" if config.scaling == "last" else None
    patch = fields.setdefault("patch_length", _longest_patch(task.context_length))
    if patch >= task.context_length or task.context_length % patch:
        raise ConfigError(
            f"model.patch_length {patch} does not cut task.context_length {task.context_length} into whole patches",
            f"set model.patch_length to one of {', '.join(map(str, _divisors(task.context_length)))}",
        )
    halvings = 2 ** max(0, fields["adaptive_patching_levels"] - 1)
    if fields["d_model"] % halvings or (halvings > 1 and fields["d_model"] // halvings <= 4):
        raise ConfigError(
            f"model.d_model {fields['d_model']} cannot be halved {halvings.bit_length() - 1} times, as "
            f"model.adaptive_patching_levels {fields['adaptive_patching_levels']} needs, with over 4 features left",
            f"set model.d_model to a multiple of {halvings}, at least {5 * halvings}, or use fewer levels",
        )
    return fields | {
        "context_length": task.context_length,
        "prediction_length": task.prediction_length,
        "patch_stride": patch,  # granite accepts nothing else
    }


def overrides(config: TtmConfig, existing: Mapping[str, Any], name: str, trains: bool) -> dict[str, Any]:
    """Return the fields of a checkpoint that ``model:`` changes.

    :raises ConfigError: for a key that says something else than the checkpoint has, and that may not change.
    """
    if config.scaling:
        own = "window" if existing.get("scaling", "std") else existing.get("forecast_from") or "none"
        check_sizes({"scaling": config.scaling}, {"scaling": own}, name, ())
    return check_sizes(config.model_dump(exclude=_OURS), existing, name, _DROPOUTS if trains else ())


def task_fields(task: Task, prediction_length: int, quantile_head: str | None) -> dict[str, Any]:
    """Return the fields that follow from the task.

    The target is channel 0, then the past covariates, then the known ones. Past covariates are read by the decoder's
    channel mixing alone, the future of known ones by forecast channel mixing alone; without them granite ignores both.

    :param prediction_length: steps that the head gives; those beyond the task's are cut off.
    :param quantile_head: granite knows its own alone: of a network with the other one it builds the point forecast.
    """
    channels = len(task.channels)
    known = list(range(channels - len(task.known_covariates), channels))
    fields: dict[str, Any] = {
        "num_input_channels": channels,
        "prediction_channel_indices": [0],
        "exogenous_channel_indices": known or None,
        "enable_forecast_channel_mixing": bool(known),
        "decoder_mode": "mix_channel" if channels > 1 else "common_channel",
        "prediction_filter_length": task.prediction_length if task.prediction_length < prediction_length else None,
        "multi_quantile_head": quantile_head == "granite",
        "quantile_head": quantile_head,
        "light_mode": True,  # hidden states would be kept for nobody
    }
    return fields | ({"quantile_levels": list(task.quantile_levels)} if task.quantile_levels else {})


def _longest_patch(context_length: int) -> int:
    return max(divisor for divisor in range(1, max(2, context_length // 8 + 1)) if context_length % divisor == 0)


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number) if number % divisor == 0]
