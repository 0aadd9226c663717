"""Whether a checkpoint can serve a task. Every refusal names the way out; the weights are not read for any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tsfm_core import CapabilityError, ConfigError, Task
from tsfm_ttm.checkpoint import Checkpoint, Training

__all__ = ["check_blocks", "check_checkpoint", "check_levels", "check_skip", "choose_quantile_head"]

_R2 = "ibm-granite/granite-timeseries-ttm-r2"
_TRAIN = "set training.strategy to full"


def choose_quantile_head(wanted: str | None, task: Task, checkpoint: Checkpoint | None) -> str | None:
    """Return the quantile head of a network: its checkpoint's, else what is wanted, else ``steps``; None: a point.

    :param wanted: ``model.quantile_head``.
    :raises ConfigError: for a head that is wanted where there is another one, or no quantile.
    :raises CapabilityError: for levels that the head cannot give.
    """
    if not task.quantile_levels:
        if wanted:
            raise ConfigError(
                f"model.quantile_head is {wanted}, and task.quantile_levels is []",
                "leave model.quantile_head out, or name the levels",
            )
        return None
    own = checkpoint.quantile_head if checkpoint else None
    if checkpoint and own and wanted and own != wanted:
        raise ConfigError(
            f"model.quantile_head is {wanted}, and {checkpoint.name} has the quantile head {own}",
            "leave model.quantile_head out, or set training.strategy to from_scratch",
        )
    head = own or wanted or "steps"
    check_levels(task, head)
    return head


def check_levels(task: Task, head: str) -> None:
    """Check that a quantile head can give ``task.quantile_levels``.

    Both need 0.5, which is the network's point forecast; granite's own needs as many levels below it as above.

    :raises CapabilityError: saying which levels it can give.
    """
    levels = task.quantile_levels
    even = head == "granite"
    if 0.5 not in levels or (even and len(levels) != 2 * levels.index(0.5) + 1):
        also = " and as many below as above" if even else ""
        raise CapabilityError(
            f"the quantile head {head} cannot give the levels {_shown(levels)}: it needs 0.5{also}",
            "choose such levels, for instance [0.1, 0.5, 0.9]",
        )
    if even and task.prediction_length == 1:
        raise CapabilityError(
            "the quantile head granite cannot learn a single step, and task.prediction_length is 1",
            "set task.prediction_length to 2 or more, or task.quantile_levels to []",
        )


def check_skip(checkpoint: Checkpoint, wanted: bool, trains: bool) -> bool:
    """Return whether the network stands beside a linear skip.

    :param wanted: ``model.linear_skip``; a trained skip is used whether it is wanted or not.
    :raises CapabilityError: for a skip that is wanted where nothing is trained, or would be lost.
    """
    if wanted and not trains and not checkpoint.linear_skip:
        raise CapabilityError(
            f"{checkpoint.name} has no linear skip, and model.linear_skip is true",
            f"{_TRAIN}, or model.linear_skip to false",
        )
    if checkpoint.linear_skip and trains and not wanted:
        raise CapabilityError(
            f"{checkpoint.name} was trained beside a linear skip, and model.linear_skip is false",
            "set model.linear_skip to true",
        )
    return wanted or checkpoint.linear_skip


def check_checkpoint(checkpoint: Checkpoint, task: Task, trains: bool) -> None:
    """Check that ``checkpoint`` can serve ``task``, as it is or, if it ``trains``, after training.

    :raises CapabilityError: for a network of another kind, another context, a longer horizon, other levels or channels.
    """
    _check_kind(checkpoint)
    if checkpoint.shipped:
        _check_shipped(checkpoint, task)
    _check_lengths(checkpoint, task, trains)
    if checkpoint.training is None:
        _check_foreign(checkpoint, task, trains)
    else:
        _check_channels(checkpoint, checkpoint.training, task, trains)
    _check_quantiles(checkpoint, task, trains)


def check_blocks(adapters: Any, added: Sequence[str], name: str) -> None:
    """Check that adapters that are trained further come with every block that the task adds to their base.

    :param adapters: peft's wrapper.
    :param added: the blocks that the base does not have.
    :raises CapabilityError: for a block that neither has: it would stay random.
    """
    missing = sorted(set(added) - set(adapters.peft_config["default"].modules_to_save or ()))
    if missing:
        raise CapabilityError(
            f"the adapters in {name} know nothing of {missing[0]}, which covariates or quantiles need",
            "set model.checkpoint to whole weights, or training.strategy to full",
        )


def _check_kind(checkpoint: Checkpoint) -> None:
    config, name = checkpoint.config, checkpoint.name
    kind = config.get("model_type")
    if kind != "tinytimemixer":
        hint = f"set model.checkpoint to {_R2}"
        raise CapabilityError(f"{name} holds a model of type {kind!r}, no Tiny Time Mixer", hint)
    classes = config.get("architectures") or ["TinyTimeMixerForPrediction"]
    if config.get("decompose") or classes != ["TinyTimeMixerForPrediction"]:
        # the plain class would load such weights with a printed report, and leave its own random
        raise CapabilityError(f"{name} is a {classes[0]}, which tsfm-ttm does not serve", f"use one such as {_R2}")
    if config.get("resolution_prefix_tuning"):
        raise CapabilityError(
            f"{name} needs a frequency token with every window, which tsfm-ttm does not give",
            f"use a checkpoint without frequency tuning, such as {_R2}",
        )


def _check_shipped(checkpoint: Checkpoint, task: Task) -> None:
    assert checkpoint.training is not None
    trained = checkpoint.training.task
    wrong = {
        "unit": not checkpoint.training.converts(task),
        "freq": task.step_seconds != trained.step_seconds,
        "context_length": task.context_length != trained.context_length,
        "prediction_length": task.prediction_length > trained.prediction_length,
    }
    for key in (key for key, refused in wrong.items() if refused):
        raise CapabilityError(
            f"{checkpoint.name} is for glucose in mg/dL or mmol/L every {trained.freq}, {trained.context_length} steps "
            f"in and at most {trained.prediction_length} out, and task.{key} is {getattr(task, key)}",
            f"set model.checkpoint to {_R2}, or training.strategy to from_scratch",
        )


def _check_lengths(checkpoint: Checkpoint, task: Task, trains: bool) -> None:
    name, config = checkpoint.name, checkpoint.config
    context, longest = config.get("context_length"), config.get("prediction_length")
    if not isinstance(context, int) or not isinstance(longest, int):
        raise CapabilityError(
            f"{name} does not say its context_length and prediction_length", "fetch or train it again"
        )
    if task.context_length != context:
        # granite would pad a shorter context with zeros that count as data, and cut a longer one without a word
        raise CapabilityError(
            f"{name} was trained on contexts of {context} steps, and task.context_length is {task.context_length}",
            f"set task.context_length to {context}; data.min_context admits windows with a shorter history",
        )
    if not trains:  # the steps behind the filter were not trained
        longest = config.get("prediction_filter_length") or longest
    if task.prediction_length > longest:
        raise CapabilityError(
            f"{name} forecasts at most {longest} steps, and task.prediction_length is {task.prediction_length}",
            f"set task.prediction_length to {longest} or less",
        )
    trained = checkpoint.training.task.known_covariates if checkpoint.training else ()
    if task.prediction_length != longest and trained and not trains:
        # these are read over the whole horizon, and known for the task's alone
        raise CapabilityError(
            f"{name} reads {', '.join(trained)} over {longest} steps, and task.prediction_length is "
            f"{task.prediction_length}",
            f"set task.prediction_length to {longest}",
        )


def _check_foreign(checkpoint: Checkpoint, task: Task, trains: bool) -> None:
    config, name = checkpoint.config, checkpoint.name
    modes = {config.get("mode"), config.get("decoder_mode")}
    blocks = ("enable_forecast_channel_mixing", "categorical_vocab_size_list")
    if "mix_channel" in modes or any(config.get(block) for block in blocks):
        raise CapabilityError(
            f"{name} mixes channels that it does not name, so nobody can tell which is which",
            "use a checkpoint of one channel, or one that tsfm trained",
        )
    if len(task.channels) > 1 and not trains:
        raise CapabilityError(
            f"{name} knows no covariates: what would read {', '.join(task.channels[1:])} is random until it is trained",
            f"{_TRAIN}, or task.past_covariates and task.known_covariates to []",
        )


def _check_channels(checkpoint: Checkpoint, training: Training, task: Task, trains: bool) -> None:
    trained, name = training.task, checkpoint.name
    if trains and len(trained.channels) == 1:
        return  # one channel can be trained on: for another target, unit or step, or with covariates beside it
    covariates = ("past_covariates", "known_covariates")
    for key in covariates if trains else ("target", "unit", "freq", *covariates):
        was, asked = getattr(trained, key), getattr(task, key)
        if was != asked and not (key == "unit" and training.converts(task)):
            raise CapabilityError(
                f"{name} was trained with task.{key} {_shown(was)}, and it is {_shown(asked)} now",
                f"set task.{key} to {_shown(was)}, or train another checkpoint",
            )


def _check_quantiles(checkpoint: Checkpoint, task: Task, trains: bool) -> None:
    name, asked = checkpoint.name, task.quantile_levels
    if checkpoint.quantile_head:
        levels = tuple(sorted(checkpoint.config.get("quantile_levels") or ()))
        if trains and levels != asked:
            raise CapabilityError(
                f"{name} gives the quantile levels {_shown(levels)}, and task.quantile_levels is {_shown(asked)}",
                f"set task.quantile_levels to {_shown(levels)}",
            )
        if not {*asked} <= {*levels}:
            raise CapabilityError(
                f"{name} gives the quantile levels {_shown(levels)}, and task.quantile_levels is {_shown(asked)}",
                "choose among them",
            )
    elif asked and not trains:
        raise CapabilityError(
            f"{name} gives point forecasts only, and task.quantile_levels asks for {_shown(asked)}",
            f"{_TRAIN}, or task.quantile_levels to []",
        )


def _shown(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
