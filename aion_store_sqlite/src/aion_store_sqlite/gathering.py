"""What a batch writes, gathered: rows of one kind are written together, at half the cost.

They are written in an order of its own, so gathered is only what comes to the same in that order.
Every other change is made in its turn, after all that came before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeAlias

from aion_core import history as h
from aion_store_sqlite import rows
from aion_store_sqlite.encoded import EncodedAppend
from aion_store_sqlite.inserting import Insert
from aion_store_sqlite.places import Places

__all__ = ["Gathering"]

_Key: TypeAlias = tuple[int, str]


class Gathering:
    """Events, and changes that follow from them, on their way into the file.

    Args:
        places: that have been given to events before these.
    """

    def __init__(self, cursor: sqlite3.Cursor, places: Places) -> None:
        self._cursor = cursor
        self._places = places
        self._last = places.last
        self._events: list[object] = []
        self._seen: list[_Key] = []
        # What is settled is deleted before anything is put in, so of what is put in and settled
        # again nothing is left here to be put in.
        self._settled: dict[_Key, None] = {}
        self._opened: dict[_Key, h.ActivityRow] = {}
        self._disarmed: dict[_Key, None] = {}
        self._armed: dict[_Key, h.TimerRow] = {}
        self._closed: list[tuple[int, h.RunClosed]] = []
        # Workflows for which something is to be put in, and that cannot be closed before it is.
        self._filled: set[int] = set()

    def add(self, workflow: int, append: EncodedAppend, changes: Sequence[h.Change | None]) -> None:
        """Take the events of an append, and of its changes those that can wait; make the others.

        Raises:
            NotOpenError: a change is about an activity that is not open.
        """
        events, last = self._events, self._last
        for seq, kind, recorded_at, data in append.events:
            last += 1
            events += (last, workflow, seq, kind, recorded_at, data)
        self._last = last
        if append.seen:
            self._seen += [(workflow, found) for found in append.seen]
        for change in changes:
            if change is not None:
                self._change(workflow, change)

    def _change(self, workflow: int, change: h.Change) -> None:
        if isinstance(change, h.ActivitySettled) and not change.failed:
            activity: _Key = (workflow, change.activity_id)
            self._settled[activity] = None
            self._opened.pop(activity, None)
        elif isinstance(change, h.ActivityOpened):
            self._opened[workflow, change.activity.activity_id] = change.activity
            self._filled.add(workflow)
        elif isinstance(change, h.TimerSettled):
            timer: _Key = (workflow, change.timer_id)
            self._disarmed[timer] = None
            self._armed.pop(timer, None)
        elif isinstance(change, h.TimerArmed):
            self._armed[workflow, change.timer.timer_id] = change.timer
            self._filled.add(workflow)
        elif isinstance(change, h.RunClosed) and workflow not in self._filled:
            self._closed.append((workflow, change))
        else:
            self._write_changes()
            rows.apply_change(self._cursor, workflow, change)

    def write(self) -> Places:
        """Write all that has been gathered; returns the places that are given then."""
        if self._events:
            self._places = self._places.given(self._cursor, self._last)
            _EVENTS.run(self._cursor, self._events)
            self._events = []
        if self._seen:
            rows.note_seen(self._cursor, self._seen)
            self._seen = []
        self._write_changes()
        return self._places

    def _write_changes(self) -> None:
        cursor = self._cursor
        if self._settled:
            rows.settle_activities(cursor, self._settled)
            self._settled = {}
        if self._disarmed:
            rows.settle_timers(cursor, self._disarmed)
            self._disarmed = {}
        if self._closed:
            rows.close_runs(cursor, self._closed)
            self._closed = []
        if self._filled:
            rows.open_activities(cursor, self._opened)
            rows.arm_timers(cursor, self._armed)
            self._opened, self._armed, self._filled = {}, {}, set()


_EVENTS = Insert(
    "INSERT INTO events (position, workflow, seq, kind, recorded_at, data)", "(?, ?, ?, ?, ?, ?)"
)
