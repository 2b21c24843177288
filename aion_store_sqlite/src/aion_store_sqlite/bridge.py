"""The bridge: awaits aiosqlite from trio, without an asyncio loop and without touching aiosqlite.

aiosqlite needs of a loop only futures, made by ``create_future`` and settled from its thread
through ``call_soon_threadsafe``. So its coroutines are stepped here, by hand, while a small object
that gives trio-native futures stands in as asyncio's running loop. Nothing about SQL or stores
belongs here.
"""

from __future__ import annotations

import asyncio
import sys
import types
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any, TypeVar, cast

import outcome
import trio

from aion_core.errors import StoreUnavailableError

__all__ = ["TrioLoop", "on_trio", "refuse_patched_asyncio"]

T = TypeVar("T")


def refuse_patched_asyncio() -> None:
    """Refuse where the bridge cannot stand.

    Raises:
        StoreUnavailableError: trio_asyncio is imported; it replaces the functions of asyncio that
            tell which loop is running.
    """
    if "trio_asyncio" in sys.modules:
        raise StoreUnavailableError(
            "the SQLite store cannot work in a process that has imported trio_asyncio; "
            "run the code that needs it in another process"
        )


class TrioLoop:
    """What aiosqlite sees as the running loop. Made inside `trio.run`, good for that run.

    Attributes:
        tell: called in the trio thread when a future has its result, a turn of the event loop
            before the task goes on that awaits it.
    """

    def __init__(self, tell: Callable[[], None] | None = None) -> None:
        self._run_sync_soon = trio.lowlevel.current_trio_token().run_sync_soon
        self.tell = tell

    def create_future(self) -> TrioFuture:
        """A future that a trio task can await."""
        return TrioFuture(self)

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None:
        """Hand a call to the trio thread."""
        # After the end of the run nobody waits any more; to raise that in aiosqlite's thread would
        # end it before it has closed.
        with suppress(trio.RunFinishedError):
            self._run_sync_soon(callback, *args)


class TrioFuture:
    """What one task awaits and aiosqlite's thread settles, by way of the trio thread."""

    __slots__ = ("_loop", "_outcome", "_waiter")

    def __init__(self, loop: TrioLoop) -> None:
        self._loop = loop
        self._outcome: outcome.Outcome[Any] | None = None
        self._waiter: trio.lowlevel.Task | None = None

    def get_loop(self) -> TrioLoop:
        """The loop it was made by."""
        return self._loop

    def done(self) -> bool:
        """Has it been settled?"""
        return self._outcome is not None

    def set_result(self, value: object) -> None:
        """Settle it with a value."""
        if self._loop.tell is not None:
            self._loop.tell()
        self._settle(outcome.Value(value))

    def set_exception(self, error: BaseException) -> None:
        """Settle it with an error."""
        self._settle(outcome.Error(error))

    def _settle(self, result: outcome.Outcome[Any]) -> None:
        self._outcome = result
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            trio.lowlevel.reschedule(waiter, result)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._settled().__await__()

    async def _settled(self) -> Any:
        if self._outcome is not None:
            return self._outcome.unwrap()
        self._waiter = trio.lowlevel.current_task()
        # The thread cannot be called back from what it has begun, so whoever waits for it waits
        # to the end: nobody is told "cancelled" of a statement that then runs.
        return await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)


@trio.lowlevel.enable_ki_protection
@types.coroutine
def on_trio(loop: TrioLoop, awaitable: Awaitable[T]) -> Generator[Any, Any, T]:
    """Await something of aiosqlite's. Not cancellable, and not always a checkpoint."""
    # A KeyboardInterrupt between two lines here could leave the stand-in set as the running loop.
    stand_in = cast("AbstractEventLoop", loop)
    stepped = awaitable.__await__()
    step: Callable[[Any], Any] = stepped.send
    value: Any = None
    while True:
        # asyncio exports this pair, underscore and all, for those who implement loops. It is set
        # for the length of one step only: the next task to run may be anybody's.
        former = asyncio._get_running_loop()
        asyncio._set_running_loop(stand_in)
        try:
            request = step(value)
        except StopIteration as stop:
            return cast("T", stop.value)
        finally:
            asyncio._set_running_loop(former)
        try:
            value = yield request
            step = stepped.send
        except BaseException as error:
            value = error
            step = cast("Generator[Any, Any, Any]", stepped).throw
