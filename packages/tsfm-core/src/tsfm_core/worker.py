"""One of the processes that share a run: ``python -m tsfm_core.worker RUN [resume]``, its number in RANK."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tsfm_core.errors import Stopped, TsfmError
from tsfm_core.stopping import stoppable

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Do this process's part of a run, and leave in its logs what it ended with.

    :return: 0 where it came to its end.
    """
    place, rank = Path(arguments[0]), int(os.environ["RANK"])
    end: dict[str, Any] = {"ended": "completed"}
    try:
        with stoppable():  # before all that takes long to import: who is told to stop can say so
            _work(place, resume="resume" in arguments[1:], writes=rank == 0)
    except Stopped as error:
        end = {"ended": "stopped", "message": error.message}
    except TsfmError as error:
        end = {"ended": "failed", "own": True, "message": error.message, "hint": error.hint}
    except BaseException as error:
        traceback.print_exc()
        said = " ".join(str(error).partition("\n")[0].split())
        end = {"ended": "failed", "own": False, "message": f"{type(error).__name__}: {said}", "hint": None}
    from tsfm_core.files import write_json
    from tsfm_core.run import Run

    write_json(Run(place).ranks / f"{rank}.json", end)
    return 0 if end["ended"] == "completed" else 1


def _work(place: Path, resume: bool, writes: bool) -> None:
    from tsfm_core.config.resolve import read_config
    from tsfm_core.pipeline import make_ready, work
    from tsfm_core.run import Run

    run = Run(place)
    facts, resolved = run.facts, read_config(run.config_path)
    ready = make_ready(facts["model"], resolved, facts["command"])
    work(run, ready, resume=resume, writes=writes)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
