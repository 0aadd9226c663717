"""TTM backtest, windows a second: an opened panel to a written forecasts.parquet, against bare forwards. Aim: 0.85.

Imports and loading are outside the clock on both sides; both use the same model and batch size. The bare side forecasts
ready tensors and writes nothing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from _pairs import machine, pairs, report
from _series import make_windows
from _ttm import load_ttm, random_checkpoint

from tsfm_core.pipeline import write_forecasts

_COUNT = 8192


def main() -> None:
    """Print the ratio at several batch sizes of the bare side; ours is the plugin's own choice."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = random_checkpoint(folder / "weights").eval()
        loaded = load_ttm(folder / "weights", {}, "backtest")
        windows = make_windows(loaded, _COUNT)
        context = torch.from_numpy(windows.inputs(slice(None)).target)[:, :, None]

        def ours() -> None:
            write_forecasts(folder / "forecasts.parquet", loaded, loaded.model, {"patient_holdout": windows}, 288, [])

        print(machine())
        for size in (64, 256, 1024):

            def theirs(size: int = size) -> None:
                with torch.inference_mode():
                    for start in range(0, _COUNT, size):
                        bare(context[start : start + size], return_loss=False)

            report("TTM backtest", f"bare forward in batches of {size}", pairs(ours, theirs, rounds=5), count=_COUNT)


if __name__ == "__main__":
    main()
