"""The lines between the zones of the error grids, in mg/dL, and where a letter names each zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["GRIDS", "Grid"]

Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Grid:
    """An error grid to draw.

    :param lines: each through points (truth, forecast); they end where the zones of both sides are one.
    :param letters: points within zones, with the zone's letter.
    :param note: what a reader of its shares must know.
    """

    title: str
    lines: tuple[Line, ...]
    letters: tuple[tuple[str, float, float], ...]
    note: str


#: The lines reach to 550, the edge of the published Parkes grid; whoever draws to 400 cuts them there.
GRIDS: Mapping[str, Grid] = {
    "clarke": Grid(
        title="Clarke error grid",
        lines=(
            ((0, 70), (175 / 3, 70), (1375 / 3, 550)),  # A from above
            ((70, 0), (70, 56), (550, 440)),  # A from below
            ((70, 84), (70, 180)),
            ((0, 180), (70, 180), (440, 550)),
            ((70, 180), (70, 550)),
            ((130, 0), (180, 70), (180, 0)),
            ((180, 70), (550, 70)),
            ((240, 70), (240, 180), (550, 180)),
        ),
        letters=(
            *(("A", 25, 25), ("A", 355, 355), ("B", 225, 295), ("B", 370, 235), ("C", 150, 350), ("C", 166, 16)),
            *(("D", 30, 125), ("D", 370, 125), ("E", 30, 350), ("E", 370, 30)),
        ),
        note="convention ega: strict inequalities, as R's package ega; others count pairs on lines otherwise",
    ),
    "parkes_t1": Grid(
        title="Parkes error grid, type 1",
        lines=(
            ((0, 50), (30, 50), (140, 170), (280, 380), (430, 550)),
            ((0, 60), (30, 60), (50, 80), (70, 110), (260, 550)),
            ((0, 100), (25, 100), (50, 125), (80, 215), (125, 550)),
            ((0, 150), (35, 155), (50, 550)),
            ((50, 0), (50, 30), (170, 145), (385, 300), (550, 450)),
            ((120, 0), (120, 30), (260, 130), (550, 250)),
            ((250, 0), (250, 40), (550, 150)),
        ),
        letters=(
            *(("A", 25, 25), ("A", 355, 355), ("B", 245, 372), ("B", 370, 225), ("C", 150, 350), ("C", 370, 125)),
            *(("D", 85, 350), ("D", 370, 40), ("E", 22, 350)),
        ),
        note="lines of Pfützner 2013 (ISO 15197:2013); a pair on a line belongs to the less severe zone",
    ),
}
