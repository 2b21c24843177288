"""Rows put into a table, many by one statement: each statement costs as much as a row or two."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

__all__ = ["Insert"]

_COUNTS = (64, 16, 4, 2, 1)
"""Rows of a statement. They are few, so that SQLite has all of these statements prepared."""


class Insert:
    """An INSERT of any number of rows.

    Args:
        head: the statement up to its VALUES.
        row: a row, with a question mark for each value.
    """

    def __init__(self, head: str, row: str) -> None:
        self._width = row.count("?")
        self._statements = [
            (count * self._width, f"{head} VALUES {', '.join([row] * count)}") for count in _COUNTS
        ]

    def run(self, cursor: sqlite3.Cursor, values: Sequence[object]) -> None:
        """Insert rows, given by their values one after another."""
        start, end = 0, len(values)
        for size, statement in self._statements:
            while end - start >= size:
                cursor.execute(statement, values[start : start + size])
                start += size
