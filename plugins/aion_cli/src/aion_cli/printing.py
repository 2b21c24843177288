"""Printing: tables and lines for people, plain ones in pipes, and JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import attrs
import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Column",
    "is_terminal",
    "plain_instant",
    "print_heading",
    "print_json",
    "print_lines",
    "print_table",
    "visible",
]

NARROWEST = 60
"""A terminal that says it has fewer columns is not believed."""


@attrs.frozen
class Column:
    """A column of a table.

    Attributes:
        fit: on a terminal a cell that is too long is folded into lines, or cut.
    """

    name: str
    fit: Literal["fold", "cut"] = "cut"
    style: str = ""
    justify: Literal["left", "right"] = "left"


def is_terminal() -> bool:
    """Does somebody look at stdout?"""
    return sys.stdout.isatty()


def print_json(value: object) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def plain_instant(instant: datetime | None) -> str | None:
    """An instant as JSON has it: ISO 8601, in UTC."""
    return None if instant is None else instant.astimezone(UTC).isoformat()


def visible(text: str) -> str:
    """Text without power over the terminal: what cannot be printed is shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headings: fitted to a terminal, in full elsewhere, for grep and cut."""
    shown = [[visible(cell) for cell in row] for row in rows]
    if is_terminal():
        _framed(columns, shown)
        return
    names = [column.name for column in columns]
    widths = [max(map(len, cells)) for cells in zip(names, *shown, strict=True)]
    for row in (names, *shown):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def print_heading(text: str) -> None:
    """Print what stands over a part of the output."""
    if not is_terminal():
        click.echo(f"\n{text}")
        return
    from rich.text import Text

    _console().print("\n", Text(text, style="bold"), sep="")


def print_lines(lines: Iterable[str], *, mark: str = "") -> None:
    """Print lines; on a terminal a long one goes on under its own beginning.

    Args:
        mark: stands before each.
    """
    if not is_terminal():
        for line in lines:
            click.echo(f"{mark}{visible(line)}")
        return
    from rich.text import Text

    console = _console()
    for line in lines:
        text = Text(visible(line))
        pieces = text.wrap(console, console.width - len(mark), overflow="fold")
        for number, piece in enumerate(pieces):
            piece.rstrip()
            console.print(Text(mark if number == 0 else " " * len(mark)) + piece)


def _framed(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        folds = column.fit == "fold"
        table.add_column(
            column.name,
            overflow="fold" if folds else "ellipsis",
            no_wrap=not folds,
            style=column.style,
            justify=column.justify,
        )
    for row in rows:
        table.add_row(*map(Text, row))
    _console().print(table)


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if console.width < NARROWEST:
        console.width = NARROWEST
    return console


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return plain_instant(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
