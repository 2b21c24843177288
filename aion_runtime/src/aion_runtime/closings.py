"""Closings: who waits for the end of which workflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from aion_core.errors import AionError
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId

__all__ = ["Closing", "Closings"]


class Closing:
    """The end of one workflow, awaited."""

    def __init__(self) -> None:
        self.waiters = 0
        self.settled = trio.Event()
        self.terminal: HistoryEvent | None = None
        self.error: AionError | None = None

    async def wait(self) -> HistoryEvent:
        """The terminal event, once it is durable; raises what `Closings.fail` was given."""
        await self.settled.wait()
        if self.terminal is None:
            assert self.error is not None
            raise self.error
        return self.terminal


class Closings:
    """One-shot announcements by workflow. Announced only what is durable."""

    def __init__(self) -> None:
        self._closings: dict[WorkflowId, Closing] = {}
        self._over: AionError | None = None

    def __len__(self) -> int:
        return len(self._closings)

    @contextmanager
    def expected(self, workflow_id: WorkflowId) -> Iterator[Closing]:
        """Register before looking whether the workflow is closed already, so as not to miss it."""
        closing = self._closings.setdefault(workflow_id, Closing())
        closing.waiters += 1
        if self._over is not None:
            self.fail(workflow_id, self._over)
        try:
            yield closing
        finally:
            closing.waiters -= 1
            if not closing.waiters and self._closings.get(workflow_id) is closing:
                del self._closings[workflow_id]

    def announce(self, workflow_id: WorkflowId, terminal: HistoryEvent) -> None:
        """The workflow has ended."""
        closing = self._closings.pop(workflow_id, None)
        if closing is not None:
            closing.terminal = terminal
            closing.settled.set()

    def fail(self, workflow_id: WorkflowId, error: AionError) -> None:
        """The end will not be seen by this engine."""
        closing = self._closings.pop(workflow_id, None)
        if closing is not None:
            closing.error = error
            closing.settled.set()

    def end(self, error: AionError) -> None:
        """No end will be seen any more, by those who wait or by those who come."""
        self._over = error
        for workflow_id in tuple(self._closings):
            self.fail(workflow_id, error)
