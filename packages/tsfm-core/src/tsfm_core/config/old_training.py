"""How a model is trained and tested, from the keys of the old layout."""

from __future__ import annotations

from typing import Any

from tsfm_core.config.old_layout import OldKeys
from tsfm_core.errors import listing

__all__ = ["evaluation", "runtime", "training"]

_SCORES = {"eval_loss": "loss", "loss": "loss", "rmse": "rmse", "eval_rmse": "rmse", "mae": "mae", "eval_mae": "mae"}
_METRICS = ("mae", "mape", "mse", "rmse", "smape")


def runtime(old: OldKeys, trains: bool) -> dict[str, Any]:
    """Return the section ``runtime``."""
    on_cpu, size = old.flag("training.use_cpu"), old.number("evaluation.eval_batch_size", 1)
    half, brain = (old.flag(f"training.{name}") if trains else False for name in ("fp16", "bf16"))
    new: dict[str, Any] = {"device": "cpu"} if on_cpu else {}
    if size is not None:
        new["batch_size"] = size
    if half and on_cpu:
        old.note("training.fp16", "true has no place: a CPU trains in fp32, as the old code did there without a word")
    elif half or brain:
        new["precision"] = "fp16" if half else "bf16"
    return new


def training(old: OldKeys) -> dict[str, Any]:
    """Return the section ``training`` without its strategy."""
    new = {
        "num_epochs": old.number("training.num_epochs", 1),
        "max_steps": old.number("training.max_steps", 1),
        "batch_size": old.number("training.batch_size", 1),
        "learning_rate": old.number("training.learning_rate", 1e-30, whole=False),
        "weight_decay": old.number("training.weight_decay", 0, whole=False),
        "warmup": old.number("training.warmup_ratio", 0, whole=False),
        "max_grad_norm": old.number("training.gradient_clip_val", 0, whole=False) or None,  # 0 was none
        "gradient_accumulation_steps": old.number("training.gradient_accumulation_steps", 1),
        "gradient_checkpointing": old.flag("training.gradient_checkpointing") or None,
    }
    if (passes := new["gradient_accumulation_steps"]) and passes > 1 and new["batch_size"]:
        new["batch_size"] *= passes
        old.note("training.batch_size", f"a step's windows are counted here, {new['batch_size']} in {passes} passes")
    if new["learning_rate"] is None:
        old.note("training.learning_rate", "null let the old code look for one; today's default is used")
    new |= {"schedule": _schedule(old), "loss": _loss(old), "save_every": _save_every(old)}
    word = old.text("training.optimizer") or "adamw"
    if word.lower() != "adamw":
        old.note("training.optimizer", f"{word!r} has no place: AdamW is used")
    patience, metric = old.number("training.early_stopping_patience", 1), old.text("training.metric_for_best_model")
    if patience is not None:
        new["early_stopping"] = {"patience": patience, "metric": _SCORES.get(metric or "loss", "loss")}
    if metric is not None and (patience is None or metric not in _SCORES):
        chosen = new.get("early_stopping", {}).get("metric", "rmse")
        old.note("training.metric_for_best_model", f"{metric!r} has no place: the validation {chosen} chooses")
    return {key: value for key, value in new.items() if value is not None}


def _schedule(old: OldKeys) -> str:
    word = old.text("training.scheduler")
    if word not in ("constant", "linear", "cosine"):
        old.note("training.scheduler", f"{word!r} has no place: the rate is constant; linear and cosine lower it")
    return word if word in ("linear", "cosine") else "constant"


def _loss(old: OldKeys) -> str | None:
    word = old.text("training.loss")
    if word in (None, "mse", "mae", "huber"):
        return word
    old.note(
        "training.loss", f"{word!r} has no place: task.quantile_levels trains quantiles, by their loss; huber is used"
    )
    return None


def _save_every(old: OldKeys) -> int | None:
    every, saved = old.number("evaluation.eval_frequency", 1), old.number("training.save_steps", 1)
    if every and saved and every != saved:
        old.note(
            "training.save_steps", f"{saved} has no place: a checkpoint is written at each evaluation, every {every}"
        )
    found: int | None = every or saved
    return found


def evaluation(old: OldKeys) -> dict[str, Any]:
    """Return the section ``evaluation``."""
    if not old.given("evaluation.metrics"):
        return {}
    wanted = old.names("evaluation.metrics")
    known = [name for name in wanted if name in _METRICS]
    if known != wanted:
        other = listing(name for name in wanted if name not in known)
        old.note("evaluation.metrics", f"{other} has no place under this name; tsfm metrics list shows what there is")
    return {"metrics": list(dict.fromkeys([*known, "rmse", "mae"]))}
