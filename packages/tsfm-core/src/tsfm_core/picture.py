"""Pictures: whether one can be written, how it looks, and how it becomes a file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tsfm_core.errors import DataError, listing
from tsfm_core.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ALERT", "BLUE", "GREY", "INK", "NARROW", "QUIET", "WIDE", "check_picture", "plain", "write_picture"]

#: Of Okabe and Ito's palette, and tints of its blue: told apart without red or green.
BLUE, WIDE, NARROW, INK = "#0072B2", "#CCE3F0", "#7FB8D8", "#1A1A1A"
QUIET, GREY, ALERT = "#E3F1EB", "#9A9A9A", "#B34700"
_STYLE = {"font.size": 9, "axes.linewidth": 0.6, "axes.edgecolor": GREY, "pdf.fonttype": 42}
_STYLE |= {"svg.hashsalt": "tsfm", "date.converter": "concise", "text.parse_math": False}
_STYLE |= {f"{axis}tick.{key}": colour for axis in "xy" for key, colour in (("color", GREY), ("labelcolor", INK))}
#: What would make the same picture another file, by its kind.
_STAMPS: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def check_picture(path: Path, kinds: tuple[str, ...] = ("png", "svg")) -> None:
    """Refuse a picture that could not be written, before the work for it is done.

    :raises DataError: for another ending, a folder that is not there or in the file's place, or without matplotlib.
    """
    if path.suffix.lower()[1:] not in kinds:
        ending = "neither .png nor .svg" if len(kinds) == 2 else f"none of {listing(f'.{kind}' for kind in kinds)}"
        raise DataError(f"{path} ends in {ending}", "the ending says how the picture is written")
    if not path.parent.is_dir():
        raise DataError(f"the folder {path.parent} is not there", "make it first")
    if path.is_dir():
        raise DataError(f"{path} is a folder", "name a file")
    _matplotlib()


def write_picture(path: Path, figure: Callable[[], Figure]) -> None:
    """Write a picture, whole or not at all; the same figure gives the same bytes.

    :param path: as :func:`check_picture` asks for.
    :param figure: makes it, in our style.
    :raises DataError: without matplotlib.
    """
    kind = path.suffix.lower()[1:]
    with _styled(), warnings.catch_warnings(), atomic(path) as aside:
        warnings.filterwarnings("ignore", "Glyph")  # an id in a script that the font lacks is drawn as boxes
        figure().savefig(aside, format=kind, metadata=_STAMPS[kind])


def plain(text: str, most: int = 60) -> str:
    """Return a name as one line that fits, without signs that no file may hold."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def _matplotlib() -> ModuleType:
    try:
        import matplotlib
    except ImportError as error:
        raise DataError(
            "a picture needs matplotlib, which is not installed", 'pip install "tsfm-core[plot]" brings it'
        ) from error
    module: ModuleType = matplotlib
    return module


@contextmanager
def _styled() -> Iterator[None]:
    """Hold matplotlib's own settings and ours, not those of the user's files, and give the user's back."""
    matplotlib = _matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield
