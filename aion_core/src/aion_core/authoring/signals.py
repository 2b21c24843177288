"""Signals: values sent to a running workflow, from outside or by another workflow."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from typing_extensions import TypeForm

from aion_core.authoring.naming import checked_name
from aion_core.errors import WouldBlock
from aion_core.ids import validated_workflow_id
from aion_core.machine.tasks import current_task
from aion_core.payloads import Payload, PayloadConverter

__all__ = ["Signal", "WouldBlock"]

T = TypeVar("T")


class Signal(Generic[T]):
    """A kind of signal, by its name and the type of its value.

    Signals that nobody has received yet wait in the run, in order. Tasks that wait for the same
    name are served in the order in which they began to.

    Args:
        name: what senders call it.
        type: of the value, ``int | None`` included.
    """

    def __init__(self, name: str, type: TypeForm[T]) -> None:
        self.name = checked_name("a signal", name)
        self.type = type

    async def receive(self) -> T:
        """Wait for the next one, in a workflow."""
        task = current_task()
        value: T = await task.environment.signals.receive(task, self.name, self._decoder())
        return value

    def receive_nowait(self) -> T:
        """Take one that is there already.

        Raises:
            WouldBlock: none is.
        """
        signals = current_task().environment.signals
        found, value = signals.receive_nowait(self.name, self._decoder())
        if not found:
            raise WouldBlock(f"no signal {self.name!r} is waiting")
        taken: T = value
        return taken

    async def send(self, workflow_id: str, value: T) -> None:
        """Send one to another workflow, from a workflow. It is on its way when this returns.

        It is delivered once. A workflow that does not exist yet gets it when it starts; for one
        that has ended it comes too late, which nobody is told.

        Raises:
            InvalidIdError: no workflow can have this id.
            PayloadError: the value does not fit the signal's type.
        """
        task = current_task()
        target = validated_workflow_id(workflow_id)
        payload = self.encode(value, task.environment.converter)
        await task.environment.signals.send(task, target, self.name, payload)

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
