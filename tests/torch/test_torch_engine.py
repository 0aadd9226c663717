"""The engine on a network of a few weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from torchkit import CONTEXT, Constant, Fitted, Net, absolute, noisy_sine, same, squared, windows_of

from tsfm_core import CapabilityError, ConfigError, Job, Runtime, TrainingWindows
from tsfm_torch import Trainable, TrainingConfig, fit
from tsfm_torch.trainer import Arguments

Train = Callable[..., Fitted]


def rates(fitted: Fitted) -> list[float]:
    return [line["learning_rate"] for line in fitted.steps]


def test_it_learns_and_leaves_what_the_contract_asks_for(train: Train) -> None:
    fitted = train(None, windows_of(noisy_sine(80)), module=Net(dropout=0.0), num_epochs=3, learning_rate=1e-2)
    assert [line["step"] for line in fitted.steps] == list(range(1, 13))  # 200 windows, 64 a step
    assert set(fitted.steps[0]) == {"step", "epoch", "loss", "learning_rate", "seconds"}
    assert [line["step"] for line in fitted.evaluations] == [4, 8, 12]
    assert [line["epoch"] for line in fitted.evaluations] == [1, 2, 3]
    assert fitted.evaluations[-1]["validation"]["rmse"] < fitted.evaluations[0]["validation"]["rmse"]
    assert not fitted.module.training
    folder = fitted.folder / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["best", "finished.json", "last", "step_12"]
    assert same(fitted.stored("best"), fitted.weights)


def test_nothing_but_the_backends_own_files_is_stored(train: Train) -> None:
    fitted = train(max_steps=2, save_every=1)
    files = [path.name for path in fitted.folder.rglob("*") if path.is_file()]
    assert sorted(files) == ["finished.json", "model.safetensors", "training.jsonl"]  # no pickle, no training_args.bin


def test_it_is_quiet_and_leaves_transformers_as_it_was(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    transformers.logging.set_verbosity_info()
    try:
        train(None, windows_of(noisy_sine(80)), max_steps=2)
        assert transformers.logging.get_verbosity() == transformers.logging.INFO
    finally:
        transformers.logging.set_verbosity_warning()
    assert capfd.readouterr() == ("", "")


def test_the_same_seed_gives_the_same_bits(train: Train) -> None:
    one, two, other = (train(max_steps=6, seed=seed) for seed in (1, 1, 2))
    assert same(one.weights, two.weights)
    assert [line["loss"] for line in one.steps] == [line["loss"] for line in two.steps]
    assert not same(one.weights, other.weights)


def test_the_order_of_the_windows_depends_on_the_seed_alone(train: Train) -> None:
    plain, drawing = train(module=Net(dropout=0.0), num_epochs=2), train(module=Net(dropout=0.5), num_epochs=2)
    assert plain.rows == drawing.rows
    assert sorted(sum(plain.rows[:4], [])) == list(range(200))
    assert plain.rows[:4] != plain.rows[4:8]
    assert train(num_epochs=2, seed=1).rows != plain.rows


def test_num_epochs_max_steps_and_batch_size_count_steps(train: Train) -> None:
    assert len(train(num_epochs=2, batch_size=50).steps) == 8
    assert len(train(num_epochs=2, batch_size=200).steps) == 2
    assert len(train(num_epochs=2, max_steps=5).steps) == 5
    assert len(train(num_epochs=1, max_steps=500).steps) == 4


def test_learning_rate_and_schedule(train: Train) -> None:
    assert rates(train(max_steps=4, schedule="constant", learning_rate=0.5)) == [0.5] * 4
    assert rates(train(max_steps=4, schedule="linear", learning_rate=1.0)) == [1.0, 0.75, 0.5, 0.25]
    cosine = [0.5 * (1 + np.cos(np.pi * step / 4)) for step in range(4)]
    assert rates(train(max_steps=4, schedule="cosine", learning_rate=1.0)) == pytest.approx(cosine)


def test_warmup_rises_from_zero(train: Train) -> None:
    fitted = train(max_steps=4, warmup=0.5, learning_rate=1.0, schedule="constant")
    assert rates(fitted) == [0.0, 0.5, 1.0, 1.0]


def test_weight_decay_shrinks_weights_and_spares_biases(train: Train) -> None:
    def nothing(answer: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return answer.sum() * 0

    keys: dict[str, Any] = {"max_steps": 1, "schedule": "constant", "learning_rate": 0.1, "loss": nothing}
    plain, decayed = train(**keys).weights, train(**keys, weight_decay=0.5).weights
    np.testing.assert_allclose(decayed["map.weight"], plain["map.weight"] * (1 - 0.1 * 0.5), rtol=1e-6)
    np.testing.assert_array_equal(decayed["map.bias"], plain["map.bias"])


def test_save_every_counts_steps_and_the_end_is_always_saved(train: Train) -> None:
    fitted = train(None, windows_of(noisy_sine(80)), max_steps=5, save_every=2)
    assert [line["step"] for line in fitted.evaluations] == [2, 4, 5]
    assert (fitted.folder / "checkpoints" / "last").readlink() == Path("step_5")


def skewed() -> tuple[TrainingWindows, TrainingWindows]:
    """Training pulls a constant up; over validation that lowers the squared error and raises the absolute one."""
    values = np.full(400, 100.0)
    values[30:400:10] = 300.0
    return windows_of(np.full(100, 300.0)), windows_of(values)


@pytest.mark.parametrize(
    ("metric", "loss", "best"),
    [("rmse", squared, 4), ("mae", squared, 1), ("loss", squared, 4), ("loss", absolute, 1)],
)
def test_the_metric_of_early_stopping_chooses_the_best(
    train: Train, metric: str, loss: Callable[..., torch.Tensor], best: int
) -> None:
    data, validation = skewed()
    fitted = train(
        data,
        validation,
        module=Constant(),
        loss=loss,
        learning_rate=0.1,
        schedule="constant",
        max_steps=4,
        num_epochs=9,
        save_every=1,
        early_stopping={"patience": 9, "metric": metric},
    )
    assert (fitted.folder / "checkpoints" / "best").readlink() == Path(f"step_{best}")
    assert (fitted.folder / "checkpoints" / "last").readlink() == Path("step_4")
    assert fitted.weights["value"] == pytest.approx(0.1 * best, rel=1e-3)  # the best came back, not the last
    assert len(list((fitted.folder / "checkpoints").glob("step_*"))) == len({best, 4})


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_counts_evaluations(train: Train, patience: int) -> None:
    data, validation = skewed()
    fitted = train(
        data,
        validation,
        module=Constant(),
        learning_rate=0.1,
        max_steps=20,
        num_epochs=20,
        save_every=1,
        early_stopping={"patience": patience, "metric": "mae"},
    )
    assert [line["best"] for line in fitted.evaluations] == [True] + [False] * patience
    assert len(fitted.steps) == 1 + patience


def test_validation_scores_are_over_all_observed_steps(train: Train) -> None:
    values = noisy_sine(60)
    values[[20, 21, 40]] = np.nan
    validation = windows_of(values, min_observed=0.25)
    inputs, truth = validation.inputs(slice(None)).target, validation.truth(slice(None))
    whole = np.isfinite(inputs).all(axis=1)  # this network cannot take a gap in its context
    inputs, truth, validation = inputs[whole], truth[whole], validation.take(np.flatnonzero(whole))
    assert np.isnan(truth).any()
    fitted = train(None, validation, max_steps=1)
    weight, bias = (fitted.weights[f"map.{name}"].astype(np.float64) for name in ("weight", "bias"))
    error = ((inputs - 100) / 20 @ weight.T + bias) * 20 + 100 - truth
    told = fitted.evaluations[0]["validation"]
    assert told["rmse"] == pytest.approx(np.sqrt(np.nanmean(error**2)), rel=1e-5)
    assert told["mae"] == pytest.approx(np.nanmean(np.abs(error)), rel=1e-5)
    assert told["loss"] == pytest.approx(np.nanmean((error / 20) ** 2), rel=1e-5)


def test_without_validation_the_latest_is_the_best(train: Train) -> None:
    fitted = train(max_steps=4, save_every=2)
    folder = fitted.folder / "checkpoints"
    assert fitted.evaluations == []
    assert (folder / "best").readlink() == (folder / "last").readlink() == Path("step_4")


@pytest.mark.parametrize("empty", [False, True])
def test_early_stopping_without_validation_is_refused(train: Train, empty: bool) -> None:
    validation = windows_of(noisy_sine(80)).take(slice(0, 0)) if empty else None
    with pytest.raises(ConfigError, match="needs validation windows, and there are none; set split.validation"):
        train(None, validation, early_stopping={"patience": 1})


def test_windows_without_any_truth_do_no_harm(train: Train) -> None:
    windows = windows_of(noisy_sine(200))
    hidden = {"glucose": np.where(np.arange(200) < 150, windows.panel.columns["glucose"], np.nan).astype(np.float32)}
    windows = replace(windows, panel=replace(windows.panel, columns=hidden))
    windows = windows.take(np.flatnonzero(np.isfinite(windows.inputs(slice(None)).target).all(axis=1)))
    assert np.isnan(windows.truth(slice(None))).all(axis=1).any()
    fitted = train(windows, num_epochs=1, batch_size=1)
    assert 0.0 in [line["loss"] for line in fitted.steps]
    assert all(np.isfinite(values).all() for values in fitted.weights.values())


def test_validation_without_any_truth_is_refused(train: Train) -> None:
    windows = windows_of(noisy_sine(80))
    nothing = {"glucose": windows.panel.columns["glucose"].copy()}
    nothing["glucose"][CONTEXT:] = np.nan
    validation = replace(windows, panel=replace(windows.panel, columns=nothing)).take(slice(0, 1))
    with pytest.raises(ConfigError, match=r"no truth of the validation windows was observed; raise split.validation"):
        train(None, validation, max_steps=1)


def test_a_diverging_training_ends_with_a_sentence(train: Train) -> None:
    with pytest.raises(ConfigError, match=r"not finite at step \d+; lower training.learning_rate"):
        train(learning_rate=1e30, schedule="constant", num_epochs=3)


def test_validation_that_is_not_finite_is_refused(train: Train) -> None:
    with pytest.raises(ConfigError, match=r"the validation .* is .*; lower training.learning_rate"):
        train(None, windows_of(noisy_sine(80)), learning_rate=1e30, schedule="constant", max_steps=1)


def test_several_gpus_stay_one_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    arguments = Arguments(output_dir=str(tmp_path), one_device="cuda:2", optim="adamw_torch")
    assert arguments.device == chosen[-1] == torch.device("cuda:2")
    assert arguments.n_gpu == 1
    assert arguments.train_batch_size == arguments.per_device_train_batch_size


def test_a_device_that_is_not_there_is_refused(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CapabilityError, match="torch finds no GPU here"):
        train(device="cuda", max_steps=1)


@pytest.mark.parametrize(("point", "scores"), [(True, {"rmse", "mae", "loss"}), (False, {"loss"})])
def test_a_model_without_a_point_forecast_is_chosen_by_its_loss(tmp_path: Path, point: bool, scores: set[str]) -> None:
    """Best is the lowest score of ``chosen_by``, whatever the others say."""
    windows = windows_of(noisy_sine(120))
    net = Net(dropout=0.0)
    losses = iter([3.0, 1.0, 2.0])

    def loss(answer: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return answer.sum() * 0 + (1.0 if net.training else next(losses))

    trainable = Trainable(
        module=net,
        batch=lambda of, rows: {"past": torch.from_numpy(of.inputs(rows).target)},
        forward=lambda module, batch: module(batch["past"]),
        loss=loss,
        point=(lambda answer: answer) if point else None,
        save=lambda folder: safetensors.torch.save_file(net.state_dict(), folder / "model.safetensors"),
        load=lambda folder: None,
        weight=len,
        chosen_by="loss",
    )
    job = Job(
        TrainingConfig(strategy="from_scratch", max_steps=3, save_every=1),
        Runtime("from_scratch", device="cpu"),
        tmp_path / "checkpoints",
        tmp_path / "log.jsonl",
    )
    fit(trainable, windows, windows.take(slice(0, 9)), job)
    judged = [json.loads(line) for line in job.log_path.read_text().splitlines() if "validation" in line]
    assert [set(one["validation"]) for one in judged] == [scores] * 3
    assert [one["best"] for one in judged] == [True, True, False]
    assert (tmp_path / "checkpoints" / "best").resolve().name == "step_2"
