"""Room on the disk that is kept for a run's last words: where it is full, run.json can still say so."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tsfm_core.errors import RunError

__all__ = ["spare_room"]

#: More than run.json and what the index writes of a run take.
_ROOM = 2**18


@contextmanager
def spare_room(folder: Path) -> Iterator[None]:
    """Keep some room inside, which is free again when the block ends, however it ends.

    :raises RunError: in place of the error that says that the disk is full.
    """
    spare = folder / ".spare.tmp"
    try:
        with suppress(OSError):
            spare.write_bytes(bytes(_ROOM))
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        said = f"{error.filename or folder} could not be written: the disk is full"
        raise RunError(said, "make room, then tsfm train --resume goes on from there") from error
    finally:
        spare.unlink(missing_ok=True)
