"""The parts of a page: what the template knows how to show."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tsfm_eval.report.style import Figure, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Album", "Cell", "Details", "Figures", "Heading", "Part", "Section", "Table", "Text", "slug"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    :param text: as it is shown.
    :param value: what the column is sorted by; None: last.
    :param small: in small letters behind the text, such as an interval.
    :param best: whether it is the best of its kind: shown in bold.
    """

    text: str
    value: float | str | None = None
    small: str = ""
    best: bool = False

    @property
    def numeric(self) -> bool:
        """Return whether it stands to the right: a number, or the dash in the place of one."""
        return isinstance(self.value, float | int) or self.text == "–"


@dataclass(frozen=True)
class Table:
    """A table that scrolls within its own box.

    :param columns: headings; the first column names the row.
    :param sortable: whether its headings sort it, and a field above it filters its rows.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    sortable: bool = False
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str
    kind: str = field(default="heading", init=False)


@dataclass(frozen=True)
class Text:
    """A paragraph; ``quiet`` for what is not there and why, ``loud`` for what must not be overlooked."""

    text: str
    tone: str = ""
    kind: str = field(default="text", init=False)


@dataclass(frozen=True)
class Figures:
    """Figures beside each other, where there is room."""

    figures: Sequence[Figure]
    kind: str = field(default="figures", init=False)


@dataclass(frozen=True)
class Details:
    """A long text that is opened by who wants it."""

    title: str
    text: str
    kind: str = field(default="details", init=False)


Part = Table | Heading | Text | Figures | Details


@dataclass(frozen=True)
class Section:
    """A section of the page; ``name`` is its anchor."""

    name: str
    title: str
    parts: Sequence[Part]


class Album:
    """Draws the figures of a page, each under a name of its own.

    :param folder: also gets them as files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._names: set[str] = set()

    def draw(
        self,
        name: str,
        title: str,
        finding: str,
        draw: Callable[[Axes], None],
        size: tuple[float, float] = (4.3, 3.1),
    ) -> Figure:
        """Return the figure; a name that is taken gets a number."""
        plain, number = slug(name), 1
        name = plain
        while name in self._names:
            number += 1
            name = f"{plain}-{number}"
        self._names.add(name)
        return render(name, title, finding, draw, size, self._folder)


def slug(text: str) -> str:
    """Return a name for files and anchors: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "figure"
