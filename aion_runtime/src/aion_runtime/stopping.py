"""SIGTERM: the engine stops in order, and then the process ends as the signal asks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import trio

__all__ = ["SigtermListener"]


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
