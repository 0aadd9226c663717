"""Tables for people, JSON for programs: data on stdout, messages on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["note", "print_json", "print_lines", "print_table"]


def print_json(value: Any) -> None:
    """Print plain data; what JSON has no number for becomes null."""
    from tsfm_core.files import finite

    sys.stdout.write(json.dumps(finite(value), indent=1, default=str) + "\n")


def print_table(rows: Sequence[Mapping[Any, Any]], columns: Mapping[Any, str]) -> None:
    """Print rows as a table.

    :param columns: the key of each column and its heading.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for key, heading in columns.items():
        numeric = any(isinstance(row.get(key), int | float) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in columns))
    # in a pipe nothing is cut: there is no edge to fit
    Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 250).print(table)


def print_lines(text: str) -> None:
    """Print text as it is."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def note(text: str) -> None:
    """Print a message for the person, apart from the data."""
    sys.stderr.write(f"{text}\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
