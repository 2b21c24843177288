"""Handles: one workflow, as a caller sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aion_core.authoring.queries import Query
from aion_core.authoring.signals import Signal
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import Workflow
from aion_core.errors import WorkflowUsageError
from aion_core.events import HistoryEvent
from aion_core.failures import Failure, failure_from
from aion_core.history import WorkflowSummary
from aion_core.ids import ActivityId, WorkflowId
from aion_core.machine.arrivals import (
    AttemptCompleted,
    AttemptFailed,
    RetryRequest,
    SupplyRequest,
)

if TYPE_CHECKING:
    from aion_runtime.client import Client
    from aion_runtime.explaining import Explanation

__all__ = ["WorkflowHandle"]

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")

_NOTHING = object()
"""No value, unlike None."""


class WorkflowHandle(Generic[R_co]):
    """Got from ``start`` or ``get`` of an engine or a client.

    Attributes:
        workflow_id: which workflow.
    """

    def __init__(
        self,
        client: Client,
        workflow_id: WorkflowId,
        definition: Workflow[..., Any] | None = None,
    ) -> None:
        self._client = client
        self._definition = definition
        self.workflow_id = workflow_id

    async def result(self) -> R_co:
        """Wait for the end and return what the workflow returned.

        Raises:
            WorkflowFailedError: it failed, or was cancelled, terminated or timed out; what of it
                ``failure.type`` says.
            WorkflowNotFoundError: there is no such workflow.
            WorkflowStuckError: it is open, but the engine cannot move it.
            EngineStoppedError: the engine of this process stopped first.
        """
        result: R_co = await self._client._wait_result(self.workflow_id, self._definition)
        return result

    async def signal(self, signal: Signal[T], value: T, *, signal_id: str | None = None) -> None:
        """Send a value. It is durable when this returns.

        To a run that cannot go on in the engine it is kept, and received when the run goes on.

        Args:
            signal_id: the sender's name for this one sending: sent again, it is taken once.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowClosedError: it has ended; nothing was delivered.
            PayloadError: the value does not fit the signal's type.
        """
        await self._client._send_signal(self.workflow_id, signal, value, signal_id)

    async def query(self, query: Query[T]) -> T:
        """Ask for something that the workflow shows, by what is durable of it.

        A run that is not in memory, or has ended, is brought back from its history first.

        Raises:
            QueryError: the code does not know the query, or its answer failed.
            WorkflowNotFoundError: there is no such workflow.
            WorkflowStuckError: it is open, but the engine cannot move it.
            PayloadError: the answer does not fit the query's type.
        """
        return await self._client._ask(self.workflow_id, query)

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
            WorkflowStuckError: it is open, but the engine cannot move it; nothing was recorded.
            PayloadError: the argument does not fit the update's type.
        """
        return await self._client._update(self.workflow_id, update, arg, update_id)

    async def cancel(self, reason: str = "cancelled from outside") -> None:
        """Ask the workflow to stop. It may clean up first, or go on; ask `result` what it did.

        The request is durable when this returns. A second one changes nothing.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowClosedError: it has ended.
            WorkflowStuckError: the engine cannot move it; nothing was recorded.
        """
        await self._client._cancel(self.workflow_id, reason)

    async def terminate(self, reason: str = "terminated from outside") -> None:
        """End the workflow here and now, stuck or not; its code is not asked.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowClosedError: it has ended.
        """
        await self._client._terminate(self.workflow_id, reason)

    async def retry(self, activity_id: str | None = None) -> None:
        """Have an activity tried again whose attempts are over, as one with
        ``on_exhausted="pause"`` waits for, or all of the run; now, if it waits for its next time.

        A run that is stuck is tried again itself, by the code that is loaded now.

        Raises:
            ActivityNotHeldError: there is nothing to be tried again: it is under way, say.
            ActivityNotFoundError: the run has no open activity with this id.
            WorkflowNotFoundError: there is no such workflow.
            WorkflowClosedError: it has ended.
            WorkflowStuckError: it is stuck, and was so when it was tried again.
        """
        id_ = None if activity_id is None else ActivityId(activity_id)
        await self._client._request(self.workflow_id, RetryRequest(activity_id=id_))

    async def supply(
        self,
        activity_id: str,
        value: object = _NOTHING,
        *,
        error: BaseException | Failure | None = None,
        supplied_by: str = "operator",
    ) -> None:
        """Say how an activity without an outcome has ended, instead of another attempt.

        Args:
            value: what it returned, as JSON has it; or
            error: with what it failed.
            supplied_by: who says so, for the history.

        Raises:
            WorkflowUsageError: neither or both are given.
            ActivityNotFoundError: the run has no open activity with this id.
            PayloadError: the value does not fit what the activity returns.
            WorkflowNotFoundError: there is no such workflow.
            WorkflowClosedError: it has ended.
            WorkflowStuckError: it is open, but the engine cannot move it; nothing was recorded.
        """
        if (value is _NOTHING) == (error is None):
            raise WorkflowUsageError("supply takes a value or an error=, one of them")
        outcome: AttemptCompleted | AttemptFailed
        if error is None:
            outcome = AttemptCompleted(self._client._converter.encode(value, Any))
        else:
            failure = error if isinstance(error, Failure) else failure_from(error)
            outcome = AttemptFailed(failure, non_retryable=True)
        request = SupplyRequest(
            activity_id=ActivityId(activity_id), outcome=outcome, supplied_by=supplied_by
        )
        await self._client._request(self.workflow_id, request)

    async def describe(self) -> WorkflowSummary:
        """One line about it. Raises `WorkflowNotFoundError`."""
        return await self._client._describe(self.workflow_id)

    async def explain(self) -> Explanation:
        """Why it does not go on: see `Client.explain`. Raises `WorkflowNotFoundError`."""
        return await self._client._explain(self.workflow_id)

    async def history(self) -> Sequence[HistoryEvent]:
        """Everything recorded so far. Raises `WorkflowNotFoundError`."""
        return await self._client._read_history(self.workflow_id)

    def __repr__(self) -> str:
        return f"<handle of workflow {self.workflow_id!r}>"
