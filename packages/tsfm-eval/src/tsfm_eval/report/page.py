"""The page: every section, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from tsfm_core import DataError
from tsfm_core.files import write_text
from tsfm_eval.report.content import Entry, Statistics
from tsfm_eval.report.layout import Album, Section
from tsfm_eval.report.style import need_matplotlib

__all__ = ["check_output", "write_report"]

_TEMPLATE = Path(__file__).parent / "template"


def write_report(
    entries: Sequence[Entry], path: Path, figures: Path | None = None, statistics: Statistics | None = None
) -> None:
    """Write the report of one run, or the comparison of several, whole or not at all.

    :param entries: the runs; the first is the one that the others are compared with.
    :param path: an HTML file; it asks for no other file and no network.
    :param figures: a folder that gets every figure as SVG and PNG; it is made if its parent is there.
    :param statistics: of the entries and baselines over patients.
    :raises DataError: for no entry, labels that are alike, units that differ, a path that cannot be written, or
        without matplotlib and jinja2.
    """
    _check(entries)
    check_output(path, figures)
    if figures:
        figures.mkdir(exist_ok=True)
    html = _page(entries, statistics or Statistics(), Album(figures))
    write_text(path, html)


def check_output(path: Path, figures: Path | None = None) -> None:
    """Refuse what could not be written, before anything is computed for it.

    :raises DataError: for another ending, a folder that is not there or in the file's place, or without matplotlib
        and jinja2.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise DataError(f"{path} does not end in .html", "a report is one HTML file")
    if path.is_dir():
        raise DataError(f"{path} is a folder", "name a file")
    for folder in (path.parent, *([figures.parent] if figures else [])):
        if not folder.is_dir():
            raise DataError(f"the folder {folder} is not there", "make it first")
    if figures and figures.exists() and not figures.is_dir():
        raise DataError(f"{figures} is a file", "name a folder for the figures")
    need_matplotlib()
    _jinja2()


def _check(entries: Sequence[Entry]) -> None:
    if not entries:
        raise DataError("a report of no run would be empty", "name at least one run")
    labels = [one.label for one in entries]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise DataError(f"two runs are labelled {twice!r}", "give each a label of its own")
    units = sorted({one.unit for one in entries})
    if len(units) > 1:
        raise DataError(f"the runs are scored in {' and '.join(units)}", "score them in one unit")


def _sections(entries: Sequence[Entry], statistics: Statistics, album: Album) -> list[Section]:
    """Return the sections of the page in their order."""
    from tsfm_eval.report.calibration import calibration
    from tsfm_eval.report.comparison import comparison
    from tsfm_eval.report.errors import errors
    from tsfm_eval.report.grids import grids
    from tsfm_eval.report.making import making
    from tsfm_eval.report.patients import patients
    from tsfm_eval.report.summary import scores, summary
    from tsfm_eval.report.windows import windows

    return [
        summary(entries, statistics),
        grids(entries, album),
        errors(entries, album),
        calibration(entries, album),
        windows(entries, album),
        patients(entries),
        comparison(entries, statistics, album),
        scores(entries),
        making(entries, album),
    ]


def _jinja2() -> ModuleType:
    try:
        import jinja2
    except ImportError as error:
        raise DataError(
            "a report needs jinja2, which is not installed", 'pip install "tsfm-eval[report]" brings it'
        ) from error
    return jinja2


def _page(entries: Sequence[Entry], statistics: Statistics, album: Album) -> str:
    jinja2 = _jinja2()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = {name: (_TEMPLATE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")}
    title = f"tsfm report: {', '.join(one.label for one in entries)}"
    html: str = environment.get_template("page.html").render(
        title=title, sections=_sections(entries, statistics, album), css=text["page.css"], js=text["page.js"]
    )
    return html
