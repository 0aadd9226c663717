"""From a configuration to a checked experiment: model, data and windows, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from tsfm_core.config.resolve import Resolved, require, validate
from tsfm_core.config.schema import Config, DataConfig
from tsfm_core.config.tree import Origin, Tree
from tsfm_core.data.cutoffs import Cutoffs
from tsfm_core.data.fewshot import last_windows
from tsfm_core.data.leakage import assert_no_leakage
from tsfm_core.data.panel import Panel
from tsfm_core.data.quality import Quality, max_gap_seconds
from tsfm_core.data.split import Split, check_split, split_panel
from tsfm_core.data.windows import TrainingWindows, WindowRule
from tsfm_core.errors import CapabilityError, ConfigError, DataError, listing
from tsfm_core.opening import ignoring, open_panel, refuse, refuse_categories
from tsfm_core.plugins import Backend, host
from tsfm_core.records import EvaluationProtocol, ModelCard, Runtime, Strategy
from tsfm_core.task import Task

__all__ = ["Loaded", "Prepared", "every_training_window", "load", "prepare", "window_rule"]


@dataclass(frozen=True)
class Loaded:
    """A model that is ready for its task.

    :param strategy: how the model was or will be trained; the runtime's is ``zero_shot`` where nothing is trained now.
    :param sections: the validated ``model`` and ``training``.
    """

    backend: Backend
    model: Any
    task: Task
    runtime: Runtime
    strategy: Strategy
    checkpoint: str | None
    sections: Mapping[str, BaseModel]


@dataclass(frozen=True)
class Prepared:
    """Data cut into windows.

    :param sets: validation and the test sets that hold windows.
    :param dropped: by set, how many windows were left out and why.
    :param quality: the report on the source.
    """

    panel: Panel
    split: Split
    train: TrainingWindows
    sets: Mapping[str, TrainingWindows]
    dropped: Mapping[str, Mapping[str, int]]
    quality: Quality

    @property
    def validation(self) -> TrainingWindows | None:
        """Return the windows that choices are made on."""
        return self.sets.get("validation")


def load(name: str, resolved: Resolved, command: str, from_run: bool = False) -> Loaded:
    """Check the task against what the model's card says, then load it. No data is opened.

    :param command: ``train``, ``backtest`` or ``predict``: what the strategy must fit.
    :param from_run: whether the checkpoint is a run's, trained by the strategy that the config names.
    """
    config = resolved.config
    backend = host().model(name)
    task = require(config.task, "task", f"tsfm {command}")
    card = backend.card
    model = resolved.section("model", card.config_schema, without=("checkpoint",))
    training = resolved.section("training", card.training_schema)
    strategy: Strategy = getattr(training, "strategy", "zero_shot")
    given = config.model.get("checkpoint")
    if given is not None and not isinstance(given, str):
        raise ConfigError(f"{resolved.tree.origin(('model', 'checkpoint'))}: model.checkpoint is {given!r}, not a name")
    _check_strategy(backend, strategy, given, command, from_run)
    if getattr(model, "ignore_covariates", False):
        task = task.model_copy(update={"past_covariates": (), "known_covariates": ()})
    _check_task(name, card, task)
    refuse_categories(name, card, config.data, task)
    checkpoint = None if strategy == "from_scratch" and command == "train" else given or card.default_checkpoint
    size = config.runtime.batch_size
    now: Strategy = strategy if command == "train" else "zero_shot"
    check_processes(backend, config, command)
    precision = config.runtime.precision
    if precision != "fp32" and (command != "train" or precision not in card.precisions):
        why = f"tsfm {command} trains nothing" if command != "train" else f"{name} trains in {listing(card.precisions)}"
        raise CapabilityError(f"runtime.precision is {precision}, and {why}", "set it to fp32, or leave it out")
    batch, same_bits = None if size == "auto" else size, config.runtime.deterministic
    runtime = Runtime(now, config.seed, config.runtime.device, batch, precision, same_bits)
    loaded = backend.load_model(model, task, checkpoint, runtime)
    return Loaded(backend, loaded, task, runtime, strategy, checkpoint, {"model": model, "training": training})


def check_processes(backend: Backend, config: Config, command: str) -> str | None:
    """Return the name of the launcher that ``runtime`` asks for, or None for one process.

    :raises CapabilityError: for a command or a model that computes in one process, or a launcher that it does not know.
    """
    wanted, ways = config.runtime.distributed, backend.card.launchers
    if config.runtime.nproc == 1:
        if wanted == "auto":
            return None
        raise CapabilityError(f"runtime.distributed is {wanted!r}, and runtime.nproc 1", "set runtime.nproc (--nproc)")
    if command != "train" or not ways:
        what = f"tsfm {command}" if command != "train" else f"a training of {backend.name}"
        raise CapabilityError(f"runtime.nproc is {config.runtime.nproc}, and {what} is one process", "leave it out")
    if wanted != "auto" and wanted not in ways:
        hint = f"it offers {listing(ways)}" + (
            "; its weights fit one device: nothing needs to be sharded" if wanted in ("fsdp", "deepspeed") else ""
        )
        raise CapabilityError(f"{backend.name} is not trained by the launcher {wanted!r}", hint)
    return ways[0] if wanted == "auto" else wanted


def prepare(config: Config, task: Task, command: str) -> Prepared:
    """Read the data, check it, split it and cut it into windows.

    :raises DataError: for data that the config does not say how to handle, or that leaves no window.
    """
    data = require(config.data, "data", f"tsfm {command}")
    wanted = require(config.split, "split", f"tsfm {command}")
    check_split(wanted)
    protocol, options = _protocol(config)
    rule = window_rule(data, task)
    anchored = replace(rule, min_context=max(rule.min_context, config.evaluation.anchor_context or 0))
    extra = protocol.needs(options) if protocol.needs else ()
    data = ignoring(data, config.task, task, extra)
    panel, quality = open_panel(data, task, extra)
    refuse(quality, data.path or data.source or "+".join(panel.provenance["sources"]))
    split = split_panel(panel, wanted, config.seed)
    stride = config.evaluation.stride
    sets, dropped = {}, {}
    for name, span in split.spans.items():
        if name == "train":
            cut = rule.cut(panel, task, lambda part: part.slots() % data.stride == 0, span.first, span.stop)
        else:
            cut = anchored.cut(panel, task, lambda part: protocol.cutoffs(part, stride, options), span.first, span.stop)
        sets[name], dropped[name] = cut
    if data.fewshot_percent is not None and "train" in sets:
        sets["train"], dropped["train"] = last_windows(sets["train"], dropped["train"], data.fewshot_percent)
    train = sets.pop("train", None) or TrainingWindows(panel, task, Cutoffs.joined([]))
    sets = {name: windows for name, windows in sets.items() if len(windows)}
    tested = {name: windows for name, windows in sets.items() if name in split.test_sets}
    if not tested:
        reasons = {name: dropped[name] for name in split.test_sets}
        raise DataError(
            f"no test window is left of {len(panel.item_ids)} items; left out: {_reasons(reasons)}", _SHORTER
        )
    learnt = [windows for windows in (train, sets.get("validation")) if windows is not None]
    assert_no_leakage(learnt, tested)
    return Prepared(panel, split, train, sets, dropped, quality)


_SHORTER = "shorten task.context_length or task.prediction_length, or hold out more"


def window_rule(data: DataConfig, task: Task) -> WindowRule:
    """Return what a window must fulfil."""
    least = data.min_context or task.context_length
    if least > task.context_length:
        raise ConfigError(f"data.min_context {least} is longer than task.context_length {task.context_length}")
    return WindowRule(max_gap_seconds(data, task), data.min_observed, least, data.imputation == "parity")


def every_training_window(prepared: Prepared, config: Config, task: Task) -> TrainingWindows:
    """Return the training windows at every step: what a baseline is fitted on.

    Whatever ``data.stride`` and ``data.fewshot_percent`` are: these say how little the model itself may learn from.
    """
    data, span = config.data, prepared.split.spans.get("train")
    if data is None or span is None or (data.stride == 1 and data.fewshot_percent is None):
        return prepared.train
    rule = window_rule(data, task)
    return rule.cut(prepared.panel, task, lambda part: np.ones(len(part), bool), span.first, span.stop)[0]


def _protocol(config: Config) -> tuple[EvaluationProtocol, Any]:
    """Return the protocol and ``evaluation.options`` as its own class."""
    protocol, given = host().protocol(config.evaluation.protocol), config.evaluation.options
    if protocol.options_schema is None:
        if given:
            raise ConfigError(
                f"the protocol {protocol.name} has no options; evaluation.options says {listing(given)}",
                "leave them out",
            )
        return protocol, None
    return protocol, validate(protocol.options_schema, given, Tree(given, {(): Origin("evaluation.options")}), ())


def require_training_windows(prepared: Prepared, wanted_validation: bool) -> None:
    """Refuse to train on nothing, or to choose by nothing where the split asks for a validation part.

    :raises DataError: with the reasons for which windows were left out.
    """
    if not len(prepared.train):
        raise DataError(f"no training window is left; left out: {_reasons(prepared.dropped)}", _SHORTER)
    if wanted_validation and prepared.validation is None:
        raise DataError("split.validation leaves no window to choose by", "make it larger, or 0 to choose nothing")


def _check_strategy(backend: Backend, strategy: str, checkpoint: str | None, command: str, from_run: bool) -> None:
    card, name = backend.card, backend.name
    if checkpoint and card.default_checkpoint is None and not backend.trainable:
        raise CapabilityError(f"{name} has no weights; model.checkpoint is {checkpoint!r}", "leave it out")
    if strategy not in card.strategies:
        raise CapabilityError(f"{name} has no strategy {strategy!r}", f"it offers {listing(card.strategies)}")
    if command == "train":
        if not backend.trainable or strategy == "zero_shot":
            others = [one for one in card.strategies if one != "zero_shot"]
            hint = f"set training.strategy to {' or '.join(others)}" if others else f"use tsfm backtest {name}"
            raise CapabilityError(f"{name} trains nothing with the strategy {strategy!r}", hint)
        if strategy == "from_scratch" and checkpoint:
            raise CapabilityError("from_scratch starts without weights", "leave model.checkpoint out")
    elif strategy != "zero_shot" and not from_run and ("zero_shot" in card.strategies or not checkpoint):
        raise CapabilityError(
            f"tsfm {command} trains nothing, and training.strategy is {strategy!r}",
            f"use tsfm train {name}, name a run, "
            + ("or --set 'training={strategy: zero_shot}'" if "zero_shot" in card.strategies else "or a checkpoint"),
        )


def _check_task(name: str, card: ModelCard, task: Task) -> None:
    if task.quantile_levels and not card.quantiles:
        raise CapabilityError(f"{name} gives no quantiles", "set task.quantile_levels: []")
    if isinstance(card.quantiles, tuple):
        other = [level for level in task.quantile_levels if level not in card.quantiles]
        if other:
            raise CapabilityError(f"{name} has no quantile {other[0]}", f"it offers {listing(card.quantiles)}")
    for kind, used in (("past_covariates", card.past_covariates), ("known_covariates", card.known_covariates)):
        if getattr(task, kind) and not used:
            ignores = "ignore_covariates" in card.config_schema.model_fields
            hint = f"set task.{kind}: []" + (", or model.ignore_covariates: true" if ignores else "")
            raise CapabilityError(f"{name} does not use {kind} ({listing(getattr(task, kind))})", hint)
    for what, longest in (("context", card.longest_context), ("prediction", card.longest_prediction)):
        length = getattr(task, f"{what}_length")
        if longest is not None and length > longest:
            raise CapabilityError(f"task.{what}_length {length} is longer than {name} offers", f"at most {longest}")


def _reasons(dropped: Mapping[str, Mapping[str, int]]) -> str:
    return (
        "; ".join(
            f"{name}: " + ", ".join(f"{count} ({reason})" for reason, count in reasons.items())
            for name, reasons in dropped.items()
            if reasons
        )
        or "every part is shorter than task.prediction_length"
    )


def local_checkpoint(model: str, checkpoint: str | None) -> Path | None:
    """Return the directory of a checkpoint, also of one that the model's package holds, or None for a hub name."""
    if checkpoint is None or Path(checkpoint).is_dir():
        return Path(checkpoint) if checkpoint else None
    known = host().model(model).card.known(checkpoint)
    return known.folder if known else None
