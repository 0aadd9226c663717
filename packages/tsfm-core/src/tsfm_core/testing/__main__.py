"""One forecast in a process of its own: what a checkpoint answers where nothing was trained."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tsfm_core.pipeline import forecast_windows_of
from tsfm_core.prepare import load
from tsfm_core.testing.subject import Subject


def _forecast_in_a_new_process(asked: Mapping[str, Any]) -> None:
    subject = Subject(asked["name"], Path(), asked["model"], asked["training"], asked["task"])
    loaded = load(subject.name, subject.resolved, "predict", from_run=True)
    forecasts = forecast_windows_of(loaded, loaded.model, subject.windows(subject.panel))
    arrays = {name: getattr(forecasts, name) for name in ("mean", "quantiles")}
    np.savez(asked["output"], **{name: array for name, array in arrays.items() if array is not None})


if __name__ == "__main__":
    _forecast_in_a_new_process(json.loads(sys.argv[1]))
