"""Handles: one workflow, as a caller sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from aion_core.authoring.signals import Signal
from aion_core.events import HistoryEvent
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId

if TYPE_CHECKING:
    from aion_runtime.engine import Engine

__all__ = ["WorkflowHandle"]

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


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
            WorkflowFailedError: it failed.
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

    async def describe(self) -> WorkflowSummary:
        """One line about it. Raises `WorkflowNotFoundError`."""
        return await self._engine._describe(self.workflow_id)

    async def history(self) -> Sequence[HistoryEvent]:
        """Everything recorded so far. Raises `WorkflowNotFoundError`."""
        return await self._engine._read_history(self.workflow_id)

    def __repr__(self) -> str:
        return f"<handle of workflow {self.workflow_id!r}>"
