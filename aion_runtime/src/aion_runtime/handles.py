"""Handles: one workflow, as a caller sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from aion_core.authoring.queries import Query
from aion_core.authoring.signals import Signal
from aion_core.authoring.updates import Update
from aion_core.events import HistoryEvent
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId

if TYPE_CHECKING:
    from aion_runtime.engine import Engine

__all__ = ["WorkflowHandle"]

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")


class WorkflowHandle(Generic[R_co]):
    """Got from ``engine.start`` or ``engine.get``.

    Attributes:
        workflow_id: which workflow.
    """

    def __init__(self, engine: Engine, workflow_id: WorkflowId) -> None:
        self._engine = engine
        self.workflow_id = workflow_id

    async def result(self) -> R_co:
        """Wait for the end and return what the workflow returned.

        Raises:
            WorkflowFailedError: it failed, or was cancelled, terminated or timed out; what of it
                ``failure.type`` says.
            WorkflowNotFoundError: there is no such workflow.
            WorkflowStuckError: it is open, but this engine cannot move it.
            EngineStoppedError: the engine stopped first.
        """
        result: R_co = await self._engine._wait_result(self.workflow_id)
        return result

    async def signal(self, signal: Signal[T], value: T, *, signal_id: str | None = None) -> None:
        """Send a value. It is durable when this returns.

        To a run that cannot go on in this engine it is kept, and received when the run goes on.

        Args:
            signal_id: the sender's name for this one sending: sent again, it is taken once.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowClosedError: it has ended; nothing was delivered.
            PayloadError: the value does not fit the signal's type.
        """
        await self._engine._send_signal(self.workflow_id, signal, value, signal_id)

    async def query(self, query: Query[T]) -> T:
        """Ask for something that the workflow shows, by what is durable of it.

        A run that is not in memory, or has ended, is brought back from its history first.

        Raises:
            QueryError: the code does not know the query, or its answer failed.
            WorkflowNotFoundError: there is no such workflow.
            WorkflowStuckError: it is open, but this engine cannot move it.
            PayloadError: the answer does not fit the query's type.
        """
        return await self._engine._ask(self.workflow_id, query)

    async def update(self, update: Update[A, R], arg: A, *, update_id: str | None = None) -> R:
        """Have the workflow change something, and return what its handler does.

        Args:
            update_id: the caller's name for this one update: sent again, it is not done again, and
                has the same answer.

        Raises:
            UpdateRejectedError: the workflow refused it; nothing was recorded.
            UpdateFailedError: the handler raised.
            WorkflowNotFoundError: there is no such workflow.
            WorkflowClosedError: it has ended, or did so before there was an answer.
            WorkflowStuckError: it is open, but this engine cannot move it; nothing was recorded.
            PayloadError: the argument does not fit the update's type.
        """
        return await self._engine._update(self.workflow_id, update, arg, update_id)

    async def cancel(self, reason: str = "cancelled from outside") -> None:
        """Ask the workflow to stop. It may clean up first, or go on; ask `result` what it did.

        The request is durable when this returns. A second one changes nothing.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowClosedError: it has ended.
            WorkflowStuckError: this engine cannot move it; nothing was recorded.
        """
        await self._engine._cancel(self.workflow_id, reason)

    async def terminate(self, reason: str = "terminated from outside") -> None:
        """End the workflow here and now, stuck or not; its code is not asked.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowClosedError: it has ended.
        """
        await self._engine._terminate(self.workflow_id, reason)

    async def describe(self) -> WorkflowSummary:
        """One line about it. Raises `WorkflowNotFoundError`."""
        return await self._engine._describe(self.workflow_id)

    async def history(self) -> Sequence[HistoryEvent]:
        """Everything recorded so far. Raises `WorkflowNotFoundError`."""
        return await self._engine._read_history(self.workflow_id)

    def __repr__(self) -> str:
        return f"<handle of workflow {self.workflow_id!r}>"
