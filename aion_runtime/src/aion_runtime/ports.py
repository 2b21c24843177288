"""Ports: the way from a client to the engine that does what it asks for.

What differs between a client in the engine's own process and one elsewhere is here, and nowhere
else: the one hands its requests over, the other leaves them in the store and looks for the answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from aion_core.authoring.workflows import Workflow
from aion_core.contracts import EventStore
from aion_core.events import HistoryEvent, UpdateCompleted, UpdateFailed
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import Arrival, UpdateSentToRun
from aion_core.payloads import Payload

__all__ = ["BEGUN_QUERY", "Port"]

BEGUN_QUERY = "aion.begun"
"""The query that an engine answers with the ids of the activities whose attempt has begun."""


class Port(ABC):
    """How a client's requests reach an engine, and their answers the client.

    Every coroutine raises what the engine has against the request, as the class that the engine
    raised.
    """

    @abstractmethod
    def require_accepting(self) -> None:
        """Raises `EngineStoppedError` when nothing that changes something is taken any more."""

    @abstractmethod
    def open_store(self) -> EventStore:
        """The store, to read it. Raises `EngineStoppedError` when it is about to be closed."""

    @abstractmethod
    def check_definition(self, definition: Workflow[..., Any]) -> None:
        """Refuse a definition that the engine, as far as is known here, does not have."""

    @abstractmethod
    async def check(self, workflow_id: WorkflowId, arrival: Arrival) -> Arrival:
        """Refuse what can be refused before anything is sent; returns what is to be sent."""

    @abstractmethod
    async def send(self, workflow_id: WorkflowId, arrival: Arrival) -> None:
        """Return when what an arrival asks for is durable."""

    @abstractmethod
    async def update(
        self, workflow_id: WorkflowId, arrival: UpdateSentToRun, *, is_named: bool
    ) -> UpdateCompleted | UpdateFailed:
        """Send an update, and return its answer when that is durable.

        Args:
            is_named: its id is of the caller, who may have sent it before.
        """

    @abstractmethod
    async def ask(
        self, workflow_id: WorkflowId, query: str, *, patience: float | None = None
    ) -> Payload:
        """The answer to a query by what is durable of a run, open or closed.

        Args:
            patience: seconds that an engine elsewhere has; None for as long as for all requests.
        """

    @abstractmethod
    async def closed(self, workflow_id: WorkflowId) -> HistoryEvent:
        """Wait until a workflow has ended, and return the event that ended it.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowStuckError: it is open, but the engine cannot move it.
        """

    @abstractmethod
    def with_reason(self, summary: WorkflowSummary) -> WorkflowSummary:
        """A summary, with what is known here beside the store of why an open run is stuck."""

    @abstractmethod
    async def next_commit(self, mark: object) -> object:
        """Return when something may have been committed since a mark, with the next mark.

        Args:
            mark: what the last call returned; None to return at once.
        """
