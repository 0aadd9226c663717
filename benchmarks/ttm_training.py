"""TTM training, samples a second: our engine against a bare loop (aim: 0.97) and granite's recipe (aim: above 1).

All three train a model of TTM-r2's shape in batches of 64 with AdamW. The clock counts the difference of a long and
a short training, so that setting up, saving and loading are outside it on every side.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
import transformers
from _pairs import machine, report
from _series import make_windows
from _ttm import SHAPE, load_ttm, random_checkpoint
from transformers import Trainer, TrainingArguments
from tsfm_public import TimeSeriesPreprocessor, get_datasets
from tsfm_public.models.tinytimemixer import TinyTimeMixerConfig, TinyTimeMixerForPrediction

from tsfm_core.records import Job

_BATCH, _SHORT, _LONG, _ROUNDS = 64, 10, 110, 5


def _ours(folder: Path) -> Callable[[int], None]:
    def train(steps: int) -> None:
        settings = {
            "strategy": "full",
            "max_steps": steps,
            "num_epochs": 1,
            "batch_size": _BATCH,
            "schedule": "constant",
        }
        loaded = load_ttm(folder / "weights", settings, "train")
        windows = make_windows(loaded, _BATCH * _LONG)
        run = Path(tempfile.mkdtemp(dir=folder))
        data = loaded.backend.prepare_data(loaded.model, windows, loaded.task)
        job = Job(loaded.sections["training"], loaded.runtime, run / "checkpoints", run / "training.jsonl")
        loaded.backend.train(loaded.model, data, None, job)
        shutil.rmtree(run)

    return train


def _bare(folder: Path) -> Callable[[int], None]:
    loaded = load_ttm(folder / "weights", {}, "backtest")
    windows = make_windows(loaded, _BATCH * _LONG)
    context = torch.from_numpy(windows.inputs(slice(None)).target)[:, :, None]
    truth = torch.from_numpy(windows.truth(slice(None)))[:, :, None]

    def train(steps: int) -> None:
        model = TinyTimeMixerForPrediction(TinyTimeMixerConfig(**SHAPE)).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        order = torch.randperm(len(context))
        for step in range(steps):
            rows = order[step * _BATCH : (step + 1) * _BATCH]
            model(context[rows], future_values=truth[rows]).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return train


def _recipe(folder: Path) -> Callable[[int], None]:
    stamps = pd.date_range("2001-01-01", periods=20_000, freq="5min")
    values = 130 + np.cumsum(np.random.default_rng(0).normal(0, 2, 20_000))
    frame = pd.DataFrame({"id": 1, "time": stamps, "glucose": values})
    columns = {"id_columns": ["id"], "timestamp_column": "time", "target_columns": ["glucose"]}
    processor = TimeSeriesPreprocessor(**columns, context_length=512, prediction_length=96, scaling=True, freq="5min")
    data = get_datasets(
        processor, frame, split_config={"train": [0, 16_000], "valid": [16_000, 18_000], "test": [18_000, 20_000]}
    )[0]

    def train(steps: int) -> None:
        model = TinyTimeMixerForPrediction(TinyTimeMixerConfig(**SHAPE))
        settings = TrainingArguments(
            output_dir=str(folder / "recipe"),
            max_steps=steps,
            per_device_train_batch_size=_BATCH,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            label_names=["future_values"],
            use_cpu=True,
        )
        Trainer(model, settings, train_dataset=data).train()

    return train


def _seconds(train: Callable[[int], None]) -> float:
    marks = [perf_counter()]
    for steps in (_SHORT, _LONG):
        train(steps)
        marks.append(perf_counter())
    return (marks[2] - marks[1]) - (marks[1] - marks[0])


def main() -> None:
    """Print the ratios."""
    logging.getLogger().setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        random_checkpoint(folder / "weights")
        ours, bare, recipe = _ours(folder), _bare(folder), _recipe(folder)
        for train in (ours, bare, recipe):
            train(_SHORT)
        times = [(_seconds(ours), _seconds(bare), _seconds(recipe)) for _ in range(_ROUNDS)]
        samples = _BATCH * (_LONG - _SHORT)
        report("TTM training", "a bare loop", [(one, two) for one, two, _ in times], count=samples)
        report("TTM training", "granite's recipe", [(one, three) for one, _, three in times], count=samples)


if __name__ == "__main__":
    main()
