"""Runs that are tracked, and a server that nobody may call."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smallkit import TTM

SECRET = "quite-secret-folder"


@pytest.fixture(scope="session")
def callers() -> Iterator[tuple[int, list[Any]]]:
    """Return a port of this machine and who has called it."""
    called: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    caller, address = server.accept()
                except OSError:
                    return
                called.append(address)
                caller.close()

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1], called


@pytest.fixture(scope="session")
def environment(
    tmp_path_factory: pytest.TempPathFactory, callers: tuple[int, list[Any]]
) -> Iterator[pytest.MonkeyPatch]:
    """Take away what the person who tests has set up, and keep every file of a tracker in temporary folders."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_API_KEY", "WANDB_DIR", "WANDB_PROJECT"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("NETRC", str(home / "netrc"))
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{callers[0]}")
        for name in ("CONFIG", "CACHE"):
            patch.setenv(f"WANDB_{name}_DIR", str(home / name))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        yield patch


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory, environment: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return a configuration of two short series, whose place is known to a variable of the environment alone."""
    folder = tmp_path_factory.mktemp("tracked")
    environment.setenv("TRACKED_DATA", str(folder / SECRET))
    (folder / SECRET).mkdir()
    random = np.random.default_rng(0)
    lines = ["item_id,timestamp,glucose"]
    for item in ("a", "b"):
        stamps = np.datetime64("2024-01-01T00:00", "m") + 5 * np.arange(500)
        values = 130 + 30 * np.sin(np.arange(500) / 20) + random.normal(0, 2, 500)
        lines += [f"{item},{stamp},{value:.1f}" for stamp, value in zip(stamps, values, strict=True)]
    (folder / SECRET / "data.csv").write_text("\n".join(lines) + "\n")
    return {
        "experiment": "tracked",
        "task": {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 96, "prediction_length": 12},
        "data": {"source": "csv", "path": "${TRACKED_DATA}/data.csv", "stride": 4},
        "split": {"temporal_holdout": 0.3, "validation": 0.2},
        "runtime": {"device": "cpu"},
        "evaluation": {"stride": 12, "metrics": ["rmse", "mae"], "baselines": []},
        "output": {"root": str(folder / "experiments")},
    }


@pytest.fixture(scope="session")
def training(config: dict[str, Any]) -> dict[str, Any]:
    """Return the same with a network that is trained for six steps, and every tracker."""
    more = {"strategy": "from_scratch", "max_steps": 6, "batch_size": 16, "save_every": 3}
    return config | {"model": TTM, "training": more, "tracking": ["tensorboard", "mlflow", "wandb"]}


@pytest.fixture(scope="session")
def lines_of() -> Any:
    import json

    def read(path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    return read
