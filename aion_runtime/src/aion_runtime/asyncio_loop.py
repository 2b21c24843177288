"""The asyncio loop of an engine: where activities run that need one, in a thread of its own.

Its thread begins with the first such activity and ends with the engine. Nothing else of the engine
runs there, and workflows cannot reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import trio

from aion_core.authoring.attempt import RunningAttempt, attempt_in

__all__ = ["AsyncioLoop"]

logger = logging.getLogger("aion_runtime")

R = TypeVar("R")

ASK_AGAIN_S = 5.0
"""Seconds of undisturbed clean-up. Who has swallowed a cancellation is cancelled once more then."""

PATIENCE_S = 5.0
"""Seconds after which a loop is left behind that does not come round."""

STUBBORN_S = 3 * ASK_AGAIN_S
"""Seconds after which an engine that stops leaves a call behind. Asked three times, it goes on."""


class AsyncioLoop:
    """Owns the loop and its thread. All methods are for the task's side, in trio's thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._calls: set[_Call[Any]] = set()
        self._is_stopping = False

    @property
    def is_busy(self) -> bool:
        """Are calls under way?"""
        return bool(self._calls)

    @property
    def thread(self) -> int | None:
        """Identifier of its thread; None while it has none."""
        return None if self._thread is None else self._thread.ident

    def call_soon(self, function: Callable[[], object]) -> None:
        """Have something called in its thread; nothing happens when it has ended, or never began.

        From any thread.
        """
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(function)

    def attempt_at_work(self) -> RunningAttempt | None:
        """The attempt in whose step the loop is. From any thread."""
        loop = self._loop
        task = None if loop is None else asyncio.current_task(loop)
        if task is None:
            return None
        for call in tuple(self._calls):
            if call.task is task:
                return attempt_in(call.context)
        # A task that an activity has started; Python 3.11 does not say in which context it is.
        context_of = getattr(task, "get_context", None)
        return None if context_of is None else attempt_in(context_of())

    async def call(
        self,
        function: Callable[..., Coroutine[Any, Any, R]],
        arguments: Mapping[str, object],
        began: Callable[[], None],
        name: str,
    ) -> R:
        """Call an async function there, in a copy of this task's context, and wait for its end.

        Being cancelled, it cancels the function and waits until that has ended. What it returns
        then is returned; what it raises then, other than the cancellation, is raised. Only an
        engine that stops does not wait for ever.

        Args:
            began: called in the loop's thread when the function begins; must not block.
            name: of its asyncio task.
        """
        loop = self._running()
        call = _Call(function, arguments, began, name)
        self._calls.add(call)
        try:
            loop.call_soon_threadsafe(call.begin)
            try:
                await call.ended.wait()
            except trio.Cancelled:
                await self._cancel(loop, call)
                if call.was_cancelled or not call.ended.is_set():
                    raise
        finally:
            self._calls.discard(call)
            call.stop_alarms()
        return call.outcome()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """For the length of the block it may be called; then its thread ends."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear_of_the_stop, name="aion asyncio stop")
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()
                if self._thread is not None:
                    # Bounded: who does not come round is left behind.
                    with trio.CancelScope(shield=True):
                        await self._end(self._thread)

    async def _hear_of_the_stop(self) -> None:
        """Be cancelled with the engine, whose calls are so, too."""
        try:
            await trio.sleep_forever()
        finally:
            self._is_stopping = True
            for call in self._calls:
                call.set_alarm(STUBBORN_S, call.leave)

    async def _cancel(self, loop: asyncio.AbstractEventLoop, call: _Call[Any]) -> None:
        """Ask it to stop, and wait; only a loop that stands still is not waited for."""
        loop.call_soon_threadsafe(call.cancel)
        call.set_alarm(PATIENCE_S, call.give_up)
        if self._is_stopping:
            call.set_alarm(STUBBORN_S, call.leave)
        # Bounded by the activity itself, as for one on the engine's own loop, until that stops.
        with trio.CancelScope(shield=True):
            await call.heard_of.wait()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            # With a factory, or it would make the loop known in this thread as the one to be used.
            runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
            self._loop = runner.get_loop()
            self._thread = threading.Thread(
                target=_run, args=(runner, self._loop), name="aion asyncio", daemon=True
            )
            self._thread.start()
        return self._loop

    async def _end(self, thread: threading.Thread) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        await trio.to_thread.run_sync(thread.join, PATIENCE_S)
        if thread.is_alive():
            logger.warning(
                "the asyncio loop of the activities has not ended after %g s and is left behind; "
                "something there does not stop when it is cancelled",
                PATIENCE_S,
            )


class _Call(Generic[R]):
    """One call, seen from both threads.

    Attributes:
        task: that runs it; None before it begins.
        context: in which it runs.
        ended: set when it has ended.
        heard_of: set then, or when it is waited for no longer.
        was_cancelled: it ended by the cancellation that was asked for.
    """

    def __init__(
        self,
        function: Callable[..., Coroutine[Any, Any, R]],
        arguments: Mapping[str, object],
        began: Callable[[], None],
        name: str,
    ) -> None:
        self.task: asyncio.Task[None] | None = None
        self.context = contextvars.copy_context()
        self.ended = trio.Event()
        self.heard_of = trio.Event()
        self.was_cancelled = False
        self._function = function
        self._arguments = arguments
        self._began = began
        self._name = name
        self._token = trio.lowlevel.current_trio_token()
        self._is_asked = False
        self._alarms: list[threading.Timer] = []
        self._error: BaseException | None = None
        self._result: list[R] = []

    def begin(self) -> None:
        """In the loop's thread, as `cancel`."""
        loop = asyncio.get_running_loop()
        self.task = loop.create_task(self._run(), name=self._name, context=self.context)
        self.task.add_done_callback(self._end)

    def cancel(self) -> None:
        """Ask it to stop, again and again: trio asks at every checkpoint."""
        self._is_asked = True
        if self.task is not None and not self.task.done():
            self.task.cancel()
            asyncio.get_running_loop().call_later(ASK_AGAIN_S, self.cancel)

    def give_up(self) -> None:
        """From a thread: do not wait for a loop that stands still."""
        if not self._is_asked:
            logger.warning("%s is left behind: its asyncio loop stands still", self._name)
            self._tell(self.heard_of.set)

    def leave(self) -> None:
        """From a thread: do not wait for what does not want to stop."""
        logger.warning("%s is left behind: it goes on although it was cancelled", self._name)
        self._tell(self.heard_of.set)

    def set_alarm(self, seconds: float, function: Callable[[], None]) -> None:
        """Have something called, unless it is over before: by a thread, as loops may stand still
        or be ahead of the time.
        """
        alarm = threading.Timer(seconds, function)
        alarm.daemon = True
        self._alarms.append(alarm)
        alarm.start()

    def stop_alarms(self) -> None:
        """It is over."""
        for alarm in self._alarms:
            alarm.cancel()

    def outcome(self) -> R:
        """What it returned, or raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]

    async def _run(self) -> None:
        # What a task raises must not come out of the loop, as SystemExit would.
        try:
            self._began()
            self._result.append(await self._function(**self._arguments))
        except BaseException as error:  # whatever it is: it is the activity's outcome
            self._error = error

    def _end(self, task: asyncio.Task[None]) -> None:
        if not self._result and self._error is None:
            self._error = asyncio.CancelledError("cancelled before it began")
        self.was_cancelled = self._is_asked and isinstance(self._error, asyncio.CancelledError)
        self._tell(self._wake)

    def _wake(self) -> None:
        self.ended.set()
        self.heard_of.set()

    def _tell(self, what: Callable[[], object]) -> None:
        with contextlib.suppress(trio.RunFinishedError):  # it was left behind long ago
            self._token.run_sync_soon(what)


def _run(runner: asyncio.Runner, loop: asyncio.AbstractEventLoop) -> None:
    with runner:
        while True:
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                # Out of a task that an activity had started; it has ended, and the others go on.
                logger.error("a task on the asyncio loop of the activities raised %r", error)
            else:
                return
