"""How figures look, and how one becomes part of a page: its colours variables of the style sheet, its ids its own."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm_core import DataError
from tsfm_core.files import atomic, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GREY", "GRID", "INK", "LINES", "MARKERS", "PAPER", "QUIET", "SERIES", "Figure", "need_matplotlib", "render"]

# of Okabe and Ito's palette, the dark ones first; never without a line style, a marker or a letter of its own
_BLUE, _VERMILION, _GREEN, _PURPLE, _ORANGE, _SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
SERIES = (_BLUE, _VERMILION, _GREEN, _PURPLE, _ORANGE, _SKY)
LINES = ("-", (0, (6, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

#: Colours that nothing else has: in a page they follow the theme.
INK, QUIET, GRID, PAPER, GREY = "#111213", "#616263", "#d1d2d3", "#fdfefd", "#818283"
_VARIABLES = {
    INK: "ink",
    "#000000": "ink",
    "#1a1a1a": "ink",  # that of the critical-difference plot, as its grey below
    QUIET: "quiet",
    GRID: "grid",
    PAPER: "paper",
    GREY: "grey",
    "#9a9a9a": "grey",
    _BLUE: "blue",
    _VERMILION: "vermilion",
    _GREEN: "green",
    _PURPLE: "purple",
    _ORANGE: "orange",
    _SKY: "sky",
}
_STYLE: dict[str, Any] = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "hatch.color": QUIET,
    "svg.fonttype": "none",
    "svg.hashsalt": "tsfm",
}


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    :param name: of its files and of the ids within it.
    :param finding: what it shows, in words: its caption, and what a screen reader says.
    :param svg: to be put into a page.
    :param wide: it needs more room than a telephone has, and scrolls there.
    """

    name: str
    title: str
    finding: str
    svg: str
    wide: bool = False


def need_matplotlib() -> None:
    """Refuse to draw without matplotlib.

    :raises DataError: naming the extra.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise DataError(
            "a report needs matplotlib, which is not installed", 'pip install "tsfm-eval[report]" brings it'
        ) from error


def render(
    name: str,
    title: str,
    finding: str,
    draw: Callable[[Axes], None],
    size: tuple[float, float] = (4.3, 3.1),
    folder: Path | None = None,
) -> Figure:
    """Draw a figure; the same content gives the same bytes.

    :param draw: draws on the axes it gets.
    :param size: in inches.
    :param folder: also gets ``<name>.svg`` and ``<name>.png``, on white.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    with _styled():
        figure = Canvas(size)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        draw(axes)
        _fit(axes)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata=_UNSTAMPED)
        if folder:
            white = re.sub(
                r"(<svg[^>]*>)", r'\1\n <rect width="100%" height="100%" fill="white"/>', drawn.getvalue(), count=1
            )
            write_text(folder / f"{name}.svg", white)
            with atomic(folder / f"{name}.png") as aside:
                figure.savefig(aside, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    return Figure(name, title, finding, _inlined(drawn.getvalue(), name, f"{title}. {finding}"), size[0] > _WIDE)


_UNSTAMPED = dict.fromkeys(("Date", "Creator", "Format", "Type"))

#: Inches from which on letters would be too small on a telephone.
_WIDE = 5.0
#: Inches around what is drawn.
_MARGIN = 0.04


def _fit(axes: Axes) -> None:
    """Place the axes so that their labels and legend just fit: what matplotlib's layouts do in twice the time."""
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes are in a figure"
    width, height = figure.get_size_inches()
    axes.set_position((0.15, 0.15, 0.7, 0.7))
    place, drawn = axes.get_position(original=True), axes.get_tightbbox()
    assert drawn is not None, "axes are visible"
    taken = drawn.transformed(figure.transFigure.inverted())
    left, bottom = place.x0 - taken.x0 + _MARGIN / width, place.y0 - taken.y0 + _MARGIN / height
    right, top = taken.x1 - place.x1 + _MARGIN / width, taken.y1 - place.y1 + _MARGIN / height
    axes.set_position((left, bottom, 1 - left - right, 1 - bottom - top))


@contextmanager
def _styled() -> Iterator[None]:
    """Hold matplotlib's own settings and ours, not those of the user's files, and give the user's back."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # an id in a script that the font lacks; browsers have other fonts
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams
        settings.update(_STYLE)
        yield


def _inlined(svg: str, name: str, said: str) -> str:
    """Return the ``<svg>`` element without size, fonts, style sheet and ids of its own."""
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None, "matplotlib gives every figure a viewBox"
    body = svg[svg.index("<svg") :].partition(">")[2]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;\"]*;? ?|image-rendering:crisp-edges;", "", body)
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda one: f' id="{name}-{one[1]}"' if one[1] in used else "", body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", body)
    body = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", body)  # a hundredth of a point
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    title = f'<title id="{name}-title">{escape(said)}</title>'
    return f'<svg {spaces} {view[0]} role="img" aria-labelledby="{name}-title">{title}\n{body}'
