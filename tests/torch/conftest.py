"""Trainings of a small network, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from torchkit import Fitted, fit_net


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Fitted]:
    """Return :func:`fit_net` without its folder."""
    numbers = count(1)
    return lambda *data, **keys: partial(fit_net, tmp_path / str(next(numbers)))(*data, **keys)
