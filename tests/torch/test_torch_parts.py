"""Device, batches, journal and progress bar, each by itself."""

from __future__ import annotations

import io
import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tsfm_core import CapabilityError, ConfigError
from tsfm_torch import Trainable, choose_device, fixed_batches, normals, shuffled, uniforms
from tsfm_torch.batches import shuffled_batches
from tsfm_torch.generators import generators, set_generators
from tsfm_torch.journal import Journal
from tsfm_torch.loader import WEIGHT, Loader
from tsfm_torch.progress import progress_bar


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("name", "device"), [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_one_device_is_chosen(name: str, device: str) -> None:
    assert choose_device(name) == torch.device(device)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_too_many_is_refused() -> None:
    with pytest.raises(CapabilityError, match="'cuda:2', but this machine has 2 GPUs"):
        choose_device("cuda:2")


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu() -> None:
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(CapabilityError, match="'cuda', but torch finds no GPU here; set runtime.device to cpu"):
        choose_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "mps", "CPU", ""])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="write auto, cpu, cuda or cuda:N"):
        choose_device(name)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 17, 64, 1000, 4097])
def test_shuffling_visits_every_row_once(count: int) -> None:
    for seed, epoch in itertools.product((0, 7, 2**32 - 1), (0, 1)):
        rows = shuffled(np.arange(count), count, seed, epoch)
        assert sorted(rows.tolist()) == list(range(count))


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else() -> None:
    orders = {pair: tuple(shuffled(np.arange(50), 50, *pair)) for pair in itertools.product((0, 1), (0, 1))}
    assert len(set(orders.values())) == 4
    batches = list(shuffled_batches(50, 8, seed=1, epoch=1))
    assert tuple(np.concatenate(batches)) == orders[1, 1]
    assert [len(rows) for rows in batches] == [8] * 6 + [2]
    later = list(shuffled_batches(50, 8, seed=1, epoch=1, first=5))
    assert [rows.tolist() for rows in later] == [rows.tolist() for rows in batches[5:]]


def test_the_order_looks_drawn() -> None:
    count = 100_000
    rows = shuffled(np.arange(count), count, 0, 0)
    assert abs(np.corrcoef(rows[1:], rows[:-1])[0, 1]) < 0.02
    assert abs(np.corrcoef(rows, np.arange(count))[0, 1]) < 0.02


def test_a_trillion_rows_need_no_memory() -> None:
    first = next(shuffled_batches(10**12, 5, seed=3, epoch=0)).tolist()
    assert len(set(first)) == 5
    assert all(0 <= row < 10**12 for row in first)


def test_fixed_batches_have_one_size() -> None:
    batches = [(rows.tolist(), kept) for rows, kept in fixed_batches(5, 3)]
    assert batches == [([0, 1, 2], 3), ([3, 4, 4], 2)]
    assert list(fixed_batches(0, 3)) == []


def test_the_journal_keeps_the_order_and_appends(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "training.jsonl"
    for step in (1, 2):
        with Journal(path, over=step - 1) as journal:
            journal.step(step, 0.5, torch.tensor(0.25), 1e-3)
            journal.evaluation(step, 0.5, {"rmse": 2.0}, best=True)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [("loss" in line, "validation" in line) for line in lines] == [(True, False), (False, True)] * 2
    assert lines[0].items() >= {"step": 1, "epoch": 0.5, "loss": 0.25, "learning_rate": 1e-3}.items()
    assert lines[1].items() >= {"step": 1, "validation": {"rmse": 2.0}, "best": True}.items()


def test_the_journal_of_a_training_that_goes_on_loses_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "training.jsonl"
    with Journal(path) as journal:
        for step in (1, 2, 3):
            journal.step(step, 0.1, torch.tensor(float(step)), 1e-3)
            journal.evaluation(step, 0.1, {"rmse": 2.0}, best=True)
    whole = path.read_text()
    path.write_text(whole + '{"step": 4, "lo')  # killed while it was written
    with Journal(path, over=2) as journal:
        journal.step(3, 0.1, torch.tensor(3.0), 1e-3)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 1, 2, 2, 3]
    assert lines[4]["seconds"] >= lines[3]["seconds"]


def test_every_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    def drawn() -> list[float]:
        return [random.random(), float(np.random.normal()), float(torch.randn(()))]

    np.random.normal()  # half of a pair of normal numbers is kept
    torch.save(generators(), tmp_path / "state.pt")
    expected = [drawn() for _ in range(3)]
    set_generators(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [drawn() for _ in range(3)] == expected


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path, loss: float) -> None:
    with pytest.raises(ConfigError, match="not finite at step 2; lower training.learning_rate"):  # noqa: SIM117
        with Journal(tmp_path / "log.jsonl") as journal:
            journal.step(1, 0.1, torch.tensor(1.0), 1e-3)
            journal.step(2, 0.2, torch.tensor(loss), 1e-3)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_is_for_terminals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("training", 2) as show:
        show(1)
    assert capsys.readouterr() == ("", "")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress_bar("training", 2) as show:
        show(2)
    assert "training" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


def seen_alone() -> Trainable:
    """Return a model whose batches are the rows that it is asked for."""
    return Trainable(
        module=torch.nn.Identity(),
        batch=lambda windows, rows: {"rows": torch.from_numpy(rows)},
        forward=lambda module, batch: batch,
        loss=lambda answer, batch: torch.zeros(()),
        point=None,
        save=lambda folder: None,
        load=lambda folder: None,
        weight=lambda batch: len(batch["rows"]),
    )


@pytest.mark.parametrize(("count", "world", "passes"), [(1000, 2, 1), (1003, 3, 2), (64, 4, 1), (17, 2, 4), (9, 3, 1)])
def test_processes_share_one_order_and_no_window_is_doubled_or_lost(count: int, world: int, passes: int) -> None:
    loaders = [Loader(seen_alone(), range(count), 5, 16, passes, rank, world) for rank in range(world)]
    shares = [list(loader) for loader in loaders]
    assert [len(share) for share in shares] == [len(loaders[0])] * world  # all take part in every step
    steps = list(shuffled_batches(count, 16, seed=5, epoch=0))
    for step, rows in enumerate(steps):
        pieces = [piece for share in shares for piece in share[step * passes : (step + 1) * passes]]
        counted = [row for piece in pieces if piece[WEIGHT] for row in piece["rows"].tolist()]
        assert sorted(counted) == sorted(rows.tolist())
        assert sum(float(piece[WEIGHT]) for piece in pieces) == len(rows)


@pytest.mark.parametrize(("world", "begin"), [(1, 0), (2, 0), (1, 5)])
def test_what_is_drawn_for_a_window_is_told_its_epoch(world: int, begin: int) -> None:
    """Whichever process has it, and where a training goes on."""
    drawing = replace(
        seen_alone(), training_batch=lambda windows, rows, epoch: {"rows": torch.from_numpy(rows + 1000 * epoch)}
    )
    drawn: list[int] = []
    for rank in range(world):
        loader = Loader(drawing, range(40), 5, 16, rank=rank, world=world, begin=begin)
        loader.set_epoch(1)
        drawn += [row for batch in loader if batch.get(WEIGHT, 1) for row in batch["rows"].tolist()]
    steps = list(shuffled_batches(40, 16, seed=5, epoch=1))[max(0, begin - 3) :]
    assert sorted(drawn) == sorted(1000 + np.concatenate(steps))


def test_numbers_of_a_row_are_its_own() -> None:
    rows = np.arange(20_000)
    even, normal = uniforms(rows, 4, 0, 0), normals(rows, 5, 0, 0, first=4)
    for numbers, middle, deviation in ((even, 0.5, 12**-0.5), (normal, 0, 1)):
        np.testing.assert_allclose(numbers.mean(axis=0), middle, atol=0.03)
        np.testing.assert_allclose(numbers.std(axis=0), deviation, rtol=0.03)
    both = np.hstack([even, normal, np.roll(even, 1, axis=0)])
    assert np.abs(np.corrcoef(both.T) - np.eye(both.shape[1])).max() < 0.04
    assert (even >= 0).all()
    assert (even < 1).all()
    some = np.array([7, 3, 19_999])
    np.testing.assert_array_equal(uniforms(some, 4, 0, 0), even[some])
    np.testing.assert_array_equal(normals(some, 5, 0, 0, first=4), normal[some])
    for seed, epoch in ((1, 0), (0, 1)):
        assert not np.isin(uniforms(rows, 4, seed, epoch), even).any()
