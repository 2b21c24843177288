"""Closed runs: their code, brought back from history to be asked, and thrown away again."""

from __future__ import annotations

from aion_core.contracts import EventStore, SeamContext
from aion_core.errors import (
    HistoryShapeError,
    NonDeterminismError,
    QueryError,
    UnknownWorkflowTypeError,
    WorkflowNotFoundError,
)
from aion_core.ids import WorkflowId
from aion_core.machine.workflow_machine import WorkflowMachine
from aion_core.payloads import Payload
from aion_runtime.clock import WorkSlice
from aion_runtime.loading import LONGEST_SLICE_S
from aion_runtime.recovery.seam import last_start

__all__ = ["ClosedRuns"]


class ClosedRuns:
    """Asks runs that have ended.

    Args:
        context: catalog, converter and guard of the engine.
    """

    def __init__(self, store: EventStore, context: SeamContext) -> None:
        self._store = store
        self._context = context

    async def ask(self, workflow_id: WorkflowId, query: str) -> Payload:
        """The answer to a query by the state in which the newest run of a workflow ended.

        Raises:
            QueryError: there is none, or the code that is loaded does not fit the history.
            WorkflowNotFoundError: there is no such workflow.
        """
        history = await self._store.read_history(workflow_id)
        if not history:
            raise WorkflowNotFoundError(workflow_id)
        context = self._context
        try:
            started = last_start(workflow_id, history)
            machine = WorkflowMachine(
                started, context.catalog(started.workflow_type), context.converter, context.guard
            )
            try:
                work = WorkSlice(LONGEST_SLICE_S)
                for _ in machine.replaying_in_pieces(history):
                    await work.give_way()
                return machine.ask(query)
            finally:
                machine.close()
        except (HistoryShapeError, NonDeterminismError, UnknownWorkflowTypeError) as error:
            raise QueryError(
                f"workflow {workflow_id!r} is closed and cannot be brought back to answer the "
                f"query {query!r}: {error}"
            ) from error
