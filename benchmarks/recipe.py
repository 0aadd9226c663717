"""What each ingredient of ``t1d_uom/best.yaml`` brings: a ridge map beside a network, solved with ever more of them.

Two tables: beside TTM-r2 (``t1d_uom_lopo/r2_skip.yaml``), and beside the checkpoint that ships with tsfm-ttm, which has
a map of the lags already and gives the mean of its quantiles. Published weights and data are those that TSFM_SHARED
names. Maps are solved for on what comes before the last
tenth of each person's readings, and scored on last tenths: of the people that they learnt from (``seen``: all but one,
each left out in turn), or of others (``unseen``: each pair left out). No other reading of a person left out takes part,
but in the mean and deviation of the channels, which are the same for all. Nothing is trained: the network stays as it
is published. RMSE in mg/dL, over windows whose whole truth was observed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from _pairs import machine

from tsfm_core import Task, TrainingWindows
from tsfm_core.config.resolve import read_config
from tsfm_core.prepare import load, prepare
from tsfm_ttm.scaling import Scaler
from tsfm_ttm.skip import LinearSkip
from tsfm_ttm.solving import Sums, best_of, sums_of

_EXPERIMENTS = Path(__file__).parents[1] / "configs" / "experiments"
_HORIZONS = (6, 12, 24, 48, 96)
_CHANNELS = {
    "on board": ["iob", "cob"],
    "hour": ["hour_sin", "hour_cos"],
    "half day": ["half_day_sin", "half_day_cos"],
}


#: What each line adds to those above it, or takes away again, and whether the network's forecast is there.
_ON_BOARD = ("insulin and carbohydrates on board", "on board", True)
_BESIDE_R2 = [
    ("512 lags", "lags", False),
    ("the level and a constant", "level", False),
    ("hour of the day", "hour", False),
    ("the network's forecast through a gate", None, True),
    ("half of the day", "half day", True),
    _ON_BOARD,
]
_BESIDE_OURS = [
    ("a gate, the level and a constant", "level", True),
    ("hour of the day", "hour", True),
    ("half of the day", "half day", True),
    _ON_BOARD,
    ("512 lags", "lags", True),
]


def main() -> None:
    """Print a line an ingredient."""
    torch.set_num_threads(1)
    print(machine())
    r2 = {"model.checkpoint": "${TSFM_SHARED}/weights/granite-ttm-r2-512-96"}
    _print("TTM-r2", _BESIDE_R2, *_read("t1d_uom_lopo/r2_skip.yaml", [], r2))
    with_streams = ["task.past_covariates=[iob, cob]", "data.kinds={bolus_u: amount, carbs_g: amount}"]
    _print("tsfm/ttm-cgm", _BESIDE_OURS, *_read("t1d_uom/best.yaml", with_streams, {}))


def _print(
    network: str,
    rows: list[tuple[str, str | None, bool]],
    learnt: dict[str, Sums],
    judged: dict[str, Sums],
    scaler: Scaler,
    columns: dict[str, np.ndarray],
) -> None:
    ahead = "".join(f"{f'{5 * one} min':>8}" for one in _HORIZONS)
    print(f"\n{'unseen, each row with those above':<40}{ahead}{'all':>8}{'seen, all':>11}")
    people = sorted(learnt)
    chosen: list[str] = []
    for name, added, gated in [(f"{network} zero-shot", None, True), *rows]:
        chosen += [added] if added else []
        at = np.concatenate([columns[one] for one in chosen]) if chosen else np.array([], np.int64)
        train = {one: _part(learnt[one], at, gated) for one in people}
        test = {one: _part(judged[one], at, gated) for one in people}
        unseen = _rmse(((set(people) - {*pair}, pair) for pair in combinations(people, 2)), train, test, scaler)
        seen = _rmse(((set(people) - {one}, sorted(set(people) - {one})) for one in people), train, test, scaler)
        shown = "".join(f"{unseen[step - 1]:8.2f}" for step in _HORIZONS)
        print(f"{name:<40}{shown}{_whole(unseen):8.2f}{_whole(seen):11.2f}", flush=True)


def _read(
    experiment: str, changes: list[str], weights: dict[str, str]
) -> tuple[dict[str, Sums], dict[str, Sums], Scaler, dict[str, np.ndarray]]:
    """Return each person's sums before and in the last tenth, the scaler, and where each ingredient's columns stand."""
    parts: dict[str, dict[str, TrainingWindows]] = {"learnt": {}, "judged": {}}
    for fold in (0, 1):  # the person that one of them holds out is in the other
        settings = [f"split.fold={fold}", "evaluation.stride=3", *changes]
        resolved = read_config(_EXPERIMENTS / experiment, settings, weights)
        prepared = prepare(resolved.config, resolved.config.task, "train")
        assert prepared.validation is not None
        for name, windows in (("learnt", prepared.train), ("judged", prepared.validation)):
            items = windows.item_id.astype(str)
            parts[name] |= {one: windows.take(np.flatnonzero(items == one)) for one in np.unique(items)}
        if fold == 0:
            model = load("ttm", resolved, "train").model
            scaler = Scaler.learn(prepared.train, seed=0)
            scaler = scaler.with_target(model.kept_scale) if model.kept_scale else scaler
            skip = LinearSkip(model.network.network, prepared.train.task, lags=True)
    assert parts["learnt"].keys() == parts["judged"].keys()
    found = [
        {one: sums_of(skip, windows, np.arange(len(windows)), scaler) for one, windows in sorted(part.items())}
        for part in parts.values()
    ]
    return found[0], found[1], scaler, _columns(skip, prepared.train.task)


def _columns(skip: LinearSkip, task: Task) -> dict[str, np.ndarray]:
    """Return where each ingredient's features stand, asserted: they, and no others, move with its channels."""
    # two streams as eight means and one mark each, then two channels of the hour and two of the half day as eight means
    sizes = {"lags": task.context_length - 1, "level": 2, "on board": 2 * 9, "hour": 2 * 8, "half day": 2 * 8}
    edges = np.cumsum([0, *sizes.values()])
    assert edges[-1] == len(skip.weights)
    columns = {name: np.arange(first, stop) for name, first, stop in zip(sizes, edges[:-1], edges[1:], strict=True)}

    def filled(channels: list[str], until: int | None = None) -> list[int]:
        """Return the features that are not 0 where only these channels are 1, in the context up to ``until``."""
        past, future = (torch.zeros(1, length, len(task.channels)) for length in (task.context_length, _HORIZONS[-1]))
        for channel in channels:
            past[:, :until, task.channels.index(channel)] = 1
            future[:, :, task.channels.index(channel)] = 1
        return np.flatnonzero(skip.features(past, past > 0, future)[0]).tolist()

    level, constant = columns["level"].tolist()
    assert filled([]) == [constant]
    assert filled(["glucose"]) == [level, constant]
    assert filled(["glucose"], -1) == [*columns["lags"], constant]
    for name, own in _CHANNELS.items():
        assert filled(own) == [constant, *columns[name]]
    return columns


def _part(sums: Sums, at: np.ndarray, gated: bool) -> Sums:
    """Return the sums of some features, with the network's forecast or without it."""
    kept = replace(sums, xx=sums.xx[np.ix_(at, at)], xy=sums.xy[at], xz=sums.xz[at])
    if gated:
        return kept
    return replace(kept, xz=0 * kept.xz, zz=0 * kept.zz, zy=0 * kept.zy)


def _rmse(
    folds: Iterable[tuple[set[str], Iterable[str]]], train: dict[str, Sums], test: dict[str, Sums], scaler: Scaler
) -> np.ndarray:
    """Return the RMSE of each step, all folds together, ``[H]``."""
    squared, count = np.zeros(_HORIZONS[-1]), 0
    for learnt, judged in folds:
        weights, gate = best_of([train[one] for one in sorted(learnt)])
        if not len(weights):  # nothing but the network: it is not scaled
            gate = np.ones_like(gate)
        for one in judged:
            squared += test[one].error(weights, gate)
            count += test[one].count
    return np.asarray(np.sqrt(squared / count) * scaler.std[0])


def _whole(by_step: np.ndarray) -> float:
    """Return the RMSE of all steps together."""
    return float(np.sqrt((by_step**2).mean()))


if __name__ == "__main__":
    main()
