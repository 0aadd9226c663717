"""The training log: JSON lines: what is trained, then one object a step and one an evaluation."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from tsfm_core import ConfigError

__all__ = ["Journal"]

#: Reading a loss waits for the device, so losses are read together, about this often.
_SECONDS_BETWEEN_READS = 1.0


class Journal:
    """Appends lines to ``path`` and keeps the losses that are not written yet on their device.

    :param path: None: of a process that does not write.
    :param over: how many steps a training has behind it that goes on; lines of later ones, which a kill has left, are
        cut off, and the seconds go on from the last line that stays.
    """

    def __init__(self, path: Path | None, over: int = 0) -> None:
        kept: list[dict[str, Any]] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = _cut(path, over)
        self._heads = [line for line in kept if "step" not in line]
        self._file = (path or Path(os.devnull)).open("a", encoding="utf-8")
        self._waiting: list[dict[str, Any]] = []
        self._losses: list[torch.Tensor] = []
        self._read = time.monotonic()
        self._started = self._read - float(kept[-1].get("seconds", 0.0) if kept else 0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._file.close()

    def weights(self, trainable: int, parameters: int) -> None:
        """Note how many weights are trained, and how many there are."""
        self._once({"trainable": trainable, "parameters": parameters})

    def cached(self, windows: int, size: int) -> None:
        """Note that the backbone's answers to so many windows are kept, in ``size`` bytes."""
        self._once({"cached_windows": windows, "cached_bytes": size})

    def _once(self, line: dict[str, Any]) -> None:
        """Write a line that stands before all steps, if a training that goes on has not written it already."""
        if line not in self._heads:
            self._write([line])

    def step(self, step: int, epoch: float, loss: torch.Tensor, learning_rate: float) -> None:
        """Note one step; ``loss`` is a detached scalar."""
        now = time.monotonic()
        line = {"step": step, "epoch": round(epoch, 6), "learning_rate": learning_rate}
        self._waiting.append(line | {"seconds": round(now - self._started, 4)})
        self._losses.append(loss)
        if now - self._read > _SECONDS_BETWEEN_READS:
            self.flush()

    def evaluation(self, step: int, epoch: float, scores: Mapping[str, float], best: bool) -> None:
        """Note one evaluation, after the steps before it."""
        self.flush()
        line = {"step": step, "epoch": round(epoch, 6), "validation": dict(scores), "best": best}
        self._write([line | {"seconds": round(time.monotonic() - self._started, 4)}])

    def flush(self) -> None:
        """Read the losses and write their lines.

        :raises ConfigError: if a loss is not finite: what follows would be worthless.
        """
        self._read = time.monotonic()
        if not self._losses:
            return
        losses = torch.stack(self._losses).tolist()
        lines, self._waiting, self._losses = self._waiting, [], []
        finite = [line | {"loss": loss} for line, loss in zip(lines, losses, strict=True) if abs(loss) < float("inf")]
        self._write(finite)
        if len(finite) < len(lines):
            bad = next(line["step"] for line, loss in zip(lines, losses, strict=True) if not abs(loss) < float("inf"))
            raise ConfigError(f"the training loss is not finite at step {bad}", "lower training.learning_rate")

    def _write(self, lines: list[dict[str, Any]]) -> None:
        self._file.write("".join(f"{json.dumps(line)}\n" for line in lines))
        self._file.flush()


def _cut(path: Path, over: int) -> list[dict[str, Any]]:
    """Leave the lines of the first ``over`` steps, and those before all steps; return them."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept: list[dict[str, Any]] = []
    for line in lines:
        try:
            one = json.loads(line)
        except ValueError:  # a kill has come while it was written
            break
        if one.get("step", 0) > over:
            break
        kept.append(one)
    if len(kept) < len(lines):
        aside = path.with_name(f".{path.name}.tmp")
        aside.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")
        aside.rename(path)
    return kept
