"""Answers: who waits for what the handler of an update returns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from aion_core.errors import AionError
from aion_core.events import UpdateCompleted, UpdateFailed
from aion_core.ids import WorkflowId

__all__ = ["Answers", "PendingAnswer"]


class PendingAnswer:
    """The answer to one update, awaited."""

    def __init__(self) -> None:
        self.waiters = 0
        self._settled = trio.Event()
        self._event: UpdateCompleted | UpdateFailed | None = None
        self._error: AionError | None = None

    @property
    def event(self) -> UpdateCompleted | UpdateFailed | None:
        """The answer, if it is there."""
        return self._event

    def settle(self, event: UpdateCompleted | UpdateFailed) -> None:
        """The answer is durable."""
        self._event = event
        self._settled.set()

    def fail(self, error: AionError) -> None:
        """There will be none, as far as this engine can see."""
        self._error = error
        self._settled.set()

    async def wait(self) -> UpdateCompleted | UpdateFailed:
        """The answer; raises what `fail` was given."""
        await self._settled.wait()
        if self._event is None:
            assert self._error is not None
            raise self._error
        return self._event


class Answers:
    """Pending answers by workflow and update."""

    def __init__(self) -> None:
        self._pending: dict[WorkflowId, dict[str, PendingAnswer]] = {}

    @contextmanager
    def expected(self, workflow_id: WorkflowId, update_id: str) -> Iterator[PendingAnswer]:
        """Register before the update is sent, so as not to miss its answer."""
        pending = self._pending.setdefault(workflow_id, {})
        answer = pending.setdefault(update_id, PendingAnswer())
        answer.waiters += 1
        try:
            yield answer
        finally:
            answer.waiters -= 1
            if not answer.waiters and pending.get(update_id) is answer:
                del pending[update_id]
            if not pending and self._pending.get(workflow_id) is pending:
                del self._pending[workflow_id]

    def announce(self, event: UpdateCompleted | UpdateFailed) -> None:
        """An answer is durable."""
        answer = self._pending.get(event.workflow_id, {}).pop(event.update_id, None)
        if answer is not None:
            answer.settle(event)

    def fail(self, workflow_id: WorkflowId, error: AionError) -> None:
        """No answers will come from this workflow any more."""
        for answer in self._pending.pop(workflow_id, {}).values():
            answer.fail(error)

    def end(self, error: AionError) -> None:
        """No answers will come from any workflow any more."""
        for workflow_id in tuple(self._pending):
            self.fail(workflow_id, error)
