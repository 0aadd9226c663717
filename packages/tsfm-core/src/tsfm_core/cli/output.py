"""Tables for people, JSON for programs: data on stdout, messages on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

__all__ = ["Style", "note", "print_json", "print_lines", "print_rows", "print_table", "style_of"]

Style = Literal["table", "csv", "latex", "json"]

#: Scores below each other have as many digits.
_SCORE = "#.4g"


def print_json(value: Any) -> None:
    """Print plain data; what JSON has no number for becomes null."""
    from tsfm_core.files import finite

    sys.stdout.write(json.dumps(finite(value), indent=1, default=str) + "\n")


def print_table(rows: Sequence[Mapping[Any, Any]], columns: Mapping[Any, str], digits: str = ".4g") -> None:
    """Print rows as a table.

    :param columns: the key of each column and its heading.
    :param digits: how a number below 100 is written.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for key, heading in columns.items():
        numeric = any(isinstance(row.get(key), int | float) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(key), digits) for key in columns))
    # in a pipe nothing is cut: there is no edge to fit
    Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 250).print(table)


def style_of(as_json: bool, as_csv: bool, as_latex: bool) -> Style:
    """Return the one way to print that was asked for.

    :raises ConfigError: where several were.
    """
    from tsfm_core.errors import ConfigError

    given = [style for style, asked in (("json", as_json), ("csv", as_csv), ("latex", as_latex)) if asked]
    if len(given) > 1:
        raise ConfigError(f"--{given[0]} and --{given[1]} cannot be had together", "ask for one of them")
    return given[0] if given else "table"  # type: ignore[return-value]


def print_rows(rows: Sequence[Mapping[str, Any]], style: Style) -> None:
    """Print rows, their keys as headings; a key that a row lacks is an empty cell."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    if style == "table":
        print_table(rows, {key: key for key in keys}, _SCORE)
    elif style == "csv":
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(keys)
        writer.writerows([_plain(row.get(key)) for key in keys] for row in rows)
    else:
        columns = "".join("r" if any(isinstance(row.get(key), int | float) for row in rows) else "l" for key in keys)
        lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", _latex(keys), "\\midrule"]
        lines += [_latex(_cell(row.get(key), _SCORE) for key in keys) for row in rows]
        print_lines("\n".join([*lines, "\\bottomrule", "\\end{tabular}"]))


def _plain(value: Any) -> Any:
    return "" if value is None or value != value else value


def _latex(cells: Iterable[str]) -> str:
    escaped: dict[str, int | str | None] = {character: f"\\{character}" for character in "&%$#_{}"}
    escaped |= {"~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\\": "\\textbackslash{}"}
    table = str.maketrans(escaped)
    return " & ".join(cell.translate(table) for cell in cells) + " \\\\"


def print_lines(text: str) -> None:
    """Print text as it is."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def note(text: str) -> None:
    """Print a message for the person, apart from the data."""
    sys.stderr.write(f"{text}\n")


def _cell(value: Any, digits: str) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 100 else format(value, digits)
    return f"{value:,}" if isinstance(value, int) else str(value)
