"""Trio in a thread of its own: what is open there is used from elsewhere, by calls that wait.

Calls are futures of `concurrent.futures`: a thread waits for them as it is, an asyncio task by
`asyncio.wrap_future`. To cancel one cancels the task on trio's side, and so only a wait: what has
been asked of an engine it does all the same.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Generic, Literal, TypeVar, TypeVarTuple, Unpack

import trio

from aion_core.authoring.attempt import attempt_in
from aion_core.errors import EngineStoppedError, WorkflowUsageError
from aion_core.machine.tasks import current_task_or_none

__all__ = ["TrioThread"]

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class TrioThread(Generic[T]):
    """Holds a context manager of trio open in a thread. Used once: `start`, calls, `stop`.

    The thread is a daemon: a program that ends without stopping it is not kept waiting, and leaves
    its store as a crash does, which loses nothing.

    Args:
        manager: what is to be open.
        what: what that is, for messages. That an engine has stopped is then told with the reason.
        blocks: whoever calls keeps its thread waiting.
    """

    def __init__(
        self,
        manager: AbstractAsyncContextManager[T],
        what: Literal["engine", "client"],
        *,
        blocks: bool = False,
    ) -> None:
        self._manager = manager
        self._what = what
        self._blocks = blocks
        self._opened: Future[T] = Future()
        self._closed: Future[None] = Future()
        self._failure: BaseException | None = None
        self._leaving = False
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._calls: trio.Nursery | None = None

    def start(self) -> Future[T]:
        """Open it. Cancelled, the opening is given up; `stop` then tells when that is done.

        Context variables are seen there as they are now.
        """
        if self._thread is not None:
            raise RuntimeError(f"this {self._what} was opened before; make a new one")
        run = contextvars.copy_context().run
        name = f"aion {self._what}"
        self._thread = threading.Thread(target=run, args=(self._run,), name=name, daemon=True)
        self._thread.start()
        return self._opened

    def call(self, function: Callable[[Unpack[Ts]], Awaitable[R]], *args: *Ts) -> Future[R]:
        """Begin a call in the thread.

        Raises:
            WorkflowUsageError: asked in the thread itself, which waiting would stop, or so by an
                activity on its asyncio loop.
        """
        self.require_elsewhere()
        future: Future[R] = Future()
        context = contextvars.copy_context()

        def begin() -> None:
            if self._calls is None:
                _fail(future, self._has_stopped())
            else:
                context.run(self._calls.start_soon, self._make_call, future, function, args)

        if self._token is None:
            raise EngineStoppedError(f"the {self._what} has not been opened; use it by 'with'")
        try:
            # What this takes is done before the run ends.
            self._token.run_sync_soon(begin)
        except trio.RunFinishedError:
            _fail(future, self._has_stopped())
        return future

    def run_soon(self, function: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """Have something done in the thread, without waiting; nothing once that has ended."""
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(function, *args)

    def stop(self) -> Future[None]:
        """Close it in order. See `closed` for what comes back."""
        self.require_elsewhere()
        self._leaving = True
        # The opening may be under way, with nothing there yet that could be told to leave.
        self._opened.cancel()
        self.run_soon(self._leave)
        return self._closed

    @property
    def closed(self) -> Future[None]:
        """Ends as the thread does, and has the error it ended by; not to be cancelled.

        An error of the opening is that of `start` alone.
        """
        return self._closed

    def join(self) -> None:
        """Wait for what the thread does after all is closed, which is next to nothing."""
        if self._thread is not None:
            self._thread.join()

    def require_elsewhere(self) -> None:
        """Raises `WorkflowUsageError` where a call would wait for itself."""
        if current_task_or_none() is not None:
            raise WorkflowUsageError(
                "a workflow cannot ask an engine; await another workflow to start it, Signal.send "
                "to reach it, or let an activity ask"
            )
        if self._thread is threading.current_thread():
            raise WorkflowUsageError(
                f"what runs on the event loop of this {self._what}, such as an async activity, "
                "cannot wait for it: the loop would stand still; make the activity a plain "
                "function, which runs in another thread"
            )
        if self._blocks and _is_on_asyncio_of_an_engine():
            raise WorkflowUsageError(
                f"an activity on the asyncio loop cannot wait for the {self._what}: that loop, "
                "which other activities need, would stand still; have the same call made by "
                "asyncio.to_thread, or make the activity a plain function"
            )

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            self._failure = error
        # Only now: whoever waits for one of these may rely on the run being over.
        if self._failure is not None and not self._opened.done():
            _fail(self._opened, self._failure)
            self._failure = None
        if self._failure is None:
            self._closed.set_result(None)
        else:
            self._closed.set_exception(self._failure)

    async def _main(self) -> None:
        self._left = trio.Event()
        self._gone = trio.Event()
        async with trio.open_nursery() as calls:
            try:
                with trio.CancelScope() as opening:
                    self._token = trio.lowlevel.current_trio_token()
                    self._when_cancelled(self._opened, opening)
                    async with self._manager as value:
                        self._calls = calls
                        if _succeed(self._opened, value):
                            await self._left.wait()
            except BaseException as error:
                # Kept, so that the nursery does not put it into a group.
                self._failure = error
            self._calls = None
            self._gone.set()
            calls.cancel_scope.cancel()

    def _leave(self) -> None:
        self._left.set()

    async def _make_call(
        self,
        future: Future[R],
        function: Callable[..., Awaitable[R]],
        args: tuple[Any, ...],
    ) -> None:
        with trio.CancelScope() as scope:
            self._when_cancelled(future, scope)
            try:
                result = await function(*args)
            except trio.Cancelled:
                _fail(future, self._has_stopped())
                raise
            except EngineStoppedError as error:
                _fail(future, await self._reason(error))
            except BaseException as error:
                _fail(future, error)
            else:
                _succeed(future, result)

    async def _reason(self, error: EngineStoppedError) -> EngineStoppedError:
        """Why the engine has stopped: known as soon as it is closed, if nobody has asked for it."""
        if self._what == "client" or self._leaving:
            return error
        await self._gone.wait()
        return self._has_stopped()

    def _has_stopped(self) -> EngineStoppedError:
        if self._failure is None or not self._opened.done():
            return EngineStoppedError(f"the {self._what} has stopped; open it again to use it")
        error = EngineStoppedError(
            f"the {self._what} has stopped: {type(self._failure).__name__}: {self._failure}"
        )
        error.__cause__ = self._failure
        return error

    def _when_cancelled(self, future: Future[Any], scope: trio.CancelScope) -> None:
        def end(done: Future[Any]) -> None:
            if done.cancelled():
                self.run_soon(scope.cancel)

        future.add_done_callback(end)


def _is_on_asyncio_of_an_engine() -> bool:
    """In an async activity, and not in a thread that it has asked to do something."""
    attempt = attempt_in(contextvars.copy_context())
    if attempt is None or attempt.is_in_thread:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _succeed(future: Future[R], value: R) -> bool:
    """Whether anybody still waits for it."""
    try:
        future.set_result(value)
    except InvalidStateError:
        return False
    return True


def _fail(future: Future[Any], error: BaseException) -> None:
    with suppress(InvalidStateError):
        future.set_exception(error)
