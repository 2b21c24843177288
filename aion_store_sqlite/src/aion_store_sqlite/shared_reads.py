"""Reads that come together: they share one change of threads, which costs more than most of them.

There is no timer and no task. The first read goes at once; while it is under way others gather,
and one of their tasks sees to all of them. The state belongs to the trio thread.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import outcome
import trio

from aion_core.errors import StoreError
from aion_store_sqlite.connection import Connection
from aion_store_sqlite.faults import fault

__all__ = ["SharedReads"]

T = TypeVar("T")

ROWS_AT_ONCE = 200
"""After so many no further read is begun in one go: all results come back together."""

ROWS_OF_READ = 4
"""What a read costs beside its rows."""


class SharedReads:
    """Functions on their way to a connection, and the one task at a time that takes them there."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._waiting: deque[_Read] = deque()
        self._is_busy = False

    # A KeyboardInterrupt between "queued" and "waiting" would have the task woken that does not
    # sleep, which trio does not survive.
    @trio.lowlevel.enable_ki_protection
    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function in the connection's thread; once called, it runs to its end.

        Others have their turn meanwhile, but cancelling is looked for by the callers, on entry.

        Raises:
            StoreError: the connection has been closed, or SQLite refuses.
        """
        read = _Read(function)
        if self._is_busy:
            read.task = trio.lowlevel.current_task()
            self._waiting.append(read)
            # As with the connection itself: nobody is told "cancelled" of what then runs.
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        if read.outcome is None:
            await self._lead(read)
        assert read.outcome is not None
        try:
            result: T = read.outcome.unwrap()
        except sqlite3.Error as error:
            raise fault(error, self._path) from error
        return result

    async def _lead(self, first: _Read) -> None:
        """Take a read and those that wait to the thread; who is not done yet leads next."""
        self._is_busy = True
        batch = [first, *self._waiting]
        self._waiting.clear()
        try:
            await self._connection.run(lambda connection: _run_all(connection, batch))
        except StoreError as error:
            # One exception raised in many tasks would gather all their tracebacks.
            for read in batch:
                read.outcome = outcome.Error(type(error)(*error.args))
        finally:
            for read in batch[1:]:
                if read.outcome is not None:
                    read.wake()
            undone = [read for read in batch[1:] if read.outcome is None]
            self._waiting.extendleft(reversed(undone))
            if self._waiting:
                self._waiting.popleft().wake()
            else:
                self._is_busy = False


class _Read:
    __slots__ = ("function", "outcome", "task")

    def __init__(self, function: Callable[[sqlite3.Connection], Any]) -> None:
        self.function = function
        self.outcome: outcome.Outcome[Any] | None = None
        self.task: trio.lowlevel.Task | None = None

    def wake(self) -> None:
        assert self.task is not None
        trio.lowlevel.reschedule(self.task)


def _run_all(connection: sqlite3.Connection, batch: Sequence[_Read]) -> None:
    """In the connection's thread: run the first, and others until it is enough."""
    rows = 0
    for read in batch:
        read.outcome = outcome.capture(read.function, connection)
        rows += ROWS_OF_READ + _rows_of(read.outcome)
        if rows >= ROWS_AT_ONCE:
            return


def _rows_of(result: outcome.Outcome[Any]) -> int:
    found = result.value if isinstance(result, outcome.Value) else None
    return len(found) if isinstance(found, list) else 0
