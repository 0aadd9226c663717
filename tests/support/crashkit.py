"""Runs in processes that can be killed: started from one that has loaded the packages already."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import chronos  # noqa: F401  # what follows is loaded once, in the process that the others are forked from
import torch
import transformers

import tsfm_chronos.training  # noqa: F401
import tsfm_torch.trainer
import tsfm_ttm.granite
import tsfm_ttm.training
from tsfm_core import api, defer_stop  # noqa: F401

__all__ = ["process", "run_it"]

transformers.Trainer  # noqa: B018  # loaded when it is first asked for
tsfm_ttm.granite.tinytimemixer()


def process(**arguments: Any) -> BaseProcess:
    """Return a process that will do :func:`run_it`; ``start`` it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crashkit"])
    before = os.environ.get("PYTHONPATH")
    try:
        # python 3.11 looks for what is to be loaded beforehand on its own path alone, and says nothing
        os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *([before] if before else [])])
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return context.Process(target=run_it, kwargs=arguments)


def run_it(
    place: Path,
    model: str,
    config: Mapping[str, Any],
    resume: Path | None = None,
    noise: int = 0,
    die_in_evaluation: tuple[int, float] | None = None,
) -> None:
    """Train in ``place``, or go on with a run; exit 1 with a traceback in ``error.txt`` where it fails.

    :param noise: moves every random generator beforehand: nothing may hang on where they stand.
    :param die_in_evaluation: the number of an evaluation, and after how many seconds of it this process kills itself.
    """
    os.chdir(place)
    torch.set_num_threads(1)
    random.seed(noise)
    torch.manual_seed(noise)
    if die_in_evaluation:
        _die_in_evaluation(*die_in_evaluation)
    try:
        if resume:
            api.resume(resume)
        else:
            api.train(model, config)
    except BaseException:
        Path("error.txt").write_text(traceback.format_exc())
        os._exit(1)


def _die_in_evaluation(number: int, seconds: float) -> None:
    evaluate, count = tsfm_torch.trainer.evaluate, 0

    def dying(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            threading.Thread(target=_die, args=(seconds,), daemon=True).start()
        return evaluate(*arguments)

    tsfm_torch.trainer.evaluate = dying


def _die(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)
