"""Places in the feed: every event gets the next one, without a gap, and none is given twice, not
even when the last events have been purged.

SQLite counts them, too, and would write its counter with every transaction: one page more, which a
single append feels. So the counter is moved ahead, for many places at once. What has been given is
what the events say, and of purged ones a note.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

__all__ = ["PLACES", "Places", "note_purged"]

PLACES = """
    max(
        coalesce((SELECT max(position) FROM events), 0),
        coalesce((SELECT value FROM meta WHERE name = 'last_purged'), 0)
    ),
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)
"""
"""SQL: the two columns of `Places`."""

RESERVED_AT_ONCE = 1000


def note_purged(cursor: sqlite3.Cursor) -> None:
    """Before events are deleted: remember what the last place of all was."""
    cursor.execute(
        "UPDATE meta SET value = max(value, coalesce((SELECT max(position) FROM events), 0)) "
        "WHERE name = 'last_purged'"
    )


class Places(NamedTuple):
    """How far places are given.

    Attributes:
        last: the last one that an event has, or has had.
        reserved: what SQLite's counter says, as if they were given up to there.
    """

    last: int
    reserved: int

    def given(self, cursor: sqlite3.Cursor, last: int) -> Places:
        """All up to ``last``, which the events that are about to be written take."""
        if last <= self.reserved:
            return Places(last, self.reserved)
        reserved = last + RESERVED_AT_ONCE
        cursor.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'", (reserved,))
        if cursor.rowcount == 0:
            cursor.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (reserved,)
            )
        return Places(last, reserved)
