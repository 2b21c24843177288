"""Signals of a run: those that nobody has received yet, and the tasks that wait for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import PayloadError
from aion_core.ids import WorkflowId, position
from aion_core.machine.kernel import (
    Task,
    checkpoint,
    checkpoint_if_cancelled,
    suspend,
    yield_turn,
)
from aion_core.payloads import Payload

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment

__all__ = ["Decode", "Signals"]

Decode = Callable[[Payload], Any]
"""Gives a stored value back. Raises `PayloadError`."""

BYTES_BESIDE_VALUE = 300
"""What a signal takes in memory beside its value."""


class Signals:
    """A queue of signals and one of receivers for each name; one of the two is empty.

    Attributes:
        kept_bytes: about what those take that nobody has received.
    """

    __slots__ = ("_arrived", "_environment", "_kept", "_receivers", "kept_bytes")

    def __init__(self, environment: Environment) -> None:
        self.kept_bytes = 0
        self._environment = environment
        self._arrived: dict[str, int] = {}
        self._kept: dict[str, deque[tuple[int, e.SignalReceived]]] = {}
        self._receivers: dict[str, dict[Task, tuple[int, Decode]]] = {}

    def unreceived(self) -> list[e.SignalReceived]:
        """Those that nobody has received, in the order of their arrival."""
        kept = [event for queue in self._kept.values() for _, event in queue]
        return sorted(kept, key=attrgetter("seq"))

    def waits(self) -> Iterable[tuple[int, c.AwaitSignal]]:
        """What is awaited, and since when."""
        for name, receivers in self._receivers.items():
            for index, (begun, _) in enumerate(receivers.values(), self._arrived.get(name, 0)):
                yield begun, c.AwaitSignal(name, index)

    def awaited(self) -> dict[Task, str]:
        """The tasks that wait for a signal, and its name."""
        return {task: name for name, tasks in self._receivers.items() for task in tasks}

    async def receive(self, task: Task, name: str, decode: Decode) -> Any:
        """Park a task until it gets the next signal of a name."""
        await checkpoint_if_cancelled()
        if self._kept.get(name):
            # Taken only when nothing can come between any more: a receive that is cancelled here,
            # the loser of a race for example, leaves the signal to the next.
            await checkpoint()
            taken = self._take(name, decode)
            if taken is not None:
                index, value = taken
                self._environment.answered(c.AwaitSignal(name, index))
                return value
        receivers = self._receivers.setdefault(name, {})
        receivers[task] = self._environment.next_wait(), decode

        def abort() -> bool:
            del receivers[task]
            return True

        return await suspend(abort)

    def receive_nowait(self, name: str, decode: Decode) -> tuple[bool, Any]:
        """Take a signal that is there already: whether there was one, and its value."""
        self._environment.check_may_change("receiving a signal")
        taken = self._take(name, decode)
        return (False, None) if taken is None else (True, taken[1])

    async def send(self, task: Task, target: WorkflowId, name: str, payload: Payload) -> None:
        """Send one to another workflow; it is on its way when this returns."""
        await checkpoint_if_cancelled()
        place = position("signal", task.path, task.next_ordinal("signal"))
        self._environment.issue(c.SendSignal(place, target, name, payload), task)
        # Not cancelled any more: who is told so sends it again.
        await yield_turn()

    def deliver(self, event: e.SignalReceived) -> None:
        """Apply an arrival: the task that has waited longest gets the signal, or it waits."""
        index = self._arrived.get(event.name, 0)
        self._arrived[event.name] = index + 1
        receivers = self._receivers.get(event.name)
        if not receivers:
            self._kept.setdefault(event.name, deque()).append((index, event))
            self.kept_bytes += BYTES_BESIDE_VALUE + len(event.payload.data)
            return
        task, (_, decode) = next(iter(receivers.items()))
        try:
            value = decode(event.payload)
        except PayloadError as error:
            self._environment.dropped_signals.append((event.name, error))
            return
        del receivers[task]
        self._environment.answered(c.AwaitSignal(event.name, index))
        task.kernel.wake(task, value)

    def _take(self, name: str, decode: Decode) -> tuple[int, Any] | None:
        kept = self._kept.get(name)
        while kept:
            index, event = kept.popleft()
            self.kept_bytes -= BYTES_BESIDE_VALUE + len(event.payload.data)
            try:
                return index, decode(event.payload)
            except PayloadError as error:
                self._environment.dropped_signals.append((name, error))
        return None
