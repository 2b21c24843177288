"""One aiosqlite connection on trio, and functions run whole in its thread.

A transaction of several statements costs one change of threads, not one for each. What the
functions do is not this module's business.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote

import aiosqlite
import trio

from aion_core.errors import StoreError
from aion_store_sqlite.bridge import TrioLoop, on_trio, refuse_patched_asyncio
from aion_store_sqlite.faults import fault

__all__ = ["Connection", "open_connection"]

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0
"""How long SQLite waits for a lock of another program's before it gives up."""


class Connection:
    """A connection whose statements run in a thread of its own, one function after another."""

    def __init__(self, path: Path, raw: aiosqlite.Connection, loop: TrioLoop) -> None:
        self._path = path
        self._raw = raw
        self._loop = loop
        self._closed = False

    async def run(
        self,
        function: Callable[[sqlite3.Connection], T],
        *,
        tell: Callable[[T], None] | None = None,
    ) -> T:
        """Run a function in the connection's thread; once called, it runs to its end.

        Not a checkpoint: the callers are, on entry.

        Args:
            tell: called in the trio thread with the result, a turn of the event loop before this
                returns; it must not raise.

        Raises:
            StoreError: the connection has been closed; or an error of SQLite's, which then has
                left nothing in the file.
        """
        if self._closed:
            raise StoreError("this store has been closed; open it again")
        hop = _Hop(function)
        loop = self._loop if tell is None else TrioLoop(lambda: tell(hop.result))
        try:
            await on_trio(loop, self._raw.execute_fetchall("hop", cast("Any", hop)))
        except sqlite3.Error as error:
            raise fault(error, self._path) from error
        return hop.result

    async def close(self) -> None:
        """Close it and end its thread, after what has been asked before."""
        self._closed = True
        # aiosqlite's thread is no daemon: left running, it would keep the interpreter from ending.
        with trio.CancelScope(shield=True):
            await on_trio(self._loop, self._raw.close())


# A KeyboardInterrupt between "connected" and "will be closed" would leave the thread running, and
# the interpreter would never end.
@asynccontextmanager
@trio.lowlevel.enable_ki_protection
async def open_connection(path: Path, *, read_only: bool = False) -> AsyncIterator[Connection]:
    """Open a file of SQLite's; transactions are begun and ended by the functions themselves.

    Raises:
        StoreUnavailableError: it cannot be opened.
    """
    refuse_patched_asyncio()
    loop = TrioLoop()
    # As a URI because that alone can say "read only"; and a file that vanished is not made anew.
    uri = f"file:{quote(bytes(path))}?mode={'ro' if read_only else 'rw'}"
    opening = aiosqlite.connect(
        uri, uri=True, factory=_HopConnection, isolation_level=None, timeout=BUSY_TIMEOUT_S
    )
    try:
        raw = await on_trio(loop, opening)
    except sqlite3.Error as error:
        raise fault(error, path) from error
    connection = Connection(path, raw, loop)
    try:
        yield connection
    finally:
        await connection.close()


class _Hop(Generic[T]):
    """A function on its way to the thread, dressed as the parameters of a statement."""

    __slots__ = ("function", "result")

    result: T

    def __init__(self, function: Callable[[sqlite3.Connection], T]) -> None:
        self.function = function

    def fetchall(self) -> None:
        """Rows, for which aiosqlite asks; the result is taken from the hop itself."""


class _HopConnection(sqlite3.Connection):
    """Runs a hop where a statement was to be executed: in aiosqlite's thread."""

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        if isinstance(parameters, _Hop):
            parameters.result = parameters.function(self)
            return parameters
        return super().execute(sql, parameters)
