"""The trackers of tsfm-torch where their own packages are not installed, as in the session of these tests."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tsfm_core import CapabilityError, backtest
from tsfm_core.plugins import host
from tsfm_torch.trackers import TRACKERS


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "wandb"])
def test_one_that_is_not_installed_is_refused_before_anything_is_read(name: str, tmp_path: Path) -> None:
    if find_spec(name):
        pytest.skip(f"{name} is installed here; tests/tracking uses it")
    config = {
        "task": {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6},
        "data": {"source": "csv", "path": str(tmp_path / "not_there.csv")},
        "split": {"temporal_holdout": 0.3},
        "evaluation": {"metrics": [], "baselines": []},
        "tracking": [name],
        "output": {"root": str(tmp_path / "experiments")},
    }
    with pytest.raises(CapabilityError) as caught:
        backtest("naive", config)
    assert str(caught.value) == f"tracking names {name}, which is not installed; pip install {name}"
    assert not (tmp_path / "experiments").exists()


def test_the_package_contributes_them_by_its_entry_point() -> None:
    assert [host().tracker(one.name) for one in TRACKERS] == TRACKERS
