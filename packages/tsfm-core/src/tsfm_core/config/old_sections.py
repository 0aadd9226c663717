"""The sections of a configuration from the keys of the old layout; see ``old_training`` for what is trained how."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tsfm_core.config.old_layout import OldKeys
from tsfm_core.errors import listing

__all__ = ["data", "experiment", "model", "output", "split", "strategy_of", "target_of", "task", "tracking"]

#: Columns of the old cache by the names that the channels of its reader have.
_CHANNELS = {
    "bolus": "bolus_u",
    "cals": "active_kcal",
    "dose_units": "dose_u",
    "food_g": "carbs_g",
    "hr_bpm": "heart_rate",
    "rate": "basal_u_per_h",
}
#: Readers of the raw files behind the old names.
_READERS = {
    "aleppo_2017": "aleppo",
    "brown_2019": "brown",
    "gluroo": "gluroo",
    "kaggle_brisT1D": "brist1d",
    "lynch_2022": "lynch",
    "tamborlane_2008": "tamborlane",
}
_TRACKERS = ("tensorboard", "mlflow", "wandb")
_TIME_OF_DAY = ("hour_sin", "hour_cos")
_UNITS = ((re.compile(r"(^|_)mM$|(?i:mmol)"), "mmol/L"), (re.compile(r"(?i:mg.?dl)"), "mg/dL"))
_STRATEGIES = {"fine_tune": "full", "finetune": "full", "from_scratch": "from_scratch", "zero_shot": "zero_shot"}
#: The share of the training span to choose by, where the old file left none.
_VALIDATION = 0.1


def experiment(old: OldKeys) -> dict[str, Any]:
    """Return the keys at the top."""
    name, seed = old.text("experiment.name"), old.number("seed", 0)
    new: dict[str, Any] = {}
    if name:
        new["experiment"] = re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip("_.-")[:100] or "migrated"
        if new["experiment"] != name:
            old.note("experiment.name", f"{name!r} is no name of a folder; {new['experiment']} is")
    return new | ({} if seed is None else {"seed": seed})


def strategy_of(old: OldKeys) -> str:
    """Return the strategy: ``head`` where the old code froze the backbone.

    :raises ConfigError: for one that is not known.
    """
    word = old.text("training.fit_strategy") or "fine_tune"
    if word not in _STRATEGIES:
        raise old.refusal("training.fit_strategy", f"is {word!r}", f"known: {', '.join(_STRATEGIES)}")
    found = _STRATEGIES[word]
    return "head" if found == "full" and old.flag("training.freeze_backbone") else found


def target_of(old: OldKeys) -> str:
    """Return the one target, by its old name.

    :raises ConfigError: for several, or none.
    """
    targets = old.names("data.y_feature")
    if len(targets) != 1:
        raise old.refusal("data.y_feature", f"names {listing(targets)}: one target is forecast", "keep one")
    return targets[0]


def task(old: OldKeys, target: str, unit: str | None) -> dict[str, Any]:
    """Return the section ``task``.

    :raises ConfigError: for a target whose unit neither its name nor ``unit`` says.
    """
    found = unit or next((known for pattern, known in _UNITS if pattern.search(target)), None)
    if found is None:
        raise old.refusal("data.y_feature", f"is {target!r}, which does not say its unit", "add --unit mg/dL or mmol/L")
    channels = [_CHANNELS.get(name, name) for name in old.names("data.x_features")]
    known = [name for name in channels if name in _TIME_OF_DAY]
    past = [name for name in channels if name not in _TIME_OF_DAY]
    if past:
        old.note(
            "data.x_features",
            f"{listing(past)} are past_covariates: the old code showed the model their values over the horizon too, "
            "which nobody knows at the cutoff",
        )
    return {
        "target": "glucose",
        "unit": found,
        "freq": f"{old.number('data.resolution_min', 1)}min",
        "context_length": old.number("model.context_length", 1),
        "prediction_length": old.number("model.forecast_length", 1),
        "past_covariates": past,
        "known_covariates": known,
    }


def data(old: OldKeys, target: str, channels: Sequence[str]) -> dict[str, Any]:
    """Return the section ``data``; empty where the old file names no data set, as the flat layout did.

    :param target: its old name.
    :param channels: covariates, by our names.
    :raises ConfigError: for raw files that no reader knows, or a percentage that is none.
    """
    name = old.text("data.source_name")
    if not name:
        old.note("data.source_name", "not given: add data.source, and data.path where it has files")
        return {}
    new = _table(old, name, target, channels) if name.lower().endswith((".csv", ".parquet")) else _dataset(old, name)
    percent = old.number("data.fewshot_percent", 0, whole=False)
    if percent is not None and not 0 < percent <= 100:
        raise old.refusal("data.fewshot_percent", f"is {percent}", "give more than 0 and at most 100")
    return new | ({} if percent is None else {"fewshot_percent": percent})


def _table(old: OldKeys, name: str, target: str, channels: Sequence[str]) -> dict[str, Any]:
    """Return what reads one file, whose columns are named as those of the old cache."""
    old.note("data.source_name", f"{name} is taken to name its people in the column p_num: see data.columns.item_id")
    stamps = old.text("data.timestamp_column") or "datetime"
    columns = {"item_id": "p_num", "timestamp": stamps, "target": target}
    theirs = {ours: name for name, ours in _CHANNELS.items()}
    columns |= {channel: theirs.get(channel, channel) for channel in channels}
    if old.given("data.loader_type"):
        old.note("data.loader_type", f"{old.take('data.loader_type')!r} has no place: the file is read as it is")
    return {"source": name.lower().rpartition(".")[2], "path": name, "columns": columns}


def _dataset(old: OldKeys, name: str) -> dict[str, Any]:
    """Return what reads a data set of the old code: its cache, or the raw files."""
    if old.given("data.timestamp_column"):
        old.note("data.timestamp_column", f"{old.take('data.timestamp_column')!r} has no place: the reader knows it")
    if (old.text("data.loader_type") or "cache") == "cache":
        path = f"cache/data/{name}"
        old.note("data.source_name", f"{name} is the old code's cache {path}, where that code ran: see data.path")
        return {"source": "p_num_full", "path": path}
    if name in _READERS:
        old.note("data.source_name", f"add data.path: the raw files of {name}, which the reader {_READERS[name]} reads")
        return {"source": _READERS[name]}
    known = f"known: {', '.join(_READERS)}"
    raise old.refusal("data.source_name", f"is {name!r}, which no reader of raw files knows", known)


def split(old: OldKeys, trains: bool) -> dict[str, float]:
    """Return the section ``split``; with a validation part where something is trained."""
    given = old.take("data.data_split")
    parts = _parts(old, given)
    train, test = parts["train"], parts["test"]
    validation = parts.get("validation", 1 - train - test)
    new = {"temporal_holdout": round(test, 6)}
    if validation > 1e-6:
        return new | {"validation": round(validation / (1 - test), 6)}
    if trains:
        old.note(
            "data.data_split",
            f"{given!r} leaves nothing to choose the best checkpoint by, and no choice is made on what is tested: "
            f"the last {100 * _VALIDATION:g} % of the training span are the validation part",
        )
        new["validation"] = _VALIDATION
    return new


def _parts(old: OldKeys, given: Any) -> dict[str, float]:
    """Return the shares of a split by the names of its parts."""
    names = {2: ("train", "test"), 3: ("train", "validation", "test")}
    pairs: dict[str, Any] = given if isinstance(given, dict) else {}
    if isinstance(given, list) and len(given) in names:
        pairs = dict(zip(names[len(given)], given, strict=True))
    same = {"val": "validation", "valid": "validation"}
    parts: dict[str, float] = {same.get(name, name): share for name, share in pairs.items()}
    shares = all(isinstance(one, int | float) and not isinstance(one, bool) and 0 <= one < 1 for one in parts.values())
    if not shares or set(parts) - {"validation"} != {"train", "test"} or len(parts) != len(pairs):
        hint = "give shares such as [0.7, 0.2], the rest being validation, or {train: 0.7, val: 0.1, test: 0.2}"
        raise old.refusal("data.data_split", f"is {given!r}", hint)
    total = sum(parts.values())
    if not parts["train"] or not parts["test"]:
        raise old.refusal("data.data_split", f"is {given!r}", "something must be trained on, and something held out")
    if total > 1 + 1e-6 or (len(parts) == 3 and total < 1 - 1e-6):
        raise old.refusal("data.data_split", f"is {given!r}, which adds up to {total:g}", "make it 1")
    return parts


def model(old: OldKeys, strategy: str) -> dict[str, Any]:
    """Return the section ``model``."""
    checkpoint = old.text("model.path")
    if checkpoint is None:
        return {}
    if strategy == "from_scratch":
        old.note("model.path", f"{checkpoint!r} has no place: from_scratch starts without weights")
        return {}
    return {"checkpoint": checkpoint}


def tracking(old: OldKeys) -> dict[str, Any]:
    """Return the key ``tracking``, where the old file reported to a tracker that is known here."""
    wanted = old.names("training.report_to")
    known = [name for name in wanted if name in _TRACKERS]
    other = [name for name in wanted if name not in (*_TRACKERS, "none")]
    if other:
        old.note("training.report_to", f"{listing(other)} has no place: tracking knows {', '.join(_TRACKERS)}")
    return {"tracking": known} if known else {}


def output(old: OldKeys) -> dict[str, Any]:
    """Return the section ``output``."""
    root = old.text("output.save_dir")
    return {"root": root} if root else {}
