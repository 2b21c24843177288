"""Channels: values handed from task to task in one run, with a bounded number of them in between.

They live in the run's memory and leave nothing in its history: a replay makes them anew.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from types import TracebackType
from typing import Generic, Self, TypeVar

from aion_core.errors import BrokenResourceError, ClosedResourceError, EndOfChannel, WouldBlock
from aion_core.machine.kernel import Kernel
from aion_core.machine.tasks import (
    Task,
    checkpoint,
    checkpoint_if_cancelled,
    current_task,
    suspend,
    yield_turn,
)

__all__ = ["MemoryReceiveChannel", "MemorySendChannel", "open_memory_channel"]

T = TypeVar("T")


class _Channel(Generic[T]):
    """What the two sides share. ``senders`` and ``receivers`` wait, the longest first."""

    def __init__(self, kernel: Kernel, max_buffer_size: float) -> None:
        self.kernel = kernel
        self.max_buffer_size = max_buffer_size
        self.buffer: deque[T] = deque()
        self.senders: dict[Task, tuple[MemorySendChannel[T], T]] = {}
        self.receivers: dict[Task, MemoryReceiveChannel[T]] = {}
        self.open_senders = 0
        self.open_receivers = 0


class _Side(ABC, Generic[T]):
    """One end of a channel, or a clone of it."""

    def __init__(self, channel: _Channel[T]) -> None:
        self._channel = channel
        self._is_closed = False

    @abstractmethod
    def close(self) -> None:
        """Close this clone; others stay open. Once more is harmless."""

    async def aclose(self) -> None:
        """As `close`; and let other tasks run."""
        self.close()
        await checkpoint()

    def _changer(self) -> Task:
        return self._channel.kernel.changer_of("channel")

    def _check_open(self) -> None:
        if self._is_closed:
            raise _closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class MemorySendChannel(_Side[T]):
    """The end of a channel that takes values. Got from `open_memory_channel`."""

    def __init__(self, channel: _Channel[T]) -> None:
        super().__init__(channel)
        channel.open_senders += 1

    def send_nowait(self, value: T) -> None:
        """Hand a value over, or lay it into the buffer.

        Raises:
            WouldBlock: no receiver waits, and the buffer is full.
            ClosedResourceError: this clone is closed.
            BrokenResourceError: every receiver is closed.
        """
        self._changer()
        self._send(value)

    async def send(self, value: T) -> None:
        """As `send_nowait`, but wait for room. When it is cancelled the value was not sent."""
        task = self._changer()
        await checkpoint_if_cancelled()
        try:
            self._send(value)
        except WouldBlock:
            senders = self._channel.senders
            senders[task] = self, value

            def abort() -> bool:
                del senders[task]
                return True

            await suspend(abort)
        else:
            await yield_turn()

    def clone(self) -> MemorySendChannel[T]:
        """One more sender, to be closed on its own.

        Raises:
            ClosedResourceError: this clone is closed.
        """
        self._changer()
        self._check_open()
        return MemorySendChannel(self._channel)

    def close(self) -> None:
        """Close this clone; after the last, receivers get what is left and then `EndOfChannel`."""
        self._changer()
        if self._is_closed:
            return
        self._is_closed = True
        channel = self._channel
        channel.open_senders -= 1
        for task in [task for task, (side, _) in channel.senders.items() if side is self]:
            del channel.senders[task]
            channel.kernel.wake(task, error=_closed())
        if channel.open_senders == 0:
            receivers, channel.receivers = channel.receivers, {}
            for task in receivers:
                channel.kernel.wake(task, error=_at_end())

    def _send(self, value: T) -> None:
        self._check_open()
        channel = self._channel
        if channel.open_receivers == 0:
            raise _no_receivers()
        if channel.receivers:
            receiver = next(iter(channel.receivers))
            del channel.receivers[receiver]
            channel.kernel.wake(receiver, value)
        elif len(channel.buffer) < channel.max_buffer_size:
            channel.buffer.append(value)
        else:
            raise WouldBlock("the channel is full")


class MemoryReceiveChannel(_Side[T]):
    """The end of a channel that gives values. Got from `open_memory_channel`.

    ``async for`` gives them until every sender is closed.
    """

    def __init__(self, channel: _Channel[T]) -> None:
        super().__init__(channel)
        channel.open_receivers += 1

    def receive_nowait(self) -> T:
        """Take the oldest value.

        Raises:
            WouldBlock: there is none.
            EndOfChannel: there is none, and every sender is closed.
            ClosedResourceError: this clone is closed.
        """
        self._changer()
        return self._receive()

    async def receive(self) -> T:
        """As `receive_nowait`, but wait for a value."""
        task = self._changer()
        await checkpoint_if_cancelled()
        try:
            value = self._receive()
        except WouldBlock:
            # Not kept in a name: the last sender's end puts another dict in its place.
            self._channel.receivers[task] = self

            def abort() -> bool:
                del self._channel.receivers[task]
                return True

            received: T = await suspend(abort)
            return received
        await yield_turn()
        return value

    def clone(self) -> MemoryReceiveChannel[T]:
        """One more receiver, to be closed on its own; each value goes to one of them.

        Raises:
            ClosedResourceError: this clone is closed.
        """
        self._changer()
        self._check_open()
        return MemoryReceiveChannel(self._channel)

    def close(self) -> None:
        """Close this clone; after the last, senders get `BrokenResourceError`."""
        self._changer()
        if self._is_closed:
            return
        self._is_closed = True
        channel = self._channel
        channel.open_receivers -= 1
        for task in [task for task, side in channel.receivers.items() if side is self]:
            del channel.receivers[task]
            channel.kernel.wake(task, error=_closed())
        if channel.open_receivers == 0:
            for task in channel.senders:
                channel.kernel.wake(task, error=_no_receivers())
            channel.senders.clear()
            channel.buffer.clear()

    def _receive(self) -> T:
        self._check_open()
        channel = self._channel
        if channel.senders:
            # Its value goes behind those in the buffer, which was full.
            sender = next(iter(channel.senders))
            _, value = channel.senders.pop(sender)
            channel.buffer.append(value)
            channel.kernel.wake(sender)
        if channel.buffer:
            return channel.buffer.popleft()
        if channel.open_senders == 0:
            raise _at_end()
        raise WouldBlock("the channel is empty")

    def __aiter__(self) -> MemoryReceiveChannel[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.receive()
        except EndOfChannel:
            raise StopAsyncIteration from None


class open_memory_channel(  # noqa: N801  called as a function; a class, to be told its type
    tuple[MemorySendChannel[T], MemoryReceiveChannel[T]]
):
    """Make a channel in memory: its two ends, to be used in this run.

    Example:
        ``send, receive = open_memory_channel[int](0)``

    Args:
        max_buffer_size: how many values may lie between the two; ``math.inf`` for any number.
            At 0, each is handed from a sender to a receiver.

    Raises:
        NotInWorkflowError: no workflow runs here.
    """

    __slots__ = ()

    def __new__(cls, max_buffer_size: float) -> Self:
        if max_buffer_size != math.inf and type(max_buffer_size) is not int:
            raise TypeError(
                f"max_buffer_size is a whole number or math.inf, not {max_buffer_size!r}"
            )
        if max_buffer_size < 0:
            raise ValueError(f"max_buffer_size must be at least 0, not {max_buffer_size}")
        channel: _Channel[T] = _Channel(current_task().kernel, max_buffer_size)
        return super().__new__(cls, (MemorySendChannel(channel), MemoryReceiveChannel(channel)))


def _closed() -> ClosedResourceError:
    return ClosedResourceError("this end of the channel is closed; use a clone of it")


def _no_receivers() -> BrokenResourceError:
    return BrokenResourceError("every receiver of the channel is closed")


def _at_end() -> EndOfChannel:
    return EndOfChannel("every sender of the channel is closed, and nothing is left in it")
