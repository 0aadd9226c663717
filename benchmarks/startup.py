"""Start-up: `tsfm --help` and `tsfm models list` against importing what they are made of. Aim: at most 1.4 times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from _pairs import machine, pairs, report

_PEER = "import typer, rich.console, rich.table, pluggy, yaml; from pydantic import BaseModel"


def main() -> None:
    """Print the ratios."""
    tsfm = str(Path(sys.executable).parent / "tsfm")
    print(machine())
    for command in (["--help"], ["models", "list"]):
        times = pairs(
            lambda command=command: subprocess.run([tsfm, *command], check=True, capture_output=True),  # type: ignore[misc]
            lambda: subprocess.run([sys.executable, "-c", _PEER], check=True),
            rounds=15,
        )
        report(f"tsfm {' '.join(command)}", "the bare imports", times)


if __name__ == "__main__":
    main()
