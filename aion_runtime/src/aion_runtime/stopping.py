"""Signals: after SIGTERM the engines stop in order; Ctrl-C finds them whole, open or closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import FrameType, TracebackType
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
    handler of its own decides for itself. All listeners of a `trio.run` hear each signal. After the
    last block the process ends by the signal it was sent, so that whoever sent it sees that in the
    exit status.
    """

    def __init__(self) -> None:
        self._shared: _Shared | None = None
        self._on_first: Callable[[], None] | None = None
        self._heard = 0

    def __enter__(self) -> Self:
        self._shared = _SHARED.get()
        if self._shared is None and _is_free():
            self._shared = _Shared()
            _SHARED.set(self._shared)
        if self._shared is not None:
            self._shared.listeners.append(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shared, self._shared = self._shared, None
        if shared is None:
            return
        shared.listeners.remove(self)
        if not shared.listeners:
            _SHARED.set(None)
            shared.end()

    def connect(self, on_first: Callable[[], None], on_second: Callable[[], None]) -> None:
        """Say what is done about the signal; what has come before is told at once.

        Args:
            on_first: asks for an orderly stop.
            on_second: called for each further signal: somebody is in a hurry.
        """
        self._on_first, self._on_second = on_first, on_second
        self.catch_up()

    def catch_up(self) -> None:
        """Tell of the signals that have come since it was last told."""
        if self._shared is None or self._on_first is None:
            return
        while self._heard < self._shared.received:
            self._heard += 1
            if self._heard == 1:
                self._on_first()
            else:
                self._on_second()


class _Shared:
    """The handler of a process while at least one listener wants it.

    Attributes:
        received: how many signals have come.
    """

    def __init__(self) -> None:
        self.listeners: list[SigtermListener] = []
        self.received = 0
        self._trio_token = trio.lowlevel.current_trio_token()
        signal.signal(signal.SIGTERM, self._handle)

    def end(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.received:
            signal.raise_signal(signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # In the middle of anything: what is done about it waits for the event loop's turn.
        self.received += 1
        self._trio_token.run_sync_soon(self._tell)

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            listener.catch_up()


_SHARED: trio.lowlevel.RunVar[_Shared | None] = trio.lowlevel.RunVar("_SHARED", default=None)


def _is_free() -> bool:
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
