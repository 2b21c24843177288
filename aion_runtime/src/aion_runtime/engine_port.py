"""The engine's own port: requests go straight to its dispatcher."""

from __future__ import annotations

from typing import Any

import attrs

from aion_core.authoring.workflows import Workflow
from aion_core.contracts import EventStore
from aion_core.errors import (
    EngineStoppedError,
    UnknownWorkflowTypeError,
    WorkflowNotFoundError,
    WorkflowStuckError,
    WorkflowUsageError,
)
from aion_core.events import HistoryEvent, UpdateCompleted, UpdateFailed
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import Arrival, UpdateSentToRun
from aion_core.payloads import Payload, PayloadConverter
from aion_runtime.catalog import WorkflowCatalog
from aion_runtime.closed_runs import ClosedRuns
from aion_runtime.commit_bell import CommitBell
from aion_runtime.dispatcher import Dispatcher
from aion_runtime.entries import Receipt
from aion_runtime.ports import BEGUN_QUERY, Port
from aion_runtime.reception import Reception
from aion_runtime.recorded_updates import recorded_update

__all__ = ["EnginePort"]


class EnginePort(Port):
    """Hands requests over, and is told at once what became of them."""

    def __init__(
        self,
        store: EventStore,
        catalog: WorkflowCatalog,
        converter: PayloadConverter,
        dispatcher: Dispatcher,
        closed_runs: ClosedRuns,
        reception: Reception,
        bell: CommitBell,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._converter = converter
        self._dispatcher = dispatcher
        self._closed_runs = closed_runs
        self._reception = reception
        self._bell = bell
        self._accepting = True
        self._closed = False

    def stop_accepting(self) -> None:
        """From now on every call that would change something is refused."""
        self._accepting = False

    def close(self) -> None:
        """From now on every call is refused: the store is about to be closed."""
        self._accepting = False
        self._closed = True
        self._bell.ring()

    def require_accepting(self) -> None:
        if not self._accepting:
            raise EngineStoppedError("the engine is stopping and takes nothing new")

    def open_store(self) -> EventStore:
        if self._closed:
            raise EngineStoppedError("the engine has stopped; open it again to ask it something")
        return self._store

    def check_definition(self, definition: Workflow[..., Any]) -> None:
        self._catalog(definition.name)
        if not self._catalog.holds(definition):
            raise WorkflowUsageError(
                f"the engine has another workflow named {definition.name!r}; "
                "start the one that was given to open_engine(workflows=[...])"
            )

    async def check(self, workflow_id: WorkflowId, arrival: Arrival) -> Arrival:
        self.open_store()
        return await self._reception.checked(workflow_id, arrival)

    async def send(self, workflow_id: WorkflowId, arrival: Arrival) -> None:
        receipt = Receipt()
        self._dispatcher.post(workflow_id, arrival, receipt)
        await receipt.wait()

    async def update(
        self, workflow_id: WorkflowId, arrival: UpdateSentToRun, *, is_named: bool
    ) -> UpdateCompleted | UpdateFailed:
        with self._dispatcher.answers.expected(workflow_id, arrival.update_id) as pending:
            await self.send(workflow_id, arrival)
            answer = pending.event
            if is_named:
                # Asked before, it may have its answer since; or it was something else.
                recorded = await recorded_update(self.open_store(), workflow_id, arrival.update_id)
                if recorded is not None:
                    recorded.require_same(arrival, self._converter)
                    answer = answer or recorded.answer
            return await pending.wait() if answer is None else answer

    async def ask(
        self, workflow_id: WorkflowId, query: str, *, patience: float | None = None
    ) -> Payload:
        summary = await self.open_store().read_summary(workflow_id)
        if summary is None:
            raise WorkflowNotFoundError(workflow_id)
        if query == BEGUN_QUERY:
            return self._converter.encode(self._dispatcher.begun(workflow_id), list[str])
        answer: Payload | None = None
        if not summary.status.is_closed:
            answer = await self._dispatcher.ask(workflow_id, query)
        if answer is None:
            answer = await self._closed_runs.ask(workflow_id, query)
        return answer

    async def closed(self, workflow_id: WorkflowId) -> HistoryEvent:
        with self._dispatcher.closings.expected(workflow_id) as closing:
            found = await self.open_store().read_summary(workflow_id)
            if found is None:
                raise WorkflowNotFoundError(workflow_id)
            summary = self.with_reason(found)
            if summary.status.is_closed:
                store = self.open_store()
                (terminal,) = await store.read_history_from(workflow_id, summary.events)
                return terminal
            if summary.stuck is not None:
                raise WorkflowStuckError(workflow_id, summary.stuck)
            # It may have more to do than is recorded, when its code has grown.
            self._dispatcher.wake(workflow_id)
            return await closing.wait()

    def with_reason(self, summary: WorkflowSummary) -> WorkflowSummary:
        if summary.status.is_closed:
            return summary
        reason = self._dispatcher.stuck.get(summary.workflow_id)
        if reason is None and summary.workflow_type not in self._catalog:
            try:
                self._catalog(summary.workflow_type)
            except UnknownWorkflowTypeError as error:
                reason = str(error)
        return summary if reason is None else attrs.evolve(summary, stuck=reason)

    async def next_commit(self, mark: object) -> object:
        return await self._bell.next(mark)
