"""The layout that experiments on TTM had before: its keys, its defaults, and why some have no place any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tsfm_core.config.tree import Key, Tree
from tsfm_core.errors import ConfigError

__all__ = ["OldKeys", "is_old_layout"]

#: One key, several names: the flat layout's, and those of one thing in several sections.
_SAME = {
    "batch_size": "training.batch_size",
    "context_length": "model.context_length",
    "data.dataloader_num_workers": "training.dataloader_num_workers",
    "data.loader": "data.loader_type",
    "data.split_config": "data.data_split",
    "data_source_name": "data.source_name",
    "data_split": "data.data_split",
    "dataloader_num_workers": "training.dataloader_num_workers",
    "early_stopping_patience": "training.early_stopping_patience",
    "bf16": "training.bf16",
    "eval_steps": "evaluation.eval_frequency",
    "evaluation.eval_steps": "evaluation.eval_frequency",
    "experiment": "experiment.name",
    "fewshot_percent": "data.fewshot_percent",
    "fit_strategy": "training.fit_strategy",
    "forecast_length": "model.forecast_length",
    "fp16": "training.fp16",
    "freeze_backbone": "training.freeze_backbone",
    "gradient_accumulation_steps": "training.gradient_accumulation_steps",
    "gradient_checkpointing": "training.gradient_checkpointing",
    "gradient_clip_val": "training.gradient_clip_val",
    "hardware.mixed_precision": "training.fp16",
    "imputation_strategy": "data.imputation_strategy",
    "input_features": "data.x_features",
    "learning_rate": "training.learning_rate",
    "loader_type": "data.loader_type",
    "logging.log_frequency": "training.logging_steps",
    "logging.report_to": "training.report_to",
    "logging_steps": "training.logging_steps",
    "loss": "training.loss",
    "loss_function": "training.loss",
    "metric_for_best_model": "training.metric_for_best_model",
    "model.model_path": "model.path",
    "model_path": "model.path",
    "num_epochs": "training.num_epochs",
    "num_input_channels": "model.num_input_channels",
    "num_output_channels": "model.num_output_channels",
    "optimization.optimizer": "training.optimizer",
    "optimization.optimizer_params.weight_decay": "training.weight_decay",
    "optimization.scheduler": "training.scheduler",
    "output.checkpoint_frequency": "training.save_steps",
    "output.evaluation_frequency": "evaluation.eval_frequency",
    "output.log_frequency": "training.logging_steps",
    "output.output_dir": "output.save_dir",
    "prediction_filter_length": "model.prediction_filter_length",
    "random_seed": "seed",
    "resolution_min": "data.resolution_min",
    "resume_dir": "training.resume_dir",
    "save_steps": "training.save_steps",
    "scaler_type": "data.scaler_type",
    "split_config": "data.data_split",
    "target_features": "data.y_feature",
    "timestamp_column": "data.timestamp_column",
    "training.early_stopping.patience": "training.early_stopping_patience",
    "training.early_stopping.metric": "training.metric_for_best_model",
    "training.eval_steps": "evaluation.eval_frequency",
    "training.loss_function": "training.loss",
    "training.lr_scheduler_type": "training.scheduler",
    "training.max_grad_norm": "training.gradient_clip_val",
    "training.mixed_precision": "training.fp16",
    "training.seed": "seed",
    "training.strategy": "training.fit_strategy",
    "training.training_mode": "training.fit_strategy",
    "training.warmup": "training.warmup_steps",
    "training_mode": "training.fit_strategy",
    "use_cpu": "training.use_cpu",
    "warmup_ratio": "training.warmup_ratio",
    "warmup_steps": "training.warmup_steps",
    "weight_decay": "training.weight_decay",
    "x_features": "data.x_features",
    "y_feature": "data.y_feature",
}
#: Keys whose value is a mapping that is read as a whole.
_WHOLE = ("data.data_split", "data.split_config", "split_config", "data_split")

#: What the code that read the sectioned layout did where a key was left out.
_SECTIONED_DEFAULTS: dict[str, Any] = {
    "data.y_feature": ["bg_mM"],
    "data.resolution_min": 5,
    "data.data_split": [0.9, 0.1],
    "training.gradient_clip_val": 1.0,
    "model.context_length": 512,
    "model.forecast_length": 96,
    "training.batch_size": 128,
    "training.freeze_backbone": True,
    "training.learning_rate": 0.001,
    "training.loss": "mse",
    "training.num_epochs": 10,
    "training.scheduler": "exponential",
}
#: Likewise for the flat layout.
_FLAT_DEFAULTS = _SECTIONED_DEFAULTS | {
    "data.data_split": {"train": 0.7, "val": 0.2, "test": 0.1},
    "training.batch_size": 64,
    "training.freeze_backbone": False,
    "training.learning_rate": 1e-4,
    "training.scheduler": "linear",
    "training.weight_decay": 0.01,
}

#: Why a key has no place, by the key or the section above it.
_NO_PLACE = {
    "data.scaler_type": "values are always standardised over the training windows",
    "data.imputation_strategy": "nothing is filled in: what was not observed is masked in every loss and every score",
    "experiment": "a configuration holds what changes the numbers; this is kept here",
    "hardware": "what the machine has is noted in run.json, nothing is expected of it",
    "logging": "messages go to the terminal and to logs/ of the run; --debug shows where an error came from",
    "model.num_input_channels": "follows from the channels of task",
    "model.num_output_channels": "follows from task.target",
    "model.prediction_filter_length": "task.prediction_length is what is forecast and scored",
    "optimization": "AdamW has its usual betas, and a schedule that lowers the rate takes it to zero",
    "output": "a run always writes config, log, checkpoints last and best, forecasts, metrics and results",
    "training.dataloader_num_workers": "windows are gathered from memory-mapped columns, without worker processes",
    "training.freeze_backbone": "every weight starts at random, and is trained",
    "training.greater_is_better": "follows from the metric",
    "training.logging_steps": "every step has its line in the log of the training",
    "training.resume_dir": "a training of the old code cannot be continued here",
    "training.warmup_steps": "training.warmup is the share of all steps, and how many these are depends on the data",
}
_UNKNOWN = "no key of the old layout that is known here; nothing was made of it"


def is_old_layout(tree: Tree) -> bool:
    """Return whether a configuration is of the old layout: none of ours does without ``task``, and it had none."""
    values = tree.value
    if not isinstance(values, dict) or "task" in values:
        return False
    found = set(_flat(values))
    theirs = ("model.path", "model.context_length", "data.source_name", "data.resolution_min", "data.data_split")
    return any(_SAME.get(name, name) in theirs for name in found)


@dataclass
class OldKeys:
    """The keys of one old file. Each is taken once; what is left at the end is named with the reason.

    :param notes: what a reader must know: ``name of the key: sentence``.
    """

    tree: Tree
    notes: list[str] = field(default_factory=list)
    _left: dict[str, tuple[str, Any]] = field(default_factory=dict)
    _defaults: dict[str, Any] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = self.tree.value
        flat = not any(isinstance(values.get(section), dict) for section in ("model", "data", "training"))
        self._defaults = _FLAT_DEFAULTS if flat else _SECTIONED_DEFAULTS
        for name, value in _flat(values).items():
            known = _SAME.get(name, name)
            if known in self._names:
                self.note(known, f"{value!r} is not used: the file says {self._names[known]} too", name)
            else:
                self._left[known], self._names[known] = (name, value), name

    def given(self, key: str) -> bool:
        """Return whether the file has the key and it is not taken yet."""
        return key in self._left

    def take(self, key: str) -> Any:
        """Return a key's value; where the file has none, what the old code did then, which is noted, or None."""
        if key in self._left:
            return self._left.pop(key)[1]
        if key in self._defaults:
            self.note(key, f"not given, and the old default is {self._defaults[key]!r}")
            return self._defaults[key]
        return None

    def number(self, key: str, least: float, whole: bool = True) -> Any:
        """Return a number that is ``least`` or more, or None.

        :raises ConfigError: with file and line, for anything else.
        """
        value = self.take(key)
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if value is None or (fits and value >= least):
            return value
        what = "a whole number" if whole else "a number"
        raise self.refusal(key, f"is {value!r}, not {what} of {least:g} or more")

    def flag(self, key: str) -> bool:
        """Return whether a key is true.

        :raises ConfigError: for what is neither true nor false.
        """
        value = self.take(key)
        if value not in (None, True, False):
            raise self.refusal(key, f"is {value!r}, neither true nor false")
        return bool(value)

    def text(self, key: str) -> str | None:
        """Return a text, or None.

        :raises ConfigError: likewise.
        """
        value = self.take(key)
        if value is None or isinstance(value, str):
            return value
        raise self.refusal(key, f"is {value!r}, not a text")

    def names(self, key: str) -> list[str]:
        """Return a list of names; one name alone is a list too.

        :raises ConfigError: likewise.
        """
        value = self.take(key)
        every = [value] if isinstance(value, str) else value or []
        if isinstance(every, list) and all(isinstance(one, str) for one in every):
            return every
        raise self.refusal(key, f"is {value!r}, not a list of names")

    def note(self, key: str, sentence: str, name: str | None = None) -> None:
        """Say something about a key, by the name that the file has for it."""
        self.notes.append(f"{name or self._names.get(key, key)}: {sentence}")

    def refusal(self, key: str, problem: str, hint: str | None = None) -> ConfigError:
        """Return the error that names a key, its file and line."""
        name = self._names.get(key, key)
        return ConfigError(f"{self.tree.origin(tuple(name.split('.')))}: {name} {problem}", hint)

    def name_the_rest(self, instead: Mapping[str, str]) -> None:
        """Note every key that was not taken, with the reason; ``instead``: of all keys of a section."""
        for key, (name, value) in self._left.items():
            section = key.partition(".")[0]
            reason = instead.get(section) or _NO_PLACE.get(key) or _NO_PLACE.get(section) or _UNKNOWN
            self.note(key, f"{value!r} has no place: {reason}", name)
        self._left.clear()


def _flat(values: Any, above: Key = ()) -> dict[str, Any]:
    """Return the leaves of nested mappings by their dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = ".".join((*above, key))
        if isinstance(value, dict) and value and name not in _WHOLE:
            found |= _flat(value, (*above, key))
        else:
            found[name] = value
    return found
