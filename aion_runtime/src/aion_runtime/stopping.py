"""Signals: after SIGTERM the engine stops in order; Ctrl-C finds it whole, open or closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from types import TracebackType
from typing import Generic, Self, TypeVar

import trio

__all__ = ["SigtermListener", "UndividedContext"]

T_co = TypeVar("T_co", covariant=True)


class UndividedContext(AbstractAsyncContextManager[T_co, bool | None], Generic[T_co]):
    """A context manager that a KeyboardInterrupt never leaves half entered or half left.

    It comes at an await of the inner one, which can deal with it there. In between it would keep
    the inner one from ever going on, and what that has begun from ever ending. The caller's block
    is not protected.
    """

    def __init__(self, inner: AbstractAsyncContextManager[T_co, bool | None]) -> None:
        self._inner = inner

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> T_co:
        return await self._inner.__aenter__()

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, error, traceback)


class SigtermListener:
    """Turns SIGTERM into an orderly stop, for the length of a ``with``.

    Only in the main thread, and only where nobody else handles the signal: an application with a
    handler of its own decides for itself. After the block the process ends by the signal it was
    sent, so that whoever sent it sees that in the exit status.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._received = False

    def __enter__(self) -> Self:
        unhandled = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        self._signals = None
        if unhandled and threading.current_thread() is threading.main_thread():
            receiver = trio.open_signal_receiver(signal.SIGTERM)
            self._signals = self._stack.enter_context(receiver)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        if self._received:
            signal.raise_signal(signal.SIGTERM)

    async def run(self, on_first: Callable[[], None], on_second: Callable[[], None]) -> None:
        """Listen, for ever.

        Args:
            on_first: asks for an orderly stop.
            on_second: called for each further signal: somebody is in a hurry.
        """
        if self._signals is None:
            return
        async for _ in self._signals:
            if self._received:
                on_second()
            else:
                self._received = True
                on_first()
