"""Signals: values sent to a running workflow from outside."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from typing_extensions import TypeForm

from aion_core.machine.kernel import current_task
from aion_core.payloads import Payload, PayloadConverter

__all__ = ["Signal", "WouldBlock"]

T = TypeVar("T")


class WouldBlock(Exception):
    """Raised by `Signal.receive_nowait` when no signal is there."""


class Signal(Generic[T]):
    """A kind of signal, by its name and the type of its value.

    Signals that nobody has received yet wait in the run, in order. Tasks that wait for the same
    name are served in the order in which they began to.

    Args:
        name: what senders call it.
        type: of the value, ``int | None`` included.
    """

    def __init__(self, name: str, type: TypeForm[T]) -> None:
        if not name or not name.isprintable():
            raise ValueError(f"a signal's name must be non-empty printable text, not {name!r}")
        self.name = name
        self.type = type

    async def receive(self) -> T:
        """Wait for the next one, in a workflow."""
        task = current_task()
        value: T = await task.environment.receive(task, self.name, self._decoder())
        return value

    def receive_nowait(self) -> T:
        """Take one that is there already.

        Raises:
            WouldBlock: none is.
        """
        found, value = current_task().environment.receive_nowait(self.name, self._decoder())
        if not found:
            raise WouldBlock(f"no signal {self.name!r} is waiting")
        taken: T = value
        return taken

    def __aiter__(self) -> Signal[T]:
        return self

    async def __anext__(self) -> T:
        return await self.receive()

    def encode(self, value: object, converter: PayloadConverter) -> Payload:
        """Store a value to be sent. Raises `PayloadError`."""
        return converter.encode(value, self.type)

    def decode(self, payload: Payload, converter: PayloadConverter) -> Any:
        """Give a stored value back. Raises `PayloadError`."""
        return converter.decode(payload, self.type)

    def _decoder(self) -> Any:
        converter = current_task().environment.converter
        return lambda payload: self.decode(payload, converter)

    def __repr__(self) -> str:
        return f"Signal({self.name!r}, {self.type!r})"
