"""A training that is killed, or told to stop, and goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torchkit import Fitted, Net, fit_net, noisy_sine, same, windows_of

from tsfm_core import Stopped
from tsfm_core.stopping import stoppable

Train = Callable[..., Fitted]
VALIDATION = windows_of(noisy_sine(80))
#: 200 windows, 64 a step: 4 steps an epoch, 20 in all; saved at 3, 6, 9 ...
KEYS: dict[str, Any] = {"num_epochs": 5, "save_every": 3, "schedule": "cosine", "warmup": 0.1, "learning_rate": 1e-2}


class Killed(BaseException):
    """What nothing in the engine handles, as a kill."""


def killed_at(number: int) -> Callable[[int], None]:
    def each_batch(now: int) -> None:
        # steps and the batch of each evaluation count
        if now == number:
            raise Killed

    return each_batch


def log_of(fitted: Fitted) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in fitted.lines]


@pytest.mark.parametrize(
    ("kills", "stopping"),
    [((1,), None), ((5,), None), ((9, 2), None), ((23,), None), ((9,), {"patience": 2, "metric": "mae"})],
)
def test_a_killed_training_ends_with_the_same_bits(
    tmp_path: Path, kills: tuple[int, ...], stopping: dict[str, Any] | None
) -> None:
    keys = KEYS | {"early_stopping": stopping}
    whole = fit_net(tmp_path / "whole", None, VALIDATION, **keys)
    for at, number in enumerate(kills):
        with pytest.raises(Killed):
            fit_net(tmp_path / "parts", None, VALIDATION, resume=at > 0, each_batch=killed_at(number), **keys)
    parts = fit_net(tmp_path / "parts", None, VALIDATION, resume=True, **keys)
    assert same(parts.weights, whole.weights)
    assert same(parts.stored("last"), whole.stored("last"))
    assert log_of(parts) == log_of(whole)
    assert len(whole.rows) > max(kills)  # every kill came before the end
    left = [sorted(str(path.relative_to(one.folder)) for path in one.folder.rglob("*")) for one in (whole, parts)]
    assert left[0] == left[1]


def test_a_training_that_is_over_is_not_trained_again(tmp_path: Path) -> None:
    whole = fit_net(tmp_path, None, VALIDATION, **KEYS)
    again = fit_net(tmp_path, None, VALIDATION, resume=True, module=Net(), **KEYS)
    assert again.rows == []
    assert same(again.weights, whole.weights)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_at_the_end_of_the_step(tmp_path: Path, number: signal.Signals) -> None:
    whole = fit_net(tmp_path / "whole", None, VALIDATION, **KEYS)

    def each_batch(now: int) -> None:
        if now == 6:  # the fifth step: an evaluation has been before it
            os.kill(os.getpid(), number)

    with stoppable(), pytest.raises(Stopped, match=f"stopped by {number.name} after step 5 of 20"):
        fit_net(tmp_path / "parts", None, VALIDATION, each_batch=each_batch, **KEYS)
    checkpoints = tmp_path / "parts" / "checkpoints"
    assert (checkpoints / "last").resolve().name == "step_5"
    assert (checkpoints / "best").resolve().name == "step_3"  # step 5 was not judged
    parts = fit_net(tmp_path / "parts", None, VALIDATION, resume=True, **KEYS)
    assert len(parts.rows) == 15 + 6  # steps 6 to 20, and the evaluations at 6, 9, 12, 15, 18, 20
    assert same(parts.weights, whole.weights)
    assert log_of(parts) == log_of(whole)


def test_a_signal_in_the_last_step_lets_the_training_end(tmp_path: Path) -> None:
    def each_batch(now: int) -> None:
        if now == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with stoppable():
        fitted = fit_net(tmp_path, each_batch=each_batch, num_epochs=1)
    assert len(fitted.steps) == 4
    assert (tmp_path / "checkpoints" / "finished.json").is_file()


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ({}, {"step_20", "step_12"}),
        ({"keep_every": 6}, {"step_6", "step_12", "step_18", "step_20"}),
        ({"keep_every": 5}, {"step_15", "step_20", "step_12"}),
    ],
)
def test_what_is_kept(tmp_path: Path, keys: dict[str, Any], left: set[str]) -> None:
    """The last, the best and those of every so many steps."""
    scores = iter([5.0, 4.0, 3.0, 1.0, 2.0, 6.0, 7.0])  # the fourth evaluation, at step 12, is the best

    class Judged(Net):
        def forward(self, past: torch.Tensor) -> torch.Tensor:
            answer = super().forward(past)
            return answer if self.training else answer.detach() * 0 + next(scores) * 1000

    fit_net(tmp_path, None, VALIDATION, module=Judged(), **KEYS, **keys)
    assert {path.name for path in (tmp_path / "checkpoints").glob("step_*")} == left
    assert not list((tmp_path / "checkpoints").rglob("optimizer.pt"))


def test_the_optimizer_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    fit_net(tmp_path, num_epochs=1, keep_optimizer=True)
    state = tmp_path / "checkpoints" / "last" / "trainer"
    assert torch.load(state / "optimizer.pt", weights_only=True)["state"][0]["exp_avg"].abs().sum() > 0
    assert not list(tmp_path.rglob("training_args.bin"))
