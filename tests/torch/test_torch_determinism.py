"""Deterministic training: the flags while it lasts, and what is refused."""

from __future__ import annotations

import os

import pytest
import torch
from torch.utils import deterministic as memory

from tsfm_core import ConfigError
from tsfm_torch.determinism import deterministic


def flags():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        memory.fill_uninitialized_memory,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


def overwrite():
    """Run an operation of which torch says that it has no deterministic implementation."""
    return torch.zeros(3).put_(torch.tensor([0, 1]), torch.tensor([1.0, 2.0]))


@pytest.fixture(params=[False, True], ids=["as torch starts", "as somebody set them"])
def before(request, monkeypatch):
    """The flags before, which must come back."""
    first = flags()
    if request.param:
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = True
    yield flags()
    torch.use_deterministic_algorithms(first[0], warn_only=first[1])
    torch.backends.cudnn.benchmark = first[3]


def test_the_flags_hold_while_it_lasts_and_come_back(before):
    with deterministic(True):
        assert flags()[:5] == (True, False, True, False, False)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == (before[5] or ":4096:8")
    assert flags() == before
    with pytest.raises(ZeroDivisionError), deterministic(True):
        raise ZeroDivisionError
    assert flags() == before


def test_unwanted_it_changes_nothing(before):
    with deterministic(False):
        assert flags() == before


def test_an_operation_that_cannot_repeat_is_refused_by_name():
    assert overwrite().tolist() == [1.0, 2.0, 0.0]
    with deterministic(False):
        assert overwrite().tolist() == [1.0, 2.0, 0.0]
    with pytest.raises(ConfigError, match="put_ cannot repeat its bits") as refused, deterministic(True):
        overwrite()
    assert "set runtime.deterministic: false" in str(refused.value)


def test_another_error_stays_what_it_was():
    with pytest.raises(RuntimeError, match="must match the size"), deterministic(True):
        torch.zeros(2) + torch.zeros(3)
