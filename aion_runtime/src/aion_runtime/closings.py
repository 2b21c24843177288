"""Closings: who waits for the end of which workflow."""

from __future__ import annotations

import trio

from aion_core.errors import AionError
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId

__all__ = ["Closings"]


class _Closing:
    def __init__(self) -> None:
        self.settled = trio.Event()
        self.terminal: HistoryEvent | None = None
        self.error: AionError | None = None


class Closings:
    """One-shot announcements by workflow. Announced only what is durable."""

    def __init__(self) -> None:
        self._closings: dict[WorkflowId, _Closing] = {}
        self._over: AionError | None = None

    def expect(self, workflow_id: WorkflowId) -> _Closing:
        """Register before looking whether the workflow is closed already, so as not to miss it."""
        closing = self._closings.setdefault(workflow_id, _Closing())
        if self._over is not None:
            self.fail(workflow_id, self._over)
        return closing

    async def wait(self, closing: _Closing) -> HistoryEvent:
        """The terminal event, once it is durable; raises what `fail` was given."""
        await closing.settled.wait()
        if closing.terminal is None:
            assert closing.error is not None
            raise closing.error
        return closing.terminal

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
