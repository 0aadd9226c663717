"""TTM on T1D-UOM: what an epoch of ``head`` and of ``lora`` costs beside one of ``full``, and what it forecasts.

The published weights and the data are those that TSFM_SHARED names. Each strategy trains in turn, round after round, in
one thread, on the same windows; an epoch is timed from the evaluation before it to its last step. ``--stride N`` takes
a training window every N steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from _pairs import machine

from tsfm_core.config.resolve import read_config
from tsfm_core.prepare import Prepared, load, prepare
from tsfm_core.records import Job

_EXPERIMENT = Path(__file__).parents[1] / "configs" / "experiments" / "t1d_uom" / "fine_tune.yaml"
_RATES = {"full": 3e-4, "head": 1e-3, "lora": 3e-3}


def main() -> None:
    """Print a line a strategy, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in _RATES}
    prepared = None
    for _ in range(asked.rounds):
        for name in _RATES:
            prepared, measured = _train(name, asked.stride, asked.epochs, prepared)
            rounds[name].append(measured)
            print(name, measured, flush=True)
    assert prepared is not None
    print(f"{len(prepared.train):,} training windows, {asked.epochs} epochs, median of {asked.rounds} rounds")
    for name, several in rounds.items():
        medians = {key: statistics.median(one[key] for one in several) for key in several[0]}
        print(name, " ".join(f"{key} {value:,.6g}" for key, value in medians.items()))
    for name in ("head", "lora"):
        for key in ("epoch_s", "whole_s"):
            ratios = [one[key] / other[key] for one, other in zip(rounds[name], rounds["full"], strict=True)]
            print(
                f"{name} / full, {key}: {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})"
            )


def _train(strategy: str, stride: int, epochs: int, prepared: Prepared | None) -> tuple[Prepared, dict[str, float]]:
    weights = Path(os.environ["TSFM_SHARED"]) / "weights" / "granite-ttm-r2-512-96"
    training = {"strategy": strategy, "num_epochs": epochs, "batch_size": 64, "learning_rate": _RATES[strategy]}
    settings = [f"data.stride={stride}", f"model.checkpoint={weights}", f"training={json.dumps(training)}"]
    resolved = read_config(_EXPERIMENT, settings)
    loaded = load("ttm", resolved, "train")
    prepared = prepared or prepare(resolved.config, loaded.task, "train")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = Job(loaded.sections["training"], loaded.runtime, folder / "checkpoints", folder / "training.jsonl")
        start = perf_counter()
        loaded.backend.train(loaded.model, prepared.train, prepared.validation, job)
        whole = perf_counter() - start
        lines = [json.loads(line) for line in job.log_path.read_text().splitlines()]
        size = sum(file.stat().st_size for file in (job.checkpoint_dir / "best").resolve().iterdir())
    said = {key: value for line in lines for key, value in line.items() if "step" not in line}
    judged = [line for line in lines if "validation" in line]
    ends = {line["epoch"]: line["seconds"] for line in lines if "loss" in line}
    epoch = [ends[after["epoch"]] - before["seconds"] for before, after in pairwise(judged)]
    found: dict[str, Any] = {
        "epoch_s": statistics.median(epoch),
        "whole_s": whole,
        "rmse": min(line["validation"]["rmse"] for line in judged),
        "trainable": said["trainable"],
        "checkpoint_bytes": size,
        "cached_bytes": said.get("cached_bytes", 0),
    }
    return prepared, found


if __name__ == "__main__":
    main()
